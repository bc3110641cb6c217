// Package partition decides in which order the records of one partition are
// worked on, how many of them are loaded, and how far the partition is settled.
// It decides and does nothing else: no lock, no clock, no call.
//
// # Order
//
// Records of one key are settled in their order, and so are loaded records of one
// intent id, so that an upstream duplicate under another key waits for the first
// one's answer. Key before id, always: no two records can wait for each other. One that
// says something else than an unsettled record of its id before it waits for no
// answer: it is a conflict from the beginning (Says), under whatever key it came.
//
// # Window and backlog
//
// A loaded record takes room in the window: bytes and a place, or, if it waits for
// something other than room (its merchant's pace, a hold, a backoff), bytes of
// another part. Of a record that is not loaded only its offset is remembered, under
// a slot, until it is read again: behind its merchant's lane (that order is the
// scheduler's), or behind its key, when enough records of the key are loaded.
// Loaded or not, it holds the committed offset back. After a restart it is read
// again, like everything above that offset, and what was answered by then is
// skipped: that costs reading only.
package partition

import (
	"hash/maphash"
	"time"

	"paylink/internal/payment"
	"paylink/internal/pq"
)

// A Hash stands for a key, or an intent id. Two that share it only wait for each
// other.
type Hash = uint64

var seed = maphash.MakeSeed()

// HashOf never returns 0, which stands for no key.
func HashOf(b []byte) Hash { return max(1, maphash.Bytes(seed, b)) }

// A Record is one that is loaded. Its owner sets the first fields before it gives
// it to a Partition, and leaves the rest alone.
type Record struct {
	Offset int64
	Key    Hash             // 0: it has none
	ID     payment.IntentID // empty: it is no intent
	Size   int              // bytes
	Owner  any

	place   int // among those that are loaded; -1: it is not
	patient bool
}

// A Limit is how much a partition may load.
type Limit struct {
	Count   int // records that could go now
	Bytes   int // their size, and as much again of those that wait for something other than room
	Backlog int // records that are not loaded; beyond it the partition is not read on
}

const (
	// patientPart is which part of the window's bytes records may take, besides,
	// that wait for something other than room: one half, and the same again in even
	// shares. They never take the room of those that could go.
	patientPart = 2

	// keyLoad is how many records of a key are kept loaded while more wait.
	keyLoad = 4
)

// A Partition is the records of one partition that are not settled.
type Partition struct {
	limit  Limit
	open   *pq.Heap[*Record] // loaded, by offset
	next   int64             // offset after the last record taken; -1: none yet
	usage  usage
	slots  slots
	keys   map[Hash]*key
	ids    map[payment.IntentID][]*Record // loaded ones whose key is free; the first may go
	far    map[Hash]Far
	firsts map[Hash]first // by intent id
}

// usage is what loaded records take.
type usage struct {
	count, bytes int // of those that could go
	patient      int // bytes of the others
	merchants    int // that have loaded records
}

// A key is its records that are not settled, in their order: first the loaded
// ones, of which the first may go, then those in the backlog behind them.
type key struct {
	loaded  []*Record
	backlog []Entry
	reading bool
}

// An Entry is a record that is not loaded, behind its key. All but its slot is for
// questions only.
type Entry struct {
	Slot     int64
	ID       Hash // of its intent id
	Merchant payment.MerchantID
	since    int64 // unix nanoseconds: there may be many
}

// NewEntry returns the entry of a record that is put behind its key now.
func NewEntry(slot int64, id Hash, m payment.MerchantID, now time.Time) Entry {
	return Entry{Slot: slot, ID: id, Merchant: m, since: now.UnixNano()}
}

// Since is when it was put there.
func (e Entry) Since() time.Time { return time.Unix(0, e.since) }

// full says that a further record of the key must not be loaded: enough are, or
// some that come before it are not.
func (k *key) full() bool { return len(k.loaded) >= keyLoad || len(k.backlog) > 0 || k.reading }

// Far says that records of a key are in a backlog behind their merchant's lane.
type Far struct {
	Behind  any   // the backlog that they are in
	by      int64 // unix milliseconds, rounded up: there may be many
	count   int32
	Patient bool // one is in no hurry: later ones of the key must not be read before it
}

// By is when the last of them must be settled: later ones of the key must not
// overtake it.
func (f Far) By() time.Time { return time.UnixMilli(f.by) }

// New returns a partition of which nothing was taken yet.
func New(l Limit) *Partition {
	return &Partition{
		limit: l, next: -1, keys: map[Hash]*key{}, ids: map[payment.IntentID][]*Record{}, far: map[Hash]Far{}, firsts: map[Hash]first{},
		open: pq.New(func(a, b *Record) bool { return a.Offset < b.Offset }, func(r *Record, i int) { r.place = i }),
	}
}

// Limit changes how much may be loaded. What is loaded stays.
func (p *Partition) Limit(l Limit) { p.limit = l }

// HasRoom reports whether one more record may be loaded, or remembered.
func (p *Partition) HasRoom() bool {
	return p.usage.bytes < p.limit.Bytes && p.usage.count < p.limit.Count && p.slots.count < p.limit.Backlog
}

// Going is how many loaded records could go but for the number of calls in flight.
func (p *Partition) Going() int { return p.usage.count }

// Patience is what there is for records that wait for something other than room:
// how many bytes besides even shares, how many of them are used, and how many
// merchants have loaded records.
func (p *Partition) Patience() (bytes, used, merchants int) {
	return p.limit.Bytes / patientPart, p.usage.patient, p.usage.merchants
}

// Merchants counts merchants that have loaded records.
func (p *Partition) Merchants(n int) { p.usage.merchants += n }

// Took says that a record was taken, to be loaded or remembered.
func (p *Partition) Took(offset int64) { p.next = offset + 1 }

// Passed says that all records below next were taken; those that are not there
// (control records, aborted ones, compacted ones) are settled by that.
func (p *Partition) Passed(next int64) { p.next = max(p.next, next) }

// Watermark is the offset below which every record is settled; -1: none yet.
func (p *Partition) Watermark() int64 {
	w := min(p.next, p.slots.first())
	if p.open.Len() > 0 {
		w = min(w, p.open.Peek().Offset)
	}
	return w
}

// Unfinished is how many records that were taken are not settled.
func (p *Partition) Unfinished() int { return p.open.Len() + p.slots.count }

// Load takes a record into memory, behind its key and its id. patient says that it
// waits for something other than room; so does one that is behind a patient one. It
// reports whether it may go at once.
func (p *Partition) Load(r *Record, patient bool) bool {
	p.open.Push(r)
	if r.patient = patient || p.isBehindPatient(r); r.patient {
		p.usage.patient += r.Size
	} else {
		p.usage.count++
		p.usage.bytes += r.Size
	}
	if r.Key == 0 {
		return p.queueID(r)
	}
	k := p.keys[r.Key]
	if k == nil {
		k = &key{}
		p.keys[r.Key] = k
	}
	k.loaded = append(k.loaded, r)
	return len(k.loaded) == 1 && p.queueID(r)
}

// queueID queues a record whose key is free behind its intent id. It reports
// whether it may go.
func (p *Partition) queueID(r *Record) bool {
	if r.ID == "" {
		return true
	}
	q := p.ids[r.ID]
	p.ids[r.ID] = append(q, r)
	return len(q) == 0
}

// isBehindPatient reports whether a record that comes now is behind a patient one of its
// key, or id.
func (p *Partition) isBehindPatient(r *Record) bool {
	if k := p.keys[r.Key]; k != nil && len(k.loaded) > 0 {
		return k.loaded[0].patient
	}
	q := p.ids[r.ID]
	return len(q) > 0 && q[0].patient
}

// Yield gives a record's room to those that could go now, and that of all behind it, as
// none of them can. It returns how many had any.
func (p *Partition) Yield(r *Record) (n int) {
	if q := p.ids[r.ID]; len(q) > 0 && q[0] == r {
		for _, other := range q[1:] {
			n += p.yieldKey(other)
		}
	}
	return n + p.yieldKey(r)
}

// yieldKey is Yield of a record and those behind it under its key.
func (p *Partition) yieldKey(r *Record) (n int) {
	n = p.yield(r)
	if k := p.keys[r.Key]; k != nil && len(k.loaded) > 0 && k.loaded[0] == r {
		for _, other := range k.loaded[1:] {
			n += p.yield(other)
		}
	}
	return n
}

func (p *Partition) yield(r *Record) int {
	if r.patient || r.place < 0 {
		return 0
	}
	r.patient = true
	p.usage.count--
	p.usage.bytes -= r.Size
	p.usage.patient += r.Size
	return 1
}

// IsPatient reports whether a loaded record takes no room of those that could go.
func (r *Record) IsPatient() bool { return r.patient }

// Settle takes a record out whose fate is durable. It returns those that may go
// now, of its id and of its key, in that order; nil: none.
func (p *Partition) Settle(r *Record) (byID, byKey *Record) {
	p.open.Remove(r.place)
	if r.patient {
		p.usage.patient -= r.Size
	} else {
		p.usage.count--
		p.usage.bytes -= r.Size
	}
	if r.ID != "" {
		p.Unsays(r.Offset, HashOf([]byte(r.ID)))
		byID = p.nextOfID(r.ID)
	}
	if r.Key == 0 {
		return byID, nil
	}
	k := p.keys[r.Key]
	k.loaded[0] = nil
	k.loaded = k.loaded[1:]
	if len(k.loaded) > 0 && p.queueID(k.loaded[0]) {
		byKey = k.loaded[0]
	}
	p.dropKey(r.Key, k)
	return byID, byKey
}

// nextOfID takes the first record off an intent id's queue and returns the one
// after it.
func (p *Partition) nextOfID(id payment.IntentID) *Record {
	q := p.ids[id]
	if len(q) <= 1 {
		delete(p.ids, id)
		return nil
	}
	q[0] = nil
	p.ids[id] = q[1:]
	return q[1]
}

func (p *Partition) dropKey(h Hash, k *key) {
	if len(k.loaded) == 0 && len(k.backlog) == 0 && !k.reading && p.keys[h] == k {
		delete(p.keys, h)
	}
}

// Loaded gives every loaded record to f, in no order.
func (p *Partition) Loaded(f func(*Record)) {
	for r := range p.open.All() {
		f(r)
	}
}
