package freedompay

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"paylink/internal/payment"
)

func packed(t testing.TB, kind string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch kind {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	case "flate":
		w, err = flate.NewWriter(&b, 9)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// answer opens an intent at a gateway that answers with a body and headers.
func answer(t *testing.T, body []byte, header ...string) (payment.Link, error) {
	t.Helper()
	g := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding: %q, want identity", got)
		}
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.Write(body)
	})
	return newClient(t, g.URL, func(c *Config) { c.MaxAnswer = 64 << 10 }).Open(t.Context(), plainIntent())
}

// TestAnswersThatAreCompressedAllTheSame: we ask for identity; who compresses
// nevertheless is understood.
func TestAnswersThatAreCompressedAllTheSame(t *testing.T) {
	xml := []byte(signedInit(okFields()...))
	gz := packed(t, "gzip", xml)
	for name, tt := range map[string]struct {
		body   []byte
		header []string
		cause  string // empty: a link
	}{
		"gzip":                        {gz, []string{"Content-Encoding", "gzip"}, ""},
		"x-gzip in capitals":          {gz, []string{"Content-Encoding", "X-GZIP"}, ""},
		"gzip without a word":         {gz, nil, ""},
		"deflate":                     {packed(t, "zlib", xml), []string{"Content-Encoding", "deflate"}, ""},
		"deflate without its wrapper": {packed(t, "flate", xml), []string{"Content-Encoding", "deflate"}, ""},
		"zstd":                        {packed(t, "zstd", xml), []string{"Content-Encoding", "zstd"}, ""},
		"identity":                    {xml, []string{"Content-Encoding", "identity"}, ""},
		"gzip, said and not done":     {xml, []string{"Content-Encoding", "gzip"}, ""},
		"twice":                       {packed(t, "gzip", packed(t, "zlib", xml)), []string{"Content-Encoding", "deflate, gzip"}, ""},
		"twice, in two headers":       {packed(t, "gzip", packed(t, "zlib", xml)), []string{"Content-Encoding", "deflate", "Content-Encoding", "gzip"}, ""},
		"more often than anybody":     {gz, []string{"Content-Encoding", "gzip, gzip, gzip, gzip"}, CauseEncoding},
		"brotli":                      {[]byte("\x0b\x02\x80abc\x03"), []string{"Content-Encoding", "br"}, CauseEncoding},
		"cut":                         {gz[:len(gz)-12], []string{"Content-Encoding", "gzip"}, CauseEncoding},
		"no gzip":                     {[]byte("Service unavailable"), []string{"Content-Encoding", "gzip"}, CauseEncoding},
		"a bomb":                      {packed(t, "gzip", make([]byte, 10<<20)), []string{"Content-Encoding", "gzip"}, CauseTooLarge},
		"a bomb of zstd":              {packed(t, "zstd", make([]byte, 10<<20)), []string{"Content-Encoding", "zstd"}, CauseTooLarge},
		"empty":                       {nil, []string{"Content-Encoding", "gzip"}, CauseEmpty},
	} {
		link, err := answer(t, tt.body, tt.header...)
		checkAnswer(t, name, link, err, tt.cause)
	}
}

func checkAnswer(t *testing.T, name string, link payment.Link, err error, cause string) {
	t.Helper()
	var ge *payment.GatewayError
	switch {
	case cause == "" && (err != nil || link.RedirectURL != testURL):
		t.Errorf("%s: %+v, %v, want the link", name, link, err)
	case cause != "" && (!errors.As(err, &ge) || ge.Cause != cause || ge.Class != payment.InDoubt):
		t.Errorf("%s: %v, want in doubt, %s", name, err, cause)
	}
}

// TestAnswersInOtherCharsets: what is signed is the text, whatever it is written in.
func TestAnswersInOtherCharsets(t *testing.T) {
	xml := signedInit(append(okFields(), Field{Name: "pg_note", Value: "Пополнение"})...)
	as := func(name string) string { return strings.Replace(xml, `encoding="utf-8"`, `encoding="`+name+`"`, 1) }
	cp1251, err := charmap.Windows1251.NewEncoder().String(as("windows-1251"))
	if err != nil {
		t.Fatal(err)
	}
	_, undeclared, _ := strings.Cut(cp1251, "?>\n")
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(as("UTF-16"))
	if err != nil {
		t.Fatal(err)
	}
	utf16BE, err := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder().String(as("UTF-16BE"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		body, contentType, cause string
	}{
		"UTF8":                           {as("UTF8"), "", ""},
		"utf_8":                          {as("utf_8"), "", ""},
		"US-ASCII that is UTF-8":         {as("US-ASCII"), "", ""},
		"windows-1251":                   {cp1251, "text/xml", ""},
		"windows-1251, header only":      {undeclared, "text/xml; charset=Windows-1251", ""},
		"windows-1251, nobody says so":   {undeclared, "text/xml", CauseBrokenXML},
		"the header is wrong, XML right": {xml, "text/xml; charset=windows-1251", ""},
		"UTF-16 with its mark":           {utf16, "", ""},
		"UTF-16 without its mark":        {utf16[2:], "", ""},
		"UTF-16, high bytes first":       {utf16BE, "", ""},
		"XML 1.1":                        {strings.Replace(xml, `version="1.0"`, `version='1.1'`, 1), "", ""},
		"windows-1251 after blanks":      {strings.Replace(cp1251, `encoding="windows-1251"`, `encoding = 'windows-1251' standalone="yes"`, 1), "", ""},
		"windows-1251 that says UTF-8":   {"<?xml version=\"1.0\" encoding=\"UTF-8\"?>" + undeclared, "text/xml; charset=windows-1251", ""},
		"no XML 1.1":                     {strings.Replace(xml, `version="1.0"`, `version="2.0"`, 1), "", CauseBrokenXML},
		"a mark of UTF-8":                {markUTF8 + xml, "", ""},
		"a mark, then blank lines":       {markUTF8 + "\r\n" + undeclaredOf(xml), "", ""},
		"unknown":                        {as("x-nobody-knows"), "", CauseBrokenXML},
	} {
		var header []string
		if tt.contentType != "" {
			header = []string{"Content-Type", tt.contentType}
		}
		link, err := answer(t, []byte(tt.body), header...)
		checkAnswer(t, name, link, err, tt.cause)
	}
}

func undeclaredOf(xml string) string {
	_, rest, _ := strings.Cut(xml, "?>\n")
	return rest
}

// TestAKindOfPageOfTheGatewaysOwn: a signed link is a link, and its kind is
// passed on.
func TestAKindOfPageOfTheGatewaysOwn(t *testing.T) {
	for _, word := range []string{"Need Data", "need_data", "wallet", "страница"} {
		link, err := answer(t, []byte(signedInit(with(okFields(), "pg_redirect_url_type", word)...)))
		if err != nil || link.RedirectURLType != word {
			t.Errorf("%q: %+v, %v", word, link, err)
		}
	}
}

// TestAProxysRefusalIsShownWithItsStatus and none of its words.
func TestAProxysRefusalIsShownWithItsStatus(t *testing.T) {
	for status, want := range map[int]string{
		407: "the proxy answered CONNECT with 407 Proxy Authentication Required", 403: "the proxy answered CONNECT with 403 Forbidden", 599: "the proxy answered CONNECT with 599",
	} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, "canary")
		}))
		defer proxy.Close()
		at, _ := url.Parse(proxy.URL)
		c := newClient(t, "https://gateway.example", func(c *Config) { c.Proxy = http.ProxyURL(at) })
		_, err := c.Open(t.Context(), plainIntent())
		var ge *payment.GatewayError
		if !errors.As(err, &ge) || ge.Class != payment.NotSent || ge.Cause != CauseProxy || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%d: %v, want not sent, proxy, %s", status, err, want)
		}
	}
}

// FuzzUnpack holds for any bytes: no panic, and no more than was allowed.
func FuzzUnpack(f *testing.F) {
	xml := []byte(signedInit(okFields()...))
	for _, kind := range []string{"gzip", "zlib", "flate", "zstd"} {
		f.Add("gzip", packed(f, kind, xml))
		f.Add("deflate", packed(f, kind, xml))
		f.Add("zstd, gzip", packed(f, kind, xml))
	}
	f.Fuzz(func(t *testing.T, encoding string, body []byte) {
		got, err := unpack(http.Header{"Content-Encoding": {encoding}}, body, 4<<10)
		if err == nil && len(got) > max(4<<10, len(body)) {
			t.Errorf("%d bytes", len(got))
		}
		if err != nil && err != errEncoding && err != errTooLarge {
			t.Error(err)
		}
	})
}
