package pipeline

import (
	"sync"
	"time"

	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// A todo is what the core has decided and somebody has to do, once the lock is
// free.
type todo struct {
	calls    []*task
	publish  []publication
	bury     []burial
	reads    []reading
	commits  []commitment
	settled  []*worker // whose committed offset may rise
	idle     []*worker // that wait for their last active task
	changes  []schedule.Change
	notes    []pace.Note // to be said to the other members
	turns    schedule.Turns
	repeated []repetition
	vanished []place
	second   []*task
	shared   []*task
	endings  []ending
	skipped  [Differs]int
}

// A publication is an outcome to be published.
type publication struct {
	task    *task
	outcome payment.Outcome
}

// A burial is a dead letter to be published. With no why, the record is older than
// reach, from when on answered intents are known.
type burial struct {
	task  *task
	why   *event.Unreadable
	reach time.Time
}

// A reading is records of a backlog to be read again: one merchant's, or those
// behind a key.
type reading struct {
	worker  *worker
	backlog *schedule.Backlog // nil: those behind a key
	key     uint64
	entries []schedule.Entry
	offsets []int64
	more    bool // a part of it follows
}

// cut returns the part of it up to an offset, and the rest.
func (r reading) cut(last int64) (part, rest reading) {
	part, rest = r, r
	part.more, part.entries, part.offsets = true, nil, nil
	rest.entries, rest.offsets = nil, nil
	for i, at := range r.offsets {
		to := &rest
		if at <= last {
			to = &part
		}
		to.entries, to.offsets = append(to.entries, r.entries[i]), append(to.offsets, at)
	}
	return part, rest
}

// A commitment is an offset below which all is settled.
type commitment struct {
	claim Claim
	next  int64
}

// A repetition is a call that has to be made again.
type repetition struct {
	task  *task
	cause string
	class string
	wait  time.Duration
}

// A place is where a record stood.
type place struct {
	partition int32
	offset    int64
}

// todos are used again: there are several for every intent.
var todos = sync.Pool{New: func() any { return &todo{} }}

// release gives a todo back that is done.
func (d *todo) release() {
	*d = todo{
		calls: emptied(d.calls), publish: emptied(d.publish), bury: emptied(d.bury), reads: emptied(d.reads),
		commits: emptied(d.commits), settled: emptied(d.settled), idle: emptied(d.idle), changes: emptied(d.changes),
		repeated: emptied(d.repeated), vanished: emptied(d.vanished), second: emptied(d.second), shared: emptied(d.shared),
		endings: emptied(d.endings),
	}
	todos.Put(d)
}

// mostKept is how long a list may be that is used again.
const mostKept = 256

// emptied returns a list without its elements, so that those can be collected.
func emptied[T any](list []T) []T {
	if cap(list) > mostKept {
		return nil
	}
	clear(list)
	return list[:0]
}

// goroutines is how many the todo needs: they are counted before the lock is free.
func (d *todo) goroutines() int {
	return len(d.calls) + len(d.publish) + len(d.bury) + len(d.reads)
}
