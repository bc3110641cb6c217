package schedule

import (
	"math"
	"time"

	"paylink/internal/pq"
)

// A Backlog is one merchant's work in one partition: how much of it is loaded,
// and where the rest stands. It keeps memory bounded however long the backlog is:
// of work whose turn is far, only an Entry is remembered, and it is read again
// when its turn nears.
//
// What must be done first is read first, and what arrives is put behind what must
// be done before it: nothing overtakes. What must be settled before some that is
// loaded, or has expired, is loaded besides. Work whose time was up before it could be read,
// and that an owner before us may have called for, can only be looked up: of that
// little is loaded at a time, so that it is in nobody's way.
type Backlog struct {
	Lane    *Lane
	loaded  int
	looking int             // of those that are loaded: they wait for their last look
	again   int             // of the others that are loaded: they were called for, and have to be called for again
	behind  int             // of the others that are loaded: they may not go before another of their key, or intent id
	bytes   int             // of what is loaded
	patient *pq.Heap[Entry] // nil: none yet
	hasty   *pq.Heap[Entry] // entries that expire before they are given up, and have none of their key before them in patient
	late    *pq.Heap[Entry] // entries that can only be looked up, and those of their keys behind them
	lateOf  map[uint64]int  // how many entries of a key are in late
	reading bool
	refused int // on hold: so many more are to be read to probe it
	samples int // that were read for that, so far
}

// lateLoad is how much work that can only be looked up is loaded at a time.
const lateLoad = 4

// An Entry is work that is not loaded, in 40 bytes without pointers: there may be
// millions.
type Entry struct {
	Slot  int64  // where its offset is remembered
	Key   uint64 // hash of its record's key; 0: it has none
	ID    uint64 // hash of its intent id: for questions only
	by    stamp
	since stamp // the lowest bits say what else it is
}

// What else an entry may be, in the lowest bits of a stamp.
const (
	isInherited = 1 << iota // an owner before us may have called for it
	isBehind                // one of its key was put before it
	entryBits
)

// A stamp is a time.Time of the wall clock in 8 bytes.
type stamp int64

// stampOf returns the nearest stamp to a time: those of the years 1678 to 2262 are
// exact.
func stampOf(t time.Time) stamp {
	switch {
	case t.Before(earliestStamp):
		return math.MinInt64
	case t.After(latestStamp):
		return math.MaxInt64
	}
	return stamp(t.UnixNano())
}

var earliestStamp, latestStamp = time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)

func (s stamp) time() time.Time { return time.Unix(0, int64(s)) }

// By is by when it must be settled.
func (e Entry) By() time.Time { return e.by.time() }

// Since is when it was put into the backlog.
func (e Entry) Since() time.Time { return e.since.time() }

func (e Entry) is(what stamp) bool { return e.since&what != 0 }

// before says which of two is to be read first.
func (e Entry) before(other Entry) bool {
	if e.by != other.by {
		return e.by < other.by
	}
	return e.Slot < other.Slot
}

// A Room is what a partition has for work that waits for something other than
// room, whatever its merchant.
type Room struct {
	Bytes     int // what there is, besides an even share for each merchant
	Used      int
	Merchants int // that have loaded work there
}

// NewBacklog returns an empty backlog of a merchant.
func NewBacklog(l *Lane) *Backlog {
	heap := func() *pq.Heap[Entry] { return pq.New(Entry.before, nil) }
	return &Backlog{Lane: l, patient: heap(), hasty: heap(), late: heap()}
}

// Len is how much work is not loaded.
func (b *Backlog) Len() int { return b.patient.Len() + b.hasty.Len() + b.late.Len() }

// IsIdle reports whether nothing is in it, loaded or being read: it is as a new one.
func (b *Backlog) IsIdle() bool { return b.loaded+b.looking == 0 && b.Len() == 0 && !b.reading }

// Load counts work of so many bytes that is loaded. It reports whether it is the
// merchant's only work there.
func (b *Backlog) Load(bytes int) (first bool) {
	b.loaded++
	b.bytes += bytes
	return b.loaded == 1
}

// Unload counts work that is not loaded any more. It reports whether it was the
// merchant's last.
func (b *Backlog) Unload(bytes int) (last bool) {
	b.loaded--
	b.bytes -= bytes
	return b.loaded == 0
}

// Looks says that so many more of what is loaded wait for their last look; fewer,
// if n is negative.
func (b *Backlog) Looks(n int) { b.looking += n }

// Repeats says that so many more of what is loaded have to be called for again; fewer,
// if n is negative.
func (b *Backlog) Repeats(n int) {
	if b.again += n; n > 0 && b.Lane.hold.on {
		b.refused += n
	}
}

// Follows says that so many more of what is loaded are behind another of their key, or
// intent id; fewer, if n is negative.
func (b *Backlog) Follows(n int) { b.behind += n }

// An Arrival is work that has just been taken in.
type Arrival struct {
	By        time.Time // when it must be settled
	Hasty     bool      // it expires before it is given up
	Inherited bool      // an owner before us may have called for it
	Behind    bool      // behind one of its key that is not loaded
}

// Arrival is what a backlog needs to know of work that has just been taken in.
func (w *Work) Arrival(inherited bool, giveUp time.Duration) Arrival {
	by := deadline(w.At, w.ExpiresAt, giveUp)
	return Arrival{By: by, Hasty: by.Before(w.At.Add(giveUp)), Inherited: inherited}
}

// Admits reports whether work that has just arrived is to be loaded.
func (b *Backlog) Admits(r Room, a Arrival, now time.Time) bool {
	switch {
	case !b.Lane.IsPaced() && b.Len() == 0:
		return true
	case a.Inherited && !a.By.After(now):
		return b.late.Len() == 0 && b.looking < lateLoad && b.going(r) < b.mayLoad(r)
	case b.Lane.hold.on && b.going(r) < 3*b.mayLoad(r): // it may be of another kind than what waits
		return true
	case b.comesBefore(stampOf(a.By)):
		return false
	}
	return b.going(r) < b.mayLoad(r) || b.going(r) < b.mayHurry(r, a.By, now, b.Lane.latest())
}

// going is how much is loaded that does not only wait for its last look. What has to be
// called for again does not count while there is room, nor what is behind it: some may
// be so for ever, and nobody else is to wait for them.
func (b *Backlog) going(r Room) int {
	if r.Used < r.Bytes {
		return b.loaded - b.looking - b.again - b.behind
	}
	return b.loaded - b.looking
}

// comesBefore reports whether something is not loaded that must be settled before
// what has to be by then, or at the same time: it came first.
func (b *Backlog) comesBefore(by stamp) bool {
	return b.patient.Len() > 0 && b.patient.Peek().by <= by || b.hasty.Len() > 0 && b.hasty.Peek().by <= by
}

// mayLoad is how much work may be loaded, if the lane is paced: what the lane
// keeps loaded, and the less of it the more room all such lanes take. But as much
// as fits an even share may always be, or large records of one merchant would
// slow down another; and one, or nobody would ever read on.
func (b *Backlog) mayLoad(r Room) int {
	n := b.Lane.load * max(0, r.Bytes-r.Used) / max(1, r.Bytes)
	if b.loaded > 0 {
		share := r.Bytes / max(1, r.Merchants) * b.loaded / max(1, b.bytes) // in records like those that are loaded
		n = max(n, min(share, b.Lane.load))
	}
	return max(1, n)
}

// mayHurry is how much work may be loaded before some that is in a hurry: as much
// again, if it must be settled before the latest of the lane, and a third time as
// much if its time is up, because it is settled at once, as a rule.
func (b *Backlog) mayHurry(r Room, by, now, latest time.Time) int {
	switch {
	case !by.After(now):
		return 3 * b.mayLoad(r)
	case by.Before(latest):
		return 2 * b.mayLoad(r)
	}
	return 0
}

// Put remembers work instead of loading it.
func (b *Backlog) Put(e Entry, a Arrival, now time.Time) {
	e.by, e.since = stampOf(a.By), stampOf(now)&^(entryBits-1)
	if a.Inherited {
		e.since |= isInherited
	}
	if a.Behind {
		e.since |= isBehind
	}
	switch {
	case b.isLate(e, now):
		b.putLate(e)
	case a.Hasty:
		b.hasty.Push(e)
	default:
		b.patient.Push(e)
	}
}

// isLate reports whether an entry can only be looked up, or is behind one of its
// key that can: records of a key keep their order.
func (b *Backlog) isLate(e Entry, now time.Time) bool {
	return e.is(isInherited) && !e.By().After(now) || b.lateOf[e.Key] > 0
}

func (b *Backlog) putLate(e Entry) {
	b.late.Push(e)
	if e.Key != 0 {
		if b.lateOf == nil {
			b.lateOf = map[uint64]int{}
		}
		b.lateOf[e.Key]++
	}
}

func (b *Backlog) popLate() Entry {
	e := b.late.Pop()
	if e.Key != 0 {
		if b.lateOf[e.Key]--; b.lateOf[e.Key] == 0 {
			delete(b.lateOf, e.Key)
		}
	}
	return e
}

// sift moves entries that have become late to where they belong.
func (b *Backlog) sift(h *pq.Heap[Entry], now time.Time) {
	for h.Len() > 0 && b.isLate(h.Peek(), now) {
		b.putLate(h.Pop())
	}
}

// Read returns the work that is to be read again now, because little enough is
// loaded, or some is in a hurry. Until Done nothing more is to be read.
func (b *Backlog) Read(r Room, now time.Time) (out []Entry) {
	if b.reading || b.Len() == 0 {
		return nil
	}
	b.sift(b.patient, now)
	b.sift(b.hasty, now)
	// Half empty first: many records in one read cost little more than one.
	latest, most := b.Lane.latest(), b.mayLoad(r)
	switch {
	case b.Lane.hold.on:
		latest = time.Time{} // what is loaded of a later time is to probe
		for b.patient.Len()+b.hasty.Len() > 0 && b.going(r)+len(out) < 3*most && (b.refused > 0 || b.going(r)+len(out) < most) {
			out = append(out, b.sample(now))
			b.refused = max(0, b.refused-1)
		}
	case b.going(r) <= most/2:
		for b.patient.Len()+b.hasty.Len() > 0 && len(out) < most-b.going(r) {
			h := b.first()
			out = append(out, h.Pop())
			b.sift(h, now)
		}
	}
	for b.patient.Len()+b.hasty.Len() > 0 {
		h := b.first()
		if b.going(r)+len(out) >= b.mayHurry(r, h.Peek().By(), now, latest) {
			break
		}
		out = append(out, h.Pop())
		b.sift(h, now)
	}
	for n := b.looking; n < lateLoad && b.late.Len() > 0; n++ {
		out = append(out, b.popLate())
	}
	b.reading = len(out) > 0
	return out
}

// Done says that what was to be read is loaded.
func (b *Backlog) Done() { b.reading = false }

// first is the heap with the entry that must be settled first.
func (b *Backlog) first() *pq.Heap[Entry] {
	if b.patient.Len() == 0 || b.hasty.Len() > 0 && b.hasty.Peek().before(b.patient.Peek()) {
		return b.hasty
	}
	return b.patient
}

// sample takes out what is to probe a hold: what is loaded may all be of one kind, and so
// may be what comes next. It is the one that came last, or one from anywhere, by turns;
// never before one of its key.
func (b *Backlog) sample(now time.Time) Entry {
	n := b.patient.Len() + b.hasty.Len()
	i := n - 1
	if b.samples++; b.samples%2 == 0 {
		i = spread(b.samples/2, n)
	}
	h, at := b.first(), 0
	for least := max(0, i-mostTried); i >= least; i-- {
		other, place := b.patient, i
		if place >= other.Len() {
			other, place = b.hasty, place-other.Len()
		}
		if e := other.At(place); !e.is(isBehind) && !b.isLate(e, now) {
			h, at = other, place
			break
		}
	}
	e := h.Remove(at)
	b.sift(h, now)
	return e
}

// mostTried is how many entries are looked at for a sample.
const mostTried = 64

// Expires is when the first entry expires that is in a hurry. It reports false if
// there is none.
func (b *Backlog) Expires() (time.Time, bool) {
	if b.hasty.Len() == 0 {
		return time.Time{}, false
	}
	return b.hasty.Peek().By(), true
}

// Each gives every entry to f, in no order.
func (b *Backlog) Each(f func(Entry)) {
	for _, h := range []*pq.Heap[Entry]{b.patient, b.hasty, b.late} {
		for e := range h.All() {
			f(e)
		}
	}
}

// EachBy gives every entry to f that must be settled before a time, in no order. It
// looks at no others.
func (b *Backlog) EachBy(before time.Time, f func(Entry)) {
	at := stampOf(before)
	for _, h := range []*pq.Heap[Entry]{b.patient, b.hasty, b.late} {
		for e := range h.Least(func(e Entry) bool { return e.by < at }) {
			f(e)
		}
	}
}
