package freedompay

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

// decode reads a form with the standard library, in order.
func decode(t *testing.T, contentType string, body []byte) []Field {
	t.Helper()
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "multipart/form-data" {
		t.Fatalf("content type %q: %v", contentType, err)
	}
	var fields []Field
	for r := multipart.NewReader(bytes.NewReader(body), params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return fields
		}
		if err != nil {
			t.Fatal(err)
		}
		v, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, Field{Name: p.FormName(), Value: string(v)})
	}
}

func TestFullIntentKeepsTheRulesOnTheWire(t *testing.T) {
	in := fullIntent()
	f := withSignature(initScript, initFields(in, newSalt()), testSecret)
	form := encode(f)
	got := decode(t, form.contentType, form.body)
	if diff := cmp.Diff(f, got); diff != "" {
		t.Errorf("what arrives differs (-sent +arrived):\n%s", diff)
	}
	if !Verify(initScript, got, testSecret) {
		t.Error("what arrives does not verify")
	}
	sent := map[string]string{}
	for _, f := range got {
		if _, twice := sent[f.Name]; twice || f.Value == "" {
			t.Errorf("%s is sent twice or empty", f.Name)
		}
		sent[f.Name] = f.Value
	}
	for _, f := range payment.Fields {
		v, ok := sent["pg_"+f.Name]
		if ok != f.Init {
			t.Errorf("pg_%s is sent: %v, want %v", f.Name, ok, f.Init)
		}
		if rules := f.Check(v); f.Init && len(rules) > 0 {
			t.Errorf("pg_%s %s", f.Name, rules)
		}
		if n := utf8.RuneCountInString(v); f.Init && f.Kind == payment.Text && len(f.Enum) == 0 &&
			f.MaxChars > 15 && n != f.MaxChars {
			t.Errorf("pg_%s has %d characters, want the maximum %d", f.Name, n, f.MaxChars)
		}
	}
	if sent["pg_payment_method"] != "mobile_commerce" {
		t.Errorf("pg_payment_method = %q", sent["pg_payment_method"])
	}
}

// TestInitHasABound holds what payment.MaxInit promises: the longest Init that
// the rules allow, in letters of four bytes, is no larger.
func TestInitHasABound(t *testing.T) {
	f := pairs("pg_payment_method", PaymentMethod, "pg_salt", newSalt(), "pg_sig", strings.Repeat("0", 32))
	for _, field := range payment.Fields {
		switch {
		case !field.Init:
		case field.MaxChars > 0:
			f = append(f, Field{Name: "pg_" + field.Name, Value: strings.Repeat("😀", field.MaxChars)})
		default: // bounded by its pattern, its words or its kind: see payment.TestEveryFieldHasABound
			f = append(f, Field{Name: "pg_" + field.Name, Value: strings.Repeat("0", 64)})
		}
	}
	if n := len(encode(f).body); n > payment.MaxInit {
		t.Errorf("an Init may have %d bytes, more than payment.MaxInit (%d)", n, payment.MaxInit)
	} else {
		t.Logf("the longest Init has %d bytes", n)
	}
}

func TestNothingEmptyIsSent(t *testing.T) {
	in := payment.Intent{Merchant: "1", OrderID: "o", Amount: "10", Params: []payment.Param{
		{Name: "description", Value: "d"}, {Name: "param1", Value: ""},
	}}
	want := pairs("pg_merchant_id", "1", "pg_order_id", "o", "pg_amount", "10",
		"pg_description", "d", "pg_payment_method", "mobile_commerce", "pg_salt", "s")
	if diff := cmp.Diff(want, initFields(in, "s")); diff != "" {
		t.Errorf("initFields (-want +got):\n%s", diff)
	}
	want = pairs("pg_merchant_id", "1", "pg_order_id", "o", "pg_salt", "s")
	if diff := cmp.Diff(want, statusFields(in, "s")); diff != "" {
		t.Errorf("statusFields (-want +got):\n%s", diff)
	}
}

func TestParamsCannotOverrideTheHead(t *testing.T) {
	in := payment.Intent{Merchant: "1", Amount: "10", Params: []payment.Param{
		{Name: "amount", Value: "1"}, {Name: "payment_method", Value: "card"},
		{Name: "salt", Value: "x"}, {Name: "sig", Value: "x"}, {Name: "metadata", Value: "x"},
	}}
	want := pairs("pg_merchant_id", "1", "pg_amount", "10", "pg_payment_method", "mobile_commerce", "pg_salt", "s")
	if diff := cmp.Diff(want, initFields(in, "s")); diff != "" {
		t.Errorf("initFields (-want +got):\n%s", diff)
	}
}

func TestSaltIsFresh(t *testing.T) {
	a, b := newSalt(), newSalt()
	if a == b || !regexp.MustCompile(`^[A-Za-z0-9]{16,}$`).MatchString(a) {
		t.Errorf("salts %q and %q", a, b)
	}
}

func TestWhichAddressesAreAGateways(t *testing.T) {
	for gateway, want := range map[string]string{
		"https://api.freedompay.kz":    "https://api.freedompay.kz/init_payment.php",
		"https://api.freedompay.kz/":   "https://api.freedompay.kz/init_payment.php",
		"http://127.0.0.1:1/some/path": "http://127.0.0.1:1/some/path/init_payment.php",
		"":                             "",
		"api.freedompay.kz":            "",
		"ftp://api.freedompay.kz":      "",
		"https://":                     "",
		"https://u:p@host":             "",
		"https://host/?a=b":            "",
		"https://host/#a":              "",
		"https://host?":                "",
		"https://host#":                "",
		"https://ho st":                "",
	} {
		got := ""
		if u := endpoint(gateway, InitPath); u != nil {
			got = u.String()
		}
		if got != want {
			t.Errorf("endpoint(%q) = %q, want %q", gateway, got, want)
		}
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("plain", "ключ")
	f.Add("--\r\n--", "\r\nContent-Disposition: form-data; name=\"pg_x\"\r\n\r\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		want := pairs("pg_a", a, "pg_b", b)
		form := encode(want)
		if diff := cmp.Diff(want, decode(t, form.contentType, form.body)); diff != "" {
			t.Errorf("what arrives differs (-sent +arrived):\n%s", diff)
		}
	})
}

// BenchmarkOpenParams is all that a call costs before the network.
func BenchmarkOpenParams(b *testing.B) {
	in := fullIntent()
	b.ReportAllocs()
	for b.Loop() {
		encode(withSignature(initScript, initFields(in, newSalt()), testSecret))
	}
}
