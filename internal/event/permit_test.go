package event

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

// TestWhatAMerchantLocksIsAViolation holds that a merchant's settings bind those
// who emit its intents, in every form, and nobody else.
func TestWhatAMerchantLocksIsAViolation(t *testing.T) {
	const (
		locked  = "is locked in the merchant's settings: leave it out"
		same    = "is locked in the merchant's settings: leave it out, or give the value that stands there"
		foreign = "must be at a host that the merchant's settings allow: shop.example"
	)
	permits := map[payment.MerchantID]payment.Permit{
		"540001": {Locked: []string{"result_url", "testing_mode", "lifetime"}, Hosts: payment.Hosts{"shop.example"}},
	}
	defaults := map[payment.MerchantID][]payment.Param{"540001": {{Name: "result_url", Value: "https://elsewhere.example/r"}}}
	d := NewDecoder(DecoderConfig{
		DefaultMerchant: "540001",
		Permit:          func(m payment.MerchantID) payment.Permit { return permits[m] },
		Defaults:        func(m payment.MerchantID) []payment.Param { return defaults[m] },
	})
	v := func(pairs ...string) (vs []payment.Violation) {
		for i := 0; i < len(pairs); i += 2 {
			vs = append(vs, payment.Violation{Field: pairs[i], Rule: pairs[i+1]})
		}
		return vs
	}
	for _, tt := range []struct {
		name, value string
		want        []payment.Violation
	}{
		{"nothing of it", with(`"language":"kz"`), nil},
		{"locked fields", with(`"testing_mode":true,"lifetime":300,"result_url":"https://shop.example/r"`), v("testing_mode", locked, "lifetime", locked, "result_url", same)},
		{"what the settings say anyway", with(`"result_url":"https://elsewhere.example/r"`), nil},
		{"null and empty are absent", with(`"testing_mode":null,"result_url":""`), nil},
		{"an allowed host", with(`"success_url":"https://shop.example:8443/ok"`), nil},
		{"another's host", with(`"success_url":"https://evil.example/ok"`), v("success_url", foreign)},
		{"no address at all", with(`"success_url":"evil"`), v("success_url", "must be an absolute http or https URL")},
		{"a locked field, and a broken one", with(`"lifetime":300,"success_url":"evil"`), v("lifetime", locked, "success_url", "must be an absolute http or https URL")},
		{"locked and broken", with(`"lifetime":1`), v("lifetime", "must be between 300 and 604800")},
		{"merchant named", with(`"merchant_id":"540001","lifetime":300`), v("lifetime", locked)},
		{"merchant named last, as a number", `{` + least + `,"lifetime":300,"merchant_id":540001}`, v("lifetime", locked)},
		{"another merchant", with(`"merchant_id":"540002","lifetime":300,"success_url":"https://evil.example/ok"`), nil},
		{"an envelope", envelope1(`"data":{` + least + `,"lifetime":300}`), v("lifetime", locked)},
	} {
		m := Message{Value: []byte(tt.value)}
		if tt.name == "an envelope" {
			m.Headers = []Header{{"content-type", []byte("application/cloudevents+json")}}
		}
		got, err := d.Decode(t.Context(), m)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got.Violations); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		broken := slices.ContainsFunc(tt.want, func(v payment.Violation) bool { return !strings.Contains(v.Rule, "settings") })
		if want := len(tt.want) > 0 && !broken; got.BySettings != want {
			t.Errorf("%s: BySettings %v, want %v", tt.name, got.BySettings, want)
		}
		free, err := NewDecoder(DecoderConfig{DefaultMerchant: "540001"}).Decode(t.Context(), m)
		if err != nil || free.Digest != got.Digest {
			t.Errorf("%s: its digest depends on the settings (%v)", tt.name, err)
		}
	}
}
