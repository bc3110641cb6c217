// Package facts says what single records of the three topics tell of intents:
// one fact per record. The operator's verbs rest on it; the service never does.
package facts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/payment"
)

// A Kind is what a record is.
type Kind uint8

// The kinds of facts.
const (
	Emitted    Kind = iota // an intent, on the intent topic
	Created                // an outcome with a link
	Failed                 // an outcome without
	DeadLetter             // a record that got no outcome
)

// String returns the word that the verbs print.
func (k Kind) String() string {
	return [...]string{"emitted", "created", "failed", "dead_letter"}[k]
}

// A Fact is what one record tells. Phone, e-mail and IP are never part of it.
type Fact struct {
	Kind Kind
	At   event.Place // of the record itself
	Time time.Time   // the record's; zero: none

	Intent   payment.IntentID   // empty: not readable, of a dead letter only
	Merchant payment.MerchantID // empty: broken or not readable; as all below
	OrderID  string
	Amount   payment.Money
	Currency string       // empty: the merchant's own
	Digest   event.Digest // of what the gateway would be told

	OfDefault  bool                // emitted: it names no merchant, and Merchant is the default of today
	Violations []payment.Violation // of the contract's rules; of outcomes also those about headers
	Expires    time.Time           // emitted: expires_at; zero: none

	Source    event.Place // outcome and dead letter: the record that it answers
	PaymentID int64       // outcome; 0: none
	Link      string      // created: redirect_url; a secret of the payer, never printed in full
	Reason    string      // failed: a payment.Reason; dead letter: an event.DeadReason
	Text      string      // dead letter: its sentence; failed: the gateway's description
	Code      string      // failed: the gateway's error code
	MayExist  bool        // failed: payment_may_exist
	Retryable bool        // failed
	Attempts  int         // outcome
}

// A Reader makes facts of records. It may be used concurrently.
type Reader struct {
	Topics   Topics
	Intents  *event.Decoder
	Outcomes *outcomes.Decoder
}

// Topics names the three topics.
type Topics struct{ Intents, Outcomes, DeadLetters string }

// Of reads a record of one of the three topics. An *event.Unreadable says what is
// wrong with the record; any other error that it could not be judged.
func (r *Reader) Of(ctx context.Context, at event.Place, m event.Message) (Fact, error) {
	switch at.Topic {
	case r.Topics.Intents:
		return r.emitted(ctx, at, m)
	case r.Topics.Outcomes:
		return r.outcome(ctx, at, m)
	case r.Topics.DeadLetters:
		return r.deadLetter(ctx, at, m)
	}
	return Fact{}, fmt.Errorf("topic %s is none of the three", at.Topic)
}

func (r *Reader) emitted(ctx context.Context, at event.Place, m event.Message) (Fact, error) {
	if m.TooLarge != 0 {
		return Fact{Kind: Emitted, At: at, Time: m.Time}, event.BeyondBudget(m.TooLarge)
	}
	d, err := r.Intents.Decode(ctx, m)
	if err != nil {
		return Fact{Kind: Emitted, At: at, Time: m.Time}, err
	}
	return ofIntent(d, Fact{Kind: Emitted, At: at, Time: m.Time}), nil
}

// ofIntent adds what an intent says to a fact.
func ofIntent(d event.Decoded, f Fact) Fact {
	in := d.Intent
	f.Intent, f.Merchant, f.OrderID, f.Amount, f.Currency = in.ID, in.Merchant, in.OrderID, in.Amount, in.Currency
	f.Digest, f.OfDefault, f.Violations, f.Expires = d.Digest, d.OfDefault, d.Violations, in.ExpiresAt
	return f
}

// outcome reads body and headers. Of one that is *event.Unreadable the intent is
// known if the header names it, which is all that the ledger reads.
func (r *Reader) outcome(ctx context.Context, at event.Place, m event.Message) (Fact, error) {
	f := Fact{Kind: Created, At: at, Time: m.Time}
	v, broken, err := r.Outcomes.Read(ctx, m)
	if un, ok := errors.AsType[*event.Unreadable](err); ok || err == nil && v.Outcome == nil {
		f.Intent = payment.IntentID(m.Header(event.HeaderIntentID))
		if !ok {
			un = &event.Unreadable{Reason: Malformed, Text: "the outcome breaks its contract: " + broken[0].Field + " " + broken[0].Rule}
		}
		return f, un
	}
	if err != nil {
		return f, err
	}
	f.Intent, f.Merchant, f.OrderID, f.Amount, f.Currency = v.Intent, v.Merchant, v.OrderID, v.Amount, v.Currency
	f.Source, f.Attempts, f.Violations = v.Source, v.Attempts(), broken
	if d, err := event.ParseDigest(m.Header(event.HeaderIntentDigest)); err == nil {
		f.Digest = d
	} else {
		f.breaks(event.HeaderIntentDigest, "must be 32 hex digits")
	}
	if string(m.Header(event.HeaderIntentID)) != string(v.Intent) {
		f.breaks(event.HeaderIntentID, "must be the body's intent_id")
	}
	switch o := v.Outcome.(type) {
	case payment.Created:
		f.PaymentID, f.Link = o.PaymentID, o.RedirectURL
	case payment.Failed:
		f.Kind = Failed
		f.PaymentID, f.Reason, f.Code, f.Text = o.PaymentID, string(o.Reason), o.ErrorCode, o.ErrorDescription
		f.MayExist, f.Retryable = o.PaymentMayExist, o.Retryable
	}
	return f, nil
}

func (f *Fact) breaks(header, rule string) {
	f.Violations = append(f.Violations, payment.Violation{Field: "header " + header, Rule: rule})
}

// The reasons, beside those of dead letters, of records that cannot be read.
const (
	Malformed event.DeadReason = "malformed" // an outcome that breaks the contract so that it cannot be understood
	NotOurs   event.DeadReason = "not_ours"  // a dead letter that paylink did not write
)

// deadLetter reads the headers, and the intent if the value still holds one.
func (r *Reader) deadLetter(ctx context.Context, at event.Place, m event.Message) (Fact, error) {
	f := Fact{Kind: DeadLetter, At: at, Time: m.Time}
	from, ok := event.BuriedFrom(m)
	if !ok {
		return f, &event.Unreadable{Reason: NotOurs, Text: "the record has no headers of a dead letter of paylink"}
	}
	f.Source, f.Reason, f.Text = from, string(m.Header(event.HeaderReason)), string(m.Header(event.HeaderError))
	d, err := r.Intents.Decode(ctx, m)
	if _, ok := errors.AsType[*event.Unreadable](err); ok {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	return ofIntent(d, f), nil
}
