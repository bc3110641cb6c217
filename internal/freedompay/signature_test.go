package freedompay

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"paylink/internal/payment"
)

type vector struct {
	ID     string
	Script string
	Fields map[string]any
	Secret string
	String string
	Sig    string `json:"pg_sig"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/signature-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vs []vector
	if err := json.Unmarshal(b, &vs); err != nil {
		t.Fatal(err)
	}
	if len(vs) == 0 {
		t.Fatal("no vectors")
	}
	return vs
}

// fieldsOf turns JSON into fields: an array repeats its name, an object nests.
func fieldsOf(m map[string]any) []Field {
	var f []Field
	for name, v := range m {
		switch v := v.(type) {
		case string:
			f = append(f, Field{Name: name, Value: v})
		case []any:
			for _, e := range v {
				f = append(f, Field{Name: name, Value: e.(string)})
			}
		case map[string]any:
			f = append(f, Field{Name: name, Fields: fieldsOf(v)})
		}
	}
	return f
}

func TestVectorsFromOutside(t *testing.T) {
	for _, v := range vectors(t) {
		f, secret := fieldsOf(v.Fields), payment.Secret(v.Secret)
		if got := Base(v.Script, f, secret); got != v.String {
			t.Errorf("%s: Base = %q, want %q", v.ID, got, v.String)
		}
		if got := Sign(v.Script, f, secret); got != v.Sig {
			t.Errorf("%s: Sign = %s, want %s", v.ID, got, v.Sig)
		}
		f = append([]Field{{Name: "pg_sig", Value: v.Sig}}, f...)
		if !Verify(v.Script, f, secret) {
			t.Errorf("%s: Verify = false, want true", v.ID)
		}
		if Verify(v.Script+"x", f, secret) || Verify(v.Script, f, secret+"x") {
			t.Errorf("%s: Verify holds for another script or secret", v.ID)
		}
	}
}

func TestTheHashedStringIsInTheOrderOfNames(t *testing.T) {
	tests := []struct {
		name   string
		script string
		fields []Field
		want   string
	}{
		{"nothing", "s", nil, "s;k"},
		{"empty script", "", []Field{{Name: "a", Value: "1"}}, ";1;k"},
		{"byte order, capitals first", "s", []Field{{Name: "a", Value: "1"}, {Name: "_", Value: "2"}, {Name: "B", Value: "3"}}, "s;3;2;1;k"},
		{"a prefix comes first", "s", []Field{{Name: "pg_amount2", Value: "2"}, {Name: "pg_amount", Value: "1"}}, "s;1;2;k"},
		{"numbers are names", "s", []Field{{Name: "2", Value: "b"}, {Name: "10", Value: "a"}}, "s;a;b;k"},
		{"equal names keep message order", "s", []Field{{Name: "b", Value: "1"}, {Name: "a", Value: "z"}, {Name: "b", Value: "0"}}, "s;z;1;0;k"},
		{"empty values are kept", "s", []Field{{Name: "a"}, {Name: "b", Value: "1"}, {Name: "c"}}, "s;;1;;k"},
		{"blanks are kept", "s", []Field{{Name: "a", Value: " x\n"}}, "s; x\n;k"},
		{"names without prefix count", "s", []Field{{Name: "x", Value: "1"}, {Name: "pg_a", Value: "2"}}, "s;2;1;k"},
		{"pg_sig is left out", "s", []Field{{Name: "pg_sig", Value: "no"}, {Name: "a", Value: "1"}}, "s;1;k"},
		{"nested in place", "s", []Field{
			{Name: "c", Value: "3"},
			{Name: "b", Fields: []Field{{Name: "z", Value: "2"}, {Name: "a", Value: "1"}, {Name: "pg_sig", Value: "in"}}},
			{Name: "a", Value: "0"},
		}, "s;0;1;in;2;3;k"},
	}
	for _, tt := range tests {
		if got := Base(tt.script, tt.fields, "k"); got != tt.want {
			t.Errorf("%s: Base = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestVerifyWantsOneSignature(t *testing.T) {
	f := []Field{{Name: "a", Value: "1"}}
	sig := Field{Name: "pg_sig", Value: Sign("s", f, "k")}
	upper := Field{Name: "pg_sig", Value: strings.ToUpper(sig.Value)}
	tests := []struct {
		name string
		sigs []Field
		want bool
	}{
		{"one", []Field{sig}, true},
		{"none", nil, false},
		{"two", []Field{sig, sig}, false},
		{"empty", []Field{{Name: "pg_sig"}}, false},
		{"cut", []Field{{Name: "pg_sig", Value: sig.Value[:31]}}, false},
		{"capitals", []Field{upper}, false},
		{"blank", []Field{{Name: "pg_sig", Value: sig.Value + " "}}, false},
		{"nested", []Field{{Name: "pg_sig", Fields: []Field{sig}}}, false},
	}
	for _, tt := range tests {
		if got := Verify("s", append(tt.sigs, f...), "k"); got != tt.want {
			t.Errorf("%s: Verify = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestScript(t *testing.T) {
	for url, want := range map[string]string{
		"https://api.freedompay.kz/init_payment.php":   "init_payment.php",
		"https://api.freedompay.kz/mfs/pay":            "pay",
		"https://api.freedompay.kz/mfs/pay?next=/a/b":  "pay",
		"https://api.freedompay.kz/mfs/":               "",
		"/get_status3.php":                             "get_status3.php",
		"http://127.0.0.1:8081/prefix/get_status3.php": "get_status3.php",
	} {
		if got := Script(url); got != want {
			t.Errorf("Script(%q) = %q, want %q", url, got, want)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	f := initFields(fullIntent(), "SALT")
	b.ReportAllocs()
	for b.Loop() {
		Sign("init_payment.php", f, testSecret)
	}
}
