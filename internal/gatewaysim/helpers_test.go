package gatewaysim

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"paylink/internal/freedompay"
	"paylink/internal/payment"
)

const (
	merchant = "540001"
	secret   = payment.Secret("k1tt3n-and-butt3r")
)

// dawn is the time of tests: a fixed clock makes dates and lifetimes exact.
var dawn = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// A bench is a gateway on a real port, called with handmade requests.
type bench struct {
	*Gateway
	t      *testing.T
	url    string
	client *http.Client
}

var salts atomic.Int64

// newBench starts a gateway with one merchant and the clock at dawn.
func newBench(t *testing.T, cfg Config) *bench {
	t.Helper()
	if cfg.Merchants == nil {
		cfg.Merchants = map[string]payment.Secret{merchant: secret}
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return dawn }
	}
	g := New(cfg)
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &bench{Gateway: g, t: t, url: server.URL, client: client}
}

// order returns the least that Init takes, without signature.
func order(id string) []freedompay.Field {
	return []freedompay.Field{
		{Name: "pg_merchant_id", Value: merchant},
		{Name: "pg_order_id", Value: id},
		{Name: "pg_amount", Value: "1500.00"},
		{Name: "pg_description", Value: "Mobile balance top-up"},
		{Name: "pg_payment_method", Value: "mobile_commerce"},
		{Name: "pg_idempotency_key", Value: "key-" + id},
	}
}

func statusOf(id string) []freedompay.Field {
	return []freedompay.Field{{Name: "pg_merchant_id", Value: merchant}, {Name: "pg_order_id", Value: id}}
}

// with returns the fields with one set to a value, or added.
func with(fields []freedompay.Field, name, value string) []freedompay.Field {
	changed := append([]freedompay.Field(nil), fields...)
	for i := range changed {
		if changed[i].Name == name {
			changed[i].Value = value
			return changed
		}
	}
	return append(changed, freedompay.Field{Name: name, Value: value})
}

func without(fields []freedompay.Field, name string) []freedompay.Field {
	var left []freedompay.Field
	for _, f := range fields {
		if f.Name != name {
			left = append(left, f)
		}
	}
	return left
}

// sign adds a fresh salt and the signature.
func sign(script string, fields []freedompay.Field, s payment.Secret) []freedompay.Field {
	fields = with(fields, "pg_salt", fmt.Sprintf("salt%d", salts.Add(1)))
	return append(fields, freedompay.Field{Name: "pg_sig", Value: freedompay.Sign(script, fields, s)})
}

// An answer is what a call brought back.
type answer struct {
	err    error // of the call or of reading its body
	status int
	header http.Header
	body   []byte
	root   string
	fields []freedompay.Field // none if the body is no XML
}

func (a answer) value(name string) string {
	return (&form{fields: a.fields}).value(name)
}

// verifies reports whether the answer is signed with the merchant's secret.
func (a answer) verifies(script string) bool {
	return freedompay.Verify(script, a.fields, secret)
}

// in signs the fields and sends them.
func (b *bench) in(script string, fields []freedompay.Field) answer {
	b.t.Helper()
	return b.send(script, sign(script, fields, secret))
}

// send sends fields as they are, as multipart/form-data.
func (b *bench) send(script string, fields []freedompay.Field) answer {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, f := range fields {
		if err := w.WriteField(f.Name, f.Value); err != nil {
			b.t.Fatal(err)
		}
	}
	w.Close()
	return b.post("/"+script, w.FormDataContentType(), body.Bytes())
}

func (b *bench) post(path, contentType string, body []byte) answer {
	b.t.Helper()
	res, err := b.client.Post(b.url+path, contentType, bytes.NewReader(body))
	return readAnswer(res, err)
}

func (b *bench) get(path string) answer {
	b.t.Helper()
	res, err := b.client.Get(b.url + path)
	return readAnswer(res, err)
}

func (b *bench) pay(path string, values url.Values) answer {
	b.t.Helper()
	res, err := b.client.PostForm(b.url+path, values)
	return readAnswer(res, err)
}

func readAnswer(res *http.Response, err error) answer {
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	a.body, a.err = io.ReadAll(res.Body)
	a.readXML()
	return a
}

// readXML reads a flat document; a body that is none leaves no fields.
func (a *answer) readXML() {
	var doc struct {
		XMLName xml.Name
		Fields  []struct {
			XMLName xml.Name
			Value   string `xml:",chardata"`
		} `xml:",any"`
	}
	if xml.Unmarshal(a.body, &doc) != nil {
		return
	}
	a.root = doc.XMLName.Local
	for _, f := range doc.Fields {
		a.fields = append(a.fields, freedompay.Field{Name: f.XMLName.Local, Value: f.Value})
	}
}

// lastCall returns the newest call of the log.
func (b *bench) lastCall() Call {
	b.t.Helper()
	calls := b.Calls()
	if len(calls) == 0 {
		b.t.Fatal("the log is empty")
	}
	return calls[len(calls)-1]
}
