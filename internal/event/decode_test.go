package event

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

const least = `"intent_id":"ord-1","amount":"10","description":"d"`

// with returns the least intent with more members.
func with(members string) string { return "{" + least + "," + members + "}" }

func TestDecodeUnreadable(t *testing.T) {
	deep := func(n int) string {
		return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "," + least + "}"
	}
	tests := []struct {
		name, value string
		want        DeadReason
	}{
		{"no value", "", Empty},
		{"white space", " \n", NotJSON},
		{"null", "null", NotJSON},
		{"array", "[{" + least + "}]", NotJSON},
		{"string", `"ord-1"`, NotJSON},
		{"number", "1e400", NotJSON},
		{"text", "hello", NotJSON},
		{"registry framing, but no registry", "\x00\x00\x00\x00\x01{}", UnknownSchema},
		{"framing cut short", "\x00\x00\x00\x00", NotJSON},
		{"byte order mark", "\xef\xbb\xbf{" + least + "}", NotJSON},
		{"UTF-16", "{\x00\"\x00", NotJSON},
		{"cut short", `{"intent_id":"ord-1","amo`, NotJSON},
		{"cut in an unknown field", with(`"x":[1`), NotJSON},
		{"garbage behind", "{" + least + "}x", NotJSON},
		{"second object behind", "{" + least + "}{}", NotJSON},
		{"trailing comma", "{" + least + ",}", NotJSON},
		{"comment", "{" + least + "/**/}", NotJSON},
		{"single quotes", "{'intent_id':'ord-1'}", NotJSON},
		{"NaN", with(`"lifetime":NaN`), NotJSON},
		{"Infinity", with(`"lifetime":Infinity`), NotJSON},
		{"hexadecimal", with(`"lifetime":0x10`), NotJSON},
		{"plus sign", with(`"lifetime":+5`), NotJSON},
		{"leading zero", with(`"lifetime":010`), NotJSON},
		{"bare point", with(`"lifetime":.5`), NotJSON},
		{"raw control character", with("\"param1\":\"a\nb\""), NotJSON},
		{"bad escape", with(`"param1":"\x41"`), NotJSON},
		{"lone surrogate", with(`"param1":"\ud800"`), NotJSON},
		{"invalid UTF-8", with("\"param1\":\"\xff\""), NotJSON},
		{"invalid UTF-8 in a name", with("\"\xff\":1"), NotJSON},
		{"invalid UTF-8 in metadata", with("\"metadata\":{\"a\":\"\xc3\"}"), NotJSON},
		{"nested too deep", deep(64), NotJSON},
		{"nested far too deep", deep(100_000), NotJSON},
		{"open far too deep", `{"x":` + strings.Repeat(`{"x":`, 100_000), NotJSON},
		{"deep in a field of ours", with(`"amount2":1,"metadata":{"a":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + "}"), NotJSON},
		{"no intent id", `{"amount":"10","description":"d"}`, NoIntentID},
		{"empty object", "{}", NoIntentID},
		{"null intent id", `{"intent_id":null}`, NoIntentID},
		{"empty intent id", `{"intent_id":""}`, NoIntentID},
		{"intent id in capitals", `{"INTENT_ID":"ord-1"}`, NoIntentID},
		{"numeric intent id", `{"intent_id":17}`, BadIntentID},
		{"boolean intent id", `{"intent_id":false}`, BadIntentID},
		{"intent id is an object", `{"intent_id":{}}`, BadIntentID},
		{"intent id with a space", `{"intent_id":"a b"}`, BadIntentID},
		{"intent id with a newline", `{"intent_id":"a\n"}`, BadIntentID},
		{"intent id too long", `{"intent_id":"` + strings.Repeat("a", 129) + `"}`, BadIntentID},
		{"intent id not ASCII", `{"intent_id":"заказ"}`, BadIntentID},
		{"intent id twice", `{"intent_id":"a","intent_id":"a"}`, BadIntentID},
		{"intent id twice, once escaped", `{"intent_id":"a","\u0069ntent_id":"b"}`, BadIntentID},
		{"intent id twice, first null", `{"intent_id":null,"intent_id":"a"}`, BadIntentID},
		{"intent id twice, second null", `{"intent_id":"a","intent_id":null}`, BadIntentID},
		{"intent id twice, then no JSON", `{"intent_id":"a","intent_id":"a"`, NotJSON},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewDecoder(DecoderConfig{}).Decode(context.Background(), Message{Value: []byte(tt.value)})
			var un *Unreadable
			if !errors.As(err, &un) || un.Reason != tt.want {
				t.Fatalf("Decode(%.80q) = %v, want %s", tt.value, err, tt.want)
			}
			if len(un.Text) < 10 || len(un.Text) > 200 {
				t.Errorf("sentence %q: want one of 10 to 200 bytes", un.Text)
			}
		})
	}
}

func TestDecodeViolations(t *testing.T) {
	const decimals = "must be a plain decimal number: no sign, exponent, leading zeros or spaces"
	v := func(pairs ...string) (vs []payment.Violation) {
		for i := 0; i < len(pairs); i += 2 {
			vs = append(vs, payment.Violation{Field: pairs[i], Rule: pairs[i+1]})
		}
		return vs
	}
	metadata := func(n, size int) string {
		var es []string
		for i := range n {
			es = append(es, fmt.Sprintf(`"k%03d":"%s"`, i, strings.Repeat("v", size)))
		}
		return with(`"metadata":{` + strings.Join(es, ",") + "}")
	}
	tests := []struct {
		name, value string
		want        []payment.Violation
	}{
		{"none", "{" + least + "}", nil},
		{"all required absent", `{"intent_id":"a"}`, v("amount", "is required", "description", "is required")},
		{"required null and empty", `{"intent_id":"a","amount":null,"description":""}`, v("amount", "is required", "description", "is required")},
		{"in the order of the table", `{"user_ip":"x","language":"de","currency":"kzt","intent_id":"a","description":"d","amount":"0"}`,
			v("amount", "must be between 0.01 and 99999999", "currency", "must match ^[A-Z]{3}$",
				"language", "must be one of ru, en, kz, kg, uz", "user_ip", "must be an IPv4 or IPv6 address")},
		{"exponent", `{"intent_id":"a","description":"d","amount":1e3}`, v("amount", decimals)},
		{"huge exponent", `{"intent_id":"a","description":"d","amount":1e999999999}`, v("amount", decimals)},
		{"minus zero", `{"intent_id":"a","description":"d","amount":-0}`, v("amount", decimals)},
		{"negative", `{"intent_id":"a","description":"d","amount":-5}`, v("amount", decimals)},
		{"plus in a string", `{"intent_id":"a","description":"d","amount":"+5"}`, v("amount", decimals)},
		{"leading zero in a string", `{"intent_id":"a","description":"d","amount":"010"}`, v("amount", decimals)},
		{"spaces", `{"intent_id":"a","description":"d","amount":" 10"}`, v("amount", decimals)},
		{"hexadecimal in a string", `{"intent_id":"a","description":"d","amount":"0x10"}`, v("amount", decimals)},
		{"NaN in a string", `{"intent_id":"a","description":"d","amount":"NaN"}`, v("amount", decimals)},
		{"comma", `{"intent_id":"a","description":"d","amount":"10,00"}`, v("amount", decimals)},
		{"three decimals", `{"intent_id":"a","description":"d","amount":0.001}`, v("amount", "must have at most 2 digits after the point, has 3",
			"amount", "must be between 0.01 and 99999999")},
		{"every rule that a value breaks", with(`"user_phone":"+77771234567890123","user_id":"a b` + strings.Repeat("c", 50) + `","check_url":"` + strings.Repeat("x", 256) + `"`),
			v("user_id", "must have at most 50 characters, has 53", "user_id", "must match ^[a-zA-Z0-9_-]+$",
				"user_phone", "must have at most 15 characters, has 18", "user_phone", "must match ^[0-9]+$",
				"check_url", "must be an absolute http or https URL", "check_url", "must have at most 255 characters, has 256")},
		{"very long number", `{"intent_id":"a","description":"d","amount":` + strings.Repeat("9", 10_000) + `}`, v("amount", "must be between 0.01 and 99999999")},
		{"merchant as a fraction", with(`"merchant_id":540001.0`), v("merchant_id", "must be a positive whole number without leading zeros")},
		{"a number where a string belongs", with(`"order_id":17`), v("order_id", "must be a string, is a number")},
		{"a boolean where a number belongs", with(`"lifetime":true`), v("lifetime", "must be a number or a string, is a boolean")},
		{"a string where a flag belongs", with(`"generate_qr":"1"`), v("generate_qr", "must be true, false, 0 or 1, is a string")},
		{"a flag of 2", with(`"generate_qr":2`), v("generate_qr", "must be true, false, 0 or 1")},
		{"a flag of 1.0", with(`"generate_qr":1.0`), v("generate_qr", "must be true, false, 0 or 1")},
		{"an object where a string belongs", with(`"param1":{"a":[{}]}`), v("param1", "must be a string, is an object")},
		{"an array where a string belongs", with(`"param1":[]`), v("param1", "must be a string, is an array")},
		{"metadata is a string", with(`"metadata":"x"`), v("metadata", "must be an object of strings, is a string")},
		{"metadata is an array", with(`"metadata":["x"]`), v("metadata", "must be an object of strings, is an array")},
		{"metadata is an array of entries", with(`"metadata":[{"key":"a","value":"b"}]`), v("metadata", "must be an object of strings, is an array")},
		{"metadata is the array that PHP writes for none", with(`"metadata" : [ ]`), nil},
		{"the same of another field", with(`"param1":[]`), v("param1", "must be a string, is an array")},
		{"a time in seconds, milliseconds or parts", with(`"expires_at":1795435200.123,"created_at":[2026,11,29,12,0]`),
			v("expires_at", "must be a string like 2026-11-23T12:00:00Z, is a number", "created_at", "must be a string like 2026-11-23T12:00:00Z, is an array")},
		{"metadata holds other than strings", with(`"metadata":{"a":1,"b":"x","c":2,"d":null}`),
			v("metadata", "must be an object of strings, holds a number", "metadata", "must be an object of strings, holds null")},
		{"metadata at the limit of entries", metadata(16, 1), nil},
		{"metadata beyond the limit of entries", metadata(17, 1), v("metadata", "must have at most 16 entries, has 17")},
		{"metadata at the limit of bytes", metadata(16, 124), nil},
		{"metadata beyond the limit of bytes", metadata(16, 125), v("metadata", "must have at most 2048 bytes of keys and values, has 2064")},
		{"metadata beyond both", metadata(20, 200), v("metadata", "must have at most 16 entries, has 20",
			"metadata", "must have at most 2048 bytes of keys and values, has 4080")},
		{"metadata with a key twice", with(`"metadata":{"a":"x","\u0061":"y","a":"z"}`), v("metadata", "must not give a key more than once")},
		{"field twice", `{"intent_id":"a","description":"d","amount":"1","amount":"2"}`, v("amount", ruleRepeated)},
		{"field twice with the same value", with(`"amount":"10"`), v("amount", ruleRepeated)},
		{"field three times, first null", with(`"param1":null,"param1":"x","param1":[]`), v("param1", ruleRepeated)},
		{"field twice, first broken", with(`"param1":1,"param1":"x"`), v("param1", "must be a string, is a number", "param1", ruleRepeated)},
		{"required field twice, both null", `{"intent_id":"a","description":"d","amount":null,"amount":null}`, v("amount", ruleRepeated)},
		{"metadata twice", with(`"metadata":{"a":"x"},"metadata":{"b":"y"}`), v("metadata", ruleRepeated)},
		{"unknown field twice", with(`"note":1,"note":2,"note":3`), v("note", ruleRepeated)},
		{"unknown field twice, its name not fit to be shown", with(`"+77771234567":1,"+77771234567":2`), v("(unknown field)", ruleRepeated)},
		{"unknown field with a name twice inside", with(`"x":{"a":1,"a":2}`), nil},
		{"unknown field as deep as allowed", with(`"x":` + strings.Repeat("[", 63) + strings.Repeat("]", 63)), nil},
		{"unknown fields of every type", with(`"a":1,"b":null,"c":"","d":{"amount":"1"},"e":[1,[2]],"F":true,"":0`), nil},
		{"names are told apart by case", with(`"Amount":"x","AMOUNT":"y"`), nil},
		{"control characters in texts for the gateway", with(`"param1":"\u0000\u001f","order_id":"a\n","user_contact_email":"a\u0000@b"`),
			v("order_id", "must not hold control characters", "user_contact_email", "must be one bare e-mail address",
				"param1", "must not hold control characters other than tab and line ends")},
		{"tab and line ends in texts that may have them", with(`"param1":"a\tb\r\nc"`), nil},
		{"control characters in what the gateway is not told", with(`"metadata":{"\u0000":"\u0000"}`), nil},
		{"an address that is not what it looks like", with(`"result_url":"https://shop.example@evil.example/","site_url":"https://shop.example:0/"`),
			v("result_url", "must not hold a user name or password", "site_url", "must have a port from 1 to 65535, or none")},
		{"lengths count characters", with(`"param1":"` + strings.Repeat("ә", 255) + `","param2":"` + strings.Repeat("😀", 256) + `"`),
			v("param2", "must have at most 255 characters, has 256")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := decoded(t, tt.value).Violations
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("violations of %.120s (-want +got):\n%s", tt.value, diff)
			}
		})
	}
}

// TestDecodeSaysWhereTheIntentIs: what others put around an intent, or make of it, is
// called so, and its values and odd names are not shown.
func TestDecodeSaysWhereTheIntentIs(t *testing.T) {
	const intent, none = "{" + least + "}", "no_intent_id: intent_id is absent, null or empty; every intent needs one"
	in := func(where string) string {
		return none + ", and this one has it in " + where + ": emit the intent without what is around it"
	}
	const twice = "not_json: the value is a string that holds a JSON object: it was written as JSON twice; emit the object itself"
	const base64 = "not_json: the value is base64; emit the JSON object itself"
	const binary = "not_json: the value is binary, and does not say of which kind (MessagePack, CBOR, or Avro or Protobuf without the id of a schema): emit JSON, or use a serializer of Confluent's format"
	for _, tt := range []struct{ name, value, want string }{
		{"Kafka Connect", `{"schema":{"type":"struct","fields":[{"type":"string","field":"intent_id"}]},"payload":` + intent + `}`, in("payload")},
		{"Debezium", `{"before":null,"after":` + intent + `,"op":"c"}`, in("after")},
		{"Debezium through Kafka Connect", `{"schema":{},"payload":{"before":null,"after":` + intent + `}}`, in("payload.after")},
		{"an outbox", `{"schema":{"type":"string"},"payload":"{\"intent_id\":\"a\"}"}`, in("payload, as text")},
		{"MassTransit", `{"messageId":"x","message":{"intentId":"a"}}`, in("message")},
		{"an array of rows", `{"type":"INSERT","data":[` + intent + `]}`, in("data.…")},
		{"a name not fit to be shown", `{"+77771234567":` + intent + `}`, in("…")},
		{"deep", strings.Repeat(`{"a":`, 60) + intent + strings.Repeat("}", 60), in("a.a.a.a")},
		{"a CloudEvent without source", `{"specversion":"1.0","type":"t","id":"i","data":` + intent + `}`, in("data")},
		{"a CloudEvent within", envelope1(`"data":{"payload":` + intent + `}`), in("payload")},
		{"an empty one before", `{"intent_id":"","payload":` + intent + `}`, in("payload")},
		{"camel case", `{"intentId":"a"}`, none + "; there is intentId, which is another name"},
		{"a text that is no JSON", `{"note":"intent_id","x":["intent_id",{"a":"intent_id"}]}`, none},
		{"a name that is longer", `{"intent_identity":"a","x":{"intent_id_of":"a"}}`, none},
		{"JSON in a string", `"{\"intent_id\":\"a\"}"`, twice},
		{"base64 in a string", `"eyJpbnRlbnRfaWQiOiJhIn0="`, base64},
		{"base64", "eyJpbnRlbnRfaWQiOiJhIn0=", base64},
		{"an array", "[" + intent + "]", "not_json: the value is an array, not a JSON object; emit every intent as a record of its own"},
		{"MessagePack", "\x83\xa9intent_id\xa1a", binary},
		{"CBOR", "\xa3iintent_idaaf", binary},
		{"Protobuf", "\n$550e8400-e29b-41d4-a716-446655440000\x12\x0210", binary},
		{"Avro", "\x0aord-1\x0410", binary},
		{"half of a character", `{"intent_id":"a","description":"cut \ud83d"}`, "not_json: the value is no valid JSON in UTF-8, at byte 36, in description: there is half of a character, as where a text is cut"},
		{"no number", `{"intent_id":"a","amount":NaN}`, "not_json: the value is no valid JSON in UTF-8, at byte 26, in amount"},
		{"words", "Привет", "not_json: the value is no valid JSON in UTF-8, at byte 0"},
	} {
		_, err := NewDecoder(DecoderConfig{}).Decode(t.Context(), Message{Value: []byte(tt.value)})
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: Decode(%.60q) = %v, want %s", tt.name, tt.value, err, tt.want)
		}
	}
}

func TestDecodeManyRepeatedUnknownNamesStaysSmall(t *testing.T) {
	var b strings.Builder
	b.WriteString("{" + least)
	for i := range 1000 {
		fmt.Fprintf(&b, `,"n%d":1,"n%d":2`, i, i)
	}
	if got := len(decoded(t, b.String()+"}").Violations); got != maxRepeats {
		t.Errorf("%d violations, want %d", got, maxRepeats)
	}
}

func TestDecodeMerchants(t *testing.T) {
	known := func(m payment.MerchantID) bool { return m == "540001" || m == "540002" }
	tests := []struct {
		name, byDefault, member string
		want                    payment.MerchantID
		rule                    string
	}{
		{"named", "540001", `"merchant_id":"540002"`, "540002", ""},
		{"named by number", "540001", `"merchant_id":540002`, "540002", ""},
		{"default", "540001", `"x":0`, "540001", ""},
		{"null means default", "540001", `"merchant_id":null`, "540001", ""},
		{"unknown", "540001", `"merchant_id":"9"`, "", "must be a merchant that this service is configured for"},
		{"no default", "", `"x":0`, "", "is required, because there is no default merchant"},
		{"empty and no default", "", `"merchant_id":""`, "", "is required, because there is no default merchant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := NewDecoder(DecoderConfig{DefaultMerchant: payment.MerchantID(tt.byDefault), KnownMerchant: known})
			out, err := d.Decode(context.Background(), Message{Value: []byte(with(tt.member))})
			if err != nil {
				t.Fatal(err)
			}
			var want []payment.Violation
			if tt.rule != "" {
				want = []payment.Violation{{Field: "merchant_id", Rule: tt.rule}}
			}
			if diff := cmp.Diff(want, out.Violations); diff != "" || out.Intent.Merchant != tt.want {
				t.Errorf("merchant %q, want %q; violations (-want +got):\n%s", out.Intent.Merchant, tt.want, diff)
			}
			if named := tt.member == `"merchant_id":"540002"` || tt.member == `"merchant_id":540002` || tt.member == `"merchant_id":"9"`; out.OfDefault == named {
				t.Errorf("OfDefault is %v, and that the record names a merchant is %v", out.OfDefault, named)
			}
		})
	}
}

func TestDecodeFillsInDefaults(t *testing.T) {
	in := decoded(t, "{"+least+"}").Intent
	want := payment.Intent{
		ID: "ord-1", Merchant: "540001", OrderID: "ord-1",
		IdempotencyKey: "8dcb4fc2-e98e-546f-9125-4fe494be923f", // never to change: see spaceOfKeys
		Amount:         "10",
		Params:         []payment.Param{{Name: "description", Value: "d"}},
	}
	if diff := cmp.Diff(want, in, asWritten); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
}

func TestDefaultOrderIDKeepsItsRule(t *testing.T) {
	f := payment.FieldNamed("order_id")
	if f.MaxChars != maxOrderID {
		t.Fatalf("order_id has at most %d characters, want maxOrderID = %d", f.MaxChars, maxOrderID)
	}
	seen := map[string]bool{}
	for n := 1; n <= 128; n++ {
		id := payment.IntentID(strings.Repeat("x", n))
		order := orderIDFor(id)
		if rules := f.Check(order); len(rules) > 0 || seen[order] {
			t.Errorf("orderIDFor(%d characters) = %q: %s", n, order, rules)
		}
		if n <= maxOrderID && order != string(id) {
			t.Errorf("orderIDFor(%q) = %q, want the id itself", id, order)
		}
		seen[order] = true
	}
	if got, want := orderIDFor(payment.IntentID(strings.Repeat("x", 51))), "3ecd502af72c4cf4414ffb5c7eb7bdf2471bb7de"; got != want {
		t.Errorf("order id of 51 x = %s, want %s for ever", got, want)
	}
}

func TestDecodeKeepsEveryField(t *testing.T) {
	in := decoded(t, fullIntent(nil)).Intent
	got := map[string]string{
		"intent_id": string(in.ID), "merchant_id": string(in.Merchant), "order_id": in.OrderID, "amount": string(in.Amount),
		"currency": in.Currency, "idempotency_key": in.IdempotencyKey,
		"expires_at": in.ExpiresAt.Format(time.RFC3339), "created_at": in.CreatedAt.Format(time.RFC3339),
		"metadata": fmt.Sprintf(`{"cart":%q}`, in.Metadata["cart"]),
	}
	var order []string
	for _, p := range in.Params {
		got[p.Name] = p.Value
		order = append(order, p.Name)
	}
	want := map[string]string{}
	var all []string
	for _, f := range payment.Fields {
		want[f.Name] = f.Example
		all = append(all, f.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	byTable := func(a, b string) int { return slices.Index(all, a) - slices.Index(all, b) }
	if !slices.IsSortedFunc(order, byTable) {
		t.Errorf("params %v are not in the order of payment.Fields", order)
	}
}

// TestEachFieldIsJudgedAlone takes every field through what it may be, and what
// it may not be, in an intent that is otherwise whole.
func TestEachFieldIsJudgedAlone(t *testing.T) {
	for i := range payment.Fields {
		f := &payment.Fields[i]
		if f.Name == "intent_id" {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			for _, raw := range goodValues(f) {
				if vs := decoded(t, fullIntent(map[string]string{f.Name: raw})).Violations; len(vs) > 0 {
					t.Errorf("%s = %.60s: violations %v, want none", f.Name, raw, vs)
				}
			}
			for _, raw := range badValues(f) {
				vs := decoded(t, fullIntent(map[string]string{f.Name: raw})).Violations
				if len(vs) != 1 || vs[0].Field != f.Name {
					t.Errorf("%s = %.60s: violations %v, want one of %s", f.Name, raw, vs, f.Name)
					continue
				}
				if text := strings.Trim(raw, `"`); len(text) > 4 && strings.Contains(vs[0].Rule, text) {
					t.Errorf("%s = %.60s: rule %q holds the value", f.Name, raw, vs[0].Rule)
				}
			}
		})
	}
}

func goodValues(f *payment.Field) []string {
	vs := []string{exampleJSON(f)}
	switch f.Kind {
	case payment.Digits, payment.Integer, payment.Number:
		vs = append(vs, f.Example) // as a JSON number
	case payment.Flag:
		vs = append(vs, "true", "false", "0", "1")
	case payment.Pairs:
		vs = append(vs, "{}", `{"":""}`, ` { "a" : "b" } `, "[]")
	}
	for _, e := range f.Enum {
		vs = append(vs, quote(e))
	}
	for _, bound := range []string{f.Min, f.Max} {
		if bound != "" {
			vs = append(vs, bound, quote(bound))
		}
	}
	if f.MaxChars > 0 && f.Kind == payment.Text && f.Pattern == nil {
		vs = append(vs, quote(strings.Repeat("я", f.MaxChars)))
	}
	if !f.Required {
		vs = append(vs, "null", `""`, "")
	}
	return vs
}

func badValues(f *payment.Field) []string {
	vs := []string{`["a"]`}
	if f.Required {
		vs = append(vs, "null", `""`, "")
	}
	if f.Kind != payment.Flag {
		vs = append(vs, "true")
	}
	if f.Kind != payment.Pairs {
		vs = append(vs, "{}", "[]")
	}
	switch f.Kind {
	case payment.Digits, payment.Integer, payment.Number:
		vs = append(vs, `"12three"`, "-1", "1e2", `"٣"`)
	case payment.Flag:
		vs = append(vs, `"true"`, "2", "-0")
	case payment.Pairs:
		vs = append(vs, `{"a":{}}`, `{"a":1}`, `{"a":null}`, `"a"`)
	case payment.URL:
		vs = append(vs, `"/relative"`, `"ftp://shop.example/"`, `"https://"`, "17")
	case payment.Email:
		vs = append(vs, `"nobody"`, `"A <a@b.example>"`, "17")
	case payment.IP:
		vs = append(vs, `"localhost"`, `"fe80::1%eth0"`, "17")
	case payment.Time:
		vs = append(vs, `"2026-11-24"`, `"yesterday"`, "1763899200")
	default:
		vs = append(vs, "17", "1.5")
	}
	if len(f.Enum) > 0 || f.Pattern != nil {
		vs = append(vs, `"no such!"`)
	}
	if f.MaxChars > 0 && f.Kind == payment.Text {
		vs = append(vs, quote(strings.Repeat("1", f.MaxChars+1)))
	}
	return vs
}

func TestDecodedKeepsWhatKeepsItsRules(t *testing.T) {
	in := decoded(t, fullIntent(map[string]string{"amount": `"-1"`, "currency": "7", "order_id": "[]", "user_phone": `"+7"`, "metadata": "1"})).Intent
	if in.Amount != "" || in.Currency != "" || in.OrderID != "" || in.Param("user_phone") != "" || in.Metadata != nil {
		t.Errorf("intent holds a broken field: %+v", in)
	}
	if in.ID != "ord-2026-000123" || in.Merchant != "540001" || in.Param("description") == "" || in.ExpiresAt.IsZero() {
		t.Errorf("intent lacks a good field: %+v", in)
	}
}

func TestDecodeConcurrently(t *testing.T) {
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001"})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				id := fmt.Sprintf("ord-%d-%d", g, i)
				value := []byte(fullIntent(map[string]string{"intent_id": quote(id), "param1": quote(id), "metadata": `{"id":` + quote(id) + `}`}))
				out, err := d.Decode(context.Background(), Message{Value: value})
				clear(value) // the decoder must not hold on to the record
				if err != nil || string(out.Intent.ID) != id || out.Intent.Param("param1") != id || out.Intent.Metadata["id"] != id {
					t.Errorf("Decode of %s = %+v, %v", id, out.Intent, err)
				}
			}
		})
	}
	wg.Wait()
}
