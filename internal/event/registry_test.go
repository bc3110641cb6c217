package event

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"paylink/internal/payment"
	"paylink/schemas"
	"paylink/schemas/contract"
)

// A shelf is a registry in memory. Ids below 1000 are what was put there; 9999
// cannot be asked for.
type shelf map[int]WriterSchema

var errDown = errors.New("connection refused")

const guidOf5 = "89791762-2336-4186-9674-299b90a802e2"

func (s shelf) ByID(_ context.Context, id int) (WriterSchema, error) {
	if id == 9999 {
		return WriterSchema{}, errDown
	}
	w, ok := s[id]
	if !ok {
		return w, ErrUnknownSchema
	}
	return w, nil
}

func (s shelf) ByGUID(ctx context.Context, guid string) (WriterSchema, error) {
	if guid != guidOf5 {
		return WriterSchema{}, ErrUnknownSchema
	}
	return s.ByID(ctx, 5)
}

func (s shelf) SchemaID(_ context.Context, subject string, f schemas.Format, text string) (int, error) {
	for id, w := range s {
		if w.Format == f && w.Text == text {
			return id, nil
		}
	}
	return 0, errors.New("no such schema under " + subject)
}

// ours returns a shelf with our own schemas: 1 to 4 JSON, 5 to 8 Avro, 9 and
// 10 Protobuf.
func ours() shelf {
	s := shelf{}
	for i, r := range schemas.Records() {
		s[1+i] = WriterSchema{Format: schemas.JSONSchema, Text: schemas.Text(schemas.JSONSchema, r)}
		s[5+i] = WriterSchema{Format: schemas.Avro, Text: schemas.Text(schemas.Avro, r)}
	}
	s[9] = WriterSchema{Format: schemas.Protobuf, Text: schemas.Text(schemas.Protobuf, schemas.Intent)}
	s[10] = WriterSchema{Format: schemas.Protobuf, Text: schemas.Text(schemas.Protobuf, schemas.Outcome)}
	return s
}

// framed puts the Confluent wire format before a body.
func framed(id int, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...)
}

// avroBody writes an Avro body with a schema from any Go value.
func avroBody(t testing.TB, schema string, v any) string {
	t.Helper()
	b, err := avro.MustParse(schema).Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fullAvro is fullIntent, typed.
func fullAvro() *contract.AvroPaymentIntent {
	in := decodedFull()
	x := &contract.AvroPaymentIntent{}
	p := func(name string) string { return in.Param(name) }
	yes, life := true, int32(3600)
	*x = contract.AvroPaymentIntent{
		IntentId: string(in.ID), MerchantId: string(in.Merchant), OrderId: in.OrderID, Amount: string(in.Amount), Currency: in.Currency,
		Description: p("description"), TestingMode: &yes, Lifetime: &life, Language: p("language"), UserId: p("user_id"), UserIp: p("user_ip"),
		UserPhone: p("user_phone"), UserContactEmail: p("user_contact_email"), RequestMethod: p("request_method"),
		CheckUrl: p("check_url"), ResultUrl: p("result_url"), SuccessUrl: p("success_url"), FailureUrl: p("failure_url"), SiteUrl: p("site_url"),
		SuccessUrlMethod: p("success_url_method"), FailureUrlMethod: p("failure_url_method"),
		Param1: p("param1"), Param2: p("param2"), Param3: p("param3"), CommissionDiscount: &yes,
		CommissionDiscountFix: p("commission_discount_fix"), CommissionDiscountPercentage: p("commission_discount_percentage"),
		GenerateQr: &yes, IdempotencyKey: in.IdempotencyKey, ExpiresAt: in.ExpiresAt, CreatedAt: in.CreatedAt, Metadata: in.Metadata,
	}
	return x
}

func decodedFull() payment.Intent {
	out, err := NewDecoder(DecoderConfig{}).Decode(context.Background(), Message{Value: []byte(fullIntent(nil))})
	if err != nil {
		panic(err)
	}
	return out.Intent
}

func fullProtobuf() *contract.PaymentIntent {
	x := fullAvro()
	return &contract.PaymentIntent{
		IntentId: x.IntentId, MerchantId: x.MerchantId, OrderId: x.OrderId, Amount: x.Amount, Currency: x.Currency, Description: x.Description,
		TestingMode: x.TestingMode, Lifetime: x.Lifetime, Language: x.Language, UserId: x.UserId, UserIp: x.UserIp, UserPhone: x.UserPhone,
		UserContactEmail: x.UserContactEmail, RequestMethod: x.RequestMethod, CheckUrl: x.CheckUrl, ResultUrl: x.ResultUrl, SuccessUrl: x.SuccessUrl,
		FailureUrl: x.FailureUrl, SiteUrl: x.SiteUrl, SuccessUrlMethod: x.SuccessUrlMethod, FailureUrlMethod: x.FailureUrlMethod,
		Param1: x.Param1, Param2: x.Param2, Param3: x.Param3, CommissionDiscount: x.CommissionDiscount, CommissionDiscountFix: x.CommissionDiscountFix,
		CommissionDiscountPercentage: x.CommissionDiscountPercentage, GenerateQr: x.GenerateQr, IdempotencyKey: x.IdempotencyKey,
		ExpiresAt: timestamppb.New(x.ExpiresAt), CreatedAt: timestamppb.New(x.CreatedAt), Metadata: x.Metadata,
	}
}

func protoBody(t testing.TB, m proto.Message) string {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fullForms are one intent with every field, in every form that it may come in.
func fullForms(t testing.TB) map[string]Message {
	avroText := schemas.Text(schemas.Avro, schemas.Intent)
	guid := []byte("\x01\x89\x79\x17\x62\x23\x36\x41\x86\x96\x74\x29\x9b\x90\xa8\x02\xe2")
	body, message := avroBody(t, avroText, fullAvro()), protoBody(t, fullProtobuf())
	return map[string]Message{
		"JSON":                     {Value: []byte(fullIntent(nil))},
		"CloudEvents":              {Value: []byte(envelope1(`"data":` + fullIntent(nil)))},
		"JSON Schema":              {Value: framed(1, fullIntent(nil))},
		"JSON Schema, CloudEvents": {Value: framed(1, envelope1(`"data":`+fullIntent(nil)))},
		"Avro":                     {Value: framed(5, body)},
		"Avro by GUID":             {Value: []byte(body), Headers: []Header{{headerValueSchema, guid}}},
		"Avro by id in the header": {Value: []byte(body), Headers: []Header{{headerValueSchema, framed(5, "")}}},
		"Protobuf":                 {Value: framed(9, "\x00"+message)},
		"Protobuf, long index":     {Value: framed(9, "\x02\x00"+message)},
		"Protobuf, index in the header": {Value: []byte(message),
			Headers: []Header{{headerValueSchema, framed(9, "\x02\x00")}}},
	}
}

func TestDecodeGivesTheSameIntentInEveryForm(t *testing.T) {
	d := NewDecoder(DecoderConfig{Schemas: ours()})
	want := decoded(t, fullIntent(nil))
	for name, m := range fullForms(t) {
		t.Run(name, func(t *testing.T) {
			got, err := d.Decode(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, asWritten); diff != "" {
				t.Errorf("Decode (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryFieldIsInEveryForm fails for a field that a form forgets: fullAvro
// and fullProtobuf above must fill all there are.
func TestEveryFieldIsInEveryForm(t *testing.T) {
	seen := map[int]bool{}
	fullAvro().Texts(func(field int, value string) {
		seen[field] = true
		if f := payment.Fields[field]; f.Example != value {
			t.Errorf("Avro gives %s as %q, want %q", f.Name, value, f.Example)
		}
	})
	protoTexts(fullProtobuf(), func(field int, value string) {
		if f := payment.Fields[field]; f.Example != value || !seen[field] {
			t.Errorf("Protobuf gives %s as %q, want %q, as Avro", f.Name, value, f.Example)
		}
	})
	for i, f := range payment.Fields {
		if !seen[i] && f.Kind != payment.Pairs {
			t.Errorf("field %s is not in the Avro intent of this test", f.Name)
		}
	}
}

func TestDecodeLeastInEveryForm(t *testing.T) {
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001", Schemas: ours()})
	want := decoded(t, "{"+least+"}")
	for name, value := range map[string][]byte{
		"Avro":     framed(5, avroBody(t, schemas.Text(schemas.Avro, schemas.Intent), &contract.AvroPaymentIntent{IntentId: "ord-1", Amount: "10", Description: "d"})),
		"Protobuf": framed(9, "\x00"+protoBody(t, &contract.PaymentIntent{IntentId: "ord-1", Amount: "10", Description: "d"})),
	} {
		got, err := d.Decode(t.Context(), Message{Value: value})
		if diff := cmp.Diff(want, got, asWritten); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestDecodeJudgesEveryFormAlike(t *testing.T) {
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001", Schemas: ours()})
	no, none := false, int32(0)
	many := map[string]string{}
	for _, c := range "abcdefghijklmnopq" {
		many[string(c)] = "x"
	}
	bad := &contract.AvroPaymentIntent{IntentId: "ord-1", Amount: "1e3", Lifetime: &none, TestingMode: &no, CheckUrl: "ftp://x", Metadata: many, Currency: "kzt"}
	want := decoded(t, `{"intent_id":"ord-1","amount":"1e3","lifetime":0,"testing_mode":false,"check_url":"ftp://x","currency":"kzt","metadata":{`+
		`"a":"x","b":"x","c":"x","d":"x","e":"x","f":"x","g":"x","h":"x","i":"x","j":"x","k":"x","l":"x","m":"x","n":"x","o":"x","p":"x","q":"x"}}`)
	for name, value := range map[string][]byte{
		"Avro": framed(5, avroBody(t, schemas.Text(schemas.Avro, schemas.Intent), bad)),
		"Protobuf": framed(9, "\x00"+protoBody(t, &contract.PaymentIntent{IntentId: "ord-1", Amount: "1e3", Lifetime: &none, TestingMode: &no,
			CheckUrl: "ftp://x", Metadata: many, Currency: "kzt"})),
	} {
		got, err := d.Decode(t.Context(), Message{Value: value})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want.Violations, got.Violations); diff != "" || want.Digest != got.Digest {
			t.Errorf("%s: digests %s and %s, violations (-want +got):\n%s", name, want.Digest, got.Digest, diff)
		}
	}
}

func TestDecodeResolvesTheWritersSchema(t *testing.T) {
	const record = `{"type":"record","name":"Order","namespace":"shop","fields":[`
	type o = map[string]any
	tests := []struct {
		name, schema string
		value        any
	}{
		{"another name, other order, a field we do not know",
			record + `{"name":"description","type":"string"},{"name":"cart","type":{"type":"array","items":"long"}},{"name":"amount","type":"string"},{"name":"intent_id","type":"string"}]}`,
			o{"description": "d", "cart": []int64{1, 2}, "amount": "10", "intent_id": "ord-1"}},
		{"unions the other way round, and a null",
			record + `{"name":"intent_id","type":["string","null"]},{"name":"amount","type":["null","string"]},{"name":"description","type":"string"},{"name":"currency","type":"null"}]}`,
			o{"intent_id": "ord-1", "amount": "10", "description": "d", "currency": nil}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := ours()
			s[20] = WriterSchema{Format: schemas.Avro, Text: tt.schema}
			d := NewDecoder(DecoderConfig{DefaultMerchant: "540001", Schemas: s})
			got, err := d.Decode(t.Context(), Message{Value: framed(20, avroBody(t, tt.schema, tt.value))})
			if diff := cmp.Diff(decoded(t, "{"+least+"}"), got, asWritten); err != nil || diff != "" {
				t.Errorf("case %d: %v (-want +got):\n%s", i, err, diff)
			}
		})
	}
}

func wantReason(t *testing.T, err error, want DeadReason) {
	t.Helper()
	var un *Unreadable
	if !errors.As(err, &un) || un.Reason != want {
		t.Fatalf("Decode = %v, want %s", err, want)
	}
	if len(un.Text) < 10 || len(un.Text) > 500 {
		t.Errorf("sentence %q: want one of 10 to 500 bytes", un.Text)
	}
}

// What is no text in a Protobuf message is called by its field, by our schema and by
// another one.
func TestDecodeNamesWhatIsNoText(t *testing.T) {
	s := ours()
	s[20] = WriterSchema{Format: schemas.Protobuf, Text: protoFile("", "map<string, string> metadata = 9;")}
	d := NewDecoder(DecoderConfig{Schemas: s})
	for value, want := range map[string]string{
		string(framed(9, "\x00\x0a\x01a\x32\x01\xff")):               "field description of the Protobuf message holds text that is not UTF-8",
		string(framed(9, "\x00\x0a\x01\xff")):                        "field intent_id of the Protobuf message holds text that is not UTF-8",
		string(framed(20, "\x00\x0a\x01a\x12\x02\xc3\x28")):          "field amount of the Protobuf message holds text that is not UTF-8",
		string(framed(20, "\x00\x0a\x01a\x4a\x03\x0a\x01\xff")):      "the body is no Protobuf message, or holds text that is not UTF-8",
		string(framed(20, "\x00\x0a\x01a\x4a\x05\x0a\x01k\x08\x01")): "the body is no Protobuf message, or holds text that is not UTF-8", // a map's key, again as a number
		string(framed(20, "\x00\x0a\x01a\x4a\x03\x0a\x05\x01")):      "the body is no Protobuf message, or holds text that is not UTF-8",
		string(framed(9, "\x00\x0a\x01a\xff\xff\xff\xff\xff\xff")):   "the body is no Protobuf message, or holds text that is not UTF-8",
	} {
		_, err := d.Decode(t.Context(), Message{Value: []byte(value)})
		var un *Unreadable
		if !errors.As(err, &un) || un.Reason != NotJSON || un.Text != want {
			t.Errorf("Decode(%q) = %v, want %s", value, err, want)
		}
	}
}

func TestDecodeUnreadableFrames(t *testing.T) {
	avroOf := func(fields string) WriterSchema {
		return WriterSchema{Format: schemas.Avro, Text: `{"type":"record","name":"PaymentIntent","fields":[` + fields + `]}`}
	}
	protoOf := func(text string) WriterSchema {
		return WriterSchema{Format: schemas.Protobuf, Text: "syntax = \"proto3\";\n" + text}
	}
	const ids = `{"name":"intent_id","type":"string"},{"name":"description","type":"string"},`
	s := ours()
	s[30] = avroOf(ids + `{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}}`)
	s[33] = WriterSchema{Format: schemas.Avro, Text: `"string"`}
	s[34] = WriterSchema{Format: schemas.Avro, Text: `{"type":"recor`}
	s[35] = avroOf(`{"name":"amount","type":"string"}`)
	s[36] = WriterSchema{Format: schemas.Avro, Text: `["null","string",{"type":"record","name":"A","fields":[]}]`}
	s[37] = WriterSchema{Format: schemas.Avro, Text: `["null",{"type":"record","name":"A","fields":[]},{"type":"record","name":"B","fields":[{"name":"intent_id","type":"string"}]}]`}
	s[40] = protoOf("message A { string intent_id = 1; string total = 4; string amount = 5; }")
	s[42] = protoOf("message A { int64 x = 100; }")
	s[43] = protoOf("message A {")
	s[44] = protoOf("import \"shop/other.proto\"; message A { string intent_id = 1; shop.Other amount = 4; }")
	ourAvro, ourProto := avroBody(t, s[5].Text, fullAvro()), protoBody(t, fullProtobuf())
	long := string([]byte{0xfe, 0xff, 0xff, 0xff, 0x0f}) // an Avro length of 2 GiB
	tests := []struct {
		name string
		m    Message
		want DeadReason
	}{
		{"unknown id", Message{Value: framed(77, "{}")}, UnknownSchema},
		{"id of all bits", Message{Value: framed(-1, "{}")}, UnknownSchema},
		{"unknown GUID", Message{Value: []byte("{}"), Headers: []Header{{headerValueSchema, []byte("\x010123456789abcdef")}}}, UnknownSchema},
		{"GUID cut short", Message{Value: []byte("{}"), Headers: []Header{{headerValueSchema, []byte("\x010123")}}}, UnknownSchema},
		{"empty header", Message{Value: []byte("{}"), Headers: []Header{{headerValueSchema, []byte{}}}}, UnknownSchema},
		{"a decimal cut short", Message{Value: framed(30, "\x02a\x02d\x08\x01")}, NotJSON},
		{"a union without an intent", Message{Value: framed(36, "\x04")}, UnknownSchema},
		{"the null of a union", Message{Value: framed(37, "\x00")}, Empty},
		{"another type of a union", Message{Value: framed(37, "\x02")}, UnknownSchema},
		{"no branch of a union", Message{Value: framed(37, "\x06")}, NotJSON},
		{"a union without its branch", Message{Value: framed(37, "")}, NotJSON},
		{"Avro that is no record", Message{Value: framed(33, "")}, UnknownSchema},
		{"a schema that is none", Message{Value: framed(34, "")}, UnknownSchema},
		{"Avro without intent id", Message{Value: framed(35, "")}, UnknownSchema},
		{"numbers of another message, cut short", Message{Value: framed(40, "\x00\x0a\x05a")}, NotJSON},
		{"a message without intent id", Message{Value: framed(42, "\x00")}, UnknownSchema},
		{"Protobuf that does not compile", Message{Value: framed(43, "\x00")}, UnknownSchema},
		{"an import that nobody knows", Message{Value: framed(44, "\x00")}, UnknownSchema},
		{"no such message index", Message{Value: framed(9, "\x02\x06"+ourProto)}, UnknownSchema},
		{"outcome in the intent topic", Message{Value: framed(10, "\x00")}, UnknownSchema},
		{"outcome in the intent topic, Avro", Message{Value: framed(6, "")}, UnknownSchema},
		{"message index cut short", Message{Value: framed(9, "\x04\x02")}, NotJSON},
		{"message index of a billion", Message{Value: framed(9, "\xfe\xff\xff\xff\x0f")}, NotJSON},
		{"message index below zero", Message{Value: framed(9, "\x01")}, NotJSON},
		{"no message index", Message{Value: framed(9, "")}, NotJSON},
		{"Avro cut short", Message{Value: framed(5, ourAvro[:40])}, NotJSON},
		{"Avro with more behind", Message{Value: framed(5, ourAvro+"x")}, NotJSON},
		{"Avro with a length of 2 GiB", Message{Value: framed(5, long)}, NotJSON},
		{"Protobuf cut short", Message{Value: framed(9, "\x00"+ourProto[:40])}, NotJSON},
		{"Protobuf with a length of 2 GiB", Message{Value: framed(9, "\x00\x0a\xff\xff\xff\xff\x07")}, NotJSON},
		{"Protobuf that is not UTF-8", Message{Value: framed(9, "\x00\x0a\x01\xff")}, NotJSON},
		{"JSON Schema without JSON", Message{Value: framed(1, "")}, NotJSON},
		{"empty Protobuf message", Message{Value: framed(9, "\x00")}, NoIntentID},
		{"intent id with a space", Message{Value: framed(9, "\x00\x0a\x03a b")}, BadIntentID},
		{"Avro intent id that is not UTF-8", Message{Value: framed(5, "\x02\xff"+strings.Repeat("\x00", 31))}, BadIntentID},
		{"JSON Schema, intent id twice", Message{Value: framed(1, `{"intent_id":"a","intent_id":"b"}`)}, BadIntentID},
	}
	d := NewDecoder(DecoderConfig{Schemas: s})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the second time from memory
				_, err := d.Decode(t.Context(), tt.m)
				wantReason(t, err, tt.want)
			}
		})
	}
}

func TestDecodeWithoutAnAnswerFromTheRegistrySaysNothing(t *testing.T) {
	d := NewDecoder(DecoderConfig{Schemas: ours()})
	_, err := d.Decode(t.Context(), Message{Value: framed(9999, "{}")})
	var un *Unreadable
	if !errors.Is(err, errDown) || errors.As(err, &un) {
		t.Errorf("Decode = %v, want an error of the registry that buries nothing", err)
	}
}

func TestDecodeGUIDNeedsNoRegistryForJSON(t *testing.T) {
	m := Message{Value: []byte("{" + least + "}"), Headers: []Header{{headerValueSchema, []byte("\x010123456789abcdef")}}}
	out, err := NewDecoder(DecoderConfig{DefaultMerchant: "540001"}).Decode(t.Context(), m)
	if err != nil || out.Intent.ID != "ord-1" {
		t.Errorf("Decode = %+v, %v", out.Intent, err)
	}
}

func TestReferencesOfAWritersSchema(t *testing.T) {
	s := ours()
	s[50] = WriterSchema{Format: schemas.Avro,
		Text:       `{"type":"record","name":"PaymentIntent","fields":[{"name":"intent_id","type":"string"},{"name":"amount","type":"string"},{"name":"description","type":"string"},{"name":"who","type":"shop.Who"}]}`,
		References: []SchemaReference{{"shop.Who", `{"type":"record","name":"Who","namespace":"shop","fields":[{"name":"x","type":"string"}]}`}}}
	s[51] = WriterSchema{Format: schemas.Protobuf,
		Text:       "syntax = \"proto3\";\nimport \"who.proto\";\nmessage A { message B { string intent_id = 1; string amount = 4; string description = 6; Who who = 100; } }",
		References: []SchemaReference{{"who.proto", "syntax = \"proto3\";\nmessage Who { string x = 1; }"}}}
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001", Schemas: s})
	want := decoded(t, "{"+least+"}")
	for name, value := range map[string][]byte{
		"Avro":     framed(50, "\x0aord-1\x0410\x02d\x02x"),
		"Protobuf": framed(51, "\x04\x00\x00\x0a\x05ord-1\x22\x0210\x32\x01d\xa2\x06\x03\x0a\x01x"),
	} {
		got, err := d.Decode(t.Context(), Message{Value: value})
		if diff := cmp.Diff(want, got, asWritten); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestWritersAreForgottenInTheEnd(t *testing.T) {
	s := shelf{}
	for id := range 3 * maxReaders {
		s[1+id] = WriterSchema{Format: schemas.JSONSchema, Text: "{}"}
	}
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001", Schemas: s})
	for id := range 3 * maxReaders {
		if _, err := d.Decode(t.Context(), Message{Value: framed(1+id, "{"+least+"}")}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.readers.known); n > maxReaders {
		t.Errorf("%d writers are remembered, want at most %d", n, maxReaders)
	}
}

// Schemas that are read take many times the memory of their texts.
func TestLargeWritersAreForgottenSooner(t *testing.T) {
	s := shelf{}
	for id := range 100 {
		s[1+id] = WriterSchema{Format: schemas.JSONSchema, Text: strings.Repeat("x", MaxSchema/2), References: []SchemaReference{{"r", strings.Repeat("x", MaxSchema/2)}}}
	}
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001", Schemas: s})
	for range 2 {
		for id := range 100 {
			if _, err := d.Decode(t.Context(), Message{Value: framed(1+id, "{"+least+"}")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(d.readers.known); n != maxRead/MaxSchema || d.readers.size != maxRead {
		t.Errorf("%d writers of %d bytes are remembered, want %d of %d", n, d.readers.size, maxRead/MaxSchema, maxRead)
	}
}
