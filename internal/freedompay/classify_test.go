package freedompay

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

var testNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func testQuestion(script string) question {
	in := fullIntent()
	in.OrderID = "order-1"
	return question{script: script, intent: in, secret: testSecret, now: testNow}
}

// mustNotQuote fails if a text holds one of the canaries.
func mustNotQuote(t *testing.T, text string) {
	t.Helper()
	for _, canary := range []string{testSecret.Reveal(), testPhone, testEmail, testIP} {
		if strings.Contains(text, canary) {
			t.Errorf("%q quotes %q", text, canary)
		}
	}
}

func signedInit(f ...Field) string { return answerXML(initScript, testSecret, f...) }
func unsigned(f ...Field) string   { return answerXML(initScript, "", f...) }
func forged(f ...Field) string     { return answerXML(initScript, "another secret", f...) }

func errorFields(code string) []Field {
	return pairs("pg_status", "error", "pg_error_code", code, "pg_error_description", "why")
}

// verdict is what a test says about a GatewayError.
type verdict struct {
	Class  payment.Class
	Cause  string
	Signed bool
	Code   string
}

func verdictOf(ge *payment.GatewayError) verdict {
	if ge == nil {
		return verdict{}
	}
	return verdict{ge.Class, ge.Cause, ge.Signed, ge.Code}
}

const (
	doubt  = payment.InDoubt
	refuse = payment.RefusedForGood
	double = payment.IsDuplicate
	setup  = payment.Misconfigured
)

func TestWhatAnAnswerToInitProves(t *testing.T) {
	ok := okFields()
	twice := append(okFields(), Field{Name: "pg_status", Value: "ok"})
	nested := append(okFields(), Field{Name: "pg_extra", Fields: pairs("b", "2", "a", "1")})
	sig := func(v string) []Field { return append(okFields(), Field{Name: "pg_sig", Value: v}) }
	emptySig := append(errorFields("9998"), Field{Name: "pg_sig"})
	tests := []struct {
		name   string
		status int
		body   string
		want   verdict // zero: a link
	}{
		// Signed ok.
		{"signed ok", 200, signedInit(ok...), verdict{}},
		{"signed ok, documented root", 200, strings.ReplaceAll(signedInit(ok...), "response>", "root>"), verdict{}},
		{"signed ok, other root", 200, strings.ReplaceAll(signedInit(ok...), "response>", "x>"), verdict{}},
		{"signed ok with nested fields", 200, signedInit(nested...), verdict{}},
		{"signed ok with empty field", 200, signedInit(append(ok, Field{Name: "pg_x"})...), verdict{}},
		{"signed ok, payment system", 200, signedInit(with(ok, "pg_redirect_url_type", "payment system")...), verdict{}},
		{"signed ok, largest id", 200, signedInit(with(ok, "pg_payment_id", "9223372036854775807")...), verdict{}},
		{"signed ok, order named", 200, signedInit(append(ok, Field{Name: "pg_order_id", Value: "order-1"})...), verdict{}},
		{"signed ok under 500", 500, signedInit(ok...), verdict{}},
		{"signed ok under 302", 302, signedInit(ok...), verdict{}},

		// Ok that proves nothing.
		{"unsigned ok", 200, unsigned(ok...), verdict{doubt, CauseUnsignedOK, false, ""}},
		{"ok with empty signature", 200, unsigned(sig("")...), verdict{doubt, CauseUnsignedOK, false, ""}},
		{"ok with another's signature", 200, forged(ok...), verdict{doubt, CauseBadSignature, false, ""}},
		{"ok signed for another script", 200, answerXML(statusScript, testSecret, ok...), verdict{doubt, CauseBadSignature, false, ""}},
		{"ok changed after signing", 200, strings.Replace(signedInit(ok...), "4294967297", "4294967298", 1), verdict{doubt, CauseBadSignature, false, ""}},
		{"ok with a blank added", 200, strings.Replace(signedInit(ok...), ">need data<", "> need data<", 1), verdict{doubt, CauseBadSignature, false, ""}},
		{"ok with a field added", 200, strings.Replace(signedInit(ok...), "<pg_salt>", "<x>1</x><pg_salt>", 1), verdict{doubt, CauseBadSignature, false, ""}},
		{"ok, status twice", 200, signedInit(twice...), verdict{doubt, CauseNoStatus, false, ""}},

		// Signed ok that is incomplete, or an answer to somebody else.
		{"another order", 200, signedInit(append(ok, Field{Name: "pg_order_id", Value: "order-2"})...), verdict{doubt, CauseOtherOrder, true, ""}},
		{"two other orders", 200, signedInit(append(ok, pairs("pg_order_id", "order-2", "pg_order_id", "order-3")...)...), verdict{doubt, CauseOtherOrder, true, ""}},
		{"refusal of another order", 200, signedInit(append(errorFields("9403"), Field{Name: "pg_order_id", Value: "order-2"})...), verdict{doubt, CauseOtherOrder, true, ""}},
		{"the same, unsigned", 200, unsigned(append(errorFields("9403"), Field{Name: "pg_order_id", Value: "order-2"})...), verdict{doubt, CauseOtherOrder, false, ""}},
		{"no payment id", 200, signedInit(with(ok, "pg_payment_id", "")...), verdict{doubt, CauseBadPaymentID, true, ""}},
		{"payment id zero", 200, signedInit(with(ok, "pg_payment_id", "0")...), verdict{doubt, CauseBadPaymentID, true, ""}},
		{"payment id negative", 200, signedInit(with(ok, "pg_payment_id", "-5")...), verdict{doubt, CauseBadPaymentID, true, ""}},
		{"payment id with blank", 200, signedInit(with(ok, "pg_payment_id", " 5")...), verdict{doubt, CauseBadPaymentID, true, ""}},
		{"payment id beyond int64", 200, signedInit(with(ok, "pg_payment_id", "9223372036854775808")...), verdict{doubt, CauseBadPaymentID, true, ""}},
		{"payment id twice", 200, signedInit(append(ok, Field{Name: "pg_payment_id", Value: "7"})...), verdict{doubt, CauseBadPaymentID, true, ""}},
		{"no link", 200, signedInit(with(ok, "pg_redirect_url", "")...), verdict{doubt, CauseBadURL, true, ""}},
		{"link is script", 200, signedInit(with(ok, "pg_redirect_url", "javascript:alert(1)")...), verdict{doubt, CauseBadURL, true, ""}},
		{"link is plain http", 200, signedInit(with(ok, "pg_redirect_url", "http://h/p")...), verdict{doubt, CauseBadURL, true, ""}},
		{"link is relative", 200, signedInit(with(ok, "pg_redirect_url", "/pay.html")...), verdict{doubt, CauseBadURL, true, ""}},
		{"link without host", 200, signedInit(with(ok, "pg_redirect_url", "https:///pay")...), verdict{doubt, CauseBadURL, true, ""}},
		{"link with blank", 200, signedInit(with(ok, "pg_redirect_url", "https://h/a b")...), verdict{doubt, CauseBadURL, true, ""}},
		{"link with line end", 200, signedInit(with(ok, "pg_redirect_url", "https://h/a\n")...), verdict{doubt, CauseBadURL, true, ""}},
		{"no kind of page", 200, signedInit(with(ok, "pg_redirect_url_type", "")...), verdict{doubt, CauseBadURLType, true, ""}},
		{"blank kind of page", 200, signedInit(with(ok, "pg_redirect_url_type", " ")...), verdict{doubt, CauseBadURLType, true, ""}},
		{"kind of page with a line end", 200, signedInit(with(ok, "pg_redirect_url_type", "a\nb")...), verdict{doubt, CauseBadURLType, true, ""}},
		{"a book for a kind of page", 200, signedInit(with(ok, "pg_redirect_url_type", strings.Repeat("a", maxWord+1))...), verdict{doubt, CauseBadURLType, true, ""}},

		// Neither ok nor error.
		{"signed pending", 200, signedInit(with(ok, "pg_status", "pending")...), verdict{doubt, CausePending, false, ""}},
		{"unsigned pending", 200, unsigned(with(ok, "pg_status", "pending")...), verdict{doubt, CausePending, false, ""}},
		{"forged pending", 200, forged(with(ok, "pg_status", "pending")...), verdict{doubt, CauseBadSignature, false, ""}},
		{"unknown word", 200, signedInit(with(ok, "pg_status", "accepted")...), verdict{doubt, CauseUnknownStatus, false, ""}},
		{"OK in capitals", 200, signedInit(with(ok, "pg_status", "OK")...), verdict{doubt, CauseUnknownStatus, false, ""}},
		{"no status", 200, signedInit(with(ok, "pg_status", "")...), verdict{doubt, CauseNoStatus, false, ""}},
		{"no status under 503", 503, "<error>down</error>", verdict{doubt, CauseHTTP5xx, false, ""}},

		// Errors, signed and not.
		{"signed refusal", 200, signedInit(errorFields("9403")...), verdict{refuse, CauseRefused, true, "9403"}},
		{"unsigned refusal", 200, unsigned(errorFields("9403")...), verdict{refuse, CauseRefused, false, "9403"}},
		{"refusal, code with blanks", 200, signedInit(errorFields(" 9403\n")...), verdict{refuse, CauseRefused, true, "9403"}},
		{"forged refusal", 200, forged(errorFields("9403")...), verdict{doubt, CauseBadSignature, false, "9403"}},
		{"signed duplicate", 200, signedInit(errorFields("9991")...), verdict{double, CauseDuplicate, true, "9991"}},
		{"unsigned duplicate", 200, unsigned(errorFields("11013")...), verdict{double, CauseDuplicate, false, "11013"}},
		{"forged duplicate", 200, forged(errorFields("9991")...), verdict{doubt, CauseBadSignature, false, "9991"}},
		{"signed set-up", 200, signedInit(errorFields("9992")...), verdict{setup, CauseMisconfigured, true, "9992"}},
		{"unsigned set-up", 200, unsigned(errorFields("9998")...), verdict{setup, CauseMisconfigured, false, "9998"}},
		{"set-up with empty signature", 200, unsigned(emptySig...), verdict{setup, CauseMisconfigured, false, "9998"}},
		{"set-up signed with the right secret, which we lack", 200, forged(errorFields("9998")...), verdict{setup, CauseBadSignature, false, "9998"}},
		{"signed may pass", 200, signedInit(errorFields("10000")...), verdict{doubt, CauseMayPass, true, "10000"}},
		{"unsigned may pass", 200, unsigned(errorFields("9999")...), verdict{doubt, CauseMayPass, false, "9999"}},
		{"signed unknown code", 200, signedInit(errorFields("77777")...), verdict{refuse, CauseUnknownCode, true, "77777"}},
		{"unsigned unknown code", 200, unsigned(errorFields("77777")...), verdict{doubt, CauseUnknownCode, false, "77777"}},
		{"signed, no code", 200, signedInit(with(errorFields("1"), "pg_error_code", "")...), verdict{doubt, CauseNoCode, true, ""}},
		{"signed, code is no number", 200, signedInit(errorFields(testEmail)...), verdict{doubt, CauseNoCode, true, ""}},
		{"signed, code too long", 200, signedInit(errorFields(testPhone)...), verdict{doubt, CauseNoCode, true, ""}},
		{"not found is unknown to Init", 200, unsigned(errorFields("11068")...), verdict{doubt, CauseUnknownCode, false, "11068"}},

		// An error that is XML wins over the HTTP status.
		{"refusal under 400", 400, signedInit(errorFields("9403")...), verdict{refuse, CauseRefused, true, "9403"}},
		{"set-up under 401", 401, unsigned(errorFields("9998")...), verdict{setup, CauseMisconfigured, false, "9998"}},
		{"refusal under 500", 500, signedInit(errorFields("9403")...), verdict{refuse, CauseRefused, true, "9403"}},
		{"may pass under 429", 429, unsigned(errorFields("9999")...), verdict{doubt, CauseMayPass, false, "9999"}},
		{"duplicate under 302", 302, signedInit(errorFields("9991")...), verdict{double, CauseDuplicate, true, "9991"}},

		// No message at all.
		{"301", 301, "", verdict{doubt, CauseRedirect, false, ""}},
		{"302 HTML", 302, "<html>moved</html>", verdict{doubt, CauseRedirect, false, ""}},
		{"304", 304, "", verdict{doubt, CauseRedirect, false, ""}},
		{"403 HTML", 403, "<html>no</html>", verdict{doubt, CauseHTTP4xx, false, ""}},
		{"404 text", 404, "not found", verdict{doubt, CauseHTTP4xx, false, ""}},
		{"429", 429, "", verdict{doubt, CauseTooMany, false, ""}},
		{"429 HTML", 429, "<html>slow</html>", verdict{doubt, CauseTooMany, false, ""}},
		{"500", 500, "", verdict{doubt, CauseHTTP5xx, false, ""}},
		{"503 HTML", 503, "<!DOCTYPE html><p>down", verdict{doubt, CauseHTTP5xx, false, ""}},
		{"599 broken", 599, "<r>", verdict{doubt, CauseHTTP5xx, false, ""}},
		{"200 HTML", 200, "<!doctype html><title>hello</title>", verdict{doubt, CauseHTML, false, ""}},
		{"200 JSON", 200, `{"pg_status":"ok"}`, verdict{doubt, CauseBrokenXML, false, ""}},
		{"200 cut XML", 200, signedInit(ok...)[:150], verdict{doubt, CauseBrokenXML, false, ""}},
		{"200 other charset", 200, strings.Replace(signedInit(ok...), "utf-8", "x-nobody-knows", 1), verdict{doubt, CauseBrokenXML, false, ""}},
		{"200 empty", 200, "", verdict{doubt, CauseEmpty, false, ""}},
		{"204", 204, "", verdict{doubt, CauseEmpty, false, ""}},
		{"101", 101, "", verdict{doubt, CauseHTTPOdd, false, ""}},
		{"600", 600, "", verdict{doubt, CauseHTTPOdd, false, ""}},
	}
	for _, tt := range tests {
		link, ge := testQuestion(initScript).link(reply{status: tt.status, body: []byte(tt.body)})
		if diff := cmp.Diff(tt.want, verdictOf(ge)); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", tt.name, diff)
		}
		if (ge == nil) != (link.RedirectURL != "") {
			t.Errorf("%s: link %v and error %v", tt.name, link, ge)
		}
		if ge != nil && ge.Status != tt.status {
			t.Errorf("%s: Status = %d, want %d", tt.name, ge.Status, tt.status)
		}
	}
}

func TestLinkIsWhole(t *testing.T) {
	f := append(okFields(), Field{Name: "pg_redirect_qr", Value: "aGk="})
	got, ge := testQuestion(initScript).link(reply{status: 200, body: []byte(signedInit(f...))})
	want := payment.Link{PaymentID: 4294967297, RedirectURL: testURL, RedirectURLType: payment.URLNeedData, RedirectQR: "aGk="}
	if ge != nil || got != want {
		t.Errorf("link = %v, %v; want %v", got, ge, want)
	}
}

// TestAQRCodeHasABound: a link is published without one that might keep it from being so.
func TestAQRCodeHasABound(t *testing.T) {
	for size, want := range map[int]int{maxQR: maxQR, maxQR + 1: 0} {
		f := append(okFields(), Field{Name: "pg_redirect_qr", Value: strings.Repeat("A", size)})
		got, ge := testQuestion(initScript).link(reply{status: 200, body: []byte(signedInit(f...))})
		if ge != nil || got.RedirectURL != testURL || len(got.RedirectQR) != want {
			t.Errorf("%d bytes: %d in the link to %s, %v; want %d", size, len(got.RedirectQR), got.RedirectURL, ge, want)
		}
	}
}

func TestTooLargeIsInDoubt(t *testing.T) {
	_, ge := testQuestion(initScript).link(reply{status: 200, tooLarge: true, body: []byte(signedInit(okFields()...))})
	if want := (verdict{doubt, CauseTooLarge, false, ""}); verdictOf(ge) != want {
		t.Errorf("link = %v, want %v", verdictOf(ge), want)
	}
}

// TestEveryKnownCode holds the table of freedompay-api.md as it is written there.
func TestEveryKnownCode(t *testing.T) {
	for class, codes := range map[payment.Class]string{
		payment.Misconfigured: "1100 9998 9997 9992 9994 9996 100 101 110 120",
		payment.RefusedForGood: "9403 200 9993 9995 10030 10031 11004 11021 11005 11015 11016 11019 11020 11012 " +
			"11022 11023 11011 11024 10018 700 701 711 850",
		payment.IsDuplicate: "9991 11013 10011 10015",
		payment.InDoubt:     "1000 9999 10000 11000 11014 12000 99999",
	} {
		for code := range strings.FieldsSeq(codes) {
			if got, cause := classOf(code); got != class || cause == CauseUnknownCode {
				t.Errorf("classOf(%s) = %v, %s; want %v", code, got, cause, class)
			}
		}
	}
}

func TestWhatAnAnswerToALookUpProves(t *testing.T) {
	full := pairs("pg_status", "ok", "pg_payment_id", "4294967297", "pg_order_id", "order-1",
		"pg_payment_status", "new", "pg_amount", "20", "pg_currency", "KZT", "pg_refund_amount", "-1")
	whole := payment.Status{PaymentID: 4294967297, OrderID: "order-1", State: "new", Amount: "20", Currency: "KZT"}
	noMoney := whole
	noMoney.Amount, noMoney.Currency = "", ""
	signed := func(f ...Field) string { return answerXML(statusScript, testSecret, f...) }
	tests := []struct {
		name  string
		body  string
		state payment.Status
		want  verdict
	}{
		{"signed", signed(full...), whole, verdict{}},
		{"without order id", signed(with(full, "pg_order_id", "")...), whole, verdict{}},
		{"amount and currency unreadable", signed(with(with(full, "pg_amount", "1e3"), "pg_currency", "tenge")...), noMoney, verdict{}},
		{"unsigned", unsigned(full...), payment.Status{}, verdict{doubt, CauseUnsignedOK, false, ""}},
		{"signed as Init", signedInit(full...), payment.Status{}, verdict{doubt, CauseBadSignature, false, ""}},
		{"another order", signed(with(full, "pg_order_id", "order-2")...), payment.Status{}, verdict{doubt, CauseOtherOrder, true, ""}},
		{"no payment id", signed(with(full, "pg_payment_id", "")...), payment.Status{}, verdict{doubt, CauseBadPaymentID, true, ""}},
		{"no state", signed(with(full, "pg_payment_status", "")...), payment.Status{}, verdict{doubt, CauseBadState, true, ""}},
		{"unsigned not found", unsigned(errorFields("11068")...), payment.Status{}, verdict{doubt, CauseNotFound, false, "11068"}},
		{"signed not found", signed(errorFields("11068")...), payment.Status{}, verdict{doubt, CauseNotFound, true, "11068"}},
		{"forged not found", forged(errorFields("11068")...), payment.Status{}, verdict{doubt, CauseBadSignature, false, "11068"}},
		{"a lookup refuses nothing", signed(errorFields("9403")...), payment.Status{}, verdict{doubt, CauseRefused, true, "9403"}},
		{"unknown code refuses nothing", signed(errorFields("4")...), payment.Status{}, verdict{doubt, CauseUnknownCode, true, "4"}},
		{"a lookup is no duplicate", unsigned(errorFields("9991")...), payment.Status{}, verdict{doubt, CauseDuplicate, false, "9991"}},
		{"set-up", unsigned(errorFields("9997")...), payment.Status{}, verdict{setup, CauseMisconfigured, false, "9997"}},
	}
	for _, tt := range tests {
		got, ge := testQuestion(statusScript).state(reply{status: 200, body: []byte(tt.body)})
		if diff := cmp.Diff(tt.want, verdictOf(ge)); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", tt.name, diff)
		}
		if got != tt.state {
			t.Errorf("%s: state = %v, want %v", tt.name, got, tt.state)
		}
		if found := ge == nil || !errors.Is(ge, payment.ErrNotFound); found == (tt.want.Cause == CauseNotFound) {
			t.Errorf("%s: error %v, is ErrNotFound: %v", tt.name, ge, !found)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for v, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"7":                              7 * time.Second,
		" 7 ":                            7 * time.Second,
		"3600":                           time.Hour,
		"3601":                           maxRetryAfter,
		"99999999999999999999999":        maxRetryAfter,
		"-5":                             0,
		"1.5":                            0,
		"soon":                           0,
		"Mon, 23 Nov 2026 12:00:30 GMT":  30 * time.Second,
		"Mon, 23 Nov 2026 11:59:30 GMT":  0,
		"Mon, 23 Nov 2099 12:00:00 GMT":  maxRetryAfter,
		"Monday, 23-Nov-26 12:00:30 GMT": 30 * time.Second,
	} {
		h := http.Header{}
		h.Set("Retry-After", v)
		_, ge := testQuestion(initScript).link(reply{status: 429, header: h})
		if ge.RetryAfter != want {
			t.Errorf("Retry-After %q: %v, want %v", v, ge.RetryAfter, want)
		}
	}
	h := http.Header{"Retry-After": {"Mon, 23 Nov 2026 12:50:30 GMT"}, "Date": {"Mon, 23 Nov 2026 12:50:28 GMT"}}
	if _, ge := testQuestion(initScript).link(reply{status: 429, header: h}); ge.RetryAfter != 2*time.Second {
		t.Errorf("a date two seconds after the answer's own, whose clock is ahead of ours: %v, want 2s", ge.RetryAfter)
	}
}
