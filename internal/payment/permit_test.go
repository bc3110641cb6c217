package payment

import "testing"

func TestPermitSaysWhatAnEmitterMayNotSay(t *testing.T) {
	const (
		out    = "is locked in the merchant's settings: leave it out"
		same   = "is locked in the merchant's settings: leave it out, or give the value that stands there"
		strict = "must be at a host that the merchant's settings allow: shop.example, *.pay.example"
	)
	p := Permit{Locked: []string{"testing_mode", "result_url", "lifetime"}, Hosts: Hosts{"shop.example", "*.pay.example"}}
	defaults := []Param{{Name: "result_url", Value: "https://elsewhere.example/r"}, {Name: "failure_url", Value: "https://elsewhere.example/f"}, {Name: "language", Value: "kz"}}
	for _, tt := range []struct{ field, value, want string }{
		{"testing_mode", "1", out},
		{"testing_mode", "0", out},
		{"lifetime", "300", out},
		{"result_url", "https://shop.example/r", same},
		{"result_url", "https://elsewhere.example/r", ""},
		{"language", "ru", ""},
		{"param1", "https://evil.example/", ""}, // no address for anybody
		{"check_url", "https://shop.example/", ""},
		{"check_url", "https://SHOP.example:8443/x", ""},
		{"check_url", "http://a.pay.example/", ""},
		{"check_url", "http://a.b.pay.example/", ""},
		{"check_url", "https://pay.example/", strict},
		{"check_url", "https://evilpay.example/", strict},
		{"check_url", "https://a.shop.example/", strict},
		{"check_url", "https://shop.example./", strict},
		{"check_url", "https://shop.example.evil.example/", strict},
		{"check_url", "https://evil.example/?shop.example", strict},
		{"check_url", "https://xn--80a.pay.example/", ""},
		{"check_url", "https://[::1%25.pay.example]/", strict},
		{"check_url", "https://[2001:db8::1%25x.pay.example]:443/", strict},
		{"check_url", "https://evil.example\uff0f.pay.example/", strict},
		{"check_url", "https://evil.example%EF%BC%9F.pay.example/", strict},
		{"check_url", "https://evil.example\u2100.pay.example/", strict},
		{"check_url", "https://evil.example\".pay.example/", strict},
		{"check_url", "https://evil.example;.pay.example/", strict},
		{"check_url", "https://..pay.example/", strict},
		{"failure_url", "https://elsewhere.example/f", ""},
		{"failure_url", "https://elsewhere.example/g", strict},
	} {
		if got := p.Rule(FieldNamed(tt.field), tt.value, defaults); got != tt.want {
			t.Errorf("%s=%s: %q, want %q", tt.field, tt.value, got, tt.want)
		}
	}
	if got := (&Permit{}).Rule(FieldNamed("check_url"), "https://any.example", nil); got != "" {
		t.Errorf("the zero Permit: %q, want nothing", got)
	}
}

func TestParseHost(t *testing.T) {
	for s, want := range map[string]string{
		"shop.example": "shop.example", "*.Shop.Example": "*.shop.example", "localhost": "localhost", "127.0.0.1": "127.0.0.1", "xn--80a.kz": "xn--80a.kz", "a_b.kz": "a_b.kz",
		"": "", "*": "", "*.": "", ".kz": "", "a..b": "", "shop.example.": "", "https://shop.example": "", "shop.example:443": "", "shop.example/x": "", "a b": "", "*shop.example": "", "a.*.b": "", "магазин.kz": "",
	} {
		got, ok := ParseHost(s)
		if got != want || ok != (want != "") {
			t.Errorf("ParseHost(%q) = %q, %v; want %q", s, got, ok, want)
		}
	}
}
