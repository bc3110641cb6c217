package outcomes

import (
	"slices"

	"paylink/internal/event"
	"paylink/internal/payment"
)

// What an outcome of a type must say; the schemas' examples hold this table
// against the contract.
var (
	neededAlways  = []string{"event_id", "type", "intent_id", "attempts", "source"}
	neededCreated = []string{"merchant_id", "order_id", "amount", "idempotency_key", "payment_id", "redirect_url", "redirect_url_type", "created_at"}
	neededSource  = []string{"source.topic", "source.partition", "source.offset"}
	neededFailed  = []string{"reason", "retryable", "payment_may_exist", "failed_at"}
)

var reasons = []payment.Reason{payment.InvalidIntent, payment.Refused, payment.Expired, payment.GaveUp, payment.Duplicate}

// judge lists every rule that the fields break.
func (o *fields) judge() []payment.Violation {
	vs := slices.Clone(o.broken)
	told := func(field string) bool {
		return slices.ContainsFunc(vs, func(v payment.Violation) bool { return v.Field == field })
	}
	breaks := func(field, rule string) {
		if !told(field) {
			vs = append(vs, payment.Violation{Field: field, Rule: rule})
		}
	}
	needed := slices.Clone(neededAlways)
	switch o.kind {
	case event.TypeCreated:
		needed = append(needed, neededCreated...)
	case event.TypeFailed:
		needed = append(needed, neededFailed...)
	}
	if o.has["source"] && !told("source") {
		needed = append(needed, neededSource...)
	}
	for _, field := range needed {
		if !o.has[field] {
			breaks(field, "is required")
		}
	}
	if o.kind != event.TypeCreated && o.kind != event.TypeFailed {
		breaks("type", "must be "+event.TypeCreated+" or "+event.TypeFailed)
	}
	if o.has["reason"] && !slices.Contains(reasons, o.failed.Reason) {
		breaks("reason", "must be one of the words of the contract")
	}
	for _, v := range o.failed.Violations {
		if v.Field == "" || v.Rule == "" {
			breaks("violations", "must have field and rule, each")
		}
	}
	return vs
}
