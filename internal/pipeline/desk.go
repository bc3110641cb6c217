package pipeline

import (
	"container/heap"
	"context"
	"time"

	"paylink/internal/payment"
)

// A desk is where the records of one claim are worked on: its window of loaded
// records, those that are parked, their order by key and by intent id, and how
// far the partition is settled. It belongs to Engine.mu.
type desk struct {
	engine *Engine
	claim  Claim
	ctx    context.Context // ends when the claim is lost, or the desk closes
	cancel context.CancelFunc
	intake context.Context // ends when nothing more is to be taken in: before ctx, if the claim drains

	open    offsetHeap // loaded, not settled
	unpaced int        // those of them that no pace holds back
	bytes   int        // the size of these
	paced   int        // the size of the others
	next    int64      // offset after the last record taken; -1: none yet
	room    chan struct{}

	chains map[keyHash]*chain
	ids    map[payment.IntentID][]*task // intent id → its loaded tasks whose key is free, the first one may run
	active int                          // tasks that call or publish
	closed bool                         // drains, or is lost: nothing starts
	gone   bool                         // the claim has ended
	idle   chan struct{}                // told when active falls to zero while closed

	hidden     hidden
	stands     []*stand
	standing   int // those of them that have loaded records
	standAt    map[*lane]int32
	parkedKeys map[keyHash]parkedKey // keys that are parked behind a lane
}

// A chain is the records of one key that are not settled, in their order: first
// the loaded ones, of which the first may run, then those parked behind them.
type chain struct {
	tasks   []*task
	parked  []parked
	reading bool
}

// full says that a further record of the key must be parked: enough are loaded,
// or some that come before it are not.
func (c *chain) full() bool {
	return len(c.tasks) >= chainLoad || len(c.parked) > 0 || c.reading
}

func (e *Engine) openDesk(c Claim) *desk {
	ctx, cancel := context.WithCancel(context.Background())
	intake, shut := context.WithCancel(ctx)
	d := &desk{
		engine: e, claim: c, ctx: ctx, cancel: cancel, intake: intake, next: -1,
		room: make(chan struct{}, 1), idle: make(chan struct{}, 1),
		chains: map[keyHash]*chain{}, ids: map[payment.IntentID][]*task{},
		standAt: map[*lane]int32{}, parkedKeys: map[keyHash]parkedKey{},
	}
	go func() {
		select {
		case <-c.Draining():
		case <-c.Lost():
		case <-ctx.Done():
		}
		shut()
		select {
		case <-c.Lost():
		case <-ctx.Done():
		}
		cancel()
	}()
	e.mu.Lock()
	e.desks[d] = struct{}{}
	e.shareChanged()
	e.mu.Unlock()
	return d
}

// admit takes tasks as there is room, and sets going those whose turn it is. It
// reports false when the claim ends first.
func (e *Engine) admit(d *desk, tasks []*task) bool {
	for {
		e.mu.Lock()
		for len(tasks) > 0 && e.arrive(tasks[0]) {
			d.next = tasks[0].offset + 1
			tasks = tasks[1:]
		}
		e.pump()
		e.mu.Unlock()
		if len(tasks) == 0 {
			return true
		}
		select {
		case <-d.room:
		case <-d.intake.Done():
			return false
		}
	}
}

// arrive loads or parks a task; mu held. It reports false when there is no room
// for it.
func (e *Engine) arrive(t *task) bool {
	d := t.desk
	if !e.hasRoom(d) {
		return false
	}
	if t.work.dead != nil {
		t.keyed = false // nothing will be published for it: it need not wait for its key
		e.load(t)
		return true
	}
	switch f := d.claim.Look(t.id, t.work.dec.Digest); f {
	case Answered, Repeated:
		e.skip(f)
		return true
	case Differs:
		t.conflict = true
	}
	if pk, ok := d.parkedKeys[t.key]; ok && t.keyed {
		d.parkBehindLane(t, pk.stand, e.cfg.GiveUpAfter)
		return true
	}
	if c := d.chains[t.key]; t.keyed && c != nil {
		if c.full() {
			c.parked = append(c.parked, d.park(t))
			return true
		}
	} else if t.needsCall() {
		s, at := d.standOf(e.lane(t.work.dec.Intent.Merchant))
		if s.lane.paced() && s.loaded >= d.mayLoad(s) && !d.inHurry(s, t) {
			d.parkBehindLane(t, at, e.cfg.GiveUpAfter)
			return true
		}
	}
	e.load(t)
	return true
}

// needsCall reports whether it takes a call to settle a record, as far as its
// arrival tells. What needs none waits for its key, but for nobody's pace.
func (t *task) needsCall() bool {
	w := t.work
	return w.dead == nil && !t.conflict && len(w.dec.Violations) == 0 && !t.at.Before(t.desk.claim.Reach())
}

// hasRoom reports whether a desk may load one more record. Records that could
// run but for the number of calls in flight are limited per desk, and over all
// desks to a few times that number: more would only cost memory.
func (e *Engine) hasRoom(d *desk) bool {
	if d.bytes >= e.cfg.WindowBytes || d.unpaced >= e.cfg.WindowCount || d.hidden.count >= maxParked {
		return false
	}
	if d.unpaced >= fairShare && e.unpaced >= 2*e.cfg.Concurrency {
		e.full = true
		return false
	}
	return true
}

// mayLoad is how many records of a stand may be loaded, if its lane is paced:
// what the lane keeps loaded, and the less of it the more those of all such lanes
// take of their part of the window. But as much as fits an even share may always
// be, or large records of one would slow down another; and one, or nobody would
// ever read on.
func (d *desk) mayLoad(s *stand) int {
	part := d.engine.cfg.WindowBytes / pacedPart
	n := s.lane.load * max(0, part-d.paced) / part
	if s.loaded > 0 {
		share := part / d.standing * s.loaded / s.bytes // in records like those that are loaded
		n = max(n, min(share, s.lane.load))
	}
	return max(1, n)
}

// inHurry reports whether a task that has just arrived is to be loaded although
// enough of its lane are: what expires soonest goes first.
func (d *desk) inHurry(s *stand, t *task) bool {
	giveUp := d.engine.cfg.GiveUpAfter
	if !t.hasty(giveUp) {
		return false
	}
	by := t.deadline(giveUp)
	return s.loaded < d.mostHasty(s, by, time.Now().UnixNano(), s.lane.latest())
}

// pacedPart is which part of the window's size records may take, besides, that
// some pace holds back: one half, and the same again in even shares. They never
// take the room of those that could go.
const pacedPart = 2

// fairShare is what every desk may load, however much the others have.
const fairShare = 64

// count adds a task to those that could run; mu held.
func (d *desk) count(t *task) {
	t.unpaced = true
	d.unpaced++
	d.engine.unpaced++
	d.bytes += t.size()
}

// uncount takes a task off those that could run; mu held.
func (d *desk) uncount(t *task) {
	t.unpaced = false
	d.bytes -= t.size()
	d.makeRoom(1)
}

// makeRoom tells whoever waits for room that n tasks take none any more; mu held.
func (d *desk) makeRoom(n int) {
	d.unpaced -= n
	d.engine.unpaced -= n
	tell(d.room)
	if d.engine.full {
		d.engine.full = false
		for other := range d.engine.desks {
			tell(other.room)
		}
	}
}

// load takes a task into memory, behind its key; mu held.
func (e *Engine) load(t *task) {
	d := t.desk
	heap.Push(&d.open, t)
	t.since = time.Now()
	if t.needsCall() {
		t.stand, _ = d.standOf(e.lane(t.work.dec.Intent.Merchant))
		t.stand.load(t, 1)
	}
	if t.stand == nil || !t.stand.lane.paced() {
		d.count(t)
	} else {
		d.paced += t.size()
	}
	if !t.keyed {
		e.arriveID(t)
		return
	}
	c := d.chains[t.key]
	if c == nil {
		c = &chain{}
		d.chains[t.key] = c
	}
	if c.tasks = append(c.tasks, t); len(c.tasks) == 1 {
		e.arriveID(t)
	}
}

func (t *task) size() int { return len(t.work.rec.Value) + len(t.work.rec.Key) + 256 }

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
	d.unload(t)
	d.commit()
	if t.id != "" {
		if next := d.nextOfID(t.id); next != nil && !d.closed {
			e.begin(next)
		}
	}
	if t.keyed {
		e.nextOfKey(d, t.key)
	}
	if t.stand != nil {
		e.unparkLane(d, t.stand)
	}
}

func (d *desk) unload(t *task) {
	heap.Remove(&d.open, t.place)
	if t.stand != nil {
		t.stand.load(t, -1)
	}
	if t.unpaced {
		d.uncount(t)
	} else {
		d.paced -= t.size()
	}
	tell(d.room) // also for what was parked
}

// nextOfID takes the first task off an intent id's queue and returns the one
// after it.
func (d *desk) nextOfID(id payment.IntentID) *task {
	q := d.ids[id]
	if len(q) <= 1 {
		delete(d.ids, id)
		return nil
	}
	q[0] = nil
	d.ids[id] = q[1:]
	return q[1]
}

// nextOfKey takes the first task off a key's chain and sets the next one going;
// mu held.
func (e *Engine) nextOfKey(d *desk, k keyHash) {
	c := d.chains[k]
	c.tasks[0] = nil
	c.tasks = c.tasks[1:]
	e.unparkKey(d, c)
	if len(c.tasks) > 0 && !d.closed {
		e.arriveID(c.tasks[0])
		return
	}
	d.dropChain(k, c)
}

func (d *desk) dropChain(k keyHash, c *chain) {
	if len(c.tasks) == 0 && len(c.parked) == 0 && !c.reading && d.chains[k] == c {
		delete(d.chains, k)
	}
}

// watermark is the offset below which every record is settled.
func (d *desk) watermark() int64 {
	w := min(d.next, d.hidden.first())
	if len(d.open) > 0 {
		w = min(w, d.open[0].offset)
	}
	return w
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
	e.shareChanged()
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
	d.closed, d.gone = true, true
	e.drop(d)
	delete(e.desks, d)
	d.makeRoom(d.unpaced)
	d.cancel()
	e.shareChanged()
}

// drop takes the desk's tasks out of lanes and waits; mu held.
func (e *Engine) drop(d *desk) {
	now := time.Now()
	for _, t := range d.open {
		switch {
		case t.stage == backing && t.index >= 0:
			heap.Remove(&e.waiting, t.index)
			t.enter(behind)
		case t.stage == queued && t.lane != nil:
			e.takeOut(t, now)
			t.enter(behind)
		}
	}
}

// offsetHeap orders tasks by offset.
type offsetHeap []*task

func (h offsetHeap) Len() int           { return len(h) }
func (h offsetHeap) Less(i, j int) bool { return h[i].offset < h[j].offset }
func (h offsetHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].place, h[j].place = i, j }
func (h *offsetHeap) Push(x any)        { t := x.(*task); t.place = len(*h); *h = append(*h, t) }
func (h *offsetHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return t
}

func tell(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
