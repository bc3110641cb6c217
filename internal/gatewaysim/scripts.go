package gatewaysim

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"paylink/internal/freedompay"
)

// The two kinds of page, as the gateway spells them.
const (
	typeNeedData      = "need data"
	typePaymentSystem = "payment system"
)

// open makes the payment, or finds the one that its idempotency key made.
func (g *Gateway) open(v *visit) reply {
	p, was := g.payments.open(g.asked(v), v.prefix, g.cfg.Repeat == NewPayment)
	g.log.change(v.call, func(c *Call) {
		c.Payment, c.Repeated = p.ID, was != fresh
		if was == fresh || was == known && g.cfg.Repeat == NewPayment {
			c.Made = p.ID
		}
	})
	switch {
	case was == misused:
		g.log.change(v.call, func(c *Call) {
			c.Violations = append(c.Violations, Violation{Field: "pg_idempotency_key", Rule: "was used with other parameters", Code: codeRepeated})
		})
		return g.refuse(codeRepeated, "pg_idempotency_key was used with other parameters")
	case was == known && g.cfg.Repeat == DuplicateError:
		return g.refuse(codeRepeated, "")
	}
	return okReply(p)
}

// asked is the payment that an Init asks for, without its id and link.
func (g *Gateway) asked(v *visit) Payment {
	value := v.form.value
	p := Payment{
		Merchant: v.merchant, OrderID: v.order, IdempotencyKey: value("pg_idempotency_key"),
		Amount: value("pg_amount"), Currency: or(value("pg_currency"), "KZT"), Description: value("pg_description"),
		Testing: value("pg_testing_mode") == "1", WithQR: value("pg_generate_qr") == "1",
		SuccessURL: value("pg_success_url"), FailureURL: value("pg_failure_url"),
		RedirectURLType: typeNeedData, State: StateNew, CreatedAt: g.cfg.Now(), Lifetime: defaultLifetime,
		params: v.form.canonical(v.params, g.mask),
	}
	if s, err := strconv.Atoi(value("pg_lifetime")); err == nil {
		p.Lifetime = time.Duration(s) * time.Second
	}
	return p
}

func okReply(p Payment) reply {
	r := reply{kind: "ok", fields: []freedompay.Field{
		{Name: "pg_status", Value: "ok"},
		{Name: "pg_payment_id", Value: strconv.FormatInt(p.ID, 10)},
		{Name: "pg_redirect_url", Value: p.RedirectURL},
		{Name: "pg_redirect_url_type", Value: p.RedirectURLType},
	}}
	if p.WithQR {
		r.fields = append(r.fields, freedompay.Field{Name: "pg_redirect_qr", Value: qr(p.RedirectURL)})
	}
	return r
}

// qr stands in for the image: it is the link itself in base64, and no QR code.
func qr(link string) string { return base64.StdEncoding.EncodeToString([]byte(link)) }

// look answers a status call.
func (g *Gateway) look(v *visit) reply {
	p, ok := g.lookUp(v)
	if !ok {
		return errorReply(codeUnknownOrder, "", unsigned)
	}
	g.log.change(v.call, func(c *Call) { c.Payment, c.OrderID = p.ID, p.OrderID })
	return reply{kind: "ok", fields: statusFields(p)}
}

func statusFields(p Payment) []freedompay.Field {
	fields := []freedompay.Field{
		{Name: "pg_status", Value: "ok"},
		{Name: "pg_payment_id", Value: strconv.FormatInt(p.ID, 10)},
		{Name: "pg_order_id", Value: p.OrderID},
		{Name: "pg_payment_status", Value: p.State},
		{Name: "pg_amount", Value: normalised(p.Amount)},
		{Name: "pg_currency", Value: p.Currency},
		{Name: "pg_payment_method", Value: "mobile_commerce"},
		{Name: "pg_create_date", Value: p.CreatedAt.Format(time.DateTime)},
		{Name: "pg_captured", Value: strconv.Itoa(one(p.State == StateSuccess))},
		{Name: "pg_refund_amount", Value: "0"},
		{Name: "pg_testing_mode", Value: strconv.Itoa(one(p.Testing))},
	}
	if p.OrderID == "" {
		fields = slices.Delete(fields, 2, 3)
	}
	if p.State == StateFailed {
		fields = append(fields, freedompay.Field{Name: "pg_failure_code", Value: "10018"})
	}
	return fields
}

// normalised drops what an amount does not need: 20.00 is 20, 20.50 is 20.5.
func normalised(amount string) string {
	if !strings.Contains(amount, ".") {
		return amount
	}
	return strings.TrimSuffix(strings.TrimRight(amount, "0"), ".")
}
