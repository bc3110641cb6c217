package gatewaysim

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"paylink/internal/freedompay"
)

// maxForm bounds the body of a call.
const maxForm = 1 << 20

// A Violation is one broken rule of a call. It never holds a value. Field is
// empty for the call as a whole. Code is the error it earns; a Violation
// without one is noted and otherwise overlooked.
type Violation struct {
	Field string `json:"field,omitempty"`
	Rule  string `json:"rule"`
	Code  string `json:"code,omitempty"`
}

// A form is what a call says, in the order in which it says it.
type form struct {
	fields     []freedompay.Field
	violations []Violation // of the form as such, not of its values
}

func (f *form) value(name string) string {
	for _, field := range f.fields {
		if field.Name == name {
			return field.Value
		}
	}
	return ""
}

// wrong notes a violation that earns the error "validation".
func (f *form) wrong(field, rule string) {
	f.violations = append(f.violations, Violation{Field: field, Rule: rule, Code: codeValidation})
}

// readForm reads a body that must be multipart/form-data.
func readForm(r *http.Request) *form {
	f := &form{}
	if r.Method != http.MethodPost {
		f.wrong("", "method is not POST")
	}
	if r.URL.RawQuery != "" {
		f.wrong("", "parameters in the URL")
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		f.wrong("", "body is not multipart/form-data")
		return f
	}
	bounded := io.LimitReader(r.Body, maxForm)
	body := multipart.NewReader(bounded, params["boundary"])
	for f.readPart(body) {
	}
	io.Copy(io.Discard, bounded) // to the end: only then does net/http notice callers that go away
	return f
}

// readPart reads one field; false: there are no more.
func (f *form) readPart(body *multipart.Reader) bool {
	part, err := body.NextPart()
	if errors.Is(err, io.EOF) {
		return false
	}
	if err != nil {
		f.wrong("", "body ends early, or is larger than 1 MiB")
		return false
	}
	value, err := io.ReadAll(part)
	if err != nil {
		f.wrong("", "body ends early, or is larger than 1 MiB")
		return false
	}
	name := part.FormName()
	if part.FileName() != "" {
		f.wrong(name, "is sent as a file")
	}
	if slices.ContainsFunc(f.fields, func(g freedompay.Field) bool { return g.Name == name }) {
		f.wrong(name, "is repeated")
	}
	f.fields = append(f.fields, freedompay.Field{Name: name, Value: string(value)})
	return true
}

// check notes every rule of the page that the form breaks. A form that could
// not be read as fields is not judged field by field.
func (f *form) check(params []param) {
	if len(f.fields) == 0 {
		if len(f.violations) == 0 {
			f.wrong("", "body has no fields")
		}
		return
	}
	given := map[string]bool{}
	for _, field := range f.fields {
		given[field.Name] = true
		f.checkField(paramNamed(params, field.Name), field)
	}
	for i := range params {
		if p := &params[i]; p.required && !given[p.name] {
			f.wrong(p.name, "is missing")
		}
	}
}

// checkField judges one field. Fields without "pg_" are the merchant's own:
// they are signed, and have no rule but that they say something.
func (f *form) checkField(p *param, field freedompay.Field) {
	if p == nil {
		if strings.HasPrefix(field.Name, "pg_") {
			f.wrong(field.Name, "is no parameter of this script")
			return
		}
		p = &param{}
	}
	if rule := p.broken(field.Value); rule != "" {
		f.wrong(field.Name, rule)
	}
}

// A masker hides values. Equal values look equal within one gateway; its key
// is random, so that short values cannot be guessed from a log.
type masker [32]byte

func newMasker() masker {
	var m masker
	rand.Read(m[:])
	return m
}

func (m masker) hide(v string) string {
	h := hmac.New(sha256.New, m[:])
	h.Write([]byte(v))
	return "masked-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// canonical returns what a call says besides salt and signature: sorted by
// name, URL-encoded, with all that is personal or unknown masked.
func (f *form) canonical(params []param, m masker) string {
	said := url.Values{}
	for _, field := range f.fields {
		if field.Name == "pg_salt" || field.Name == "pg_sig" {
			continue
		}
		v := field.Value
		if p := paramNamed(params, field.Name); p == nil || p.personal {
			v = m.hide(v)
		}
		said.Add(field.Name, v)
	}
	return said.Encode()
}
