package gatewaysim

import (
	"bytes"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"

	"paylink/internal/freedompay"
)

// resign adds the right signature to fields that have their salt.
func resign(fields []freedompay.Field) []freedompay.Field {
	fields = without(fields, "pg_sig")
	return append(fields, freedompay.Field{Name: "pg_sig", Value: freedompay.Sign(initScript, fields, secret)})
}

func TestForms(t *testing.T) {
	whole := func() []freedompay.Field { return sign(initScript, order("o-1"), secret) }
	tests := []struct {
		name   string
		fields []freedompay.Field
		code   string // "": ok
		field  string // of the first violation
	}{
		{"the least there is", whole(), "", ""},
		{"own field, signed", resign(with(whole(), "shop", "7")), "", ""},
		{"own field, empty", resign(with(whole(), "shop", "")), "9403", "shop"},
		{"unknown pg_ field", resign(with(whole(), "pg_colour", "red")), "9403", "pg_colour"},
		{"repeated field", resign(append(whole(), freedompay.Field{Name: "pg_amount", Value: "1500.00"})), "9403", "pg_amount"},
		{"no amount", resign(without(whole(), "pg_amount")), "9403", "pg_amount"},
		{"no description", resign(without(whole(), "pg_description")), "9403", "pg_description"},
		{"no payment method", resign(without(whole(), "pg_payment_method")), "9403", "pg_payment_method"},
		{"no salt", resign(without(whole(), "pg_salt")), "9403", "pg_salt"},
		{"no merchant", resign(without(whole(), "pg_merchant_id")), "9403", "pg_merchant_id"},
		{"merchant is no number", resign(with(whole(), "pg_merchant_id", "shop")), "9997", "pg_merchant_id"},
		{"unknown merchant", resign(with(whole(), "pg_merchant_id", "1")), "9997", "pg_merchant_id"},
		{"no signature", without(whole(), "pg_sig"), "9998", "pg_sig"},
		{"signature of another secret", sign(initScript, order("o-1"), "other"), "9998", "pg_sig"},
		{"signature of another script", sign(statusScript, order("o-1"), secret), "9998", "pg_sig"},
		{"signature in capitals", with(whole(), "pg_sig", strings.ToUpper(freedompay.Sign(initScript, order("x"), secret))), "9998", "pg_sig"},
		{"changed after signing", with(whole(), "pg_amount", "1500"), "9998", "pg_sig"},
		{"signature beats rule", with(whole(), "pg_amount", "0"), "9998", "pg_amount"},
		{"order id may be absent", resign(without(whole(), "pg_order_id")), "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{})
			a, call := b.send(initScript, tt.fields), b.lastCall()
			if got := a.value("pg_error_code"); got != tt.code {
				t.Errorf("error code %q, want %q: %s", got, tt.code, a.body)
			}
			if tt.code == "" {
				if len(call.Violations) != 0 || call.Answer != "ok" {
					t.Errorf("violations %v, answer %q, want none and ok", call.Violations, call.Answer)
				}
				return
			}
			if len(call.Violations) == 0 || call.Violations[0].Field != tt.field {
				t.Errorf("violations %v, want %s first", call.Violations, tt.field)
			}
			if len(b.Payments()) != 0 || a.value("pg_sig") != "" {
				t.Errorf("%d payments, signature %q, want none and an unsigned error", len(b.Payments()), a.value("pg_sig"))
			}
		})
	}
}

func TestBodiesThatAreNoForm(t *testing.T) {
	var file bytes.Buffer
	w := multipart.NewWriter(&file)
	part, _ := w.CreateFormFile("pg_amount", "amount.txt")
	part.Write([]byte("1500"))
	w.Close()
	tests := []struct {
		name, contentType, body, rule string
	}{
		{"URL-encoded", "application/x-www-form-urlencoded", url.Values{"pg_amount": {"1"}}.Encode(), "body is not multipart/form-data"},
		{"JSON", "application/json", `{"pg_amount":1}`, "body is not multipart/form-data"},
		{"no boundary", "multipart/form-data", "", "body is not multipart/form-data"},
		{"another multipart", "multipart/mixed; boundary=x", "--x--\r\n", "body is not multipart/form-data"},
		{"no fields", "multipart/form-data; boundary=x", "--x--\r\n", "body has no fields"},
		{"cut off", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"pg_amount\"\r\n\r\n15", "body ends early, or is larger than 1 MiB"},
		{"too large", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + strings.Repeat("a", maxForm), "body ends early, or is larger than 1 MiB"},
		{"a file", w.FormDataContentType(), file.String(), "is sent as a file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{})
			a, call := b.post("/"+initScript, tt.contentType, []byte(tt.body)), b.lastCall()
			if len(call.Violations) == 0 || call.Violations[0].Rule != tt.rule {
				t.Errorf("violations %v, want %q", call.Violations, tt.rule)
			}
			if a.value("pg_error_code") != "9403" || call.Answer != "error 9403" {
				t.Errorf("answer %q %s, want error 9403", call.Answer, a.body)
			}
		})
	}
}

func TestGetAndQueryAreNoWayToCall(t *testing.T) {
	b := newBench(t, Config{})
	if a := b.get("/" + initScript); a.value("pg_error_code") != "9403" || b.lastCall().Violations[0].Rule != "method is not POST" {
		t.Errorf("GET: %s, %v, want error 9403 for the method", a.body, b.lastCall().Violations)
	}
	if a := b.send(initScript+"?a=b", sign(initScript, order("o-1"), secret)); a.value("pg_error_code") != "9403" {
		t.Errorf("with a query: %s, want error 9403", a.body)
	}
}

func TestTheSameBytesTwiceAreNoted(t *testing.T) {
	b := newBench(t, Config{})
	fields := sign(initScript, order("o-1"), secret)
	first, again := b.send(initScript, fields), b.send(initScript, fields)
	if first.value("pg_payment_id") != again.value("pg_payment_id") {
		t.Errorf("payments %s and %s, want one", first.value("pg_payment_id"), again.value("pg_payment_id"))
	}
	calls := b.Calls()
	if len(calls[0].Violations) != 0 || len(calls[1].Violations) != 1 || calls[1].Violations[0].Rule != "was sent before" {
		t.Errorf("violations %v, then %v, want none, then the salt", calls[0].Violations, calls[1].Violations)
	}
}
