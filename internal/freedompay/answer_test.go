package freedompay

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	deep := strings.Repeat("<a>", maxDepth+1) + strings.Repeat("</a>", maxDepth+1)
	many := "<r>" + strings.Repeat("<a/>", maxFields) + "</r>"
	one := message{{Name: "a", Value: "1"}}
	tests := []struct {
		name, body string
		want       message
		err        error
	}{
		{"production root", `<response><a>1</a></response>`, one, nil},
		{"documented root", `<?xml version="1.0" encoding="UTF-8"?><root><a>1</a></root>`, one, nil},
		{"any root", `<ключ><a>1</a></ключ>`, one, nil},
		{"byte order mark", "\xef\xbb\xbf<?xml version=\"1.0\"?><r><a>1</a></r>", one, nil},
		{"blanks around", "\r\n <r>\n  <a>1</a>\n</r>\n\n", one, nil},
		{"attributes and comments", `<!-- x --><r v="2"><a t="s">1<!-- y --></a></r><!-- z -->`, one, nil},
		{"namespace prefix", `<x:r xmlns:x="u"><x:a>1</x:a></x:r>`, one, nil},
		{"CDATA", `<r><a><![CDATA[<&]]></a></r>`, message{{Name: "a", Value: "<&"}}, nil},
		{"entities", `<r><a>&lt;&amp;&#1178;&#13;</a></r>`, message{{Name: "a", Value: "<&Қ\r"}}, nil},
		{"blanks inside are kept", "<r><a> 1\n</a></r>", message{{Name: "a", Value: " 1\n"}}, nil},
		{"empty values", `<r><a/><b></b></r>`, message{{Name: "a"}, {Name: "b"}}, nil},
		{"message order", `<r><b>2</b><a>1</a><b>3</b></r>`, message{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}, {Name: "b", Value: "3"}}, nil},
		{"nested", "<r><a>\n<b>1</b>\n</a></r>", message{{Name: "a", Fields: []Field{{Name: "b", Value: "1"}}}}, nil},
		{"no fields", `<r/>`, nil, nil},
		{"nothing", "", nil, errEmpty},
		{"blanks only", " \r\n\t", nil, errEmpty},
		{"HTML", "<html><body>502</body></html>", nil, errHTML},
		{"HTML with type", "\n<!DOCTYPE HTML PUBLIC \"x\"><HTML>", nil, errHTML},
		{"text", "Service unavailable", nil, errBroken},
		{"JSON", `{"pg_status":"ok"}`, nil, errBroken},
		{"cut", `<r><a>1</a>`, nil, errBroken},
		{"wrong end", `<r><a>1</b></r>`, nil, errBroken},
		{"unknown entity", `<r><a>&nbsp;</a></r>`, nil, errBroken},
		{"two roots", `<r><a>1</a></r><r/>`, nil, errBroken},
		{"text before", `Warning: x<r><a>1</a></r>`, nil, errBroken},
		{"text after", `<r><a>1</a></r>x`, nil, errBroken},
		{"text between", `<r>x<a>1</a></r>`, nil, errBroken},
		{"text beside nested", `<r><a>x<b>1</b></a></r>`, nil, errBroken},
		{"document type", `<!DOCTYPE r [<!ENTITY x "y">]><r><a>&x;</a></r>`, nil, errBroken},
		{"UTF8", `<?xml version="1.0" encoding="UTF8"?><r><a>ә</a></r>`, message{{Name: "a", Value: "ә"}}, nil},
		{"US-ASCII", `<?xml version="1.0" encoding="US-ASCII"?><r><a>1</a></r>`, one, nil},
		{"windows-1251", "<?xml version='1.0' encoding='Windows-1251'?><r><a>\xc4\xe0</a></r>", message{{Name: "a", Value: "Да"}}, nil},
		{"KOI8-R", `<?xml version="1.0" encoding="koi8-r"?><r><a>` + "\xe4\xc1</a></r>", message{{Name: "a", Value: "Да"}}, nil},
		{"ISO-8859-1", `<?xml version="1.0" encoding="ISO-8859-1"?><r><a>` + "\xe9</a></r>", message{{Name: "a", Value: "é"}}, nil},
		{"unknown charset", `<?xml version="1.0" encoding="x-nobody-knows"?><r><a>1</a></r>`, nil, errBroken},
		{"UTF-8 that is none", `<?xml version="1.0" encoding="UTF8"?><r><a>` + "\xff</a></r>", nil, errBroken},
		{"invalid UTF-8", "<r><a>\xff</a></r>", nil, errBroken},
		{"too deep", deep, nil, errBroken},
		{"too many", many, nil, errBroken},
	}
	for _, tt := range tests {
		got, err := parse([]byte(tt.body))
		if !errors.Is(err, tt.err) || err == nil && tt.err != nil {
			t.Errorf("%s: parse: error %v, want %v", tt.name, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: parse (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestValueStandsOnce(t *testing.T) {
	m := message{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}, {Name: "b", Value: "2"}, {Name: "c", Fields: []Field{{Name: "a", Value: "3"}}}}
	for name, want := range map[string]string{"a": "1", "b": "", "c": "", "d": ""} {
		if got := m.value(name); got != want {
			t.Errorf("value(%s) = %q, want %q", name, got, want)
		}
	}
}

// FuzzParse: whatever parses can be written again, and reads the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(answerXML(initScript, testSecret, okFields()...)))
	f.Add([]byte("<r><a>\n<b>1</b></a><a/><b> \r </b></r>"))
	f.Add([]byte("<!DOCTYPE html><p>"))
	f.Add([]byte(`<?xml version="1.0" encoding="koi8-r"?><r/>`))
	f.Add([]byte("<a:b xmlns:a='x'><a:c/>&#x1F600;<![CDATA[x]]></a:b>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parse(body)
		if err != nil {
			return
		}
		again, err := parse([]byte(elementXML("r", m)))
		if err != nil {
			t.Fatalf("written again, it does not parse: %v", err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Errorf("written again, it differs (-first +again):\n%s", diff)
		}
		Verify(initScript, m, testSecret)
	})
}

// FuzzReply: no bytes make a link, a crash, or an error that quotes us.
func FuzzReply(f *testing.F) {
	f.Add(200, []byte(answerXML(initScript, "", okFields()...)), "5")
	f.Add(302, []byte("<html>"), "Wed, 21 Oct 2015 07:28:00 GMT")
	f.Add(500, []byte(answerXML(initScript, "", pairs("pg_status", "error", "pg_error_code", "9991",
		"pg_error_description", "phone "+testPhone)...)), "")
	f.Fuzz(func(t *testing.T, status int, body []byte, after string) {
		q := testQuestion(initScript)
		r := reply{status: status, header: map[string][]string{"Retry-After": {after}}, body: body}
		link, ge := q.link(r)
		if ge == nil {
			t.Fatalf("a link without a signature: %v", link)
		}
		if ge.Signed || ge.Cause == "" || ge.RetryAfter < 0 || ge.RetryAfter > maxRetryAfter {
			t.Errorf("link: %#v", ge)
		}
		mustNotQuote(t, ge.Error()+ge.Description)
		if _, ge := q.state(r); ge == nil {
			t.Error("a status without a signature")
		}
	})
}

// BenchmarkAnswer is all that an answer costs after the network.
func BenchmarkAnswer(b *testing.B) {
	r := reply{status: 200, body: []byte(answerXML(initScript, testSecret, okFields()...))}
	q := testQuestion(initScript)
	b.ReportAllocs()
	for b.Loop() {
		if _, ge := q.link(r); ge != nil {
			b.Fatal(ge)
		}
	}
}
