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
	merchant payment.MerchantID
	tasks    laneTasks
	next     time.Time   // when its next task may start
	index    int         // in Engine.ready; -1: not there
	count    uint64      // tasks ever queued
	limit    *pace.Limit // nil: none
	hold     hold
	backing  int  // its tasks that back off
	slow     bool // its limit lets tasks wait for long
	load     int  // how many tasks it keeps loaded per partition, if paced
	known    bool // a call has shown whether our credentials work
}

func (l *lane) push(t *task, giveUp time.Duration) {
	l.count++
	t.order, t.lane = l.count, l
	t.due(giveUp)
	t.enter(queued)
	heap.Push(&l.tasks, t)
}

func (l *lane) pop() *task {
	t := heap.Pop(&l.tasks).(*task)
	t.lane = nil
	return t
}

// paced says that the lane's tasks wait for something other than room: their
// backlog must not fill the window. A fast limit is no such thing: what waits
// for it is soon gone.
func (l *lane) paced() bool { return l.hold.on || l.slow || l.backing >= laneLoad }

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
		t.unpaced = false
		t.desk.count(-1)
	}
}

// schedule sets when the lane has to be looked at next: when it may call, or
// when the time of its first task is up.
func (l *lane) schedule(now time.Time, giveUp time.Duration) {
	l.next = l.mayCall(now)
	if len(l.tasks) == 0 {
		return
	}
	if by := time.Unix(0, l.tasks[0].due(giveUp)); by.After(now) && by.Before(l.next) {
		l.next = by
	}
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
	at, ok := now, true
	if l.limit != nil {
		at, ok = l.limit.Next(now)
	}
	if !ok {
		return now.Add(never)
	}
	if l.hold.on && l.hold.probeAt.After(at) {
		return l.hold.probeAt
	}
	return at
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
