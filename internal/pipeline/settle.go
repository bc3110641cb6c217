package pipeline

import (
	"time"

	"paylink/internal/attempt"
	"paylink/internal/event"
	"paylink/internal/partition"
	"paylink/internal/payment"
)

// publish has an outcome published.
func (c *core) publish(t *task, o payment.Outcome, now time.Time) {
	c.enter(t, publishing, now)
	c.todo.publish = append(c.todo.publish, publication{t, o})
}

// published ends a task whose outcome is durable, or whose claim ended before it
// was. Where calls before the link were in doubt, the gateway is asked whether it
// holds another payment: that is to be told.
func (c *core) published(t *task, o payment.Outcome, err error, now time.Time) {
	created, ok := o.(payment.Created)
	if err == nil {
		c.settle(t)
	}
	switch {
	case err != nil || t.worker.gone:
		c.abandon(t, now)
	case ok && t.try.Doubt == attempt.Standing && !t.worker.closed:
		t.try = t.try.Linked(created.PaymentID)
		t.work.Endless = true
		c.queue(t, now)
	default:
		c.finish(t, now)
	}
}

// withheld ends a task whose answer was not published, because the ledger holds
// another outcome of its intent.
func (c *core) withheld(t *task, now time.Time) {
	switch {
	case t.worker.gone:
		c.abandon(t, now)
	case !c.known(t, now): // forgotten again since
		c.todo.skipped[Answered]++
		c.ends(t, Answered.String())
		c.finish(t, now)
	}
}

// bury has a dead letter published.
func (c *core) bury(t *task, why *event.Unreadable, now time.Time) {
	c.enter(t, publishing, now)
	c.todo.bury = append(c.todo.bury, burial{task: t, why: why})
}

// buried ends a task whose dead letter is durable, or whose claim ended before it
// was.
func (c *core) buried(t *task, err error, now time.Time) {
	if err != nil || t.worker.gone {
		c.abandon(t, now)
		return
	}
	c.finish(t, now)
}

// buryLater keeps a record that the dead letter topic does not take, not even by
// reference, and tries again later: only the topic's settings can help.
func (c *core) buryLater(t *task, why *event.Unreadable, now time.Time) (wait time.Duration) {
	if t.worker.closed {
		c.abandon(t, now)
		return 0
	}
	t.dead = why
	t.work.Own(nil)
	// It has no lane: whether its merchant is on hold is nothing to a dead letter.
	wait = c.cfg.Backoff.Delay(t.try.Repeats, c.chance())
	t.try.Repeats++
	c.backOff(t, wait, now)
	return wait
}

// finish takes a settled task out, and lets its followers go.
func (c *core) finish(t *task, now time.Time) {
	w := t.worker
	c.enter(t, finished, now)
	if w.closed && w.active == 0 {
		c.todo.idle = append(c.todo.idle, w)
	}
	c.looks(t, false)
	c.repeats(t, false)
	if t.backlog != nil && t.backlog.Unload(t.rec.Size) {
		w.part.Merchants(-1)
	}
	if !t.rec.IsPatient() {
		c.leaveRoom(w, 1)
	}
	// Followers do not begin at once, but in takeTurns: a long chain of settled ones
	// would be as deep a recursion.
	c.settle(t)
	byID, byKey := w.part.Settle(&t.rec)
	if w.vanished && w.part.Unfinished() == 0 { // what they owed is not known
		c.writeOff(w)
	}
	t.release()
	tell(w.room)
	c.mark(w)
	for _, r := range []*partition.Record{byID, byKey} {
		if r != nil {
			c.turns = append(c.turns, r.Owner.(*task))
		}
	}
	if t.rec.Key != 0 {
		c.readKey(w, t.rec.Key)
	}
	if t.backlog != nil {
		c.readBacklog(w, t.backlog, now)
	}
}

// abandon leaves a task unsettled: its partition is handed over or lost.
func (c *core) abandon(t *task, now time.Time) {
	c.ends(t, handedOver)
	c.enter(t, finished, now)
	if w := t.worker; w.closed && w.active == 0 {
		c.todo.idle = append(c.todo.idle, w)
	}
}

// mark notes that a worker's committed offset may rise.
func (c *core) mark(w *worker) {
	if !w.settled {
		w.settled = true
		c.todo.settled = append(c.todo.settled, w)
	}
}
