package pipeline

import (
	"container/heap"
	"hash/maphash"
	"math"
	"slices"
	"time"
)

// Parking keeps memory bounded however long a backlog is: of a record whose time
// is far, only its place in the log is remembered, and it is read again when its
// time nears. Two kinds of records are parked:
//
//   - behind a lane: the merchant's pace, or a hold, lets it wait, and enough of
//     its intents are loaded already. What must be done first is read first; and
//     what expires before one that is loaded, or has expired, is loaded besides.
//   - behind a key: an earlier record of its key is not settled, and enough of
//     the key's records are loaded already.
//
// A parked record holds the committed offset back like any unfinished one. After
// a restart it is read again, like everything above that offset, and what was
// answered by then is skipped: that costs reading only.

// laneLoad and chainLoad are how many records of a lane, at least, or of a key
// are kept loaded per partition while more wait.
const (
	laneLoad  = 32
	chainLoad = 4
	maxParked = 4 << 20 // per partition; beyond it the partition is not read on
)

// A parked record, 40 bytes without pointers.
type parked struct {
	slot     int64   // in hidden
	deadline int64   // unix nanoseconds by which it must be settled
	key      keyHash // 0: it has none
	id       keyHash // of the intent id: for questions only
	since    uint32  // when it was parked, in seconds since the engine was made: for questions only
	stand    int32   // its merchant's in desk.stands; -1: it needs no call
}

// before says which of two is to be read first.
func (p parked) before(q parked) bool {
	if p.deadline != q.deadline {
		return p.deadline < q.deadline
	}
	return p.slot < q.slot
}

// keyHash stands for a key. Two keys that share it only wait for each other.
type keyHash = uint64

var seed = maphash.MakeSeed()

// hashKey never returns 0, which stands for no key.
func hashKey(k []byte) keyHash { return max(1, maphash.Bytes(seed, k)) }

// hidden is the offsets of parked records, in order; a negative one is no longer
// parked. A slot stays valid while its record is parked.
type hidden struct {
	base    int64 // slot of the first
	offsets []int64
	count   int
}

func (h *hidden) put(offset int64) (slot int64) {
	h.offsets = append(h.offsets, offset)
	h.count++
	return h.base + int64(len(h.offsets)) - 1
}

func (h *hidden) offset(slot int64) int64 { return h.offsets[slot-h.base] }

func (h *hidden) take(slot int64) {
	h.offsets[slot-h.base] = -1
	h.count--
	n := 0
	for n < len(h.offsets) && h.offsets[n] < 0 {
		n++
	}
	h.base += int64(n)
	h.offsets = h.offsets[n:]
}

// first is the lowest parked offset.
func (h *hidden) first() int64 {
	if len(h.offsets) == 0 {
		return math.MaxInt64
	}
	return h.offsets[0]
}

// A stand is one merchant's records of one partition.
type stand struct {
	lane    *lane
	loaded  int
	bytes   int // their size
	parked  parkedHeap
	hasty   parkedHeap // parked ones that expire before they are given up, and have none of their key before them in parked
	reading bool
}

func (s *stand) waiting() int { return len(s.parked) + len(s.hasty) }

// next is the heap with the parked record that must be settled first.
func (s *stand) next() *parkedHeap {
	if len(s.parked) == 0 || len(s.hasty) > 0 && s.hasty[0].before(s.parked[0]) {
		return &s.hasty
	}
	return &s.parked
}

// load counts a task that is loaded, or, with -1, one that is not any more.
func (s *stand) load(t *task, n int) {
	if s.loaded == 0 {
		t.desk.standing++
	}
	s.loaded += n
	s.bytes += n * t.size()
	if s.loaded == 0 {
		t.desk.standing--
	}
}

type parkedHeap []parked

func (h parkedHeap) Len() int { return len(h) }
func (h parkedHeap) Less(i, j int) bool {
	return h[i].before(h[j])
}
func (h parkedHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *parkedHeap) Push(x any)   { *h = append(*h, x.(parked)) }
func (h *parkedHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// parkedKey says where the records of a key are parked behind a lane.
type parkedKey struct {
	stand    int32 // in desk.stands
	count    int32
	deadline int64 // of the last one: later ones of the key must not overtake it
	patient  bool  // one was put in stand.parked: later ones must not be read before it
}

func (d *desk) standOf(l *lane) (*stand, int32) {
	i, ok := d.standAt[l]
	if !ok {
		i = int32(len(d.stands))
		d.stands = append(d.stands, &stand{lane: l})
		d.standAt[l] = i
	}
	return d.stands[i], i
}

// park forgets all of a task but its place, its key and its id; mu held.
func (d *desk) park(t *task) parked {
	at := int32(-1)
	if t.needsCall() {
		_, at = d.standOf(d.engine.lane(t.work.dec.Intent.Merchant))
	}
	return parked{
		slot: d.hidden.put(t.offset), key: t.key, id: hashKey([]byte(t.id)),
		since: uint32(time.Since(d.engine.started) / time.Second), stand: at,
	}
}

// parkBehindLane parks a task that has just arrived; mu held.
func (d *desk) parkBehindLane(t *task, at int32, giveUp time.Duration) {
	p := d.park(t)
	p.deadline = t.deadline(giveUp)
	hasty := t.hasty(giveUp)
	if t.keyed {
		k := d.parkedKeys[t.key]
		p.deadline = max(p.deadline, k.deadline)
		hasty = hasty && !k.patient
		d.parkedKeys[t.key] = parkedKey{stand: at, count: k.count + 1, deadline: p.deadline, patient: !hasty}
	}
	if hasty {
		heap.Push(&d.stands[at].hasty, p)
		d.engine.expires(p.deadline)
		return
	}
	heap.Push(&d.stands[at].parked, p)
}

// hasty reports whether a task expires before it is given up.
func (t *task) hasty(giveUp time.Duration) bool {
	x := t.work.dec.Intent.ExpiresAt
	return !x.IsZero() && x.Before(t.at.Add(giveUp))
}

// expires notes that a parked record expires; mu held.
func (e *Engine) expires(at int64) {
	if e.expiry == 0 || at < e.expiry {
		e.expiry = at
	}
}

// expire has parked records read that have expired, and finds the next that will;
// mu held. A stand that could not be read now is looked at again a little later.
func (e *Engine) expire(now time.Time) {
	e.expiry = 0
	for d := range e.desks {
		for _, s := range d.stands {
			if d.closed || len(s.hasty) == 0 {
				continue
			}
			if s.hasty[0].deadline <= now.UnixNano() {
				e.unparkLane(d, s)
			}
			if len(s.hasty) > 0 {
				e.expires(max(s.hasty[0].deadline, now.Add(expireLook).UnixNano()))
			}
		}
	}
}

// expireLook is how soon to look again for parked records that have expired, after
// all were looked at.
const expireLook = 500 * time.Millisecond

// deadline is by when a task should be settled, as unix nanoseconds.
func (t *task) deadline(giveUp time.Duration) int64 {
	by := t.at.Add(giveUp)
	if x := t.work.dec.Intent.ExpiresAt; !x.IsZero() && x.Before(by) {
		by = x
	}
	return by.UnixNano()
}

// unparkLane has the next parked records of a stand read again, if few enough
// are loaded, or some are in a hurry; mu held.
func (e *Engine) unparkLane(d *desk, s *stand) {
	if s.reading || d.closed || s.waiting() == 0 {
		return
	}
	var ps []parked
	if most := d.mayLoad(s); s.loaded <= most/2 {
		for s.waiting() > 0 && len(ps) < most-s.loaded {
			ps = append(ps, heap.Pop(s.next()).(parked))
		}
	}
	if len(s.hasty) > 0 {
		now, latest := time.Now().UnixNano(), s.lane.latest()
		for len(s.hasty) > 0 && s.loaded+len(ps) < d.mostHasty(s, s.hasty[0].deadline, now, latest) {
			ps = append(ps, heap.Pop(&s.hasty).(parked))
		}
	}
	if len(ps) == 0 {
		return
	}
	s.reading = true
	e.reload(d, ps, func(t *task, p parked) {
		d.forgetKey(p.key)
		if t == nil {
			d.hidden.take(p.slot)
			return
		}
		if c := d.chains[t.key]; t.keyed && c != nil && c.full() {
			c.parked = append(c.parked, p) // it is hidden still
			return
		}
		d.hidden.take(p.slot)
		e.load(t)
	}, func() { s.reading = false; e.unparkLane(d, s) })
}

// mostHasty is how many records of a paced lane may be loaded before one that is
// in a hurry: as many again, if it expires before the latest of the lane does, and
// a third time as many if it has expired, because it is settled at once, as a rule.
func (d *desk) mostHasty(s *stand, deadline, now, latest int64) int {
	switch {
	case deadline <= now:
		return 3 * d.mayLoad(s)
	case deadline < latest:
		return 2 * d.mayLoad(s)
	}
	return 0
}

func (d *desk) forgetKey(k keyHash) {
	if pk, ok := d.parkedKeys[k]; ok {
		if pk.count--; pk.count == 0 {
			delete(d.parkedKeys, k)
			return
		}
		d.parkedKeys[k] = pk
	}
}

// unparkKey has the next parked records of a key read again; mu held.
func (e *Engine) unparkKey(d *desk, c *chain) {
	if c.reading || d.closed || len(c.parked) == 0 || len(c.tasks) > chainLoad/2 {
		return
	}
	n := min(len(c.parked), chainLoad)
	ps := c.parked[:n]
	c.parked = c.parked[n:]
	c.reading = true
	e.reload(d, ps, func(t *task, p parked) {
		d.hidden.take(p.slot)
		if t != nil {
			e.load(t)
		}
	}, func() { c.reading = false; e.unparkKey(d, c); d.dropChain(ps[0].key, c) })
}

// reload reads parked records again and gives each to put, in the order given,
// with mu held, then calls then. A record that the topic does not hold any more
// is given as nil: nothing can be done for it but say so.
func (e *Engine) reload(d *desk, ps []parked, put func(*task, parked), then func()) {
	offsets := make([]int64, len(ps))
	for i, p := range ps {
		offsets[i] = d.hidden.offset(p.slot)
	}
	e.calls.Add(1)
	go func() {
		defer e.calls.Done()
		sorted := slices.Sorted(slices.Values(offsets))
		recs, err := d.claim.Reread(d.ctx, sorted)
		if err != nil {
			return // drained or lost: nobody needs them here any more
		}
		byOffset := make(map[int64]*task, len(recs))
		for i := range recs {
			t, ok := e.decode(d, &recs[i])
			if !ok {
				return
			}
			byOffset[t.offset] = t
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if d.closed {
			return
		}
		for i, p := range ps {
			t := byOffset[offsets[i]]
			if t == nil {
				e.metrics.vanished.Inc()
				e.log.WithField("partition", d.claim.Partition()).WithField("offset", offsets[i]).
					Error("the topic's retention deleted an intent that was waiting: it gets no outcome; emit it again")
			}
			put(t, p)
		}
		then()
		d.commit()
		e.pump()
	}()
}
