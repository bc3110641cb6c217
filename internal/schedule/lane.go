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
	count    uint64    // work ever queued
	waiting  int       // work that backs off
	opening  int       // work that may end a hold, wherever it stands, in flight included
	fresh    int       // of it, what is queued and was never refused for our credentials or set-up
	opened   time.Time // when the last of it left
	next     time.Time
	index    int // in Scheduler.ready; -1: not there

	pacing
	borrowing
	hold hold
	evidence
	gone      bool      // its merchant is not configured any more: nothing is called for it
	crowded   bool      // it waits until there is room for a call at all
	calls     []*call   // in flight, the oldest first
	hung      int       // how many calls hung, of which each quick one makes up for half
	blockedAt time.Time // since when it waits for a call of its endpoint to end; zero: it does not
}

// pacing is how fast a lane's work is called for, and how much of it is loaded.
type pacing struct {
	limit  *pace.Limit // nil: none
	budget pace.Budget // of repeats
	vain   int         // how many of the newest repeats were in vain, about
	firsts int         // first calls since the newest repeat
	looked time.Time   // the newest last look
	slow   bool        // the limit lets work wait for long
	load   int         // how much work is kept loaded per partition, if it waits
}

// evidence is what calls have shown of a merchant.
type evidence struct {
	proven  bool             // one has shown that our credentials work
	heard   bool             // one has ended in any way but with a denial of them
	proofs  uint64           // Inits that have shown that they do
	suspect payment.IntentID // the first that was refused for our credentials or set-up since the newest proof
	since   time.Time        // when that was; zero: none was
	blind   bool             // the newest look-up was refused for them, though Inits are not
	called  time.Time        // the newest call
	misses  int              // how many more of its newest calls failed than were answered
	missed  uint64           // how many of other lanes were answered before them, or before its newest answer
	answers uint64           // how many of it were, of its endpoint
	lastErr string           // class and cause of the newest error, until a call is answered without
}

func newLane(m payment.MerchantID) *Lane {
	l := &Lane{merchant: m, index: -1}
	for c := range l.queues {
		l.queues[c] = newLaneQueue()
	}
	return l
}

// Knows reports whether it is known what the gateway makes of the merchant, as far as
// work is concerned whose time is up: calls have shown it, or nobody comes who could.
func (l *Lane) Knows(w *Work) bool { return l.heard || l.isAlone(w) }

// IsHeld reports whether the merchant is on hold.
func (l *Lane) IsHeld() bool { return l.hold.on }

// IsGone reports whether the merchant is not configured any more.
func (l *Lane) IsGone() bool { return l.gone }

// IsPaced says that the lane's work waits for something other than room: its
// backlog must not fill the window. A fast limit is no such thing: what waits for
// it is soon gone.
func (l *Lane) IsPaced() bool {
	return l.hold.on || l.slow || l.waiting >= leastLoad || l.endpoint.was == pace.Open || l.hangs() && (l.crowded || !l.blockedAt.IsZero())
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

// goesBefore orders lanes by when they have to be looked at. Of those that wait for the
// same probe of their endpoint, one goes first whose calls have not failed of late, and
// then the one that was called for the longest ago: the probes of those that fail alone
// would else keep all others from showing that it works.
func (l *Lane) goesBefore(other *Lane) bool {
	switch {
	case !l.next.Equal(other.next):
		return l.next.Before(other.next)
	case l.misses == 0 != (other.misses == 0):
		return l.misses == 0
	}
	return l.called.Before(other.called)
}

func (l *Lane) push(w *Work, c Class, giveUp time.Duration) {
	l.count++
	w.order, w.class, w.stage = l.count, c, queued
	w.due(giveUp)
	l.queues[c].Push(w)
	l.enter(w)
	if w.fresh = w.opens && w.denials == 0; w.fresh {
		l.fresh++
	}
}

// enter counts work that may end a hold.
func (l *Lane) enter(w *Work) {
	if w.opens = w.mayEndHold(); w.opens {
		l.opening++
	}
}

// leave does not count it any more.
func (l *Lane) leave(w *Work, now time.Time) {
	if !w.opens {
		return
	}
	w.opens, l.opened = false, now
	l.opening--
}

// head is the work that is next: what must be settled soonest, but no repeat
// while those have used up their budget and there is something else to do. A last
// look goes only when nothing else may: what it is about has had its time.
func (l *Lane) head(now time.Time) *Work {
	first, again, last := l.queues[First], l.queues[Again], l.queues[Last]
	if last.Len() > 0 {
		calls, ok := l.callsAt(now)
		if !ok || calls.After(now) && !l.mayLook(now).After(now) {
			return last.Peek()
		}
	}
	if w := l.prober(); w != nil {
		return w
	}
	switch {
	case first.Len() == 0 && again.Len() == 0:
		return nil
	case again.Len() == 0:
		return first.Peek()
	case first.Len() == 0, again.Peek().by.Before(first.Peek().by) && l.mayOvertake(now):
		return l.repeat()
	}
	return first.Peek()
}

// mayOvertake reports whether a repeat may go before a first call. While repeats are in
// vain, or the endpoint fails, nine first calls go between two: a breaker may let so few
// calls through that a budget by time is none.
func (l *Lane) mayOvertake(now time.Time) bool {
	isThrifty := l.isVain() || l.endpoint.breaker.Failing(now)
	return !l.mayRepeat(now).After(now) && (!isThrifty || l.firsts >= lookShare-1)
}

// repeat is the repeat that is next: what must be settled soonest. While repeats are in
// vain it is the one that was called for least: others may be so for ever.
func (l *Lane) repeat() *Work {
	next := l.queues[Again].Peek()
	if !l.isVain() {
		return next
	}
	for w := range l.queues[Again].All() {
		if w.calls < next.calls || w.calls == next.calls && comesBefore(w, next) {
			next = w
		}
	}
	return next
}

const (
	vainRepeats = 8  // so many in a row, and first calls go before repeats
	mostVain    = 16 // as many as are remembered
)

// isVain reports whether repeats of the lane bring nothing: some intents are answered
// so for ever, and the others are not to wait for them.
func (l *Lane) isVain() bool { return l.vain >= vainRepeats }

// repeated notes what a repeat has brought. That a hold lasts says nothing of repeats.
func (l *Lane) repeated(w *Work, isProbe bool, r Result) {
	switch {
	case w.class != Again || w.Endless || r.How == Unasked || isProbe && r.How == Denied:
	case r.Ends:
		l.vain /= 2
	default:
		l.vain = min(l.vain+1, mostVain)
	}
}

// lookShare is which part of a merchant's rate last looks may take: a tenth.
const lookShare = 10

// mayLook is when a last look may go, as far as its share of the rate is concerned.
func (l *Lane) mayLook(now time.Time) time.Time {
	if l.limit == nil || l.looked.IsZero() {
		return now
	}
	return later(now, l.looked.Add(lookShare*l.limit.Interval()))
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

// mayRepeat is when a repeat may go, as far as the budget is concerned. A hold has waits
// of its own.
func (l *Lane) mayRepeat(now time.Time) time.Time {
	if l.hold.on {
		return now
	}
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
	// What waits for its last look is left out: its time is up already.
	l.next = l.mayCall(now)
	for _, c := range []Class{First, Again} {
		if q := l.queues[c]; q.Len() > 0 {
			l.next = earlier(l.next, moment(q.Peek().by, now))
		}
	}
	if at, ok := l.mayAsk(now); ok {
		l.next = earlier(l.next, later(at, now))
	}
}

// mayCall is when the lane may call next.
func (l *Lane) mayCall(now time.Time) time.Time {
	if l.gone {
		return now // only to settle what is queued
	}
	// Never, and not now: it is woken when there is room (makeWay). Otherwise every
	// event would look at every lane that waits for the same thing.
	if l.crowded {
		return now.Add(never)
	}
	at, ok := l.paceAt(now)
	if !ok {
		return now.Add(never)
	}
	if !l.endpoint.hasRoom(l) {
		l.endpoint.block(l, now)
		return now.Add(never)
	}
	return at
}

// paceAt is when the lane may call next if there is room for a call. It reports
// false if no waiting helps, because this member has no share of the limit.
func (l *Lane) paceAt(now time.Time) (at time.Time, ok bool) {
	at = now
	if l.limit != nil && len(l.lent) == 0 {
		if at, ok = l.limit.Next(now); !ok {
			return at, false
		}
	}
	return later(later(at, l.turn(now)), l.endpoint.breaker.Next(now)), true
}

// turn is when something in the lane may go, as far as its hold is concerned, and
// the shares of the rate that repeats and last looks have.
func (l *Lane) turn(now time.Time) time.Time {
	calls, ok := l.callsAt(now)
	switch {
	case l.queues[Last].Len() == 0:
		return calls
	case !ok:
		return l.mayLook(now)
	}
	return earlier(calls, l.mayLook(now))
}

// callsAt is when a first call or a repeat may go. It reports false if none waits.
func (l *Lane) callsAt(now time.Time) (at time.Time, ok bool) {
	at = now
	if l.hold.on {
		at = later(at, l.probeAt())
	}
	if l.queues[First].Len() > 0 {
		return at, true
	}
	return later(at, l.mayRepeat(now)), l.queues[Again].Len() > 0
}
