package event

import (
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"paylink/internal/payment"
)

// appendOutcome writes an outcome as JSON, fields always in the same order.
func appendOutcome(b []byte, v *OutcomeView) []byte {
	w := jsonWriter(append(b, '{'))
	w.text("event_id", v.EventID)
	w.text("type", v.Type())
	w.text("intent_id", string(v.Intent))
	w.optional("merchant_id", string(v.Merchant))
	w.optional("order_id", v.OrderID)
	w.optional("amount", string(v.Amount))
	w.optional("currency", v.Currency)
	w.optional("idempotency_key", v.IdempotencyKey)
	switch o := v.Outcome.(type) {
	case payment.Created:
		w.created(o)
	case payment.Failed:
		w.failed(o)
	}
	w.pairs("metadata", v.Metadata)
	w.name("source")
	w = append(w, '{')
	w.text("topic", v.Source.Topic)
	w.number("partition", int64(v.Source.Partition))
	w.number("offset", v.Source.Offset)
	return append(w, '}', '}')
}

func (w *jsonWriter) created(o payment.Created) {
	w.number("payment_id", o.PaymentID)
	w.text("redirect_url", o.RedirectURL)
	w.text("redirect_url_type", o.RedirectURLType)
	w.optional("redirect_qr", o.RedirectQR)
	w.number("attempts", int64(o.Attempts))
	w.text("created_at", timeText(o.At))
}

func (w *jsonWriter) failed(o payment.Failed) {
	w.text("reason", string(o.Reason))
	w.optional("error_code", o.ErrorCode)
	w.optional("error_description", o.ErrorDescription)
	w.violations(o.Violations)
	w.flag("retryable", o.Retryable)
	w.flag("payment_may_exist", o.PaymentMayExist)
	if o.PaymentID != 0 {
		w.number("payment_id", o.PaymentID)
	}
	w.number("attempts", int64(o.Attempts))
	w.text("failed_at", timeText(o.At))
}

// A jsonWriter is an object under way.
type jsonWriter []byte

func (w *jsonWriter) comma() {
	if last := (*w)[len(*w)-1]; last != '{' && last != '[' {
		*w = append(*w, ',')
	}
}

// name writes the name of a member, which is ours and needs no escapes.
func (w *jsonWriter) name(name string) {
	w.comma()
	*w = append(*w, '"')
	*w = append(*w, name...)
	*w = append(*w, '"', ':')
}

// quote writes a string. The gateway's words may be invalid UTF-8, which
// becomes U+FFFD: an outcome must not fail for that.
func (w *jsonWriter) quote(s string) { *w, _ = jsontext.AppendQuote(*w, s) }

func (w *jsonWriter) text(name, value string) {
	w.name(name)
	w.quote(value)
}

func (w *jsonWriter) optional(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *jsonWriter) number(name string, n int64) {
	w.name(name)
	*w = strconv.AppendInt(*w, n, 10)
}

func (w *jsonWriter) flag(name string, b bool) {
	w.name(name)
	*w = strconv.AppendBool(*w, b)
}

func (w *jsonWriter) pairs(name string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	w.name(name)
	*w = append(*w, '{')
	for _, k := range slices.Sorted(maps.Keys(m)) {
		w.comma()
		w.quote(k)
		*w = append(*w, ':')
		w.quote(m[k])
	}
	*w = append(*w, '}')
}

func (w *jsonWriter) violations(vs []payment.Violation) {
	if len(vs) == 0 {
		return
	}
	w.name("violations")
	*w = append(*w, '[')
	for _, v := range vs {
		w.comma()
		*w = append(*w, '{')
		w.text("field", v.Field)
		w.text("rule", v.Rule)
		*w = append(*w, '}')
	}
	*w = append(*w, ']')
}
