package pipeline

import "time"

// arrive loads a record that was taken from its claim, or puts it into a backlog.
// It reports false when there is no room for it.
func (c *core) arrive(t *task, now time.Time) bool {
	w := t.worker
	if !c.hasRoom(w) {
		return false
	}
	// Taken from here on: until it is loaded or remembered, which is under the same
	// lock, no watermark is asked for.
	w.part.Took(t.rec.Offset)
	w.date(t.rec.Offset)
	t.takeTime(now)
	w.ages.note(t.rec.Offset, t.work.At)
	if t.dead != nil {
		c.load(t, now)
		return true
	}
	switch known := w.claim.Look(t.rec.ID, t.dec.Digest); known {
	case Answered, Repeated:
		c.todo.skipped[known]++
		c.ends(t, known.String())
		t.release()
		return true
	case Differs:
		t.conflict = true
	default:
		t.contradicts()
	}
	c.owe(t, 1)
	if c.setAside(t, now) {
		t.release()
		return true
	}
	c.load(t, now)
	return true
}

// hasRoom reports whether a worker may load one more record. Records that could go
// but for the number of calls in flight are limited per partition, and over all of
// them to a few times that number: more would only cost memory.
func (c *core) hasRoom(w *worker) bool {
	if !c.mayPark(w) {
		c.tight = true
		return false
	}
	if !w.part.HasRoom() {
		return false
	}
	if w.part.Going() >= fairShare && c.going >= 2*c.cfg.Concurrency {
		c.full = true
		return false
	}
	return true
}

// mayPark reports whether a worker may put one more record into its backlogs.
func (c *core) mayPark(w *worker) bool {
	share := c.cfg.MostBacklog / 2 / max(1, len(c.workers))
	if w.part.Backlogged() < share {
		return true
	}
	beyond := 0
	for _, other := range c.workers {
		beyond += max(0, other.part.Backlogged()-share)
	}
	return beyond < c.cfg.MostBacklog/2
}

// isFull reports whether a worker has read a record that it may not put into its
// backlogs: its partition is not read on.
func (c *core) isFull(w *worker) bool { return w.front != nil && !w.closed && !c.mayPark(w) }

// load takes a task into memory.
func (c *core) load(t *task, now time.Time) {
	w, patient := t.worker, false
	t.since, t.owes = now, true
	c.inHand.recount(t)
	if t.needsCall() {
		l := c.lane(t.dec.Intent.Merchant, now)
		t.work.Own(l)
		t.backlog = w.backlog(l)
		if t.backlog.Load(t.rec.Size) {
			w.part.Merchants(1)
		}
		patient = l.IsPaced()
	}
	if w.part.Load(&t.rec, patient) {
		c.turns = append(c.turns, t)
	} else {
		c.follows(t, true)
	}
	if !t.rec.IsPatient() {
		c.going++
	}
}

// takeTurns begins the tasks whose turn has come.
func (c *core) takeTurns(now time.Time) {
	for i := 0; i < len(c.turns); i++ { // a task that is settled at once lets others have their turn
		if t := c.turns[i]; !t.worker.closed {
			c.begin(t, now)
		}
		c.turns[i] = nil
	}
	c.turns = c.turns[:0]
}
