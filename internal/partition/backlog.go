package partition

import (
	"math"
	"time"
)

// slots are the offsets of the records that are not loaded, in order; a negative
// one is not remembered any more. A slot stays valid while its record is.
type slots struct {
	base    int64 // slot of the first
	offsets []int64
	count   int
}

// first is the lowest offset.
func (s *slots) first() int64 {
	if len(s.offsets) == 0 {
		return math.MaxInt64
	}
	return s.offsets[0]
}

// Remember remembers the offset of a record that is not loaded. Offsets rise.
func (p *Partition) Remember(offset int64) (slot int64) {
	s := &p.slots
	s.offsets = append(s.offsets, offset)
	s.count++
	return s.base + int64(len(s.offsets)) - 1
}

// Offset returns what is remembered under a slot.
func (p *Partition) Offset(slot int64) int64 { return p.slots.offsets[slot-p.slots.base] }

// Forget forgets an offset: its record is loaded, or will never be.
func (p *Partition) Forget(slot int64) {
	s := &p.slots
	s.offsets[slot-s.base] = -1
	s.count--
	n := 0
	for n < len(s.offsets) && s.offsets[n] < 0 {
		n++
	}
	s.base += int64(n)
	s.offsets = s.offsets[n:]
}

// Backlogged is how many records are not loaded.
func (p *Partition) Backlogged() int { return p.slots.count }

// Key says what a record of a key finds: whether others of it are unsettled and
// not behind a lane, and whether it has to be remembered behind them.
func (p *Partition) Key(h Hash) (others, full bool) {
	k := p.keys[h]
	return k != nil, k != nil && k.full()
}

// PutBehindKey puts a record that is not loaded behind its key.
func (p *Partition) PutBehindKey(h Hash, e Entry) {
	k := p.keys[h]
	k.backlog = append(k.backlog, e)
}

// ReadKey returns the records of a key that are to be read again now, because few
// enough are loaded. Until DoneKey nothing more is to be read of it.
func (p *Partition) ReadKey(h Hash) []Entry {
	k := p.keys[h]
	if k == nil || k.reading || len(k.backlog) == 0 || len(k.loaded) > keyLoad/2 {
		return nil
	}
	n := min(len(k.backlog), keyLoad)
	out := k.backlog[:n:n]
	k.backlog, k.reading = k.backlog[n:], true
	return out
}

// DoneKey says that what was to be read of a key is loaded.
func (p *Partition) DoneKey(h Hash) {
	if k := p.keys[h]; k != nil {
		k.reading = false
		p.dropKey(h, k)
	}
}

// Far says whether records of a key are in a backlog behind their lane: then later
// ones of the key have to follow them there.
func (p *Partition) Far(h Hash) (Far, bool) {
	f, ok := p.far[h]
	return f, ok
}

// PutFar notes that a record of a key is put into a backlog behind its lane, by
// when it must be settled, and whether it is in no hurry.
func (p *Partition) PutFar(h Hash, behind any, by time.Time, patient bool) {
	p.far[h] = Far{Behind: behind, count: p.far[h].count + 1, By: by, Patient: patient}
}

// ReadFar notes that a record of a key has left that backlog.
func (p *Partition) ReadFar(h Hash) {
	f, ok := p.far[h]
	if !ok {
		return
	}
	if f.count--; f.count == 0 {
		delete(p.far, h)
		return
	}
	p.far[h] = f
}

// EachBehindKey gives every record that waits behind its key to f, in no order.
func (p *Partition) EachBehindKey(f func(Entry)) {
	for _, k := range p.keys {
		for _, e := range k.backlog {
			f(e)
		}
	}
}
