package event

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/dynamicpb"

	"paylink/schemas"
)

// protoFile is a file with one message, whose numbers are not ours, that has the
// required fields, but for those given.
func protoFile(imports, fields string) string {
	text := "syntax = \"proto3\";\npackage kz.shop.v1;\n"
	for path := range strings.FieldsSeq(imports) {
		text += "import \"" + path + "\";\n"
	}
	text += "message Intent {\n" + fields + "\n"
	for i, name := range []string{"intent_id", "amount", "description"} {
		if !strings.Contains(fields, " "+name+" ") {
			text += "  string " + name + " = " + string(rune('1'+i)) + ";\n"
		}
	}
	return text + "}\n"
}

// protoOf writes a message of the first type of a file, given as Protobuf text.
func protoOf(t testing.TB, file, text string) string {
	t.Helper()
	fd, bad := compileProtobuf(WriterSchema{Format: schemas.Protobuf, Text: file})
	if bad != nil {
		t.Fatal(bad, file)
	}
	m := dynamicpb.NewMessage(fd.Messages().Get(0))
	if err := prototext.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	return "\x00" + protoBody(t, m)
}

const (
	wrappers  = "google/protobuf/wrappers.proto"
	moment    = "google/protobuf/timestamp.proto"
	moneyFile = "google/type/money.proto"
	structs   = "google/protobuf/struct.proto"
	noPair    = "! must be a number or a string, is a whole part and nanos that make no number: they need the same sign, and nanos at most nine digits"
)

func TestProtobufDialects(t *testing.T) {
	for _, tt := range []struct {
		field, imports, fields, text string
		want                         string
	}{
		{"amount", "", "int64 amount = 9;", "amount: 1500", "1500"},
		{"amount", "", "uint32 amount = 9;", "amount: 1500", "1500"},
		{"amount", "", "sint64 amount = 9;", "amount: -1", "! must be a plain decimal number: no sign, exponent, leading zeros or spaces"},
		{"amount", "", "fixed64 amount = 9;", "amount: 7", "7"},
		{"amount", "", "double amount = 9;", "amount: 1500.1", "1500.1"},
		{"amount", "", "double amount = 9;", "amount: 0.30000000000000004", notExact},
		{"amount", "", "float amount = 9;", "amount: 9999999", notExact},
		{"amount", "", "int64 amount = 9;", "", "! is required"},
		{"amount", "", "string total = 4; string amount = 9;", `amount: "10" total: "99"`, "10"},
		{"amount", "", "string total = 4;", `amount: "10" total: "99"`, "10"},
		{"amount", "", "oneof sum { string amount = 8; int64 cents = 9; }", `amount: "10"`, "10"},
		{"amount", wrappers, "google.protobuf.StringValue amount = 9;", `amount { value: "1500.00" }`, "1500.00"},
		{"amount", wrappers, "google.protobuf.Int64Value amount = 9;", "amount { value: 15 }", "15"},
		{"amount", moneyFile, "google.type.Money amount = 9;", `amount { currency_code: "KZT" units: 1500 nanos: 250000000 }`, "1500.25"},
		{"amount", moneyFile, "google.type.Money amount = 9;", `amount { currency_code: "KZT" units: 1500 nanos: 1000000 }`, "! must have at most 2 digits after the point, has 3"},
		{"currency", moneyFile, "google.type.Money amount = 9;", `amount { currency_code: "KZT" units: 1500 }`, "KZT"},
		{"currency", moneyFile, "google.type.Money amount = 9; string currency = 10;", `amount { currency_code: "KZT" units: 15 } currency: "USD"`, "! must be the currency of the amount"},
		{"amount", "google/type/decimal.proto", "google.type.Decimal amount = 9;", `amount { value: "1500.00" }`, "1500.00"},
		{"amount", "confluent/type/decimal.proto", "confluent.type.Decimal amount = 9;", `amount { value: "\x02\x49\xf5" precision: 10 scale: 2 }`, "1500.05"},
		{"amount", "", "message Sum { int64 units = 1; } Sum amount = 9;", "amount { units: 1 }", "! must be a number or a string, is an object"},
		{"amount", "", "repeated string amount = 9;", `amount: "1" amount: "2"`, "! must be a number or a string, is an array"},
		{"amount", "", "bytes amount = 9;", `amount: "1500"`, "! must be a number or a string, is bytes, which do not say what number they are; give them the logical type decimal"},
		{"lifetime", "", "int64 lifetime = 9;", "lifetime: 3600", "3600"},
		{"lifetime", "", "int64 lifetime = 8;", "lifetime: 4294970896", "! must be between 300 and 604800"},
		{"lifetime", "", "int64 lifetime = 9;", "", ""},
		{"lifetime", "", "optional int64 lifetime = 9;", "lifetime: 0", "! must be between 300 and 604800"},
		{"lifetime", "google/protobuf/duration.proto", "google.protobuf.Duration lifetime = 9;", "lifetime { seconds: 3600 }", "3600"},
		{"lifetime", "google/protobuf/duration.proto", "google.protobuf.Duration lifetime = 9;", "lifetime { seconds: 3600 nanos: 5 }", "! must be a whole number"},
		{"language", "", "enum Lang { none_UNSPECIFIED = 0; kz = 1; } Lang language = 9;", "language: kz", "kz"},
		{"language", "", "enum Lang { LANG_UNSPECIFIED = 0; kz = 1; } optional Lang language = 9;", "language: LANG_UNSPECIFIED", ""},
		{"language", "", "enum Lang { LANG_UNSPECIFIED = 0; KZ = 1; } Lang language = 9;", "language: KZ", "! must be one of ru, en, kz, kg, uz"},
		{"language", "", "enum Lang { LANG_UNSPECIFIED = 0; kz = 1; } Lang language = 9;", "language: 77", "! must be a string, is a number"},
		{"language", wrappers, "google.protobuf.StringValue language = 9;", "", ""},
		{"testing_mode", wrappers, "google.protobuf.BoolValue testing_mode = 9;", "testing_mode {}", "0"},
		{"testing_mode", "", "bool testing_mode = 9;", "testing_mode: true", "1"},
		{"testing_mode", "", "int32 testing_mode = 9;", "testing_mode: 1", "1"},
		{"merchant_id", "", "uint64 merchant_id = 9;", "merchant_id: 540002", "540002"},
		{"user_phone", "", "uint64 user_phone = 9;", "user_phone: 77777777777", "! must be a string, is a number"},
		{"expires_at", moment, "google.protobuf.Timestamp expires_at = 9;", "expires_at { seconds: 1795435200 nanos: 5000000 }", "2026-11-23T12:00:00.005Z"},
		{"expires_at", "", "string expires_at = 9;", `expires_at: "2026-11-23t12:00:00z"`, "2026-11-23T12:00:00Z"},
		{"created_at", "", "int64 created_at = 9;", "created_at: 1795435200", noUnit},
		{"created_at", moment, "google.protobuf.Timestamp created_at = 9;", "created_at { seconds: -62135596800 }", "! must be an RFC 3339 time from the years 1970 to 9999, like 2026-11-23T12:00:00Z"},
		{"created_at", "google/type/date.proto", "google.type.Date created_at = 9;", "created_at { year: 2026 }", "! must be a string like 2026-11-23T12:00:00Z, is a date without a time of day"},
		{"metadata", "", "map<string, string> metadata = 9;", `metadata { key: "cart" value: "42" }`, "map[cart:42]"},
		{"metadata", "", "map<string, int64> metadata = 9;", `metadata { key: "cart" value: 42 }`, "! must be an object of strings, holds something else"},
		{"metadata", "", "message Meta { string cart = 1; } Meta metadata = 9;", `metadata { cart: "42" }`, "map[cart:42]"},
		{"metadata", "", "message E { string key = 1; string value = 2; } repeated E metadata = 9;", `metadata { key: "cart" value: "42" }`, "map[cart:42]"},
		{"metadata", "google/protobuf/struct.proto", "google.protobuf.Struct metadata = 9;", `metadata { fields { key: "cart" value { string_value: "42" } } fields { key: "no" value { null_value: NULL_VALUE } } }`, "map[cart:42]"},
		{"metadata", structs, "google.protobuf.Struct metadata = 9;", `metadata { fields { key: "cart" value { list_value { values { number_value: 1 } } } } }`, "! must be an object of strings, holds something else"},
		{"metadata", structs, "google.protobuf.ListValue metadata = 9;", `metadata { values { string_value: "x" } }`, "! must be an object of strings, is an array"},
		{"amount", structs, "google.protobuf.Value amount = 9;", `amount { number_value: 15.5 }`, "15.5"},
		{"amount", structs, "google.protobuf.Value amount = 9;", `amount { number_value: 0 }`, "! must be between 0.01 and 99999999"},
		{"amount", structs, "google.protobuf.Value amount = 9;", `amount { null_value: NULL_VALUE }`, "! is required"},
		{"param1", "google/protobuf/type.proto", "google.protobuf.EnumValue param1 = 9;", `param1 { name: "x" }`, "! must be a string, is an object"},
		{"amount", moneyFile, "google.type.Money amount = 9;", `amount { units: 5 nanos: -500000000 }`, noPair},
		{"amount", moneyFile, "google.type.Money amount = 9;", `amount { units: 5 nanos: 1000000000 }`, noPair},
		{"cart", "google/type/latlng.proto", "message Cart { google.type.LatLng at = 1; repeated Cart next = 2; } Cart cart = 9;", "cart { next { at { latitude: 1 } } }", ""},
	} {
		t.Run(tt.field+" "+tt.fields, func(t *testing.T) {
			file := protoFile(tt.imports, tt.fields)
			text := tt.text + ` intent_id: "ord-1" description: "d"`
			if !strings.Contains(tt.fields, " amount ") && !strings.Contains(tt.text, "amount") {
				text += ` amount: "10"`
			}
			out, err := one(t, WriterSchema{Format: schemas.Protobuf, Text: file}, protoOf(t, file, text))
			if err != nil {
				t.Fatal(err)
			}
			got := saysOf(out, tt.field)
			if tt.field == "metadata" && !strings.HasPrefix(got, "!") {
				got = cmpMap(out.Intent.Metadata)
			}
			if got != tt.want {
				t.Errorf("%s = %q, want %q", tt.field, got, tt.want)
			}
			if want := strings.HasPrefix(tt.want, "!"); (len(out.Violations) > 0) != want {
				t.Errorf("violations %v, want some: %t", out.Violations, want)
			}
		})
	}
}

// f03: files that registries know by themselves, and what only options need.
func TestProtobufImports(t *testing.T) {
	all := "google/protobuf/wrappers.proto google/protobuf/struct.proto confluent/meta.proto confluent/type/decimal.proto"
	for path := range wellKnownFiles {
		all += " " + path
	}
	note := func(option string) string { return `string note = 100 [` + option + `];` }
	for name, file := range map[string]string{
		"everything that registries know": protoFile(all, "google.type.Money total = 100; google.type.Interval span = 101;"),
		"an option of Confluent's":        protoFile("confluent/meta.proto", note(`(confluent.field_meta).tags = "PII"`)),
		"the same, not imported":          protoFile("", note(`(confluent.field_meta) = { params: [ { key: "precision" value: "4" } ] }`)),
		"options of files unknown here":   protoFile("buf/validate/validate.proto google/api/field_behavior.proto", note(`(buf.validate.field).string.min_len = 1, (google.api.field_behavior) = REQUIRED, deprecated = true`)),
		"extensions of its own":           protoFile("google/protobuf/descriptor.proto", note("(mine) = 3")) + "extend google.protobuf.FieldOptions { int32 mine = 50001; }\n",
	} {
		t.Run(name, func(t *testing.T) {
			out, err := one(t, WriterSchema{Format: schemas.Protobuf, Text: file}, protoOf(t, file, `intent_id: "f03" amount: "1500.00" description: "Top-up"`))
			if err != nil || len(out.Violations) > 0 || out.Intent.ID != "f03" || out.Intent.Amount != "1500.00" {
				t.Errorf("Decode = %+v, %v", out, err)
			}
		})
	}
	_, err := one(t, WriterSchema{Format: schemas.Protobuf, Text: protoFile("shop/money.proto", "shop.Money amount = 9;")}, "\x00")
	const want = `unknown_schema: schema id 20 is no Protobuf schema that can be read: it imports "shop/money.proto", which the registry gives no reference for`
	if err == nil || err.Error() != want {
		t.Errorf("Decode = %v, want %s", err, want)
	}
}

// A writer's file may mean something else by the names that everybody knows, and by
// names of ours; and it may have what says nothing about bytes.
func TestProtobufFilesOfOthers(t *testing.T) {
	const rest = " string intent_id = 1; string description = 3; "
	const body = "\x0a\x01a\x1a\x01d"
	object := "! must be a number or a string, is an object"
	for _, tt := range []struct{ name, file, body, field, want string }{
		{"another Money", `syntax = "proto3"; package google.type; message Intent {` + rest + `Money amount = 2; } message Money { string amount = 1; }`, body + "\x12\x04\x0a\x0210", "amount", object},
		{"another Decimal", `syntax = "proto3"; package confluent.type; message Intent {` + rest + `Decimal amount = 2; } message Decimal { string value = 1; uint32 precision = 2; int32 scale = 3; }`, body + "\x12\x04\x0a\x0210", "amount", object},
		{"a wrapper of nobody's", `syntax = "proto3"; package google.protobuf; message Intent {` + rest + `FooValue amount = 2; } message FooValue { string x = 1; }`, body + "\x12\x04\x0a\x0210", "amount", object},
		{"a reference with the name of ours", `syntax = "proto3"; import "writer.proto"; message Intent {` + rest + `Who amount = 2; }`, body + "\x12\x04\x0a\x0210", "amount", object},
		{"a service of types that are missing", `syntax = "proto3"; import "shop/call.proto"; message Intent {` + rest + `string amount = 2; } service S { rpc Do(shop.Call) returns (Intent); }`, body + "\x12\x0210", "amount", "10"},
		{"defaults of proto2", `syntax = "proto2"; message Intent { required string intent_id = 1; optional string amount = 2; optional string description = 3; optional string currency = 4 [default = "KZT"]; }`, body + "\x12\x0210", "currency", "KZT"},
		{"defaults of proto2, our numbers", `syntax = "proto2"; message Intent { required string intent_id = 1; optional string amount = 4; optional string description = 6; optional string currency = 5 [default = "KZT"]; }`, "\x0a\x01a\x22\x0210\x32\x01d", "currency", "KZT"},
		{"a field without default in proto2", `syntax = "proto2"; message Intent { required string intent_id = 1; optional string amount = 2; optional string description = 3; optional string currency = 4; }`, body + "\x12\x0210", "currency", ""},
		{"an edition", `edition = "2023"; import "google/protobuf/cpp_features.proto"; option features.(pb.cpp).string_type = VIEW; message Intent {` + rest + `string amount = 2; message M { string cart = 1; } M metadata = 4 [features.message_encoding = DELIMITED]; }`, body + "\x12\x0210\x23\x0a\x0242\x24", "amount", "10"},
	} {
		w := WriterSchema{Format: schemas.Protobuf, Text: tt.file, References: []SchemaReference{{"writer.proto", `syntax = "proto3"; message Who { string x = 1; }`}}}
		out, err := one(t, w, "\x00"+tt.body)
		if err != nil || saysOf(out, tt.field) != tt.want {
			t.Errorf("%s: %s = %q, %v; want %q", tt.name, tt.field, saysOf(out, tt.field), err, tt.want)
		}
	}
}

// A field of another wire type than its schema says is not skipped: whoever wrote it meant
// a currency, or a time.
func TestProtobufOfAnotherTypeThanItsSchema(t *testing.T) {
	const file = `syntax = "proto3"; message I { string intent_id = 1; string amount = 2; string description = 3; string currency = 4; int64 lifetime = 5; repeated bool metadata = 6; }`
	const body, is = "\x00\x0a\x01a\x1a\x01d", ", is of another Protobuf type than its schema says"
	for _, tt := range []struct{ name, file, body, field, want string }{
		{"a number for a text", file, body + "\x12\x0210\x20\x05", "currency", "! must be a string" + is},
		{"a text for a number", file, body + "\x12\x0210\x2a\x0216", "lifetime", "! must be a number or a string" + is},
		{"once so, once so", file, body + "\x12\x0210\x10\x05", "amount", "! must be a number or a string" + is},
		{"packed, which it may be", file, body + "\x12\x0210\x32\x01\x00", "metadata", "! must be an object of strings, is an array"},
		{"our schema, a flag as text", schemas.Text(schemas.Protobuf, schemas.Intent), "\x00\x0a\x01a\x3a\x011", "testing_mode", "! must be true, false, 0 or 1" + is},
		{"our schema, an amount as a number", schemas.Text(schemas.Protobuf, schemas.Intent), "\x00\x0a\x01a\x20\x05", "amount", "! must be a number or a string" + is},
	} {
		out, err := one(t, WriterSchema{Format: schemas.Protobuf, Text: tt.file}, tt.body)
		if err != nil || saysOf(out, tt.field) != tt.want {
			t.Errorf("%s: %s = %q, %v; want %q", tt.name, tt.field, saysOf(out, tt.field), err, tt.want)
		}
	}
}

// breaking is a registry, or a library, with a mistake in it.
type breaking struct{ shelf }

func (breaking) ByID(context.Context, int) (WriterSchema, error) { panic("a mistake") }

// Where what reads a foreign schema panics, its record is a dead letter, and the next
// one is read.
func TestPanicConcernsItsRecordAlone(t *testing.T) {
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001", Schemas: breaking{}})
	_, err := d.Decode(t.Context(), Message{Value: framed(7, "x")})
	wantReason(t, err, UnknownSchema)
	if out, err := d.Decode(t.Context(), Message{Value: []byte("{" + least + "}")}); err != nil || out.Intent.ID != "ord-1" {
		t.Errorf("the next one: %+v, %v", out.Intent, err)
	}
}

// Python's serializer registers a file's descriptor, in base64, and so its
// references.
func TestProtobufSchemaInBase64(t *testing.T) {
	const kinds = "syntax = \"proto3\"; package shop; enum Lang { NONE = 0; kz = 1; }"
	file := protoFile("shop/lang.proto confluent/meta.proto", `.shop.Lang language = 9; string note = 100 [(confluent.field_meta).tags = "PII"]; optional int64 lifetime = 101;`)
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protoSources{texts: map[string]string{"a.proto": file, "shop/lang.proto": kinds}})}
	files, err := c.Compile(context.Background(), "a.proto", "shop/lang.proto")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, f := range files {
		fd := protodesc.ToFileDescriptorProto(f)
		for _, m := range fd.MessageType {
			for _, field := range m.Field {
				field.JsonName = nil // a compiler's output has it, a serializer's need not
			}
		}
		b, err := proto.Marshal(fd)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, base64.StdEncoding.EncodeToString(b))
	}
	w := WriterSchema{Format: schemas.Protobuf, Text: texts[0], References: []SchemaReference{{"shop/lang.proto", texts[1]}}}
	m := dynamicpb.NewMessage(files[0].Messages().Get(0))
	if err := prototext.Unmarshal([]byte(`intent_id: "a" amount: "10" description: "d" language: kz lifetime: 3600`), m); err != nil {
		t.Fatal(err)
	}
	out, err := one(t, w, "\x00"+protoBody(t, m))
	if err != nil || len(out.Violations) > 0 || saysOf(out, "language") != "kz" || saysOf(out, "lifetime") != "3600" {
		t.Errorf("Decode = %+v, %v", out, err)
	}
	for _, text := range []string{"AAAA", texts[0][:40], "", "/w=="} {
		_, err := one(t, WriterSchema{Format: schemas.Protobuf, Text: text}, "\x00")
		wantReason(t, err, UnknownSchema)
	}
}

// FuzzForeignProtobuf holds for any bytes: an intent or an Unreadable.
func FuzzForeignProtobuf(f *testing.F) {
	file := protoFile(moment+" "+moneyFile+" google/protobuf/struct.proto", `google.type.Money amount = 9; google.protobuf.Timestamp expires_at = 10; google.protobuf.Struct metadata = 11;
		enum L { X_UNSPECIFIED = 0; kz = 1; } L language = 12; double commission_discount_fix = 13; Intent next = 14;`)
	all, bad := compileProtoIntents(WriterSchema{Format: schemas.Protobuf, Text: file})
	if bad != nil {
		f.Fatal(bad)
	}
	m := all[indexKey([]int{0})]
	f.Add([]byte(protoOf(f, file, `intent_id: "a" amount { units: 1 currency_code: "KZT" } description: "d" metadata { fields { key: "a" value { string_value: "b" } } } language: kz commission_discount_fix: 5.5 expires_at { seconds: 1795435200 }`))[1:])
	f.Add([]byte("\x0a\x01a"))
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001"})
	f.Fuzz(func(t *testing.T, body []byte) {
		dr := newDraft()
		err := m.read(&dr, body)
		var un *Unreadable
		if err != nil && !errors.As(err, &un) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		if out, err := d.finish(&dr); err == nil {
			checkDecoded(t, out)
			checkOutcome(t, out)
		}
	})
}
