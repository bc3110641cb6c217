package event

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

// FuzzDecode holds for any bytes: Decode gives an intent or an Unreadable, the
// same each time; an intent without violations keeps every rule; and either
// way the record can be published and read again.
func FuzzDecode(f *testing.F) {
	seeds := []string{
		"", "null", "{}", "[1]", "{" + least + "}", fullIntent(nil), fullIntent(map[string]string{"amount": "1e3", "metadata": `{"a":1}`}),
		with(`"amount":2`), with(`"\u0061":[{}],"a":{}`), envelope1(`"data":{` + least + `},"traceparent":"` + traceA + `"`),
		envelope1(`"data_base64":"e30="`), "\xef\xbb\xbf{}", "\x00\x00\x00\x00\x01", "{\"a\":\"\xff\"}",
	}
	for _, s := range seeds {
		f.Add([]byte(s), "content-type", []byte("application/json"))
		f.Add([]byte(s), "content-type", []byte("application/cloudevents+json"))
		f.Add([]byte(s), "traceparent", []byte(traceA))
	}
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001"})
	f.Fuzz(func(t *testing.T, value []byte, name string, head []byte) {
		m := Message{Key: []byte("k"), Value: value, Headers: []Header{{name, head}}, Time: noon}
		out, err := d.Decode(t.Context(), m)
		again, err2 := d.Decode(t.Context(), m)
		if diff := cmp.Diff(out, again, asWritten); diff != "" || (err == nil) != (err2 == nil) {
			t.Fatalf("second Decode differs (%v, %v):\n%s", err, err2, diff)
		}
		if err != nil {
			checkBurial(t, m, err)
			return
		}
		checkDecoded(t, out)
		checkOutcome(t, out)
	})
}

func checkBurial(t *testing.T, m Message, err error) {
	var un *Unreadable
	if !errors.As(err, &un) {
		t.Fatalf("Decode = %v, want an *Unreadable", err)
	}
	if from, ok := BuriedFrom(DeadLetter(m, spot, "g", un, late)); !ok || from != spot {
		t.Fatalf("BuriedFrom = %v, %t; want %v", from, ok, spot)
	}
}

func checkDecoded(t *testing.T, out Decoded) {
	in := out.Intent
	said := append([]payment.Param{
		{Name: "intent_id", Value: string(in.ID)}, {Name: "merchant_id", Value: string(in.Merchant)}, {Name: "order_id", Value: in.OrderID},
		{Name: "amount", Value: string(in.Amount)}, {Name: "currency", Value: in.Currency}, {Name: "idempotency_key", Value: in.IdempotencyKey},
	}, in.Params...)
	for _, p := range said {
		f := payment.FieldNamed(p.Name)
		needed := len(out.Violations) == 0 && (f.Required || p.Name == "merchant_id" || p.Name == "order_id" || p.Name == "idempotency_key")
		if p.Value == "" && needed {
			t.Errorf("%s is empty in an intent without violations", p.Name)
		}
		if p.Value == "" {
			continue
		}
		if rules := f.Check(p.Value); len(rules) > 0 {
			t.Errorf("%s %s, and is in the intent", p.Name, rules)
		}
	}
	if len(out.Violations) == 0 && out.Digest != DigestOf(in) {
		t.Errorf("digest = %s, want that of the intent, %s", out.Digest, DigestOf(in))
	}
	if in.ID == "" || out.Digest == (Digest{}) {
		t.Errorf("id %q, digest %s: want both", in.ID, out.Digest)
	}
}

func checkOutcome(t *testing.T, out Decoded) {
	var o payment.Outcome = payment.Created{Link: link, Attempts: 1, At: noon}
	if len(out.Violations) > 0 {
		o = payment.Failed{Reason: payment.InvalidIntent, Violations: out.Violations, At: noon}
	}
	var v struct {
		IntentID payment.IntentID  `json:"intent_id"`
		Amount   payment.Money     `json:"amount"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := json.Unmarshal(encoded(t, out, o).Value, &v); err != nil {
		t.Fatalf("the outcome is no JSON: %v", err)
	}
	if v.IntentID != out.Intent.ID || v.Amount != out.Intent.Amount || !maps.Equal(v.Metadata, out.Intent.Metadata) {
		t.Errorf("outcome %+v of intent %+v", v, out.Intent)
	}
}
