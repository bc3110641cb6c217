package freedompay

import (
	"bytes"
	"crypto/rand"
	"net/url"
	"slices"
	"strings"

	"paylink/internal/payment"
)

// The paths of the calls, below the gateway's URL.
const (
	InitPath   = "/init_payment.php"
	StatusPath = "/get_status3.php"
	HealthPath = "/status/healthcheck"
)

// PaymentMethod is what Init always asks for: mobile balance.
const PaymentMethod = "mobile_commerce"

// wireNames gives the parameters that Intent.Params may carry their names on
// the wire: those of Init that have no place of their own in the intent.
var wireNames = func() map[string]string {
	own := []string{"merchant_id", "order_id", "amount", "currency", "idempotency_key"}
	names := make(map[string]string, len(payment.Fields))
	for _, f := range payment.Fields {
		if f.Init && !slices.Contains(own, f.Name) {
			names[f.Name] = "pg_" + f.Name
		}
	}
	return names
}()

// initFields returns the parameters of Init for an intent, without signature.
// What is empty is left out: the gateway's rule for empty values is not public.
func initFields(in payment.Intent, salt string) []Field {
	f := make([]Field, 0, len(in.Params)+9)
	f = appendGiven(f, "pg_merchant_id", string(in.Merchant))
	f = appendGiven(f, "pg_order_id", in.OrderID)
	f = appendGiven(f, "pg_amount", string(in.Amount))
	f = appendGiven(f, "pg_currency", in.Currency)
	for _, p := range in.Params {
		if name, ok := wireNames[p.Name]; ok {
			f = appendGiven(f, name, p.Value)
		}
	}
	f = appendGiven(f, "pg_payment_method", PaymentMethod)
	f = appendGiven(f, "pg_idempotency_key", in.IdempotencyKey)
	return appendGiven(f, "pg_salt", salt)
}

// statusFields returns the parameters of a status look-up by order id, without
// signature.
func statusFields(in payment.Intent, salt string) []Field {
	f := make([]Field, 0, 4)
	f = appendGiven(f, "pg_merchant_id", string(in.Merchant))
	f = appendGiven(f, "pg_order_id", in.OrderID)
	return appendGiven(f, "pg_salt", salt)
}

func appendGiven(f []Field, name, value string) []Field {
	if value == "" {
		return f
	}
	return append(f, Field{Name: name, Value: value})
}

// withSignature appends pg_sig.
func withSignature(script string, f []Field, secret payment.Secret) []Field {
	return append(f, Field{Name: sigName, Value: Sign(script, f, secret)})
}

// newSalt returns 26 random letters and digits.
func newSalt() string { return rand.Text() }

// A form is an encoded multipart/form-data body.
type form struct {
	contentType string
	body        []byte
}

// encode writes flat fields as multipart/form-data into one buffer. Names are
// ours and need no quoting; values go as they are, which is what was signed.
// The boundary holds 128 random bits, so no value can contain it, unless
// somebody guessed them.
func encode(fields []Field) form {
	const head, tail = "Content-Disposition: form-data; name=\"", "\"\r\n\r\n"
	boundary := rand.Text()
	size := len(boundary) + 6
	for i := range fields {
		size += len(boundary) + len(head) + len(tail) + len(fields[i].Name) + len(fields[i].Value) + 6
	}
	var b bytes.Buffer
	b.Grow(size)
	for i := range fields {
		b.WriteString("--")
		b.WriteString(boundary)
		b.WriteString("\r\n" + head)
		b.WriteString(fields[i].Name)
		b.WriteString(tail)
		b.WriteString(fields[i].Value)
		b.WriteString("\r\n")
	}
	b.WriteString("--")
	b.WriteString(boundary)
	b.WriteString("--\r\n")
	return form{contentType: "multipart/form-data; boundary=" + boundary, body: b.Bytes()}
}

// endpoint returns the URL of a call, or nil if the gateway's URL is none: it
// must be http or https, with a host, and without user, query or fragment.
func endpoint(gatewayURL, path string) *url.URL {
	u, err := url.Parse(strings.TrimRight(gatewayURL, "/") + path)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		u.User != nil || strings.ContainsAny(gatewayURL, "?#") {
		return nil
	}
	return u
}
