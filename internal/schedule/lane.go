package schedule

import (
	"iter"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pq"
)

// A Lane is one merchant's loaded work.
type Lane struct {
	merchant payment.MerchantID
	endpoint *Endpoint
	queues   [classes]*pq.Heap[*Work]
	count    uint64 // work ever queued
	waiting  int    // work that backs off
	next     time.Time
	index    int // in Scheduler.ready; -1: not there

	pacing
	hold hold
	evidence
	gone      bool      // its merchant is not configured any more: nothing is called for it
	blockedAt time.Time // since when it waits for a call of its endpoint to end; zero: it does not
}

// pacing is how fast a lane's work is called for, and how much of it is loaded.
type pacing struct {
	limit  *pace.Limit // nil: none
	budget pace.Budget // of repeats
	slow   bool        // the limit lets work wait for long
	load   int         // how much work is kept loaded per partition, if it waits
}

// evidence is what calls have shown of a merchant.
type evidence struct {
	proven  bool      // one has shown whether our credentials work
	suspect bool      // the newest was refused as misconfigured, by nobody knows whom
	called  time.Time // the newest
	lastErr string    // class and cause of the newest error, until a call is answered without
}

func newLane(m payment.MerchantID) *Lane {
	l := &Lane{merchant: m, index: -1}
	for c := range l.queues {
		l.queues[c] = newLaneQueue()
	}
	return l
}

// Proven reports whether a call has shown whether the merchant's credentials work.
func (l *Lane) Proven() bool { return l.proven }

// IsGone reports whether the merchant is not configured any more.
func (l *Lane) IsGone() bool { return l.gone }

// IsPaced says that the lane's work waits for something other than room: its
// backlog must not fill the window. A fast limit is no such thing: what waits for
// it is soon gone.
func (l *Lane) IsPaced() bool {
	return l.hold.on || l.slow || l.waiting >= leastLoad || l.endpoint.was == pace.Open
}

// Queued is all work that stands in the lane.
func (l *Lane) Queued() iter.Seq[*Work] {
	return func(yield func(*Work) bool) {
		for _, q := range l.queues {
			for w := range q.All() {
				if !yield(w) {
					return
				}
			}
		}
	}
}

func (l *Lane) len() (n int) {
	for _, q := range l.queues {
		n += q.Len()
	}
	return n
}

func (l *Lane) push(w *Work, c Class, giveUp time.Duration) {
	l.count++
	w.order, w.class, w.stage = l.count, c, queued
	w.due(giveUp)
	l.queues[c].Push(w)
}

// head is the work that is next: what must be settled soonest, but no repeat
// while those have used up their budget and there is something else to do.
func (l *Lane) head(now time.Time) (head *Work) {
	for c, q := range l.queues { // repeats come last
		if q.Len() == 0 || head != nil && !q.Peek().by.Before(head.by) {
			continue
		}
		if head == nil || Class(c) != Again || !l.mayRepeat(now).After(now) {
			head = q.Peek()
		}
	}
	return head
}

// overdue is work whose time is up by now, if there is some that does not wait
// for its last look already.
func (l *Lane) overdue(now time.Time) *Work {
	for _, c := range []Class{First, Again} {
		if q := l.queues[c]; q.Len() > 0 && !q.Peek().by.After(now) {
			return q.Peek()
		}
	}
	return nil
}

// latest is by when the last of its work must be settled.
func (l *Lane) latest() (by time.Time) {
	for w := range l.Queued() {
		by = later(by, w.by)
	}
	return by
}

// mayRepeat is when a repeat may go, as far as the budget is concerned.
func (l *Lane) mayRepeat(now time.Time) time.Time {
	var interval time.Duration
	if l.limit != nil {
		interval = l.limit.Interval()
	}
	return l.budget.Next(now, interval, l.endpoint.breaker.Failing(now))
}

// size sets how much work the lane keeps loaded per partition: what it calls for
// in loadFor, if it is slow.
func (l *Lane) size(partitions, window int) {
	l.load, l.slow = leastLoad, false
	if l.limit == nil {
		return
	}
	each := window
	if t := l.limit.Interval(); t > 0 {
		each = int(loadFor/t) / max(partitions, 1)
	}
	l.slow = each < window
	l.load = max(leastLoad, min(each, window))
}

const (
	// loadFor is for how long a lane can go on with what it has loaded.
	loadFor = 2 * time.Second

	// leastLoad is how much work a lane keeps loaded per partition, at least.
	leastLoad = 32
)

// schedule sets when the lane has to be looked at next: when it may call, or when
// the time of some of its work is up.
func (l *Lane) schedule(now time.Time) {
	l.next = l.mayCall(now)
	for _, c := range []Class{First, Again} {
		if q := l.queues[c]; q.Len() > 0 {
			l.next = earlier(l.next, moment(q.Peek().by, now))
		}
	}
}

// mayCall is when the lane may call next.
func (l *Lane) mayCall(now time.Time) time.Time {
	if l.gone {
		return now // only to settle what is queued
	}
	at, ok := l.paceAt(now)
	if !ok {
		return now.Add(never)
	}
	if l.endpoint.isFull() {
		l.endpoint.block(l, now)
		return now.Add(never)
	}
	return at
}

// paceAt is when the lane may call next if there is room for a call. It reports
// false if no waiting helps, because this member has no share of the limit.
func (l *Lane) paceAt(now time.Time) (at time.Time, ok bool) {
	at = now
	if l.limit != nil {
		if at, ok = l.limit.Next(now); !ok {
			return at, false
		}
	}
	if l.hold.on {
		at = later(at, l.hold.probeAt)
	}
	if l.queues[First].Len() == 0 && l.queues[Last].Len() == 0 {
		at = later(at, l.mayRepeat(now))
	}
	return later(at, l.endpoint.breaker.Next(now)), true
}
