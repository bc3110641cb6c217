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

// fieldNames are all that an outcome may say.
var fieldNames = slices.Concat(neededAlways, neededCreated, neededSource, neededFailed, []string{
	"currency", "metadata", "redirect_qr", "error_code", "error_description", "violations", "violations.field", "violations.rule",
})

var fieldNumbers = func() map[string]int {
	numbers := make(map[string]int, len(fieldNames))
	for i, name := range fieldNames {
		numbers[name] = i
	}
	return numbers
}()

// present says which of fieldNames are there, a bit each.
type present uint64

func (p *present) add(name string) {
	if i, ok := fieldNumbers[name]; ok {
		*p |= 1 << i
	}
}

func (p present) field(name string) bool { return p&(1<<fieldNumbers[name]) != 0 }

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
	if o.has.field("source") && !told("source") {
		needed = append(needed, neededSource...)
	}
	for _, field := range needed {
		if !o.has.field(field) {
			breaks(field, "is required")
		}
	}
	if o.kind != event.TypeCreated && o.kind != event.TypeFailed {
		breaks("type", "must be "+event.TypeCreated+" or "+event.TypeFailed)
	}
	if o.has.field("reason") && !slices.Contains(reasons, o.failed.Reason) {
		breaks("reason", "must be one of the words of the contract")
	}
	for _, v := range o.failed.Violations {
		if v.Field == "" || v.Rule == "" {
			breaks("violations", "must have field and rule, each")
		}
	}
	return vs
}
