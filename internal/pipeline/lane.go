package pipeline

import (
	"container/heap"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// A lane is the queue of one merchant's tasks that are ready to call. Lanes do
// not wait for each other.
type lane struct {
	merchant  payment.MerchantID
	host      *host
	first     laneTasks   // tries for the first time
	again     laneTasks   // repeats
	last      laneTasks   // those whose time is up, but for a last look
	next      time.Time   // when it has to be looked at next
	index     int         // in Engine.ready; -1: not there
	count     uint64      // tasks ever queued
	limit     *pace.Limit // nil: none
	budget    pace.Budget // of repeats
	hold      hold
	backing   int       // its tasks that back off
	slow      bool      // its limit lets tasks wait for long
	load      int       // how many tasks it keeps loaded per partition, if paced
	gone      bool      // its merchant is not configured any more: nothing is called for it
	blocked   bool      // waits for a call of its host to end
	suspect   bool      // the last call was refused as misconfigured, by nobody knows whom
	blockedAt time.Time // when it began to
	called    time.Time // its newest call
	lastErr   string    // class and cause of the newest error, until a call is answered without
	known     bool      // a call has shown whether our credentials work
}

func (l *lane) push(t *task, giveUp time.Duration) {
	l.count++
	t.order, t.lane, t.queue = l.count, l, &l.first
	switch {
	case t.work.try.closing:
		t.queue = &l.last
	case t.work.try.repeats > 0:
		t.queue = &l.again // also the look after a link in doubt: it can wait
	}
	t.due(giveUp)
	t.enter(queued)
	heap.Push(t.queue, t)
}

// close has a task looked up once more before it is given up. It waits apart, so
// that what is overdue behind it is seen.
func (l *lane) close(t *task) {
	heap.Remove(t.queue, t.index)
	t.work.try.asking, t.work.try.closing = true, true
	t.queue = &l.last
	heap.Push(t.queue, t)
}

// remove takes a task out of the lane.
func (l *lane) remove(t *task) {
	heap.Remove(t.queue, t.index)
	t.lane, t.queue = nil, nil
}

func (l *lane) len() int { return len(l.first) + len(l.again) + len(l.last) }

// queues are the lane's three; repeats come last.
func (l *lane) queues() [3]laneTasks { return [...]laneTasks{l.first, l.last, l.again} }

// head is the task that is next: what must be settled soonest, but no repeat
// while those have used up their budget and there is something else to do.
func (l *lane) head(now time.Time) (head *task) {
	for _, q := range l.queues() {
		if len(q) == 0 || head != nil && q[0].by >= head.by {
			continue
		}
		if head == nil || q[0].queue != &l.again || !l.mayRepeat(now).After(now) {
			head = q[0]
		}
	}
	return head
}

// overdue is a task whose time is up by now, if there is one that does not wait
// for its last look already.
func (l *lane) overdue(now time.Time) *task {
	for _, q := range []laneTasks{l.first, l.again} {
		if len(q) > 0 && q[0].by <= now.UnixNano() {
			return q[0]
		}
	}
	return nil
}

// latest is by when the last of its tasks must be settled.
func (l *lane) latest() (by int64) {
	for _, q := range l.queues() {
		for _, t := range q {
			by = max(by, t.by)
		}
	}
	return by
}

// mayRepeat is when a repeat may go, as far as the budget is concerned.
func (l *lane) mayRepeat(now time.Time) time.Time {
	var interval time.Duration
	if l.limit != nil {
		interval = l.limit.Interval()
	}
	return l.budget.Next(now, interval, l.host.breaker.Failing(now))
}

// paced says that the lane's tasks wait for something other than room: their
// backlog must not fill the window. A fast limit is no such thing: what waits
// for it is soon gone.
func (l *lane) paced() bool {
	return l.hold.on || l.slow || l.backing >= laneLoad || l.host.was == pace.Open
}

// size sets how many tasks the lane keeps loaded per partition: what it calls
// for in loadFor, if it is slow.
func (l *lane) size(desks, window int) {
	l.load, l.slow = laneLoad, false
	if l.limit == nil {
		return
	}
	each := window
	if t := l.limit.Interval(); t > 0 {
		each = int(loadFor/t) / max(desks, 1)
	}
	l.slow = each < window
	l.load = max(laneLoad, min(each, window))
}

// loadFor is for how long a lane can go on with what it has loaded.
const loadFor = 2 * time.Second

// yieldRoom gives a task's room in the window to those that could go now.
func (t *task) yieldRoom() {
	if t.unpaced {
		t.desk.uncount(t)
		t.desk.paced += t.size()
	}
}

// yieldRoom gives up the room of all tasks that are queued.
func (l *lane) yieldRoom() {
	for _, q := range l.queues() {
		for _, t := range q {
			t.yieldRoom()
		}
	}
}

// schedule sets when the lane has to be looked at next: when it may call, or
// when the time of one of its tasks is up.
func (l *lane) schedule(now time.Time) {
	l.next = l.mayCall(now)
	for _, q := range []laneTasks{l.first, l.again} {
		if len(q) > 0 {
			if by := moment(q[0].by, now); by.Before(l.next) {
				l.next = by
			}
		}
	}
}

// suspects reports whether the merchant's calls were refused as misconfigured
// twice in a row. Once, and not signed, it may be anybody's word.
func (l *lane) suspects(v verdict, last *payment.GatewayError) bool {
	was := l.suspect
	l.suspect = v.repeat && last != nil && last.Class == payment.Misconfigured
	return was && l.suspect
}

// mustAsk reports whether a task whose time is up has to be looked up before it
// is given up. An owner before us may have called for it, and left a payment we
// know nothing of. And its merchant may be on hold without our knowing, because
// we have just taken over: then nothing is given up.
func (l *lane) mustAsk(t *task, o payment.Outcome) bool {
	tr := &t.work.try
	if tr.closed || tr.because != nil {
		return false
	}
	f, failed := o.(payment.Failed)
	return tr.strange && !tr.doubt || failed && f.Reason == payment.GaveUp && !l.known
}

// never is later than anything the engine waits for.
const never = 24 * time.Hour

// mayCall is when the lane may call next.
func (l *lane) mayCall(now time.Time) time.Time {
	if l.gone {
		return now // only to settle what is queued
	}
	at, ok := l.paceAt(now)
	if !ok {
		return now.Add(never)
	}
	if l.host.isFull() {
		l.host.block(l)
		return now.Add(never)
	}
	return at
}

// paceAt is when the lane may call next if there is room for a call. It reports
// false if no waiting helps, because this member has no share of the limit.
func (l *lane) paceAt(now time.Time) (at time.Time, ok bool) {
	at = now
	if l.limit != nil {
		if at, ok = l.limit.Next(now); !ok {
			return at, false
		}
	}
	if l.hold.on {
		at = later(at, l.hold.probeAt)
	}
	if len(l.first) == 0 && len(l.last) == 0 {
		at = later(at, l.mayRepeat(now))
	}
	return later(at, l.host.breaker.Next(now)), true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// moment is the time of unix nanoseconds by both clocks, as now has them. Times
// that are waited for must have both: in a queue that is ordered by the monotonic
// clock, one that knows the wall clock only is out of place, and holds up all that
// stand behind it, once the wall clock is set back.
func moment(at int64, now time.Time) time.Time {
	return now.Add(time.Duration(at - now.UnixNano()))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// laneTasks orders a lane's tasks: what expires soonest first, then first come.
type laneTasks []*task

func (h laneTasks) Len() int { return len(h) }
func (h laneTasks) Less(i, j int) bool {
	if h[i].by != h[j].by {
		return h[i].by < h[j].by
	}
	return h[i].order < h[j].order
}
func (h laneTasks) Swap(i, j int) { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *laneTasks) Push(x any)   { t := x.(*task); t.index = len(*h); *h = append(*h, t) }
func (h *laneTasks) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}

// due is by when the task must be settled, as unix nanoseconds.
func (t *task) due(giveUp time.Duration) int64 {
	if t.by == 0 {
		t.by = t.deadline(giveUp)
	}
	return t.by
}

// laneHeap orders lanes by the time they may start their next task.
type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].next.Before(h[j].next) }
func (h laneHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *laneHeap) Push(x any)        { l := x.(*lane); l.index = len(*h); *h = append(*h, l) }
func (h *laneHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	l.index = -1
	return l
}
