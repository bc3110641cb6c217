package pipeline

import (
	"slices"
	"time"

	"paylink/internal/partition"
	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// setAside puts a record that has just arrived into a backlog, if it is not to be
// loaded now: behind earlier ones of its key, or behind its merchant's lane.
func (c *core) setAside(t *task, now time.Time) bool {
	w, key := t.worker, t.rec.Key
	// Behind earlier ones of its key, wherever those are: loaded now, it would overtake.
	if far, ok := w.part.Far(key); ok && key != 0 {
		c.putBehindLane(t, far.Behind.(*schedule.Backlog), now)
		return true
	}
	others, full := w.part.Key(key)
	switch {
	case key != 0 && full:
		slot := w.part.Remember(t.rec.Offset)
		w.part.PutBehindKey(key, partition.NewEntry(slot, partition.HashOf([]byte(t.rec.ID)), c.merchantOf(t, now), now))
		return true
	case key != 0 && others, !t.needsCall():
		return false
	}
	b := w.backlog(c.lane(t.dec.Intent.Merchant, now))
	if b.Admits(w.roomOf(), c.arrival(t), now) {
		return false
	}
	c.putBehindLane(t, b, now)
	return true
}

// arrival is what a backlog needs to know of a task.
func (c *core) arrival(t *task) schedule.Arrival {
	return t.work.Arrival(t.isInherited(), c.cfg.GiveUpAfter)
}

// putBehindLane puts a task into its merchant's backlog. Records of one key keep
// their order there: a later one is neither due before nor in more of a hurry than
// one before it.
func (c *core) putBehindLane(t *task, b *schedule.Backlog, now time.Time) {
	w, a := t.worker, c.arrival(t)
	if t.rec.Key != 0 {
		if far, ok := w.part.Far(t.rec.Key); ok {
			a.Hasty, a.Behind = a.Hasty && !far.Patient, true
			if by := far.By(); by.After(a.By) {
				a.By = by
			}
		}
		w.part.PutFar(t.rec.Key, b, a.By, !a.Hasty)
	}
	b.Put(schedule.Entry{Slot: w.part.Remember(t.rec.Offset), Key: t.rec.Key, ID: partition.HashOf([]byte(t.rec.ID))}, a, now)
	if a.Hasty {
		c.expires(a.By)
	}
	c.readBacklog(w, b, now)
}

// expires notes that a record in a backlog expires.
func (c *core) expires(at time.Time) {
	if c.expiry.IsZero() || at.Before(c.expiry) {
		c.expiry = at
	}
}

// expire has records of backlogs read that have expired, and finds the next that
// will. A backlog that could not be read now is looked at again a little later.
func (c *core) expire(now time.Time) {
	c.expiry = time.Time{}
	for _, w := range c.workers {
		if w.closed {
			continue
		}
		for _, b := range w.ordered {
			at, ok := b.Expires()
			if ok && !at.After(now) {
				c.readBacklog(w, b, now)
				at, ok = b.Expires()
			}
			if !ok {
				continue
			}
			if soonest := now.Add(expireLook); at.Before(soonest) {
				at = soonest
			}
			c.expires(at)
		}
	}
}

// readBacklog has the next records of a merchant's backlog read again, if few
// enough are loaded, or some are in a hurry.
func (c *core) readBacklog(w *worker, b *schedule.Backlog, now time.Time) {
	if w.closed {
		return
	}
	if entries := b.Read(w.roomOf(), now); len(entries) > 0 {
		c.read(reading{worker: w, backlog: b, entries: entries})
	}
}

// readKey has the next records behind a key read again, if few enough are loaded.
func (c *core) readKey(w *worker, key partition.Hash) {
	if w.closed {
		return
	}
	if behind := w.part.ReadKey(key); len(behind) > 0 {
		r := reading{worker: w, key: key}
		for _, e := range behind {
			r.entries = append(r.entries, schedule.Entry{Slot: e.Slot, Key: key, ID: e.ID})
		}
		c.read(r)
	}
}

func (c *core) read(r reading) {
	for _, e := range r.entries {
		r.offsets = append(r.offsets, r.worker.part.Offset(e.Slot))
	}
	c.todo.reads = append(c.todo.reads, r)
}

// reread loads records that were read again. One that the topic does not hold any
// more is not among them: nothing can be done for it but say so.
func (c *core) reread(r reading, byOffset map[int64]*task, now time.Time) {
	w := r.worker
	if w.closed {
		return
	}
	for i, e := range r.entries {
		t := byOffset[r.offsets[i]]
		if t == nil || t.dead != nil {
			w.part.Unsays(r.offsets[i], e.ID)
		} else {
			t.contradicts()
		}
		if t != nil {
			t.takeTime(now)
		} else {
			// Its place is given back below all the same: nothing may wait for it.
			w.vanished = true
			c.todo.vanished = append(c.todo.vanished, place{w.claim.Partition(), r.offsets[i]})
		}
		if r.backlog != nil {
			w.part.ReadFar(e.Key)
			if t != nil && t.rec.Key != 0 {
				if _, full := w.part.Key(t.rec.Key); full { // it stays in the backlog, behind its key
					w.part.PutBehindKey(t.rec.Key, partition.NewEntry(e.Slot, e.ID, c.merchantOf(t, now), now))
					t.release()
					continue
				}
			}
		}
		w.part.Forget(e.Slot)
		if t != nil {
			c.load(t, now)
		}
	}
	switch {
	case r.more:
	case r.backlog != nil:
		r.backlog.Done()
		c.readBacklog(w, r.backlog, now)
	default:
		w.part.DoneKey(r.key)
		c.readKey(w, r.key)
	}
	c.loosen()
	c.mark(w)
}

// loosen lets those look again who had no room because of what waits without being loaded.
func (c *core) loosen() {
	if !c.tight {
		return
	}
	c.tight = false
	for _, w := range c.workers {
		tell(w.room)
	}
}

// merchantOf returns the merchant of a task, as its lane spells it: the text is not
// kept once for each entry of a backlog.
func (c *core) merchantOf(t *task, now time.Time) payment.MerchantID {
	if !t.needsCall() {
		return ""
	}
	return c.lane(t.dec.Intent.Merchant, now).Merchant()
}

// lane returns the lane of a merchant.
func (c *core) lane(m payment.MerchantID, now time.Time) *schedule.Lane {
	if l := c.sched.Lane(m); l != nil {
		return l
	}
	return c.bind(m, now)
}

// bind puts a merchant's terms in force.
func (c *core) bind(m payment.MerchantID, now time.Time) *schedule.Lane {
	t := c.cfg.terms(m)
	return c.sched.Bind(m, t, c.cfg.Terms != nil && t == (Terms{}), now)
}

// renew puts all merchants' terms in force that are now, and ends the holds of
// those that are mended.
func (c *core) renew(mended func(payment.MerchantID) bool, now time.Time) {
	for l := range c.sched.Lanes() {
		if mended(l.Merchant()) {
			c.sched.Mended(l, now)
		}
		c.bind(l.Merchant(), now)
	}
	c.sched.Rebound(now)
}

// renewShare tells every limit which partitions are ours. One that is handed over
// does not count any more, though its last calls are out.
func (c *core) renewShare(now time.Time) {
	var own []int32
	for _, w := range c.workers {
		if !w.closed {
			own = append(own, w.claim.Partition())
		}
	}
	c.total = len(own)
	if c.cfg.Partitions != nil {
		c.total = c.cfg.Partitions()
	}
	c.sched.Share(own, c.total, len(c.workers), now)
}

// open begins to work on a claim.
func (c *core) open(w *worker, now time.Time) {
	w.opened = now
	c.workers = append(c.workers, w)
	c.limit()
	c.renewShare(now)
}

// limit gives every partition its share of what the process may hold.
func (c *core) limit() {
	n := max(1, len(c.workers))
	for _, w := range c.workers {
		w.part.Limit(partition.Limit{
			Count: c.cfg.WindowCount, Bytes: min(c.cfg.WindowBytes, mostLoaded/n), Backlog: c.cfg.MostBacklog,
		})
		tell(w.room)
	}
}

// shut starts nothing more for a worker.
func (c *core) shut(w *worker, now time.Time) {
	w.closed = true
	c.renewShare(now)
	w.part.Loaded(func(r *partition.Record) {
		t := r.Owner.(*task)
		if t.stage == queued || t.stage == backingOff {
			c.sched.Remove(&t.work, now)
			c.enter(t, behind, now)
			c.ends(t, handedOver)
		}
	})
}

// close forgets a worker. What is still in flight ends by itself, and its result
// is nobody's.
func (c *core) close(w *worker, now time.Time) {
	c.writeOff(w)
	w.gone = true
	c.workers = slices.DeleteFunc(c.workers, func(other *worker) bool { return other == w })
	c.limit()
	c.shut(w, now)
	c.leaveRoom(w, w.part.Going())
	w.part.Loaded(func(r *partition.Record) {
		if t := r.Owner.(*task); !t.stage.isActive() {
			c.inHand.forget(t)
		}
	})
}
