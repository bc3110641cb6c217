package pipeline

import (
	"time"

	"paylink/internal/event"
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
	repeated []repetition
	vanished []place
	second   []*task
	shared   []*task
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
	wait  time.Duration
}

// A place is where a record stood.
type place struct {
	partition int32
	offset    int64
}

// goroutines is how many the todo needs: they are counted before the lock is free.
func (d *todo) goroutines() int {
	return len(d.calls) + len(d.publish) + len(d.bury) + len(d.reads)
}
