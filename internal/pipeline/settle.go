package pipeline

import (
	"errors"
	"time"

	"paylink/internal/payment"
)

// A try is what has happened with an intent so far.
type try struct {
	calls   int                   // of Init
	repeats int                   // waits so far
	doubt   bool                  // a call may have made a payment that we know nothing of
	strange bool                  // an owner of the partition before us may have called
	asking  bool                  // the next call is a status lookup
	linked  int64                 // the payment whose link is published already; the lookup is to see whether there is another
	closing bool                  // it is the last one, before the intent is given up or expires
	closed  bool                  // it was made
	found   int64                 // the payment it found
	because *payment.GatewayError // what the lookup is about: a duplicate, or a refusal nobody signed
	last    *payment.GatewayError // the newest error
}

// A verdict says what to do with an intent after a call. Exactly one of its
// fields but after is set.
type verdict struct {
	outcome payment.Outcome // settle it
	repeat  bool            // call again, after the backoff and not before after
	after   time.Duration   // what the gateway asked for (Retry-After)
	ask     bool            // look its status up
	hold    bool            // hold the merchant, then call again

	confirmed bool // the lookup after a published link was made
	second    bool // and found another payment
}

// afterOpen decides what an Init call's answer means (design, section 5). It
// notes in the try what must not be forgotten.
func (tr *try) afterOpen(link payment.Link, err error, now time.Time) verdict {
	if errors.Is(err, payment.ErrUnknownMerchant) {
		return verdict{repeat: true} // removed this moment: nothing left the process
	}
	tr.calls++
	if err == nil {
		tr.last = nil
		return verdict{outcome: payment.Created{Link: link, Attempts: tr.calls, At: now}}
	}
	ge := payment.AsGatewayError(err)
	before := tr.last
	tr.last = ge
	switch ge.Class {
	case payment.NotSent:
		return verdict{repeat: true}
	case payment.RefusedForGood:
		if ge.Signed && !tr.strange {
			return verdict{outcome: tr.refused(ge, now)}
		}
		tr.asking, tr.because = true, ge // anybody could have said it, or an earlier call made a payment
		return verdict{ask: true}
	case payment.IsDuplicate:
		tr.asking, tr.because = true, ge
		return verdict{ask: true}
	case payment.Misconfigured:
		tr.doubt = tr.doubt || !ge.Signed
		if ge.Signed || before != nil && before.Class == payment.Misconfigured {
			return verdict{hold: true}
		}
		return verdict{repeat: true}
	}
	tr.doubt = true
	return verdict{repeat: true, after: ge.RetryAfter}
}

// afterFind decides what a status lookup's answer means.
func (tr *try) afterFind(st payment.Status, err error, now time.Time) verdict {
	why := tr.because
	switch {
	case tr.linked != 0:
		return verdict{second: err == nil && st.PaymentID != tr.linked, confirmed: true}
	case errors.Is(err, payment.ErrUnknownMerchant):
		return verdict{repeat: true}
	case tr.closing:
		return tr.afterClosing(st, err)
	}
	switch {
	case err == nil && why.Class == payment.IsDuplicate:
		return verdict{outcome: tr.duplicate(why, st.PaymentID, now)}
	case err == nil && why.Signed:
		tr.doubt, tr.found = true, st.PaymentID
		return verdict{outcome: tr.refused(why, now)}
	case err == nil: // refused, says somebody, and yet there is a payment: ask again for its page
		tr.doubt, tr.asking, tr.because = true, false, nil
		return verdict{repeat: true}
	case errors.Is(err, payment.ErrNotFound) && why.Class == payment.IsDuplicate:
		return verdict{outcome: tr.duplicate(why, 0, now)}
	case errors.Is(err, payment.ErrNotFound):
		return verdict{outcome: tr.refused(why, now)}
	}
	ge := payment.AsGatewayError(err)
	before := tr.last
	tr.last = ge
	if ge.Class == payment.Misconfigured && (ge.Signed || before != nil && before.Class == payment.Misconfigured) {
		return verdict{hold: true}
	}
	return verdict{repeat: true, after: ge.RetryAfter}
}

// cause names the newest error, for logs.
func (tr *try) cause() string {
	if tr.last == nil {
		return ""
	}
	return tr.last.Cause
}

// afterClosing takes the answer of the last lookup. One that says nothing
// leaves the doubt standing: it is not repeated.
func (tr *try) afterClosing(st payment.Status, err error) verdict {
	ge := payment.AsGatewayError(err)
	if err != nil && !errors.Is(err, payment.ErrNotFound) && ge.Class == payment.Misconfigured {
		tr.closing, tr.asking, tr.last = false, tr.because != nil, ge
		return verdict{hold: true}
	}
	tr.closing, tr.closed, tr.asking = false, true, tr.because != nil
	if err == nil {
		tr.found = st.PaymentID
	}
	tr.doubt = tr.doubt || err == nil || tr.strange && !errors.Is(err, payment.ErrNotFound)
	return verdict{repeat: true}
}

func (tr *try) refused(ge *payment.GatewayError, now time.Time) payment.Failed {
	return payment.Failed{
		Reason: payment.Refused, ErrorCode: ge.Code, ErrorDescription: ge.Description,
		PaymentMayExist: tr.doubt, PaymentID: tr.found, Attempts: tr.calls, At: now,
	}
}

func (tr *try) duplicate(ge *payment.GatewayError, id int64, now time.Time) payment.Failed {
	return payment.Failed{
		Reason: payment.Duplicate, ErrorCode: ge.Code, ErrorDescription: ge.Description,
		PaymentMayExist: true, PaymentID: id, Attempts: tr.calls, At: now,
	}
}

// An age is what overdue needs to know of an intent's time.
type age struct {
	record time.Time     // the record's timestamp
	giveUp time.Duration // after which an intent is given up
	held   time.Duration // time on hold since it arrived, which does not count
}

// overdue returns the outcome of an intent whose time is up, or nil.
func (tr *try) overdue(in payment.Intent, a age, now time.Time) payment.Outcome {
	f := payment.Failed{PaymentMayExist: tr.mayExist(), PaymentID: tr.found, Attempts: tr.calls, At: now}
	if ge := tr.last; ge != nil {
		f.ErrorCode, f.ErrorDescription = ge.Code, ge.Description
	}
	switch {
	case !in.ExpiresAt.IsZero() && !now.Before(in.ExpiresAt):
		f.Reason = payment.Expired
	case now.Sub(a.record)-a.held >= a.giveUp:
		f.Reason, f.Retryable = payment.GaveUp, true
	default:
		return nil
	}
	return f
}

// mayExist says whether a payment may exist that the intent's outcome must not
// deny: after a call in doubt, and while a duplicate is not cleared up.
func (tr *try) mayExist() bool { return tr.doubt || tr.because != nil }

// isNotFound reports whether the gateway answered that it knows no payment.
func isNotFound(err error) bool { return errors.Is(err, payment.ErrNotFound) }

// dismissed is the outcome of an intent whose merchant was removed while it
// waited. There is nobody any more who could be asked what calls before have left.
func (tr *try) dismissed(now time.Time) payment.Failed {
	f := invalid([]payment.Violation{{Field: "merchant_id", Rule: "must be a merchant that this service is configured for"}}, now)
	f.PaymentMayExist, f.PaymentID, f.Attempts = tr.mayExist() || tr.strange, tr.found, tr.calls
	return f
}

// invalid is the outcome of an intent that breaks rules.
func invalid(vs []payment.Violation, now time.Time) payment.Failed {
	return payment.Failed{Reason: payment.InvalidIntent, Violations: vs, At: now}
}
