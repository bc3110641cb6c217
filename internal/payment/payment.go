// Package payment holds the words of the business: an Intent asks for a
// payment page, an Outcome (Created or Failed) answers it, once and for all,
// and a Gateway is who opens pages. It also holds the one table of rules an
// intent must keep (Fields), so that the decoder, the schemas and the
// documentation cannot disagree.
//
// It imports the standard library only, and knows no wire format: no JSON, no
// Kafka, no HTTP.
package payment

import (
	"errors"
	"fmt"
	"time"
)

// An IntentID is the identity of an intent, chosen by its emitter:
// one intent, one outcome, ever.
type IntentID string

// A MerchantID is the gateway's number of a merchant, in decimal digits.
type MerchantID string

// An Intent asks for one payment page. It is complete: defaults are filled in,
// so that every call for it, also after a crash, says the same.
type Intent struct {
	ID             IntentID
	Merchant       MerchantID
	OrderID        string // pg_order_id
	IdempotencyKey string // pg_idempotency_key
	Amount         Money  // pg_amount
	Currency       string // pg_currency; empty: the merchant's own

	// Params are all other Init parameters that were given, description
	// included, in the order of Fields. Flags are "0" or "1"; no value is empty.
	Params []Param

	ExpiresAt time.Time         // no link is made after it; zero: never
	CreatedAt time.Time         // the emitter's clock; zero: not said
	Metadata  map[string]string // echoed in the outcome, never sent to the gateway
}

// A Param is one parameter of Init under the intent's name of it, which is the
// gateway's name without "pg_".
type Param struct{ Name, Value string }

// Param returns the value of a parameter in Params, or "".
func (in Intent) Param(name string) string {
	for _, p := range in.Params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// An Outcome settles an intent. It is Created or Failed; there is no third kind.
type Outcome interface{ outcome() }

// Created says that the intent has its payment page.
type Created struct {
	Link
	Attempts int       // calls of Init, this one included
	At       time.Time // when the link was received
}

// Failed says that the intent will never have a payment page.
type Failed struct {
	Reason           Reason
	ErrorCode        string // the gateway's, if it gave one
	ErrorDescription string // the gateway's words
	Violations       []Violation
	Retryable        bool  // a new intent may succeed
	PaymentMayExist  bool  // false only if that is certain
	PaymentID        int64 // what a status look-up found; 0: nothing
	Attempts         int
	At               time.Time
}

func (Created) outcome() {}
func (Failed) outcome()  {}

// A Link is a payment page the gateway opened.
type Link struct {
	PaymentID       int64 // beyond 2³¹ soon
	RedirectURL     string
	RedirectURLType string // in the gateway's words: URLNeedData, URLPaymentSystem or another
	RedirectQR      string // base64; empty unless the intent asked for it
}

// The two kinds of page, as the gateway spells them.
const (
	URLNeedData      = "need data"
	URLPaymentSystem = "payment system"
)

// A Reason says why an intent failed.
type Reason string

// The reasons of payment-failed. Each is final.
const (
	InvalidIntent Reason = "invalid_intent" // breaks a rule of Fields; never sent
	Refused       Reason = "refused"        // the gateway refused it for good
	Expired       Reason = "expired"        // expires_at passed first
	GaveUp        Reason = "gave_up"        // the give-up age passed first
	Duplicate     Reason = "duplicate"      // order or key is used, and not provably by us
)

// A Violation is one broken rule of one field of an intent. Rule is a sentence
// that may hold the shape of a value (its type, its length), never the value.
type Violation struct{ Field, Rule string }

// A Merchant is who gets the money, with what it takes to call the gateway in
// its name.
type Merchant struct {
	ID         MerchantID
	Secret     Secret
	GatewayURL string // scheme and host, perhaps a path prefix
	LinkHosts  Hosts  // of the payment pages that the gateway opens; empty: any
}

// A Secret is a text that does not print.
type Secret string

// String returns "***".
func (Secret) String() string { return "***" }

// Format prints "***" whatever the verb, also one that does not fit.
func (Secret) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("***")) }

// MarshalText returns "***", so that no encoder gives a secret away.
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// ErrUnknownMerchant is returned for an intent of a merchant that is not configured.
var ErrUnknownMerchant = errors.New("merchant is not configured")

// Describe names an intent for logs and errors: its id and nothing personal.
func (in Intent) Describe() string { return fmt.Sprintf("intent %s", in.ID) }
