// Package attempt knows one intent's way through the gateway: what its calls
// have left behind (State), what an answer means, and what to do next
// (Decision). It decides and does nothing else: no lock, no clock, no call.
//
// Opened and Found are the table "Gateway behaviour → what we do" of
// internal/README.md, and their test goes through it row by row.
package attempt

import (
	"errors"
	"time"

	"paylink/internal/payment"
)

// A State is what is known of one intent's calls. The zero State is that of an
// intent that nobody ever called for.
type State struct {
	Calls   int // of Init
	Repeats int // times it had to wait for a repeat
	Denials int // times an Init was refused for our credentials or set-up
	Doubt   Doubt
	Next    Next                  // the next call; nil: Init
	Payment int64                 // the one that a look-up found; 0: none
	Last    *payment.GatewayError // the newest error; nil: none yet, or answered since
}

// Doubt is whether a payment may exist at the gateway that we know nothing of.
type Doubt int

const (
	Clear     Doubt = iota // no call can have made one
	Inherited              // an owner of the partition before us may have called
	Standing               // a call of ours may have made one, or a look-up did not clear what was inherited
)

// A Next is the next call for an intent: Init, or a status look-up with what it
// is to find out. There are no others.
type Next interface{ next() }

type (
	// Init asks for the payment page.
	Init struct{}

	// ExplainRefusal looks up whether a payment exists of an intent that was
	// refused by an answer nobody signed, or after calls of an owner before us.
	ExplainRefusal struct{ Said *payment.GatewayError }

	// ExplainDuplicate looks up whose payment it is that the gateway says exists.
	ExplainDuplicate struct{ Said *payment.GatewayError }

	// LastLook looks up, before an intent is given up or expires, whether there
	// is a payment that we know nothing of.
	LastLook struct{}

	// Compare looks up whether there is another payment than the one whose link
	// is published: calls before were in doubt.
	Compare struct{ Linked int64 }
)

func (Init) next()             {}
func (ExplainRefusal) next()   {}
func (ExplainDuplicate) next() {}
func (LastLook) next()         {}
func (Compare) next()          {}

// A Decision is what to do with an intent after an answer: Settle, Repeat,
// Proceed, PutAside or Compared. There are no others.
type Decision interface{ decision() }

type (
	// Settle publishes the outcome.
	Settle struct{ Outcome payment.Outcome }

	// Repeat backs off, and then makes the next call. AtLeast is the wait that
	// the gateway asked for (Retry-After).
	Repeat struct{ AtLeast time.Duration }

	// Proceed makes the next call as soon as its merchant may be called.
	Proceed struct{}

	// PutAside says that the gateway refuses our credentials or set-up. The intent
	// waits, as a merchant's probes do, and makes way for others: whether it is the
	// merchant that is refused, or this intent alone, only others can show.
	PutAside struct{ Denials int }

	// Compared ends an intent whose link is published: Second says that the
	// gateway shows another payment.
	Compared struct{ Second bool }
)

func (Settle) decision()   {}
func (Repeat) decision()   {}
func (Proceed) decision()  {}
func (PutAside) decision() {}
func (Compared) decision() {}

// IsLookUp reports whether the next call is a status look-up.
func (s State) IsLookUp() bool {
	switch s.Next.(type) {
	case nil, Init:
		return false
	}
	return true
}

// IsLinked reports whether the intent's link is published: what is left is to
// compare.
func (s State) IsLinked() bool {
	_, ok := s.Next.(Compare)
	return ok
}

// MayExist says whether a payment may exist that the intent's outcome must not
// deny: after a call in doubt, and while a refusal is not explained. What was
// only inherited is looked up before an outcome rests on it.
func (s State) MayExist() bool {
	switch s.Next.(type) {
	case ExplainRefusal, ExplainDuplicate:
		return true
	}
	return s.Doubt == Standing
}

// Opened is what the answer to an Init means.
func (s State) Opened(link payment.Link, err error, now time.Time) (State, Decision) {
	if errors.Is(err, payment.ErrUnknownMerchant) {
		return s, Repeat{} // removed this moment: nothing left the process
	}
	s.Calls++
	if err == nil {
		s.Last = nil
		return s, Settle{payment.Created{Link: link, Attempts: s.Calls, At: now}}
	}
	ge := payment.AsGatewayError(err)
	s.Last = ge
	switch ge.Class {
	case payment.NotSent:
		return s, Repeat{}
	case payment.RefusedForGood:
		if ge.Signed && s.Doubt != Inherited {
			return s, Settle{s.refused(ge, now)}
		}
		s.Next = ExplainRefusal{ge} // anybody could have said it, or an earlier call made a payment
		return s, Proceed{}
	case payment.IsDuplicate:
		s.Next = ExplainDuplicate{ge}
		return s, Proceed{}
	case payment.Misconfigured:
		if !ge.Signed {
			s.Doubt = Standing
		}
		s.Denials++
		return s, PutAside{s.Denials - 1}
	}
	s.Doubt = Standing
	return s, Repeat{AtLeast: ge.RetryAfter}
}

// Found is what the answer to a status look-up means. onWay is for how long a call
// may still be on its way to the gateway, of an owner before us, or one of ours that
// somebody answered in the gateway's place; zero: none is. That no payment is known
// yet clears nothing up then. A look-up that fails, or is refused, leaves the doubt
// standing, and concerns nobody else.
func (s State) Found(st payment.Status, err error, onWay time.Duration, now time.Time) (State, Decision) {
	if next, ok := s.Next.(Compare); ok {
		return s, Compared{Second: err == nil && st.PaymentID != next.Linked}
	}
	if errors.Is(err, payment.ErrUnknownMerchant) {
		return s, Repeat{}
	}
	notFound := errors.Is(err, payment.ErrNotFound)
	early := onWay > 0
	switch next := s.Next.(type) {
	case LastLook:
		return s.looked(st, err, notFound, early)
	case ExplainDuplicate:
		if err == nil || notFound {
			return s, Settle{s.duplicate(next.Said, st.PaymentID, now)}
		}
	case ExplainRefusal:
		switch {
		case err == nil && next.Said.Signed:
			s.Doubt, s.Payment = Standing, st.PaymentID
			return s, Settle{s.refused(next.Said, now)}
		case err == nil: // refused, says somebody, and yet there is a payment: ask again for its page
			s.Doubt, s.Next = Standing, Init{}
			return s, Repeat{}
		case notFound && early: // look again when no call can arrive any more
			return s, Repeat{AtLeast: onWay}
		case notFound:
			return s, Settle{s.refused(next.Said, now)}
		}
	}
	s.Last = payment.AsGatewayError(err)
	return s, Repeat{AtLeast: s.Last.RetryAfter}
}

// looked takes the answer of the last look. One that says nothing leaves the
// doubt standing: it is not repeated.
func (s State) looked(st payment.Status, err error, notFound, early bool) (State, Decision) {
	s.Next = Init{}
	switch {
	case err == nil:
		s.Doubt, s.Payment = Standing, st.PaymentID
	case notFound && !early && s.Doubt == Inherited:
		s.Doubt = Clear
	case s.Doubt == Inherited:
		s.Doubt = Standing
	}
	return s, Repeat{}
}

func (s State) refused(ge *payment.GatewayError, now time.Time) payment.Failed {
	return payment.Failed{
		Reason: payment.Refused, ErrorCode: ge.Code, ErrorDescription: ge.Description,
		PaymentMayExist: s.Doubt == Standing, PaymentID: s.Payment, Attempts: s.Calls, At: now,
	}
}

func (s State) duplicate(ge *payment.GatewayError, id int64, now time.Time) payment.Failed {
	return payment.Failed{
		Reason: payment.Duplicate, ErrorCode: ge.Code, ErrorDescription: ge.Description,
		PaymentMayExist: true, PaymentID: id, Attempts: s.Calls, At: now,
	}
}

// Over is what to do with an intent whose time is up, for the reason Expired or
// GaveUp. proven says that calls for the merchant have had answers that did not
// speak of our credentials. Where none had, the merchant may be on hold without our
// knowing, as we have just taken over: then nothing is given up. And an owner before
// us may have left a payment. Both are looked up first, once. Where others are
// accepted, or nobody else comes, nobody knows what a denial of this one meant: a
// payment may exist.
func (s State) Over(why payment.Reason, proven bool, now time.Time) (State, Decision) {
	switch s.Next.(type) {
	case nil, Init:
		if s.Doubt == Inherited || why == payment.GaveUp && !proven {
			s.Next = LastLook{}
			return s, Proceed{}
		}
	case LastLook:
		return s, Proceed{} // it is about to be made
	}
	f := payment.Failed{Reason: why, Retryable: why == payment.GaveUp, PaymentMayExist: s.MayExist() || proven && s.Denials > 0, PaymentID: s.Payment, Attempts: s.Calls, At: now}
	if ge := s.Last; ge != nil {
		f.ErrorCode, f.ErrorDescription = ge.Code, ge.Description
	}
	return s, Settle{f}
}

// IsDenied reports whether its newest answer speaks of our credentials.
func (s State) IsDenied() bool { return s.Last != nil && s.Last.Class == payment.Misconfigured }

// Dismissed is the outcome of an intent whose merchant was removed while it
// waited. There is nobody any more who could be asked what calls before have left.
func (s State) Dismissed(now time.Time) payment.Failed {
	return s.Invalid([]payment.Violation{{Field: "merchant_id", Rule: "must be a merchant that this service is configured for"}}, now)
}

// Invalid is the outcome of an intent that breaks rules, perhaps only since it was
// called for.
func (s State) Invalid(vs []payment.Violation, now time.Time) payment.Failed {
	f := payment.Failed{Reason: payment.InvalidIntent, Violations: vs, At: now}
	f.PaymentMayExist, f.PaymentID, f.Attempts = s.MayExist() || s.Doubt == Inherited, s.Payment, s.Calls
	return f
}

// Linked is the state of an intent whose link is published, after calls in doubt.
func (s State) Linked(id int64) State {
	s.Next = Compare{Linked: id}
	return s
}
