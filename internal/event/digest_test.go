package event

import (
	"testing"

	"paylink/internal/payment"
)

func TestDigestTellsRepeatsFromConflicts(t *testing.T) {
	const whole = `{"intent_id":"a","amount":"10","description":"d","generate_qr":true,"param1":"x"`
	const broken = `{"intent_id":"a","amount":"-10","description":"d","user_phone":77}`
	tests := []struct {
		name, first, second string
		same                bool
	}{
		{"the same bytes", whole + "}", whole + "}", true},
		{"other white space and order", whole + "}", ` { "param1":"x","generate_qr":1, "description":"d","amount":10,"intent_id":"a" }`, true},
		{"an unknown field", whole + "}", whole + `,"x":1}`, true},
		{"created_at, expires_at, metadata", whole + "}", whole + `,"created_at":"2026-11-23T11:00:00Z","expires_at":"2026-11-23T11:00:00Z","metadata":{"a":"b"}}`, true},
		{"a default, spelled out", whole + "}", whole + `,"merchant_id":540001,"order_id":"a"}`, true},
		{"another amount", whole + "}", `{"intent_id":"a","amount":"10.00","description":"d","generate_qr":true,"param1":"x"}`, false},
		{"one more parameter", whole + "}", whole + `,"param2":"x"}`, false},
		{"another merchant", whole + "}", whole + `,"merchant_id":"540002"}`, false},
		{"a value that imitates a field", `{"intent_id":"a","amount":"1","description":"d\u0000param1\u0000x"}`, `{"intent_id":"a","amount":"1","description":"d","param1":"x"}`, false},

		{"broken, the same bytes", broken, broken, true},
		{"broken, later created_at", `{"intent_id":"a","created_at":"2026-11-23T11:00:00Z"}`, `{"intent_id":"a","created_at":"2026-11-23T12:00:00Z"}`, true},
		{"broken, other white space", broken, ` {"intent_id":"a", "amount":"-10","description":"d","user_phone":77}`, true},
		{"broken, then mended", broken, `{"intent_id":"a","amount":"10","description":"d","user_phone":"77"}`, false},
		{"broken, then broken otherwise", broken, `{"intent_id":"a","amount":"-11","description":"d","user_phone":77}`, false},
		{"a field twice, then once", `{"intent_id":"a","amount":"1","amount":"2","description":"d"}`, `{"intent_id":"a","amount":"1","description":"d"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := decoded(t, tt.first), decoded(t, tt.second)
			if (a.Digest == b.Digest) != tt.same {
				t.Errorf("digests %s and %s: same = %t, want %t", a.Digest, b.Digest, a.Digest == b.Digest, tt.same)
			}
		})
	}
}

func TestDigestOfABrokenIntentDoesNotDependOnTheRules(t *testing.T) {
	value := Message{Value: []byte(`{"intent_id":"a","amount":"1","description":"d","merchant_id":"9"}`)}
	strict := NewDecoder(DecoderConfig{KnownMerchant: func(payment.MerchantID) bool { return false }})
	a, err := strict.Decode(t.Context(), value)
	if err != nil || len(a.Violations) != 1 {
		t.Fatalf("Decode = %v, %v; want one violation", a.Violations, err)
	}
	b, err := NewDecoder(DecoderConfig{}).Decode(t.Context(), value)
	if err != nil || len(b.Violations) != 0 {
		t.Fatalf("Decode = %v, %v; want no violation", b.Violations, err)
	}
	if a.Digest != b.Digest {
		t.Errorf("digests %s and %s: a merchant that is configured later must not make a conflict of a replay", a.Digest, b.Digest)
	}
}

func TestDigestText(t *testing.T) {
	d := decoded(t, "{"+least+"}").Digest
	back, err := ParseDigest([]byte(d.String()))
	if err != nil || back != d {
		t.Errorf("ParseDigest(%s) = %s, %v", d, back, err)
	}
	if want := "e57cf5deba624e28aba381d558db88da"; d.String() != want {
		t.Errorf("digest of the least intent = %s, want %s for ever", d, want)
	}
	for _, bad := range []string{"", "00", d.String() + "0", "g" + d.String()[1:]} {
		if _, err := ParseDigest([]byte(bad)); err == nil {
			t.Errorf("ParseDigest(%q): want an error", bad)
		}
	}
}
