package payment

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Gateway opens payment pages. Its methods may be called concurrently.
type Gateway interface {
	// Open asks for a payment page, once: it never repeats the call by itself.
	// It returns a link only from an answer whose signature verified.
	//
	// Any error is, or wraps, a *GatewayError, and its Class says what may be
	// done. An error without one must be taken as InDoubt. The same intent may
	// be opened again at any time, with the same idempotency key.
	Open(ctx context.Context, in Intent) (Link, error)

	// Find asks what the gateway knows under the intent's order id. A Status
	// comes only from a signed answer. ErrNotFound: the gateway says that it
	// knows no such order, which soon after a lost Open may mean "not yet".
	// Other errors are as those of Open.
	Find(ctx context.Context, in Intent) (Status, error)
}

// A Status is what the gateway knows of an order. It holds no link.
type Status struct {
	PaymentID int64
	OrderID   string
	State     string // the gateway's word: new, pending, success, …; an unknown word is not "paid"
	Amount    Money  // normalised by the gateway: compare with Money.Equal
	Currency  string
}

// ErrNotFound says that the gateway knows no payment of an order.
var ErrNotFound = errors.New("no such payment")

// A Class says what may be done after a call that gave no link.
// The zero Class is the most careful one.
type Class int

const (
	// InDoubt: the gateway may or may not have acted. Back off, repeat with the same key.
	InDoubt Class = iota
	// NotSent: the call never reached the gateway. Back off, repeat.
	NotSent
	// RefusedForGood: this intent will never be accepted. If the refusal is not
	// signed, ask Find before believing it.
	RefusedForGood
	// IsDuplicate: something with this order id or key exists. Ask Find.
	IsDuplicate
	// Misconfigured: our credentials or set-up are wrong; every call of this
	// merchant would fail. Hold the merchant, alarm, fail no intent for it.
	Misconfigured
)

var classNames = [...]string{"in doubt", "not sent", "refused", "duplicate", "misconfigured"}

// String returns the class in words.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("class %d", int(c))
	}
	return classNames[c]
}

// A GatewayError is a call of the gateway that gave no link.
type GatewayError struct {
	Class       Class
	Cause       string // a constant, fit for a metric's label: "timeout", "http_5xx", "unsigned_ok", …
	Signed      bool   // the answer's signature verified
	Code        string // pg_error_code, if any
	Description string // pg_error_description, if any: the gateway's words, cut to a sane length
	Status      int    // HTTP status; 0: no answer
	RetryAfter  time.Duration
	Err         error // what lies beneath, or nil; never holds a URL's query, a header or a form
}

// Kind says class and cause, in one word where that is the same for both.
func (e *GatewayError) Kind() string {
	if class := e.Class.String(); class != e.Cause {
		return class + ": " + e.Cause
	}
	return e.Cause
}

// Error says class, cause and code; never a parameter of the call.
func (e *GatewayError) Error() string {
	s := e.Kind()
	if e.Code != "" {
		s += " (error " + e.Code + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the error beneath.
func (e *GatewayError) Unwrap() error { return e.Err }

// AsGatewayError returns the GatewayError in err's chain. For any other error
// it returns one that is InDoubt: unclassified means unsure.
func AsGatewayError(err error) *GatewayError {
	var ge *GatewayError
	if errors.As(err, &ge) {
		return ge
	}
	return &GatewayError{Class: InDoubt, Cause: "unclassified", Err: err}
}
