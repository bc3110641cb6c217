package attempt

import (
	"errors"
	"strings"
	"testing"
	"time"

	"paylink/internal/payment"
)

// An occurrence is something that may happen to an intent: an answer to its next
// call, or, if why is set, that its time is up.
type occurrence struct {
	name   string
	err    error         // of the call; nil: a link, or a payment that a look-up finds
	onWay  time.Duration // a call can still be on its way to the gateway for so long
	why    payment.Reason
	proven bool // of time that is up
}

var occurrences = []occurrence{
	{name: "ok"},
	{name: "in doubt", err: said(payment.InDoubt, false)},
	{name: "unclassified", err: errors.New("boom")},
	{name: "not sent", err: said(payment.NotSent, false)},
	{name: "refused, signed", err: said(payment.RefusedForGood, true)},
	{name: "refused, unsigned", err: said(payment.RefusedForGood, false)},
	{name: "duplicate", err: said(payment.IsDuplicate, true)},
	{name: "our set-up, signed", err: said(payment.Misconfigured, true)},
	{name: "our set-up, unsigned", err: said(payment.Misconfigured, false)},
	{name: "removed", err: payment.ErrUnknownMerchant},
	{name: "not found", err: payment.ErrNotFound}, // to Init: an error of no class
	{name: "not found, early", err: payment.ErrNotFound, onWay: time.Second},
	{name: "old", why: payment.GaveUp, proven: true},
	{name: "old, not proven", why: payment.GaveUp},
	{name: "expired", why: payment.Expired, proven: true},
}

// A history is one intent's way, and what an outside observer knows of it.
type history struct {
	names []string
	state State
	calls int // of Init that left the process

	standing  bool // a call may have made a payment, or a look-up found one
	inherited bool // calls before us may have, and no look-up has answered
	open      bool // the gateway said refused or duplicate, and no look-up has explained it
	denied    bool // an Init of it was refused for our credentials
}

// TestEverySequence goes through every sequence of up to four occurrences from
// every doubt, and judges what comes out by what an observer knows.
func TestEverySequence(t *testing.T) {
	sequences := 0
	var extend func(h history, more int)
	extend = func(h history, more int) {
		sequences++
		h.judgeAll(t)
		if more == 0 {
			return
		}
		for _, o := range occurrences {
			if next, d := h.with(o); !next.isOver(t, d, o) {
				extend(next, more-1)
			}
		}
	}
	for doubt, name := range doubts {
		h := history{names: []string{name}, state: State{Doubt: doubt}, standing: doubt == Standing, inherited: doubt == Inherited}
		extend(h, 4)
	}
	if sequences < 10_000 {
		t.Errorf("only %d sequences", sequences)
	}
}

// with is the history after one more occurrence, and what the state decides on it.
func (h history) with(o occurrence) (history, Decision) {
	h.names = append(h.names[:len(h.names):len(h.names)], o.name)
	var d Decision
	switch {
	case o.why != "":
		h.state, d = h.state.Over(o.why, o.proven, noon)
	case h.state.IsLookUp():
		h.found(o)
		var st payment.Status
		if o.err == nil {
			st.PaymentID = 7
		}
		h.state, d = h.state.Found(st, o.err, o.onWay, noon)
	default:
		h.opened(o.err)
		h.state, d = h.state.Opened(link, o.err, noon)
	}
	return h, d
}

// opened notes what the answer to an Init shows.
func (h *history) opened(err error) {
	if errors.Is(err, payment.ErrUnknownMerchant) {
		return
	}
	h.calls++
	if err == nil {
		return
	}
	ge := payment.AsGatewayError(err)
	h.denied = h.denied || ge.Class == payment.Misconfigured
	switch ge.Class {
	case payment.NotSent:
	case payment.RefusedForGood:
		h.open = !ge.Signed
	case payment.IsDuplicate:
		h.open = true
	case payment.Misconfigured:
		h.standing = h.standing || !ge.Signed
	default:
		h.standing = true
	}
}

// found notes what the answer to a look-up shows.
func (h *history) found(o occurrence) {
	switch {
	case o.err == nil:
		h.standing, h.inherited, h.open = true, false, false
	case errors.Is(o.err, payment.ErrNotFound) && o.onWay > 0 && h.explainsRefusal(): // "not yet": it clears nothing up
	case errors.Is(o.err, payment.ErrNotFound):
		h.standing = h.standing || h.inherited && o.onWay > 0
		h.inherited, h.open = false, false
	case errors.Is(o.err, payment.ErrUnknownMerchant):
	case h.state.Next == Next(LastLook{}):
		h.standing = h.standing || h.inherited // it is the only one of its kind: nothing clears that up any more
	}
}

func (h history) explainsRefusal() bool {
	_, ok := h.state.Next.(ExplainRefusal)
	return ok
}

func (h history) String() string { return strings.Join(h.names, " | ") }

// isOver judges a decision, and reports whether it ends the intent.
func (h history) isOver(t *testing.T, d Decision, o occurrence) bool {
	switch d := d.(type) {
	case Settle:
		if c, ok := d.Outcome.(payment.Created); ok {
			if o.err != nil || o.why != "" || c.Link != link || c.Attempts != h.calls {
				t.Errorf("%v: created %v with %d attempts after %d calls", h, c.Link, c.Attempts, h.calls)
			}
			return true
		}
		h.judge(t, d.Outcome.(payment.Failed), o.proven)
		return true
	case Compared:
		t.Errorf("%v: compared, and nothing was linked", h)
		return true
	case Proceed:
		if !h.state.IsLookUp() {
			t.Errorf("%v: proceeds with %T, want a look-up", h, h.state.Next)
		}
	case Repeat:
		if o.why != "" {
			t.Errorf("%v: repeats for its time is up", h)
		}
	case PutAside:
		if ge := payment.AsGatewayError(o.err); ge.Class != payment.Misconfigured {
			t.Errorf("%v: it is put aside", h)
		}
	default:
		t.Errorf("%v: decision %T", h, d)
	}
	return false
}

// judge holds an outcome that is no link against what is known. proven says that
// others of its merchant were accepted: then nobody knows what a denial meant.
func (h history) judge(t *testing.T, f payment.Failed, proven bool) {
	t.Helper()
	if f.Attempts != h.calls {
		t.Errorf("%v: %d attempts, want the %d calls of Init", h, f.Attempts, h.calls)
	}
	want := h.standing || h.inherited || h.open || f.Reason == payment.Duplicate || h.denied && proven
	if f.PaymentMayExist != want {
		t.Errorf("%v: %s, payment_may_exist %v, want %v", h, f.Reason, f.PaymentMayExist, want)
	}
	if f.PaymentID != 0 && !f.PaymentMayExist {
		t.Errorf("%v: %s, names payment %d and denies that there may be one", h, f.Reason, f.PaymentID)
	}
}

// judgeAll holds every end that the intent could take now against what is known.
func (h history) judgeAll(t *testing.T) {
	h.judge(t, h.state.Dismissed(noon), false)
	if h.state.Calls != h.calls {
		t.Errorf("%v: Calls = %d, want %d", h, h.state.Calls, h.calls)
	}
	for _, why := range []payment.Reason{payment.GaveUp, payment.Expired} {
		s, d := h.state.Over(why, true, noon)
		if _, ok := d.(Proceed); ok && !s.IsLookUp() {
			t.Errorf("%v: Over(%s) = %s with %T next", h, why, words(d), s.Next)
		}
		if f, ok := outcomeOf(d).(payment.Failed); ok {
			if f.Reason != why || f.Retryable != (why == payment.GaveUp) {
				t.Errorf("%v: Over(%s) = %s, retryable %v", h, why, f.Reason, f.Retryable)
			}
			h.judge(t, f, true)
		}
	}
}
