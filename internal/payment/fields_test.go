package payment

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestEveryExampleKeepsItsRules(t *testing.T) {
	for i := range Fields {
		f := &Fields[i]
		if f.Kind == Pairs {
			continue // checked entry by entry, elsewhere
		}
		if f.Example == "" || f.Doc == "" {
			t.Errorf("%s has no example, or no words", f.Name)
		}
		if rules := f.Check(f.Example); rules != nil {
			t.Errorf("%s: example %q %q", f.Name, f.Example, rules)
		}
	}
}

func TestTableOfFieldsIsSound(t *testing.T) {
	seen := map[string]bool{}
	for i := range Fields {
		f := &Fields[i]
		if seen[f.Name] || FieldNamed(f.Name) != f {
			t.Errorf("%s is there twice, or FieldNamed does not find it", f.Name)
		}
		seen[f.Name] = true
		number := f.Kind == Integer || f.Kind == Number
		if number != (f.Min != "") || number != (f.Max != "") || number && CompareDecimals(f.Min, f.Max) != -1 {
			t.Errorf("%s: bounds %q and %q", f.Name, f.Min, f.Max)
		}
	}
	if FieldNamed("pg_amount") != nil || FieldNamed("") != nil {
		t.Error("FieldNamed finds what is no field")
	}
}

// TestEveryFieldHasABound fails for a field that takes a value of any length.
func TestEveryFieldHasABound(t *testing.T) {
	counted := regexp.MustCompile(`\{(\d+,)?\d+\}\$$`)
	for _, f := range Fields {
		switch {
		case f.MaxChars > 0, len(f.Enum) > 0, f.Pattern != nil && counted.MatchString(f.Pattern.String()):
		case f.Kind == Flag, f.Kind == Integer, f.Kind == Number && f.MaxFrac > 0: // no leading zeros
		case f.Kind == IP: // at most 45 characters, by its kind
		case f.Kind == Pairs:
		default:
			t.Errorf("%s has no bound", f.Name)
		}
	}
	for _, ip := range []string{"0000:0000:0000:0000:0000:ffff:255.255.255.2550", "00000::1", "203.0.113.0007"} {
		if FieldNamed("user_ip").Check(ip) == nil {
			t.Errorf("user_ip takes %q: then it needs a bound", ip)
		}
	}
}

// What is broken, in words.
const (
	noDecimal  = "must be a plain decimal number: no sign, exponent, leading zeros or spaces"
	noWhole    = "must be a whole number"
	noDigits   = "must be a positive whole number without leading zeros"
	noFlag     = "must be true, false, 0 or 1"
	noURL      = "must be an absolute http or https URL"
	noUnseen   = "must not hold spaces, control or bidirectional characters"
	noUser     = "must not hold a user name or password"
	noPort     = "must have a port from 1 to 65535, or none"
	noControl  = "must not hold control characters"
	noLines    = "must not hold control characters other than tab and line ends"
	noEmail    = "must be one bare e-mail address"
	noIP       = "must be an IPv4 or IPv6 address"
	noTime     = "must be an RFC 3339 time from the years 1970 to 9999, like 2026-11-23T12:00:00Z"
	noUTF8     = "must be valid UTF-8"
	ofAmount   = "must be between 0.01 and 99999999"
	ofLifetime = "must be between 300 and 604800"
	ofPercent  = "must be between 1 and 100"
	ofFix      = "must be between 1 and 99999999"
	idPattern  = "must match ^[A-Za-z0-9._:-]{1,128}$"
	userID     = "must match ^[a-zA-Z0-9_-]+$"
)

func TestCheckNamesEveryBrokenRule(t *testing.T) {
	tests := []struct {
		field, value string
		want         []string
	}{
		{"intent_id", strings.Repeat("a", 128), nil},
		{"intent_id", "A.b_c:d-9", nil},
		{"intent_id", strings.Repeat("a", 129), []string{"must have at most 128 characters, has 129", idPattern}},
		{"intent_id", "a b", []string{idPattern}},
		{"intent_id", "a\n", []string{idPattern}},
		{"intent_id", "заказ", []string{idPattern}},

		{"merchant_id", "1", nil},
		{"merchant_id", strings.Repeat("9", 18), nil},
		{"merchant_id", strings.Repeat("9", 19), []string{"must have at most 18 characters, has 19"}},
		{"merchant_id", "0", []string{noDigits}},
		{"merchant_id", "0540001", []string{noDigits}},
		{"merchant_id", "-5", []string{noDigits}},
		{"merchant_id", "5.0", []string{noDigits}},
		{"merchant_id", "٥٤", []string{noDigits}},
		{"merchant_id", strings.Repeat("x", 19), []string{noDigits, "must have at most 18 characters, has 19"}},

		{"order_id", strings.Repeat("ә", 50), nil},
		{"order_id", strings.Repeat("ә", 51), []string{"must have at most 50 characters, has 51"}},
		{"order_id", "a\x00b", []string{noControl}},
		{"order_id", "a\tb", []string{noControl}},
		{"order_id", "a\u0085b", []string{noControl}},
		{"order_id", "a\x7f" + strings.Repeat("x", 50), []string{noControl, "must have at most 50 characters, has 52"}},

		{"amount", "0.01", nil},
		{"amount", "0.010", []string{"must have at most 2 digits after the point, has 3"}},
		{"amount", "99999999", nil},
		{"amount", "99999999.00", nil},
		{"amount", "99999999.01", []string{ofAmount}},
		{"amount", "0.009", []string{"must have at most 2 digits after the point, has 3", ofAmount}},
		{"amount", "0.00", []string{ofAmount}},
		{"amount", "0", []string{ofAmount}},
		{"amount", "100000000", []string{ofAmount}},
		{"amount", "100000000.001", []string{"must have at most 2 digits after the point, has 3", ofAmount}},
		{"amount", "1500.", []string{noDecimal}},
		{"amount", ".5", []string{noDecimal}},
		{"amount", "01", []string{noDecimal}},
		{"amount", "+1", []string{noDecimal}},
		{"amount", "-1", []string{noDecimal}},
		{"amount", "1e3", []string{noDecimal}},
		{"amount", "1,5", []string{noDecimal}},
		{"amount", " 1", []string{noDecimal}},
		{"amount", "1.5.0", []string{noDecimal}},

		{"currency", "kzt", []string{"must match ^[A-Z]{3}$"}},
		{"currency", "KZTT", []string{"must match ^[A-Z]{3}$"}},
		{"currency", "KZ\n", []string{"must match ^[A-Z]{3}$"}},

		{"description", strings.Repeat("😀", 1024), nil},
		{"description", strings.Repeat("😀", 1025), []string{"must have at most 1024 characters, has 1025"}},
		{"description", "a\xff", []string{noUTF8}},
		{"description", "first\tline\r\nsecond\n", nil},
		{"description", "a\x00", []string{noLines}},
		{"description", "a\x1b[2J", []string{noLines}},
		{"description", "a\vb", []string{noLines}},
		{"description", "\u202bعربي\u202c", nil},
		{"description", strings.Repeat("\xff", 2000), []string{noUTF8}},

		{"testing_mode", "0", nil},
		{"testing_mode", "2", []string{noFlag}},
		{"testing_mode", "true", []string{noFlag}},
		{"commission_discount", "01", []string{noFlag}},
		{"generate_qr", "yes", []string{noFlag}},

		{"lifetime", "300", nil},
		{"lifetime", "604800", nil},
		{"lifetime", "299", []string{ofLifetime}},
		{"lifetime", "604801", []string{ofLifetime}},
		{"lifetime", "3600.0", []string{noWhole}},
		{"lifetime", "0300", []string{noDecimal}},

		{"language", "uz", nil},
		{"language", "RU", []string{"must be one of ru, en, kz, kg, uz"}},
		{"request_method", "XML", nil},
		{"request_method", "get", []string{"must be one of GET, POST, XML"}},
		{"success_url_method", "XML", []string{"must be one of GET, POST"}},
		{"failure_url_method", "PUT", []string{"must be one of GET, POST"}},

		{"user_id", strings.Repeat("_", 50), nil},
		{"user_id", strings.Repeat("-", 51), []string{"must have at most 50 characters, has 51"}},
		{"user_id", "a.b", []string{userID}},
		{"user_id", strings.Repeat("ә", 51), []string{"must have at most 50 characters, has 51", userID}},

		{"user_ip", "2001:db8::1", nil},
		{"user_ip", "fe80::1%eth0", []string{noIP}},
		{"user_ip", "203.0.113.256", []string{noIP}},
		{"user_ip", "203.0.113.7:80", []string{noIP}},

		{"user_phone", strings.Repeat("7", 15), nil},
		{"user_phone", strings.Repeat("7", 16), []string{"must have at most 15 characters, has 16"}},
		{"user_phone", "+77777777777", []string{"must match ^[0-9]+$"}},
		{"user_phone", "+7 (777) 777-77-77", []string{"must have at most 15 characters, has 18", "must match ^[0-9]+$"}},

		{"user_contact_email", "a@b", nil},
		{"user_contact_email", "Payer <a@b.example>", []string{noEmail}},
		{"user_contact_email", "a@b.example, c@d.example", []string{noEmail}},
		{"user_contact_email", "nobody", []string{noEmail}},
		{"user_contact_email", "a@" + strings.Repeat("b", 252), nil},
		{"user_contact_email", "a@" + strings.Repeat("b", 253), []string{"must have at most 254 characters, has 255"}},
		{"user_contact_email", "a\u0085@b", []string{noEmail}},
		{"user_contact_email", "a\u202e@b", []string{noEmail}},

		{"check_url", "http://h", nil},
		{"check_url", "http://h:8080/p", nil},
		{"check_url", "http://[2001:db8::1]:65535/p", nil},
		{"check_url", "http://h:0/", []string{noPort}},
		{"check_url", "http://h:65536/", []string{noPort}},
		{"check_url", "http://h:http/", []string{noPort}},
		{"check_url", "http://h:-1", []string{noPort}},
		{"check_url", "http://[2001:db8::1]:0", []string{noPort}},
		{"check_url", "http://h:8a:9/", []string{noURL}},
		{"check_url", "https://user@h/", []string{noUser}},
		{"check_url", "https://user:word@h/", []string{noUser}},
		{"check_url", "https://@h/", []string{noUser}},
		{"check_url", "https://h\\@evil.example/", []string{noURL}},
		{"check_url", "https://h/a b", []string{noUnseen}},
		{"check_url", "https://h/a\u00a0b", []string{noUnseen}},
		{"check_url", "https://h/a\nb", []string{noUnseen}},
		{"check_url", "https://h/\x00", []string{noUnseen}},
		{"check_url", "https://h/\u202egpj.exe", []string{noUnseen}},
		{"check_url", "https://h/\u2066", []string{noUnseen}},
		{"check_url", "https://h\u200b.example/", []string{noUnseen}},
		{"check_url", "https://h%E2%80%AE.example/", []string{noUnseen}},
		{"check_url", "https://h/%00", nil}, // its bytes are plain; what a server makes of them is its own
		{"check_url", "HTTPS://h/p?q=1#f", nil},
		{"check_url", "https://h/" + strings.Repeat("ә", 245), nil},
		{"check_url", "https://h/" + strings.Repeat("ә", 246), []string{"must have at most 255 characters, has 256"}},
		{"result_url", "/result", []string{noURL}},
		{"success_url", "ftp://shop.example/", []string{noURL}},
		{"failure_url", "javascript:alert(1)", []string{noURL}},
		{"site_url", "https://", []string{noURL}},
		{"site_url", "https://:443/", []string{noURL}},
		{"site_url", "https:shop.example", []string{noURL}},
		{"site_url", strings.Repeat("x", 256), []string{noURL, "must have at most 255 characters, has 256"}},

		{"param1", strings.Repeat("ә", 255), nil},
		{"param1", strings.Repeat("ә", 256), []string{"must have at most 255 characters, has 256"}},
		{"param1", "a\x00", []string{noLines}},
		{"param1", "{\n\t\"cart\": 42\n}", nil},
		{"param2", strings.Repeat("e\u0301", 128), []string{"must have at most 255 characters, has 256"}},
		{"param3", strings.Repeat("x", 256), []string{"must have at most 255 characters, has 256"}},

		{"commission_discount_fix", "1", nil},
		{"commission_discount_fix", "99999999", nil},
		{"commission_discount_fix", "0.99", []string{ofFix}},
		{"commission_discount_fix", "99999999.01", []string{ofFix}},
		{"commission_discount_percentage", "1.125", nil},
		{"commission_discount_percentage", "100", nil},
		{"commission_discount_percentage", "1." + strings.Repeat("0", 30), nil},
		{"commission_discount_percentage", "1." + strings.Repeat("0", 31), []string{"must have at most 32 characters, has 33"}},
		{"commission_discount_percentage", "100.01", []string{ofPercent}},
		{"commission_discount_percentage", "0", []string{ofPercent}},

		{"idempotency_key", strings.Repeat("k", 255), nil},
		{"idempotency_key", strings.Repeat("k", 256), []string{"must have at most 255 characters, has 256"}},

		{"expires_at", "2026-11-23T12:00:00.5+05:00", nil},
		{"idempotency_key", "k\x00", []string{noControl}},
		{"idempotency_key", "k\n", []string{noControl}},

		{"expires_at", "2026-11-23T12:00:00." + strings.Repeat("0", 43) + "Z", nil},
		{"expires_at", "2026-11-23T12:00:00." + strings.Repeat("0", 44) + "Z", []string{"must have at most 64 characters, has 65"}},
		{"expires_at", "2026-11-23 12:00:00Z", []string{noTime}},
		{"expires_at", "2026-11-23T12:00:00", []string{noTime}},
		{"created_at", "2026-02-30T12:00:00Z", []string{noTime}},
		{"created_at", "1700000000", []string{noTime}},
	}
	checked := map[string]bool{}
	for _, tt := range tests {
		checked[tt.field] = checked[tt.field] || tt.want != nil
		if diff := cmp.Diff(tt.want, FieldNamed(tt.field).Check(tt.value)); diff != "" {
			t.Errorf("%s: Check(%.60q) (-want +got):\n%s", tt.field, tt.value, diff)
		}
	}
	for _, f := range Fields {
		if !checked[f.Name] && f.Kind != Pairs {
			t.Errorf("no bad value of %s is tried", f.Name)
		}
	}
}

// FuzzCheckTellsNoValue holds that rules never repeat a value, which may be
// personal, and that a value that keeps its rules is fit to be sent.
func FuzzCheckTellsNoValue(f *testing.F) {
	for i := range Fields {
		f.Add(i, Fields[i].Example)
	}
	f.Add(11, "+7 701 123-45-67")
	f.Add(12, "payer@example.com, \xff")
	f.Fuzz(func(t *testing.T, i int, v string) {
		if v == "" || i < 0 || i >= len(Fields) {
			return
		}
		field := &Fields[i]
		rules := field.Check(v)
		seen := map[string]bool{}
		for _, rule := range rules {
			if seen[rule] || len(v) > 24 && strings.Contains(rule, v) {
				t.Errorf("%s: %q breaks %q: said twice, or with the value", field.Name, v, rule)
			}
			seen[rule] = true
		}
		if rules == nil && (!utf8.ValidString(v) || field.MaxChars > 0 && utf8.RuneCountInString(v) > field.MaxChars) {
			t.Errorf("%s: %q passes", field.Name, v)
		}
	})
}
