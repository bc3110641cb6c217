package gatewaysim

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"paylink/internal/freedompay"
)

// An unkindness is one way to misbehave: a change of the reply that the
// gateway would give. The table in the package comment describes each.
type unkindness struct {
	name       string
	made       bool // the payment is made, or looked up, before it is played
	spoils     bool // it is played on ok answers only
	statusOnly bool
	takes      func(arg string) error // nil: no argument
	needsArg   bool
	play       func(r *reply, arg string)
}

// unkindnesses is the table of the package comment, with its deeds.
var unkindnesses = []unkindness{
	{name: "cut-before", play: cut},
	{name: "500-before", play: plain500},
	{name: "html", takes: httpStatus, play: htmlPage},
	{name: "429", takes: duration, play: func(r *reply, arg string) { r.tooMany(arg, false) }},
	{name: "429-date", takes: duration, needsArg: true, play: func(r *reply, arg string) { r.tooMany(arg, true) }},
	{name: "credentials", takes: errorCode, play: func(r *reply, arg string) { r.fail(or(arg, codeSignature), unsigned) }},
	{name: "error", takes: errorCode, needsArg: true, play: func(r *reply, arg string) { r.fail(arg, unsigned) }},
	{name: "signed-error", takes: errorCode, needsArg: true, play: func(r *reply, arg string) { r.fail(arg, signed) }},
	{name: "duplicate-before", play: func(r *reply, _ string) { r.fail(codeRepeated, unsigned) }},
	{name: "not-found", statusOnly: true, play: func(r *reply, _ string) { r.fail(codeUnknownOrder, unsigned) }},

	{name: "lost-answer", made: true, play: cut},
	{name: "500-after", made: true, play: plain500},
	{name: "error-after", made: true, spoils: true, takes: errorCode, needsArg: true, play: func(r *reply, arg string) { r.fail(arg, unsigned) }},
	{name: "duplicate", made: true, spoils: true, play: func(r *reply, _ string) { r.fail(codeRepeated, unsigned) }},
	{name: "slow", made: true, takes: duration, play: slow},
	{name: "pending", made: true, spoils: true, play: pending},
	{name: "unknown-status", made: true, spoils: true, play: func(r *reply, _ string) { r.say("unknown-status"); r.set("pg_status", "accepted") }},
	{name: "unsigned-ok", made: true, spoils: true, play: func(r *reply, _ string) { r.say("unsigned-ok"); r.signing = unsigned }},
	{name: "wrong-signature", made: true, spoils: true, play: func(r *reply, _ string) { r.say("wrong-signature"); r.signing = forged }},
	{name: "no-url", made: true, spoils: true, play: func(r *reply, _ string) { r.say("no-url"); r.drop("pg_redirect_url") }},
	{name: "no-payment-id", made: true, spoils: true, play: func(r *reply, _ string) { r.say("no-payment-id"); r.drop("pg_payment_id") }},
	{name: "bad-url", made: true, spoils: true, play: func(r *reply, _ string) { r.say("bad-url"); r.set("pg_redirect_url", "javascript:alert(1)") }},
	{name: "payment-system", made: true, spoils: true, play: func(r *reply, _ string) { r.set("pg_redirect_url_type", typePaymentSystem) }},
	{name: "html-type", made: true, play: func(r *reply, _ string) { r.contentType = "text/html; charset=utf-8" }},
	{name: "broken-xml", made: true, play: func(r *reply, _ string) { r.say("broken-xml"); r.garble = breakXML }},
	{name: "truncated-xml", made: true, play: func(r *reply, _ string) { r.say("truncated-xml"); r.truncate = true }},
	{name: "huge-body", made: true, takes: mebibytes, play: hugeBody},
	{name: "redirect", made: true, play: redirect},
	{name: "empty-body", made: true, play: func(r *reply, _ string) { r.say("empty-body"); r.garble = func([]byte) []byte { return nil } }},
}

func unkindnessNamed(name string) *unkindness {
	i := slices.IndexFunc(unkindnesses, func(u unkindness) bool { return u.name == name })
	if i < 0 {
		return nil
	}
	return &unkindnesses[i]
}

func unkindnessNames() []string {
	names := make([]string, len(unkindnesses))
	for i, u := range unkindnesses {
		names[i] = u.name
	}
	return names
}

func (u *unkindness) checkArg(arg string) error {
	switch {
	case arg == "" && u.needsArg:
		return errors.New("needs an argument")
	case arg == "":
		return nil
	case u.takes == nil:
		return errors.New("takes no argument")
	}
	return u.takes(arg)
}

func duration(arg string) error {
	if d, err := time.ParseDuration(arg); err != nil || d < 0 {
		return fmt.Errorf("%q is no duration", arg)
	}
	return nil
}

func httpStatus(arg string) error {
	if n, err := strconv.Atoi(arg); err != nil || n < 200 || n > 599 {
		return fmt.Errorf("%q is no HTTP status", arg)
	}
	return nil
}

func mebibytes(arg string) error {
	if n, err := strconv.Atoi(arg); err != nil || n < 1 || n > 1024 {
		return fmt.Errorf("%q is no number of MiB up to 1024", arg)
	}
	return nil
}

// errorCode takes "9999" and "9999:401".
func errorCode(arg string) error {
	code, status, found := strings.Cut(arg, ":")
	if n, err := strconv.Atoi(code); err != nil || n < 0 {
		return fmt.Errorf("%q is no error code", code)
	}
	if found {
		return httpStatus(status)
	}
	return nil
}

func or(arg, fallback string) string {
	if arg == "" {
		return fallback
	}
	return arg
}

func cut(r *reply, _ string) { *r = reply{kind: "cut", cut: true} }

func plain500(r *reply, _ string) {
	*r = reply{kind: "http 500", status: http.StatusInternalServerError, contentType: "text/plain; charset=utf-8",
		garble: func([]byte) []byte { return []byte("internal server error\n") }}
}

func htmlPage(r *reply, arg string) {
	status, _ := strconv.Atoi(or(arg, "503"))
	page := fmt.Sprintf("<!DOCTYPE html>\n<html><head><title>%d</title><meta charset=\"utf-8\"></head>\n"+
		"<body><h1>%d %s</h1><hr><br></body></html>\n", status, status, http.StatusText(status))
	*r = reply{kind: "http " + strconv.Itoa(status), status: status, contentType: "text/html; charset=utf-8",
		garble: func([]byte) []byte { return []byte(page) }}
}

// tooMany makes the reply an HTTP 429, with Retry-After if there is a time.
func (r *reply) tooMany(arg string, asDate bool) {
	wait, err := time.ParseDuration(arg)
	*r = reply{kind: "http 429", status: http.StatusTooManyRequests, contentType: "text/plain; charset=utf-8",
		hasRetryAfter: err == nil, retryAfter: wait, retryAsDate: asDate,
		garble: func([]byte) []byte { return []byte("too many requests\n") }}
}

// fail makes the reply an error; arg is its code and perhaps its HTTP status.
func (r *reply) fail(arg string, how signing) {
	code, status, _ := strings.Cut(arg, ":")
	e := errorReply(code, "", how)
	if n, err := strconv.Atoi(status); err == nil {
		e.status = n
	}
	*r = e
}

func slow(r *reply, arg string) {
	r.wait, _ = time.ParseDuration(or(arg, "30s"))
}

// pending keeps what is known of the payment and takes the link away.
func pending(r *reply, _ string) {
	r.say("pending")
	r.set("pg_status", "pending")
	r.fields = slices.DeleteFunc(r.fields, func(f freedompay.Field) bool {
		return strings.HasPrefix(f.Name, "pg_redirect_") || strings.HasPrefix(f.Name, "pg_error_")
	})
}

func hugeBody(r *reply, arg string) {
	r.say("huge-body")
	mib, _ := strconv.Atoi(or(arg, "8"))
	r.padding = mib << 20
}

func redirect(r *reply, _ string) {
	*r = reply{kind: "http 302", status: http.StatusFound, location: "/sim/redirected",
		garble: func([]byte) []byte { return nil }}
}

// breakXML swaps the end tags of an answer.
func breakXML(xml []byte) []byte {
	return []byte(strings.ReplaceAll(string(xml), "</pg_status>", "</pg_state>"))
}
