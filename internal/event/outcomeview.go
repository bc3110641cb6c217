package event

import (
	"fmt"
	"time"

	"paylink/internal/payment"
)

// The two types of an outcome: field "type", and header "ce_type".
const (
	TypeCreated = "payment-created"
	TypeFailed  = "payment-failed"

	CETypeCreated = "paylink.payment-created.v1"
	CETypeFailed  = "paylink.payment-failed.v1"
)

// An OutcomeView is one record of the outcome topic, in words. Every output
// format is written from it and read back into it.
type OutcomeView struct {
	EventID        string
	Intent         payment.IntentID
	Merchant       payment.MerchantID // empty only if the intent broke its rule
	OrderID        string             // as Merchant
	Amount         payment.Money      // as Merchant
	Currency       string             // empty: the merchant's own
	IdempotencyKey string             // as Merchant
	Outcome        payment.Outcome    // payment.Created or payment.Failed
	Metadata       map[string]string
	Source         Place // the intent's record
}

// Type returns TypeCreated or TypeFailed.
func (v OutcomeView) Type() string {
	if _, ok := v.Outcome.(payment.Created); ok {
		return TypeCreated
	}
	return TypeFailed
}

// At returns when the link was received, or when the intent failed.
func (v OutcomeView) At() time.Time {
	switch o := v.Outcome.(type) {
	case payment.Created:
		return o.At
	case payment.Failed:
		return o.At
	}
	return time.Time{}
}

// Attempts returns how many calls of Init were made.
func (v OutcomeView) Attempts() int {
	switch o := v.Outcome.(type) {
	case payment.Created:
		return o.Attempts
	case payment.Failed:
		return o.Attempts
	}
	return 0
}

// viewOf puts an intent and its outcome together.
func viewOf(in payment.Intent, from Place, o payment.Outcome) (OutcomeView, error) {
	switch o.(type) {
	case payment.Created, payment.Failed:
	default:
		return OutcomeView{}, fmt.Errorf("outcome of %s: %T is neither created nor failed", in.Describe(), o)
	}
	return OutcomeView{
		EventID:        eventIDFor(in.Merchant, in.ID),
		Intent:         in.ID,
		Merchant:       in.Merchant,
		OrderID:        in.OrderID,
		Amount:         in.Amount,
		Currency:       in.Currency,
		IdempotencyKey: in.IdempotencyKey,
		Outcome:        o,
		Metadata:       in.Metadata,
		Source:         from,
	}, nil
}
