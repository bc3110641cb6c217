package partition

import (
	"math"
	"time"
)

// slots are the offsets of the records that are not loaded, in order, in chunks: one
// that waits for long keeps only its own chunk of those that came after it. A slot
// stays valid while its record is.
type slots struct {
	base   int64 // slot of the first chunk's first
	next   int64 // slot of the next offset
	chunks []*chunk
	count  int
}

// A chunk is offsets; a negative one is not remembered any more. Chunks whose offsets
// are all forgotten are nil.
type chunk struct {
	offsets    [chunkSize]int64
	live, dead int // of the dead ones only those before the first that is live
}

const chunkSize = 64

// first is the lowest offset.
func (s *slots) first() int64 {
	if s.count == 0 {
		return math.MaxInt64
	}
	c := s.chunks[0]
	for c.offsets[c.dead] < 0 {
		c.dead++
	}
	return c.offsets[c.dead]
}

// Remember remembers the offset of a record that is not loaded. Offsets rise.
func (p *Partition) Remember(offset int64) (slot int64) {
	s := &p.slots
	i := (s.next - s.base) % chunkSize
	if i == 0 {
		s.chunks = append(s.chunks, &chunk{})
	}
	c := s.chunks[len(s.chunks)-1]
	c.offsets[i] = offset
	c.live++
	s.count++
	s.next++
	return s.next - 1
}

// Offset returns what is remembered under a slot.
func (p *Partition) Offset(slot int64) int64 {
	i := slot - p.slots.base
	return p.slots.chunks[i/chunkSize].offsets[i%chunkSize]
}

// Forget forgets an offset: its record is loaded, or will never be.
func (p *Partition) Forget(slot int64) {
	s := &p.slots
	i := slot - s.base
	c := s.chunks[i/chunkSize]
	c.offsets[i%chunkSize] = -1
	c.live--
	s.count--
	if c.live > 0 {
		return
	}
	if s.count == 0 { // nothing is remembered: begin anew
		s.base, s.chunks = s.next, nil
		return
	}
	if s.next-s.base > (i/chunkSize+1)*chunkSize-1 {
		s.chunks[i/chunkSize] = nil
	}
	for s.chunks[0] == nil {
		s.base, s.chunks = s.base+chunkSize, s.chunks[1:]
	}
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
	p.far[h] = Far{Behind: behind, count: p.far[h].count + 1, by: by.Add(time.Millisecond - 1).UnixMilli(), Patient: patient}
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
