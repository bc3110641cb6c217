package event

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"

	"paylink/internal/payment"
	"paylink/schemas"
)

// saysOf is what an intent says of one field, or the rules that the field breaks.
func saysOf(out Decoded, field string) string {
	var rules []string
	for _, v := range out.Violations {
		if v.Field == field {
			rules = append(rules, v.Rule)
		}
	}
	in := out.Intent
	switch {
	case rules != nil:
		return "! " + strings.Join(rules, "; ")
	case field == "intent_id":
		return string(in.ID)
	case field == "merchant_id":
		return string(in.Merchant)
	case field == "order_id":
		return in.OrderID
	case field == "idempotency_key":
		return in.IdempotencyKey
	case field == "amount":
		return string(in.Amount)
	case field == "currency":
		return in.Currency
	case field == "expires_at":
		return shownTime(in.ExpiresAt)
	case field == "created_at":
		return shownTime(in.CreatedAt)
	}
	return in.Param(field)
}

func shownTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// one decodes a record of a writer's schema, whose id becomes 20.
func one(t testing.TB, w WriterSchema, body string) (Decoded, error) {
	t.Helper()
	s := ours()
	s[20] = w
	return NewDecoder(DecoderConfig{DefaultMerchant: "540001", Schemas: s}).Decode(t.Context(), Message{Value: framed(20, body)})
}

// avroWith is a record that has the required fields, but for one.
func avroWith(field, kind string) WriterSchema {
	fields := ""
	for _, name := range []string{"intent_id", "amount", "description"} {
		if name != field {
			fields += `{"name":"` + name + `","type":["null","string"],"default":null},`
		}
	}
	return WriterSchema{Format: schemas.Avro, Text: `{"type":"record","name":"Order","namespace":"kz.shop-1","fields":[` + fields + `{"name":"` + field + `","type":` + kind + `}]}`}
}

const (
	avroMicros = `{"type":"long","logicalType":"timestamp-micros"}`
	notExact   = "! must be exact at two decimals, and this floating-point number is not; write numbers as text or as a decimal"
	noUnit     = "! must be a string like 2026-11-23T12:00:00Z, is a number, which does not say its unit; give it a type that does, such as timestamp-millis or google.protobuf.Timestamp"
)

func ofUnit(logical string) string {
	return `! must be a number or a string, is a whole number of logical type "` + logical + `", which does not say what it counts; give it as text, or as a decimal of bytes`
}

func TestAvroDialects(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)
	type m = map[string]any
	entry := `{"type":"array","items":{"type":"record","name":"MapEntry","fields":[{"name":"key","type":["null","string"]},{"name":"value","type":["null","string"]}]}}`
	for _, tt := range []struct {
		field, kind string
		value       any
		want        string
	}{
		{"amount", `"long"`, int64(1500), "1500"},
		{"amount", `"int"`, int32(1500), "1500"},
		{"amount", `["null","long"]`, int64(1500), "1500"},
		{"amount", `["null","long"]`, nil, "! is required"},
		{"amount", `["null","string","long"]`, int64(7), "7"},
		{"amount", `["null","string","long"]`, "7.50", "7.50"},
		{"amount", `"long"`, int64(-5), "! must be a plain decimal number: no sign, exponent, leading zeros or spaces"},
		{"amount", `"double"`, 1500.0, "1500"},
		{"amount", `"double"`, 1500.1, "1500.1"},
		{"amount", `"double"`, 0.29, "0.29"},
		{"amount", `"double"`, 99999998.99, "99999998.99"},
		{"amount", `"double"`, 0.30000000000000004, notExact},
		{"amount", `"double"`, 1e300, ""},
		{"amount", `"float"`, float32(1500.25), "1500.25"},
		{"amount", `"float"`, float32(131071.99), "131071.99"},
		{"amount", `"float"`, float32(9999999), notExact},
		{"amount", `{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}`, big.NewRat(150005, 100), "1500.05"},
		{"amount", `{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}`, big.NewRat(1500, 1), "1500.00"},
		{"amount", `{"type":"bytes","logicalType":"decimal","precision":10,"scale":0}`, big.NewRat(1500, 1), "1500"},
		{"amount", `{"type":"bytes","logicalType":"decimal","precision":18,"scale":6}`, big.NewRat(1500, 1), "1500.00"},
		{"amount", `{"type":"bytes","logicalType":"decimal","precision":18,"scale":6}`, big.NewRat(1500001, 1000), "! must have at most 2 digits after the point, has 3"},
		{"amount", `["null",{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}]`, big.NewRat(-1, 100), "! must be a plain decimal number: no sign, exponent, leading zeros or spaces"},
		{"amount", `{"type":"fixed","name":"D","size":8,"logicalType":"decimal","precision":10,"scale":2}`, big.NewRat(999999999, 100), "9999999.99"},
		{"amount", `{"type":"bytes","logicalType":"big-decimal"}`, big.NewRat(150050, 100), "1500.5"},
		{"amount", `{"type":"bytes","logicalType":"big-decimal"}`, big.NewRat(1500, 1), "1500"},
		{"amount", `{"type":"bytes","logicalType":"decimal","precision":300,"scale":101}`, big.NewRat(1500, 1), "! must be a number or a string, is a decimal with a scale beyond 100"},
		{"amount", `{"type":"long","logicalType":"decimal","precision":10,"scale":2}`, int64(150000), ofUnit("decimal")},
		{"amount", `["null",{"type":"int","logicalType":"decimal","precision":9,"scale":2}]`, int32(150000), ofUnit("decimal")},
		{"amount", `["null",{"type":"long","logicalType":"money-minor"}]`, int64(150000), ofUnit("money-minor")},
		{"merchant_id", `{"type":"long","logicalType":"merchant"}`, int64(540001), "540001"},
		{"amount", `"bytes"`, []byte("1500"), "! must be a number or a string, is bytes, which do not say what number they are; give them the logical type decimal"},
		{"amount", `"boolean"`, true, "! must be a number or a string, is a boolean"},
		{"lifetime", `"long"`, int64(3600), "3600"},
		{"lifetime", `["null","long"]`, nil, ""},
		{"lifetime", `"long"`, int64(1<<32 + 3600), "! must be between 300 and 604800"},
		{"lifetime", `"string"`, "3600", "3600"},
		{"lifetime", `"double"`, 3600.0, "3600"},
		{"lifetime", `{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}`, big.NewRat(3600, 1), "3600"},
		{"lifetime", `{"type":"int","logicalType":"time-millis"}`, time.Hour, "! must be a number or a string, is a time of day"},
		{"language", `{"type":"enum","name":"Lang","symbols":["kz","ru"]}`, "kz", "kz"},
		{"language", `["null",{"type":"enum","name":"Lang","symbols":["KZ","RU"]}]`, "RU", "! must be one of ru, en, kz, kg, uz"},
		{"language", `["null",{"type":"enum","name":"Lang","symbols":["kz","ru"]}]`, nil, ""},
		{"testing_mode", `"boolean"`, true, "1"},
		{"testing_mode", `"int"`, int32(0), "0"},
		{"testing_mode", `"long"`, int64(2), "! must be true, false, 0 or 1"},
		{"testing_mode", `"string"`, "true", "! must be true, false, 0 or 1, is a string"},
		{"merchant_id", `"long"`, int64(540001), "540001"},
		{"user_phone", `"long"`, int64(77777777777), "! must be a string, is a number"},
		{"description", `"bytes"`, []byte("Top-up"), "Top-up"},
		{"description", `"bytes"`, []byte("\xff"), "! must be valid UTF-8"},
		{"description", `{"type":"record","name":"Text","fields":[{"name":"ru","type":"string"}]}`, m{"ru": "x"}, "! must be a string, is an object"},
		{"description", `{"type":"array","items":"string"}`, []any{"x"}, "! must be a string, is an array"},
		{"order_id", `{"type":"string","logicalType":"uuid"}`, "550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"},
		{"order_id", `{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`, [16]byte{0x55, 15: 1}, "55000000-0000-0000-0000-000000000001"},
		{"expires_at", `{"type":"long","logicalType":"timestamp-millis"}`, at, "2026-11-23T12:00:00.123Z"},
		{"expires_at", avroMicros, at, "2026-11-23T12:00:00.123456Z"},
		{"expires_at", `["null",{"type":"long","logicalType":"timestamp-nanos"}]`, at, "2026-11-23T12:00:00.123456789Z"},
		{"created_at", `{"type":"long","logicalType":"local-timestamp-millis"}`, at, "2026-11-23T12:00:00.123Z"},
		{"created_at", `{"type":"long","logicalType":"local-timestamp-micros"}`, at, "2026-11-23T12:00:00.123456Z"},
		{"created_at", `["null",` + avroMicros + `]`, nil, ""},
		{"created_at", `"string"`, "2026-11-23t12:00:00z", "2026-11-23T12:00:00Z"},
		{"created_at", `"long"`, int64(1795853023), noUnit},
		{"expires_at", `"int"`, int32(1795853023), noUnit},
		{"expires_at", `{"type":"int","logicalType":"date"}`, at, "! must be a string like 2026-11-23T12:00:00Z, is a date without a time of day"},
		{"expires_at", avroMicros, time.Time{}, "! must be an RFC 3339 time from the years 1970 to 9999, like 2026-11-23T12:00:00Z"},
		{"metadata", `["null",{"type":"map","values":"string"}]`, nil, "map[]"},
		{"metadata", `"null"`, nil, "map[]"},
		{"metadata", `{"type":"map","values":["null","string"]}`, m{"cart": "42", "none": nil}, "map[cart:42]"},
		{"metadata", `{"type":"map","values":"long"}`, m{"cart": int64(42)}, "! must be an object of strings, holds something else"},
		{"metadata", `{"type":"map","values":"string"}`, m{"cart": "\xff"}, "! must be valid UTF-8"},
		{"metadata", `{"type":"record","name":"Meta","fields":[{"name":"cart","type":"string"},{"name":"none","type":["null","string"]}]}`, m{"cart": "42", "none": nil}, "map[cart:42]"},
		{"metadata", entry, []any{m{"key": "cart", "value": "42"}, m{"key": "none", "value": nil}}, "map[cart:42]"},
		{"metadata", entry, []any{m{"key": "cart", "value": "1"}, m{"key": "cart", "value": "2"}}, "! must not give a key more than once"},
		{"metadata", `{"type":"array","items":"string"}`, []any{"x"}, "! must be an object of strings, is an array"},
		{"cart", `{"type":"record","name":"Cart","fields":[{"name":"intent_id","type":"int"},{"name":"next","type":["null","Cart"]}]}`, m{"intent_id": 1, "next": m{"intent_id": 2, "next": nil}}, ""},
	} {
		t.Run(tt.field+" "+tt.kind, func(t *testing.T) {
			w := avroWith(tt.field, tt.kind)
			schema, err := avro.Parse(w.Text, avro.WithLaxNames(nil))
			if err != nil {
				t.Fatal(err)
			}
			values := m{"intent_id": "ord-1", "amount": "10", "description": "d"}
			values[tt.field] = tt.value
			body, err := schema.Encode(values)
			if err != nil {
				t.Fatal(err)
			}
			out, err := one(t, w, string(body))
			if err != nil {
				t.Fatal(err)
			}
			got := saysOf(out, tt.field)
			if tt.field == "metadata" && !strings.HasPrefix(got, "!") {
				got = strings.ReplaceAll(cmpMap(out.Intent.Metadata), " ", "")
			}
			if tt.want == "" && strings.Contains(tt.kind, "double") {
				if !strings.HasPrefix(got, "! ") {
					t.Errorf("%s = %q, want a violation", tt.field, got)
				}
				return
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

func cmpMap(m map[string]string) string {
	text := "map["
	for k, v := range m {
		text += k + ":" + v
	}
	return text + "]"
}

// What a schema says of other things than bytes does not stand in the way of a
// record: registries and libraries let different things pass there.
func TestAvroSchemasOfOthers(t *testing.T) {
	const decimalRule = "! must be a number or a string, is bytes, which do not say what number they are; give them the logical type decimal"
	const enum = `{"type":"enum","name":"L","symbols":["kz","ru"]`
	for _, tt := range []struct{ name, amount, other, body, field, want string }{
		{"a default of another type", `"string"`, `{"name":"lifetime","type":"int","default":"x"}`, "\x0410\xb0\x09", "lifetime", "600"},
		{"a null that stands second, as the default", `"string"`, `{"name":"currency","type":["string","null"],"default":null}`, "\x0410\x00\x06KZT", "currency", "KZT"},
		{"an enum with a default that is none of it", `"string"`, `{"name":"language","type":` + enum + `,"default":"xx"},"default":"yy"}`, "\x0410\x02", "language", "ru"},
		{"aliases, order and doc of any kind", `"string"`, `{"name":"language","type":"string","doc":null,"order":"none","aliases":["amount",7]}`, "\x0410\x04ru", "language", "ru"},
		{"a decimal without precision", `{"type":"bytes","logicalType":"decimal"}`, `{"name":"x","type":"null"}`, "\x04\x05\xdc", "amount", decimalRule},
		{"a decimal whose scale is beyond its precision", `{"type":"bytes","logicalType":"decimal","precision":2,"scale":4}`, `{"name":"x","type":"null"}`, "\x04\x05\xdc", "amount", decimalRule},
		{"one that is none, of a field that we do not know", `{"type":"bytes","logicalType":"decimal","precision":8,"scale":2}`, `{"name":"x","type":{"type":"bytes","logicalType":"decimal","precision":"4"}}`, "\x04\x05\xdc\x02z", "amount", "15.00"},
		{"a type that a field we do not know defines", `"string"`, `{"name":"x","type":` + enum + `}},{"name":"language","type":["null","L"]}`, "\x0410\x00\x02\x02", "language", "ru"},
	} {
		w := WriterSchema{Format: schemas.Avro, Text: `{"type":"record","name":"I","fields":[{"name":"intent_id","type":"string"},{"name":"description","type":"string"},{"name":"amount","type":` + tt.amount + `},` + tt.other + `]}`}
		out, err := one(t, w, "\x02a\x02d"+tt.body)
		if err != nil || saysOf(out, tt.field) != tt.want {
			t.Errorf("%s: %s = %q, %v; want %q", tt.name, tt.field, saysOf(out, tt.field), err, tt.want)
		}
	}
}

// A topic with several types has a union of records as its schema.
func TestAvroUnionOfTypes(t *testing.T) {
	record := func(name, fields string) string {
		return `{"type":"record","name":"` + name + `","namespace":"shop","fields":[` + fields + `]}`
	}
	intent := record("Intent", `{"name":"intent_id","type":"string"},{"name":"amount","type":"long"},{"name":"description","type":"string"}`)
	other := record("Other", `{"name":"x","type":"string"}`)
	body := avroBody(t, intent, map[string]any{"intent_id": "ord-1", "amount": int64(10), "description": "d"})
	want := decoded(t, "{"+least+"}")
	for name, w := range map[string]WriterSchema{
		"in place":     {Format: schemas.Avro, Text: "[" + other + "," + intent + "]"},
		"by reference": {Format: schemas.Avro, Text: `["shop.Other","shop.Intent"]`, References: []SchemaReference{{"shop.Other", other}, {"shop.Intent", intent}}},
	} {
		got, err := one(t, w, "\x02"+body)
		if diff := cmp.Diff(want, got, asWritten); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		_, err = one(t, w, "\x00\x02x")
		var un *Unreadable
		if !errors.As(err, &un) || un.Error() != "unknown_schema: schema id 20 is record shop.Other, which has no field intent_id" {
			t.Errorf("%s: the other type = %v", name, err)
		}
	}
	inside := WriterSchema{Format: schemas.Avro, Text: `[{"type":"record","name":"Batch","namespace":"shop","fields":[{"name":"first","type":` + intent + `}]},"shop.Intent"]`}
	if got, err := one(t, inside, "\x02"+body); err != nil || got.Intent.ID != "ord-1" {
		t.Errorf("a type that another one defines: %+v, %v", got, err)
	}
	root := WriterSchema{Format: schemas.Avro, Text: `"shop.Intent"`, References: []SchemaReference{{"shop.Intent", intent}}}
	if got, err := one(t, root, body); err != nil || got.Intent.ID != "ord-1" {
		t.Errorf("a schema that is a name: %+v, %v", got, err)
	}
}

// FuzzForeignAvro holds for any bytes under a schema of everything: an intent
// or an Unreadable, and no panic.
func FuzzForeignAvro(f *testing.F) {
	w := WriterSchema{Format: schemas.Avro, Text: `["null",{"type":"record","name":"I","fields":[
		{"name":"intent_id","type":["null","string","long"]},
		{"name":"amount","type":["null","string","long","double",{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}]},
		{"name":"description","type":["null","string"]},
		{"name":"language","type":["null",{"type":"enum","name":"L","symbols":["kz","ru"]}]},
		{"name":"next","type":["null","I"]},
		{"name":"expires_at","type":["null",` + avroMicros + `]},
		{"name":"metadata","type":["null",{"type":"map","values":["null","string","long"]},{"type":"array","items":{"type":"record","name":"E","fields":[{"name":"key","type":"string"},{"name":"value","type":"string"}]}}]}]}]`}
	aw, bad := compileAvro(w)
	if bad != nil {
		f.Fatal(bad)
	}
	for _, s := range []string{"", "\x00", "\x02\x02\x0aord-1\x02\x0410\x02\x02d\x00\x00\x00\x00", "\x02\x02\x02a\x08\x04\x05\xdc\x02\x02d\x02\x00\x00\x02\x80\x80\x80\x80\x80\x80\x80\x06\x02\x02\x02a\x00\x00"} {
		f.Add([]byte(s))
	}
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001"})
	f.Fuzz(func(t *testing.T, body []byte) {
		k := &scratch{draft: newDraft()}
		err := readAvro(k, aw, schemaName{id: 1}, body)
		var un *Unreadable
		if err != nil && !errors.As(err, &un) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		if out, err := d.finish(&k.draft); err == nil {
			checkDecoded(t, out)
			checkOutcome(t, out)
		}
	})
}

// f02: a writer whose every field may be null, as ksqlDB, Connect and Spark
// write them.
func TestAvroWithNullableFields(t *testing.T) {
	w := avroWith("currency", `["null","string"]`)
	body := avroBody(t, strings.ReplaceAll(w.Text, "shop-1", "shop"), map[string]any{"intent_id": "f02", "amount": "1500.00", "description": "Top-up", "currency": "KZT"})
	out, err := one(t, w, body)
	want := payment.Intent{ID: "f02", Merchant: "540001", OrderID: "f02", Amount: "1500.00", Currency: "KZT"}
	if err != nil || len(out.Violations) > 0 || out.Intent.ID != want.ID || out.Intent.Amount != want.Amount || out.Intent.Currency != want.Currency {
		t.Errorf("Decode = %+v, %v", out, err)
	}
}

// TestPrintedIsWhatFmtMakesOfIt holds the digests of broken intents to what they were.
func TestPrintedIsWhatFmtMakesOfIt(t *testing.T) {
	for _, v := range []any{
		nil, "x", []any{}, []any{"a", nil, int64(1), []byte("ab"), 1.5, true, plainDecimal("1.50"), oddity("odd")},
		map[string]any{}, map[string]any{"b": []any{map[string]any{"x": "y"}}, "a": time.Unix(5, 0).UTC(), "c": big.NewRat(1, 2)},
		avro.Duration{Days: 1}, [16]byte{1},
	} {
		if got, want := printed(v), fmt.Sprint(v); got != want {
			t.Errorf("printed %q, want %q", got, want)
		}
	}
	if n := len(printed([]any{strings.Repeat("a", mostPrinted), strings.Repeat("b", mostPrinted), "c"})); n > mostPrinted+2 {
		t.Errorf("printed %d bytes, want at most %d or so", n, mostPrinted)
	}
}
