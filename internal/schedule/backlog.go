package schedule

import (
	"time"

	"paylink/internal/pq"
)

// A Backlog is one merchant's work in one partition: how much of it is loaded,
// and where the rest stands. It keeps memory bounded however long the backlog is:
// of work whose turn is far, only an Entry is remembered, and it is read again
// when its turn nears. What must be done first is read first; and what expires
// before some that is loaded, or has expired, is loaded besides.
type Backlog struct {
	Lane    *Lane
	loaded  int
	bytes   int             // of what is loaded
	patient *pq.Heap[Entry] // nil: none yet
	hasty   *pq.Heap[Entry] // entries that expire before they are given up, and have none of their key before them in patient
	reading bool
}

// An Entry is work that is not loaded, in 40 bytes without pointers: there may be
// millions.
type Entry struct {
	Slot  int64  // where its offset is remembered
	Key   uint64 // hash of its record's key; 0: it has none
	ID    uint64 // hash of its intent id: for questions only
	by    stamp
	since stamp
}

// A stamp is a time.Time of the wall clock in 8 bytes.
type stamp int64

func stampOf(t time.Time) stamp { return stamp(t.UnixNano()) }

func (s stamp) time() time.Time { return time.Unix(0, int64(s)) }

// By is by when it must be settled.
func (e Entry) By() time.Time { return e.by.time() }

// Since is when it was put into the backlog.
func (e Entry) Since() time.Time { return e.since.time() }

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
	return &Backlog{Lane: l, patient: heap(), hasty: heap()}
}

// Len is how much work is not loaded.
func (b *Backlog) Len() int { return b.patient.Len() + b.hasty.Len() }

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

// Admits reports whether work that has just arrived is to be loaded.
func (b *Backlog) Admits(r Room, by time.Time, hasty bool, now time.Time) bool {
	if !b.Lane.IsPaced() || b.loaded < b.mayLoad(r) {
		return true
	}
	return hasty && b.loaded < b.mayHurry(r, by, now, b.Lane.latest())
}

// mayLoad is how much work may be loaded, if the lane is paced: what the lane
// keeps loaded, and the less of it the more room all such lanes take. But as much
// as fits an even share may always be, or large records of one merchant would
// slow down another; and one, or nobody would ever read on.
func (b *Backlog) mayLoad(r Room) int {
	n := b.Lane.load * max(0, r.Bytes-r.Used) / r.Bytes
	if b.loaded > 0 {
		share := r.Bytes / r.Merchants * b.loaded / b.bytes // in records like those that are loaded
		n = max(n, min(share, b.Lane.load))
	}
	return max(1, n)
}

// mayHurry is how much work may be loaded before some that is in a hurry: as much
// again, if it expires before the latest of the lane does, and a third time as
// much if it has expired, because it is settled at once, as a rule.
func (b *Backlog) mayHurry(r Room, by, now, latest time.Time) int {
	switch {
	case !by.After(now):
		return 3 * b.mayLoad(r)
	case by.Before(latest):
		return 2 * b.mayLoad(r)
	}
	return 0
}

// IsHasty reports whether work expires before it is given up.
func IsHasty(at, expires time.Time, giveUp time.Duration) bool {
	return !expires.IsZero() && expires.Before(at.Add(giveUp))
}

// Deadline is by when work is to be settled.
func Deadline(at, expires time.Time, giveUp time.Duration) time.Time {
	return deadline(at, expires, giveUp)
}

// Put remembers work instead of loading it.
func (b *Backlog) Put(e Entry, by time.Time, hasty bool, now time.Time) {
	e.by, e.since = stampOf(by), stampOf(now)
	if hasty {
		b.hasty.Push(e)
		return
	}
	b.patient.Push(e)
}

// Read returns the work that is to be read again now, because little enough is
// loaded, or some is in a hurry. Until Done nothing more is to be read.
func (b *Backlog) Read(r Room, now time.Time) (out []Entry) {
	if b.reading || b.Len() == 0 {
		return nil
	}
	if most := b.mayLoad(r); b.loaded <= most/2 {
		for b.Len() > 0 && len(out) < most-b.loaded {
			out = append(out, b.first().Pop())
		}
	}
	if b.hasty.Len() > 0 {
		latest := b.Lane.latest()
		for b.hasty.Len() > 0 && b.loaded+len(out) < b.mayHurry(r, b.hasty.Peek().By(), now, latest) {
			out = append(out, b.hasty.Pop())
		}
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
	for _, h := range []*pq.Heap[Entry]{b.patient, b.hasty} {
		for e := range h.All() {
			f(e)
		}
	}
}
