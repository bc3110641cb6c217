package pipeline

import (
	"container/heap"
	"time"

	"paylink/internal/event"
	"paylink/internal/payment"
)

// A task is one record on its way to being settled. It belongs to Engine.mu,
// but for work, which belongs to whoever acts on the task.
type task struct {
	desk   *desk
	offset int64
	at     time.Time // the record's timestamp
	key    keyHash
	keyed  bool
	id     payment.IntentID // empty: a record that is no intent
	work   *work

	stage    stage
	until    time.Time  // backing off: when it goes on
	look     time.Time  // backing off: when it has to be looked at, because it goes on or its time is up
	since    time.Time  // when it entered its stage
	place    int        // in desk.open
	index    int        // in the heap it waits in
	lane     *lane      // while queued in one
	queue    *laneTasks // the one of its lane
	began    time.Time  // its call
	host     *host      // whom it calls
	order    uint64     // of its lane, first come first served
	by       int64      // by when it must be settled, unix nanoseconds; 0: not asked yet
	stand    *stand     // nil: a record that needs no call
	conflict bool       // its id was answered with other content before it came
	unpaced  bool       // counted in desk.unpaced
	probe    bool       // its call is the one that a hold lets through
	told     Wait       // attempts and newest error when its call began: the try is the caller's then
}

// age is how old the record is by our clock; zero if its emitter's is ahead.
func (t *task) age() time.Duration { return max(0, time.Since(t.at)) }

// A work is what a task is about.
type work struct {
	rec  Record
	dec  event.Decoded
	dead *event.Unreadable // no intent: a dead letter
	try  try
}

// A stage is where a task is.
type stage int

const (
	behind    stage = iota // its key or its intent id is busy with an earlier record, or its partition is handed over
	queued                 // in its merchant's lane
	backing                // waits before a repeat
	calling                // the gateway is being asked
	appending              // its outcome or dead letter is being published
	finished
)

var stageNames = [...]string{"behind its key", "queued", "backing off", "calling", "publishing", "finished"}

func (s stage) String() string { return stageNames[s] }

// active says that a drain waits for it.
func (s stage) active() bool { return s == calling || s == appending }

func (t *task) enter(s stage) {
	if t.stage.active() {
		t.desk.active--
		t.desk.engine.active--
	}
	if t.stand != nil && t.stage == backing {
		t.stand.lane.backing--
	}
	if t.stand != nil && s == backing {
		t.stand.lane.backing++
		t.yieldRoom() // whoever waits for a time takes no room from those that could go
	}
	t.stage, t.since = s, time.Now()
	if s.active() {
		t.desk.active++
		t.desk.engine.active++
	}
}

// taskHeap orders tasks by when they have to be looked at.
type taskHeap []*task

func (h taskHeap) Len() int           { return len(h) }
func (h taskHeap) Less(i, j int) bool { return h[i].look.Before(h[j].look) }
func (h taskHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *taskHeap) Push(x any)        { t := x.(*task); t.index = len(*h); *h = append(*h, t) }
func (h *taskHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}

var _ heap.Interface = (*taskHeap)(nil)
