package pipeline

import (
	"container/heap"
	"context"

	"paylink/internal/payment"
)

// A desk is where the records of one claim are worked on: its window of
// unfinished records, their order by key and by intent id, and how far the
// partition is settled. It belongs to Engine.mu.
type desk struct {
	engine *Engine
	claim  Claim
	ctx    context.Context // ends when the claim is lost, or the desk closes
	cancel context.CancelFunc

	first, last *task // unfinished tasks, by offset
	count       int
	bytes       int
	next        int64 // offset after the last record taken; -1: none yet
	room        chan struct{}

	keys   map[string][]*task           // key → its unfinished tasks, the first one may run
	ids    map[payment.IntentID][]*task // intent id → the same
	active int                          // tasks that call or publish
	closed bool                         // drains, or is lost: nothing starts
	idle   chan struct{}                // told when active falls to zero while closed
}

func (e *Engine) openDesk(c Claim) *desk {
	ctx, cancel := context.WithCancel(context.Background())
	d := &desk{
		engine: e, claim: c, ctx: ctx, cancel: cancel, next: -1,
		room: make(chan struct{}, 1), idle: make(chan struct{}, 1),
		keys: map[string][]*task{}, ids: map[payment.IntentID][]*task{},
	}
	go func() {
		select {
		case <-c.Lost():
		case <-ctx.Done():
		}
		cancel()
	}()
	e.mu.Lock()
	e.desks[d] = struct{}{}
	e.mu.Unlock()
	return d
}

// admit puts tasks into the window as it has room, and sets going those whose
// turn it is. It reports false when the claim ends first.
func (e *Engine) admit(d *desk, tasks []*task) bool {
	for {
		e.mu.Lock()
		for len(tasks) > 0 && d.hasRoom(e.cfg) {
			d.append(tasks[0])
			e.arrive(tasks[0])
			tasks = tasks[1:]
		}
		e.pump()
		e.mu.Unlock()
		if len(tasks) == 0 {
			return true
		}
		select {
		case <-d.room:
		case <-d.claim.Draining():
			return false
		case <-d.ctx.Done():
			return false
		}
	}
}

func (d *desk) hasRoom(cfg Config) bool {
	return d.count < cfg.WindowCount && d.bytes < cfg.WindowBytes
}

func (d *desk) append(t *task) {
	t.prev = d.last
	if d.last != nil {
		d.last.next = t
	} else {
		d.first = t
	}
	d.last = t
	d.count++
	d.bytes += t.size()
	d.next = t.offset + 1
}

func (t *task) size() int { return len(t.work.rec.Value) + len(t.work.rec.Key) + 256 }

// arrive queues a task behind its key; mu held.
func (e *Engine) arrive(t *task) {
	if !t.keyed {
		e.arriveID(t)
		return
	}
	q := t.desk.keys[t.key]
	t.desk.keys[t.key] = append(q, t)
	if len(q) == 0 {
		e.arriveID(t)
	}
}

// arriveID queues a task whose key is free behind its intent id, so that an
// upstream duplicate under another key waits for the first one's answer. Key
// before id, always: no two tasks can wait for each other.
func (e *Engine) arriveID(t *task) {
	if t.id == "" {
		e.begin(t)
		return
	}
	q := t.desk.ids[t.id]
	t.desk.ids[t.id] = append(q, t)
	if len(q) == 0 {
		e.begin(t)
	}
}

// finish takes a settled task out of the window, lets its followers go, and
// commits what is settled without a gap; mu held.
func (e *Engine) finish(t *task) {
	d := t.desk
	t.enter(finished)
	if d.closed && d.active == 0 {
		tell(d.idle)
	}
	d.remove(t)
	tell(d.room)
	d.commit()
	if t.id != "" {
		if next := dequeue(d.ids, t.id); next != nil && !d.closed {
			e.begin(next)
		}
	}
	if t.keyed {
		if next := dequeue(d.keys, t.key); next != nil && !d.closed {
			e.arriveID(next)
		}
	}
}

// dequeue takes the first task off a queue and returns the one after it.
func dequeue[K comparable](queues map[K][]*task, k K) *task {
	q := queues[k]
	if len(q) <= 1 {
		delete(queues, k)
		return nil
	}
	q[0] = nil
	queues[k] = q[1:]
	return q[1]
}

func (d *desk) remove(t *task) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		d.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		d.last = t.prev
	}
	t.prev, t.next = nil, nil
	d.count--
	d.bytes -= t.size()
}

// watermark is the offset below which every record is settled.
func (d *desk) watermark() int64 {
	if d.first != nil {
		return d.first.offset
	}
	return d.next
}

func (d *desk) commit() {
	if w := d.watermark(); w >= 0 {
		d.claim.Commit(w)
	}
}

// passed says that all records below next were taken; those that are not there
// (control records, aborted ones, compacted ones) are settled by that.
func (d *desk) passed(next int64) {
	d.next = max(d.next, next)
	d.commit()
}

// drain starts nothing more and waits until what is in flight is settled, or
// the claim is lost.
func (e *Engine) drain(d *desk) {
	e.mu.Lock()
	d.closed = true
	e.drop(d)
	active := d.active
	e.mu.Unlock()
	if active == 0 {
		return
	}
	select {
	case <-d.idle:
	case <-d.ctx.Done():
	}
}

// closeDesk forgets a claim. What is still in flight ends by itself, and its
// result is nobody's.
func (e *Engine) closeDesk(d *desk) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d.closed = true
	e.drop(d)
	delete(e.desks, d)
	d.cancel()
	e.pump()
}

// drop takes the desk's tasks out of lanes and waits; mu held.
func (e *Engine) drop(d *desk) {
	for t := d.first; t != nil; t = t.next {
		switch {
		case t.stage == backing && t.index >= 0:
			heap.Remove(&e.waiting, t.index)
		case t.stage == queued && t.lane != nil:
			l := t.lane
			heap.Remove(&l.tasks, t.index)
			t.lane = nil
			if len(l.tasks) == 0 && l.index >= 0 {
				heap.Remove(&e.ready, l.index)
			}
		}
	}
}

func tell(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
