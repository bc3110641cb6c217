package freedompay

import (
	"encoding/xml"
	"strings"

	"paylink/internal/payment"
)

// Canaries: none of these may be seen in an error.
const (
	testSecret = payment.Secret("canary-secret-5ecr3t")
	testPhone  = "77071234567"
	testEmail  = "canary@example.com"
	testIP     = "203.0.113.77"
)

// fullIntent has every parameter of Init, each at its maximum length, with
// letters of two to four bytes wherever the rules allow them.
func fullIntent() payment.Intent {
	in := payment.Intent{
		ID: "intent-1", Merchant: "540001", OrderID: strings.Repeat("ң", 50),
		IdempotencyKey: strings.Repeat("ключ🔑", 51), Amount: "99999999", Currency: "KZT",
	}
	own := map[string]bool{"merchant_id": true, "order_id": true, "amount": true, "currency": true, "idempotency_key": true}
	for _, f := range payment.Fields {
		if f.Init && !own[f.Name] {
			in.Params = append(in.Params, payment.Param{Name: f.Name, Value: longest(f)})
		}
	}
	return in
}

// longest returns a value of a field that keeps its rule.
func longest(f payment.Field) string {
	switch {
	case f.Name == "description":
		return strings.Repeat("Ұ;\"&\r\n😀", 146) + "äö"
	case f.Name == "user_phone":
		return testPhone
	case f.Name == "user_ip":
		return testIP
	case f.Name == "user_contact_email":
		return testEmail
	case f.Name == "user_id":
		return strings.Repeat("aZ_9-", 10)
	case f.Kind == payment.URL:
		u := "https://shop.example/ү?q=" + strings.Repeat("é", 300)
		return string([]rune(u)[:f.MaxChars])
	case f.Kind == payment.Text && len(f.Enum) == 0:
		return strings.Repeat("ж", f.MaxChars)
	}
	return f.Example
}

// answerXML writes an answer; with a secret it is signed.
func answerXML(script string, secret payment.Secret, fields ...Field) string {
	if secret != "" {
		fields = withSignature(script, append(fields, Field{Name: "pg_salt", Value: "Ab1"}), secret)
	}
	return `<?xml version="1.0" encoding="utf-8"?>` + "\n" + elementXML("response", fields) + "\n"
}

func elementXML(name string, fields []Field) string {
	var b strings.Builder
	b.WriteString("<" + name + ">")
	for _, f := range fields {
		if len(f.Fields) > 0 {
			b.WriteString(elementXML(f.Name, f.Fields))
			continue
		}
		b.WriteString("<" + f.Name + ">")
		if err := xml.EscapeText(&b, []byte(f.Value)); err != nil {
			panic(err)
		}
		b.WriteString("</" + f.Name + ">")
	}
	b.WriteString("</" + name + ">")
	return b.String()
}

// pairs makes fields from name, value, name, value, …
func pairs(nv ...string) []Field {
	var f []Field
	for i := 0; i < len(nv); i += 2 {
		f = append(f, Field{Name: nv[i], Value: nv[i+1]})
	}
	return f
}

const (
	initScript   = "init_payment.php"
	statusScript = "get_status3.php"
	testURL      = "https://customer.freedompay.kz/pay.html?customer=a&b=1"
)

func okFields() []Field {
	return pairs("pg_status", "ok", "pg_payment_id", "4294967297",
		"pg_redirect_url", testURL, "pg_redirect_url_type", "need data")
}

// with returns fields with one of them changed; an empty value removes it.
func with(f []Field, name, value string) []Field {
	var out []Field
	for _, x := range f {
		switch {
		case x.Name != name:
			out = append(out, x)
		case value != "":
			out = append(out, Field{Name: name, Value: value})
		}
	}
	return out
}

// plainIntent is what most intents are like.
func plainIntent() payment.Intent {
	return payment.Intent{
		ID: "ord-1", Merchant: "540001", OrderID: "ord-1", IdempotencyKey: "key-1", Amount: "1500.00", Currency: "KZT",
		Params: []payment.Param{{Name: "description", Value: "Пополнение баланса"}, {Name: "user_phone", Value: "77777777777"}},
	}
}
