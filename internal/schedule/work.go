package schedule

import (
	"time"

	"paylink/internal/payment"
	"paylink/internal/pq"
)

// A Work is one loaded intent that needs calls. Whoever makes it sets the first
// fields before it gives it to a Scheduler, and leaves the rest alone.
type Work struct {
	ID        payment.IntentID
	At        time.Time // the record's, or when it was first seen
	ExpiresAt time.Time // no link is made after it; zero: never
	Endless   bool      // its outcome is published: its time is never up
	LooksUp   bool      // its next call is a look-up, which ends no hold
	Owner     any

	lane  *Lane // once it has been given to the scheduler; nil: work that is never called for
	stage stage
	class Class
	index int    // in the queue of its stage
	order uint64 // first come, first served

	by    time.Time // by when it must be settled; zero: not asked yet
	until time.Time // when a wait ends
	look  time.Time // when it has to be looked at: its wait ends, or its time is up

	opens  bool   // it is counted in its lane's opening
	fresh  bool   // and in its fresh
	call   *call  // while one is made for it
	denied uint64 // its lane's proofs when it was refused first for our credentials, and 1; 0: it was not

	denials int       // how often it was refused for them
	alone   bool      // it was again when others had been accepted since: no hold concerns it
	failed  time.Time // when its first probe of a hold since then had no answer
	calls   int
}

// A call is one that is in flight.
type call struct {
	lane     *Lane
	began    time.Time
	endpoint *Endpoint
	probe    bool // the one that a hold lets through
	lentBy   string
	others   uint64 // calls of other lanes that were answered before
	over     bool
}

// A stage is which queue a Work stands in.
type stage int

const (
	idle    stage = iota // in none: its owner has it
	queued               // in its lane
	waiting              // backs off
)

// A Class is in which order work is called for.
type Class int

const (
	First Class = iota // the first call for it
	Last               // the last look before its time is up: after all others, and with a tenth of the rate
	Again              // repeats, which have a budget while the gateway fails broadly
	classes
)

// A Why is why the time of a Work is up.
type Why = payment.Reason

// deadline is by when work of a record's time, that may expire, is to be settled.
func deadline(at, expires time.Time, giveUp time.Duration) time.Time {
	by := at.Add(giveUp)
	if !expires.IsZero() && expires.Before(by) {
		return expires
	}
	return by
}

// due is by when the work must be settled.
func (w *Work) due(giveUp time.Duration) time.Time {
	if w.by.IsZero() {
		w.by = deadline(w.At, w.ExpiresAt, giveUp)
	}
	return w.by
}

// hasExpired reports whether no link may be asked for any more. A last look asks for
// none, and neither does a look at what the published link has beside it.
func (w *Work) hasExpired(now time.Time) bool {
	return !w.Endless && w.class != Last && !w.ExpiresAt.IsZero() && !now.Before(w.ExpiresAt)
}

// IsWaiting reports whether it backs off.
func (w *Work) IsWaiting() bool { return w.stage == waiting }

// IsQueued reports whether it stands in its merchant's lane.
func (w *Work) IsQueued() bool { return w.stage == queued }

// mayEndHold reports whether its next call, or the one in flight, can end a hold.
func (w *Work) mayEndHold() bool { return !w.LooksUp && w.class != Last }

// Until is when its wait ends.
func (w *Work) Until() time.Time { return w.until }

// newLaneQueue orders by deadline, then first come.
func newLaneQueue() *pq.Heap[*Work] {
	return pq.New(comesBefore, func(w *Work, i int) { w.index = i })
}

func comesBefore(a, b *Work) bool {
	if !a.by.Equal(b.by) {
		return a.by.Before(b.by)
	}
	return a.order < b.order
}

// newWaitQueue orders by when work has to be looked at.
func newWaitQueue() *pq.Heap[*Work] {
	return pq.New(func(a, b *Work) bool { return a.look.Before(b.look) }, func(w *Work, i int) { w.index = i })
}
