package gatewaysim

import (
	"bytes"
	"encoding/xml"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"paylink/internal/freedompay"
	"paylink/internal/payment"
)

// The error codes that the gateway says by itself. No official list is public.
const (
	codeValidation   = "9403"
	codeMerchant     = "9997"
	codeSignature    = "9998"
	codeRepeated     = "11013"
	codeUnknownOrder = "11068"
)

var errorTexts = map[string]string{
	codeValidation:   "Validation error",
	codeMerchant:     "Wrong merchant",
	codeSignature:    "Incorrect signature",
	codeRepeated:     "Repeated operation",
	codeUnknownOrder: "Payment not found",
	"1000":           "Internal error",
	"1100":           "Incorrect signature",
	"9991":           "Order id is not unique",
	"9992":           "Payment method is not activated",
	"9999":           "System error",
	"10000":          "Service is temporarily unavailable",
	"11005":          "Incorrect amount",
}

// A signing says how a reply is signed.
type signing int

const (
	signed   signing = iota // as it should be
	unsigned                // no salt, no signature
	forged                  // with a secret that nobody has
)

// A reply is what a caller is to see. Changing one is a pure decision; send
// does the deed. The zero reply is an empty, signed XML answer.
type reply struct {
	kind    string // for the log: "ok", "error 9998", "http 503", "cut", …
	status  int    // HTTP status; 0: 200
	fields  []freedompay.Field
	signing signing
	root    string
	body    []byte // filled in by seal

	wait          time.Duration // before it is sent, besides the latency
	cut           bool          // nothing is sent: the connection is cut
	truncate      bool          // half is sent, then the connection is cut
	garble        func([]byte) []byte
	padding       int // bytes of a last element that nobody needs
	contentType   string
	location      string
	hasRetryAfter bool
	retryAfter    time.Duration
	retryAsDate   bool
}

// errorReply is an answer with pg_status=error.
func errorReply(code, detail string, how signing) reply {
	text := errorTexts[code]
	if text == "" {
		text = "Error " + code
	}
	if detail != "" {
		text += ": " + detail
	}
	return reply{kind: "error " + code, signing: how, fields: []freedompay.Field{
		{Name: "pg_status", Value: "error"},
		{Name: "pg_error_code", Value: code},
		{Name: "pg_error_description", Value: text},
	}}
}

// say names the reply for the log.
func (r *reply) say(kind string) { r.kind = kind }

// set gives a field another value, if the reply has it.
func (r *reply) set(name, value string) {
	for i := range r.fields {
		if r.fields[i].Name == name {
			r.fields[i].Value = value
		}
	}
}

func (r *reply) drop(name string) {
	r.fields = slices.DeleteFunc(r.fields, func(f freedompay.Field) bool { return f.Name == name })
}

// seal signs the reply and writes its body.
func (r *reply) seal(script string, secret payment.Secret, rng *rand.Rand) {
	if r.signing == forged {
		secret += "?"
	}
	if r.signing != unsigned {
		r.fields = append(r.fields, freedompay.Field{Name: "pg_salt", Value: randomSalt(rng)})
		r.fields = append(r.fields, freedompay.Field{Name: "pg_sig", Value: freedompay.Sign(script, r.fields, secret)})
	}
	r.body = encodeXML(r.root, r.fields)
	if r.garble != nil {
		r.body = r.garble(r.body)
	}
}

const saltAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func randomSalt(rng *rand.Rand) string {
	var salt [16]byte
	for i := range salt {
		salt[i] = saltAlphabet[rng.IntN(len(saltAlphabet))]
	}
	return string(salt[:])
}

func encodeXML(root string, fields []freedompay.Field) []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?>` + "\n<" + root + ">")
	for _, f := range fields {
		b.WriteString("<" + f.Name + ">")
		xml.EscapeText(&b, []byte(f.Value))
		b.WriteString("</" + f.Name + ">")
	}
	b.WriteString("</" + root + ">\n")
	return b.Bytes()
}

// send sends a sealed reply. It panics with http.ErrAbortHandler to cut the
// connection.
func (r reply) send(w http.ResponseWriter, req *http.Request, now time.Time) {
	if r.cut {
		panic(http.ErrAbortHandler)
	}
	r.writeHeader(w, now)
	switch {
	case r.truncate:
		w.Write(r.body[:len(r.body)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case r.padding > 0:
		r.writePadded(w, req)
	default:
		w.Write(r.body)
	}
}

func (r reply) writeHeader(w http.ResponseWriter, now time.Time) {
	h := w.Header()
	if r.contentType == "" {
		r.contentType = "application/xml"
	}
	h.Set("Content-Type", r.contentType)
	if r.location != "" {
		h.Set("Location", r.location)
	}
	if r.hasRetryAfter && r.retryAsDate {
		h.Set("Retry-After", now.Add(r.retryAfter).UTC().Format(http.TimeFormat))
	} else if r.hasRetryAfter {
		h.Set("Retry-After", strconv.Itoa(int((r.retryAfter+time.Second-1)/time.Second)))
	}
	if r.padding == 0 {
		h.Set("Content-Length", strconv.Itoa(len(r.body)))
	}
	if r.status == 0 {
		r.status = http.StatusOK
	}
	w.WriteHeader(r.status)
}

// writePadded sends the answer with one more, very long element, and gives up
// as soon as the caller does.
func (r reply) writePadded(w http.ResponseWriter, req *http.Request) {
	end := []byte("</" + r.root + ">\n")
	w.Write(append(bytes.TrimSuffix(r.body, end), "<pg_padding>"...))
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	for sent := 0; sent < r.padding && req.Context().Err() == nil; sent += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
	w.Write(append([]byte("</pg_padding>"), end...))
}

// reply returns how a gateway that is down answers.
func (how Downtime) reply() reply {
	var r reply
	if how == Disconnect {
		cut(&r, "")
		return r
	}
	htmlPage(&r, "503")
	r.body = r.garble(nil)
	return r
}
