package pipeline

import (
	"container/heap"
	"time"

	"paylink/internal/payment"
)

// A lane is the queue of one merchant's tasks that are ready to call. Lanes do
// not wait for each other.
type lane struct {
	merchant payment.MerchantID
	tasks    laneTasks
	next     time.Time // when its next task may start
	index    int       // in Engine.ready; -1: not there
	count    uint64    // tasks ever queued
	hold     hold
}

func (l *lane) push(t *task) {
	l.count++
	t.order, t.lane = l.count, l
	t.enter(queued)
	heap.Push(&l.tasks, t)
}

func (l *lane) pop() *task {
	t := heap.Pop(&l.tasks).(*task)
	t.lane = nil
	return t
}

// paced says that the lane's tasks wait for something other than room: their
// backlog must not fill the window.
func (l *lane) paced() bool { return l.hold.on }

// yieldRoom gives a task's room in the window to those that could go now.
func (t *task) yieldRoom() {
	if t.unpaced {
		t.unpaced = false
		t.desk.count(-1)
	}
}

// schedule sets when the lane's next task may start.
func (l *lane) schedule(now time.Time) {
	l.next = now
	if l.hold.on {
		l.next = l.hold.probeAt
	}
}

// laneTasks orders a lane's tasks: what expires soonest first, then first come.
type laneTasks []*task

func (h laneTasks) Len() int { return len(h) }
func (h laneTasks) Less(i, j int) bool {
	a, b := h[i].expiry(), h[j].expiry()
	if !a.Equal(b) {
		return !a.IsZero() && (b.IsZero() || a.Before(b))
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

func (t *task) expiry() time.Time { return t.work.dec.Intent.ExpiresAt }

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
