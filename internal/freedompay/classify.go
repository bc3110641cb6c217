package freedompay

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"paylink/internal/payment"
)

// maxRetryAfter bounds what a gateway may ask us to wait.
const maxRetryAfter = time.Hour

// A reply is an HTTP answer, read.
type reply struct {
	status   int
	header   http.Header
	body     []byte
	tooLarge bool // the body was longer than we read
	packed   bool // the body is compressed, and cannot be unpacked

	large chan struct{} // has a token for it; nil: it is no larger than usual
}

// grow waits until the reply may be larger than usual.
func (r *reply) grow(ctx context.Context, large chan struct{}) error {
	if r.large != nil {
		return nil
	}
	select {
	case large <- struct{}{}:
		r.large = large
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// free says that nothing of the reply is needed any more.
func (r *reply) free() {
	if r.large != nil {
		<-r.large
		r.large = nil
	}
}

// A question is what was asked, as far as it matters to understand a reply.
type question struct {
	script string
	links  links
	intent payment.Intent // its order id, and what must not be quoted
	secret payment.Secret
	now    time.Time // what a date in Retry-After counts from, if the answer has none of its own
}

// link understands the reply to Init. The error is nil only for a signed "ok"
// with payment id, link and kind of page. The kind is passed on in the gateway's
// own words, also those that its page does not name: a signed link is a link.
func (q question) link(r reply) (payment.Link, *payment.GatewayError) {
	m, ge := q.signedOK(r)
	if ge != nil {
		return payment.Link{}, ge
	}
	l := payment.Link{
		PaymentID:       paymentID(m.value("pg_payment_id")),
		RedirectURL:     m.value("pg_redirect_url"),
		RedirectURLType: m.value("pg_redirect_url_type"),
		RedirectQR:      m.value("pg_redirect_qr"),
	}
	if len(l.RedirectQR) > maxQR {
		l.RedirectQR = "" // the link is whole without it, and an outcome with it might not be taken
	}
	wrong := q.links.rule(l.RedirectURL)
	switch {
	case l.PaymentID == 0:
		return payment.Link{}, q.signedDoubt(r, CauseBadPaymentID)
	case wrong != "":
		ge := q.signedDoubt(r, CauseBadURL)
		ge.Err = errors.New("the link " + wrong)
		return payment.Link{}, ge
	case !isWord(l.RedirectURLType):
		return payment.Link{}, q.signedDoubt(r, CauseBadURLType)
	}
	return l, nil
}

// maxQR is how many bytes a QR code may have. A picture of the longest link has a tenth.
const maxQR = 128 << 10

// isOfAnother reports whether a message names another order than the intent's. It need
// not name any.
func (q question) isOfAnother(m message) bool {
	return slices.ContainsFunc(m, func(f Field) bool {
		return f.Name == "pg_order_id" && (len(f.Fields) > 0 || f.Value != "" && f.Value != q.intent.OrderID)
	})
}

// state understands the reply to a status look-up. An amount or currency that
// is not written as one is left out: that the payment exists is the news.
//
// A look-up cannot refuse an intent: what would be a refusal or a duplicate of
// Init is in doubt here.
func (q question) state(r reply) (payment.Status, *payment.GatewayError) {
	m, ge := q.signedOK(r)
	if ge != nil {
		return payment.Status{}, asLookup(ge)
	}
	s := payment.Status{
		PaymentID: paymentID(m.value("pg_payment_id")),
		OrderID:   q.intent.OrderID,
		State:     cut(strings.Map(printable, m.value("pg_payment_status"))),
		Amount:    amount(m.value("pg_amount")),
		Currency:  currency(m.value("pg_currency")),
	}
	switch {
	case s.PaymentID == 0:
		return payment.Status{}, q.signedDoubt(r, CauseBadPaymentID)
	case s.State == "":
		return payment.Status{}, q.signedDoubt(r, CauseBadState)
	}
	return s, nil
}

// asLookup turns an error of Init into what it means for a status look-up.
func asLookup(ge *payment.GatewayError) *payment.GatewayError {
	switch {
	case ge.Code == codeNotFound && ge.Cause != CauseBadSignature:
		ge.Class, ge.Cause, ge.Err = payment.InDoubt, CauseNotFound, payment.ErrNotFound
	case ge.Class == payment.RefusedForGood || ge.Class == payment.IsDuplicate:
		ge.Class = payment.InDoubt
	}
	return ge
}

// signedOK returns the message of a reply that says "ok" under a signature
// that verified. A message wins over the HTTP status it came with.
func (q question) signedOK(r reply) (message, *payment.GatewayError) {
	m, err := r.message()
	if err != nil {
		return nil, q.doubt(r, r.cause(err))
	}
	status := m.value("pg_status")
	claimed := m.hasSignature()
	verified := claimed && Verify(q.script, m, q.secret)
	switch {
	case status == "":
		return nil, q.doubt(r, httpCause(r.status, CauseNoStatus))
	case q.isOfAnother(m):
		ge := q.doubt(r, CauseOtherOrder)
		ge.Signed = verified
		return nil, ge
	case status == "error":
		return nil, q.told(r, m, claimed, verified)
	case claimed && !verified:
		return nil, q.doubt(r, CauseBadSignature)
	case status == "pending":
		return nil, q.doubt(r, CausePending)
	case status != "ok":
		return nil, q.doubt(r, CauseUnknownStatus)
	case !verified:
		return nil, q.doubt(r, CauseUnsignedOK)
	}
	return m, nil
}

// told classifies an error that the gateway told.
//
// A signature that does not verify leaves it in doubt, with one exception:
// when the error is about our credentials. With a wrong secret here, that is
// just what the gateway's own signature must look like; and whoever forges it
// gains nothing, since the same error would be heard without any signature.
func (q question) told(r reply, m message, claimed, verified bool) *payment.GatewayError {
	ge := q.doubt(r, CauseBadSignature)
	ge.Signed = verified
	ge.Code = cleanCode(m.value("pg_error_code"))
	ge.Description = cleanDescription(m.value("pg_error_description"), q.intent, q.secret)
	class, cause := classOf(ge.Code)
	if claimed && !verified {
		if class == payment.Misconfigured {
			ge.Class = class
		}
		return ge
	}
	if cause == CauseUnknownCode && verified {
		class = payment.RefusedForGood
	}
	ge.Class, ge.Cause = class, cause
	return ge
}

// doubt is the careful answer: the gateway may or may not have acted.
func (q question) doubt(r reply, cause string) *payment.GatewayError {
	return &payment.GatewayError{
		Class: payment.InDoubt, Cause: cause, Status: r.status,
		RetryAfter: retryAfter(r.header, q.now),
	}
}

func (q question) signedDoubt(r reply, cause string) *payment.GatewayError {
	ge := q.doubt(r, cause)
	ge.Signed = true
	return ge
}

// message parses the body.
func (r reply) message() (message, error) {
	switch {
	case r.tooLarge:
		return nil, errTooLarge
	case r.packed:
		return nil, errEncoding
	}
	return parse(inUTF8(r.header, r.body))
}

var errTooLarge = errors.New("the answer is too large")

// cause says why a body is no message; the HTTP status says more than the
// body, unless the body was too much.
func (r reply) cause(err error) string {
	switch err {
	case errTooLarge:
		return CauseTooLarge
	case errEncoding:
		return httpCause(r.status, CauseEncoding)
	case errEmpty:
		return httpCause(r.status, CauseEmpty)
	case errHTML:
		return httpCause(r.status, CauseHTML)
	}
	return httpCause(r.status, CauseBrokenXML)
}

// httpCause returns the cause that an HTTP status is, or other if it is 2xx.
func httpCause(status int, other string) string {
	switch {
	case status == http.StatusTooManyRequests:
		return CauseTooMany
	case status >= 500 && status < 600:
		return CauseHTTP5xx
	case status >= 400 && status < 500:
		return CauseHTTP4xx
	case status >= 300 && status < 400:
		return CauseRedirect
	case status >= 200 && status < 300:
		return other
	}
	return CauseHTTPOdd
}

// retryAfter reads the header: seconds or an HTTP date. A date counts from the
// answer's own Date, if it has one: the server's clock need not be ours. Nonsense
// and the past are no wait, and no wait is longer than maxRetryAfter.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if s := strings.TrimLeft(v, "0123456789"); s == "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if said, err := http.ParseTime(h.Get("Date")); err == nil {
		now = said
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// paymentID returns a positive int64 written plainly, or 0.
func paymentID(s string) int64 {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != s {
		return 0
	}
	return id
}

// isWord reports whether a text can be passed on as a word of the gateway's.
func isWord(s string) bool {
	return strings.TrimSpace(s) != "" && len(s) <= maxWord && strings.IndexFunc(s, unicode.IsControl) < 0
}

const maxWord = 100

// amount returns a plain decimal as it is written, or "".
func amount(s string) payment.Money {
	if _, _, err := payment.Decimal(s); err != nil {
		return ""
	}
	return payment.Money(s)
}

// currency returns three capital letters as they are, or "".
func currency(s string) string {
	if payment.FieldNamed("currency").Check(s) != nil {
		return ""
	}
	return s
}
