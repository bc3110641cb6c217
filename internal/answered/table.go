package answered

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unsafe"
)

// An entry is one answered intent. There may be many millions: no pointers.
type entry struct {
	id      hash
	content content
	place   place
}

const entrySize = int64(unsafe.Sizeof(entry{}))

// A table holds entries by their hash: each stands in the first free slot from
// where its hash points to. One whose hash is zero is free; no id has that.
type table struct {
	slots []entry
	used  int
}

// at is where the search for a hash begins.
func (t *table) at(h hash) int {
	hi, _ := bits.Mul64(binary.BigEndian.Uint64(h[8:]), uint64(len(t.slots)))
	return int(hi)
}

// slot is where a hash stands, or would stand. There is always a free slot.
func (t *table) slot(h hash) *entry {
	for i := t.at(h); ; i++ {
		if i == len(t.slots) {
			i = 0
		}
		if e := &t.slots[i]; e.id == h || e.id == (hash{}) {
			return e
		}
	}
}

// find returns the entry of a hash, nil if there is none.
func (t *table) find(h hash) *entry {
	if t.used == 0 {
		return nil
	}
	if e := t.slot(h); e.id == h {
		return e
	}
	return nil
}

// add adds an entry, unless its hash is there already. Of one that is, it may tell the
// place.
func (t *table) add(e entry) {
	if 8*(t.used+1) > 7*len(t.slots) { // fuller, and searches are long
		t.grow()
	}
	switch to := t.slot(e.id); {
	case to.id != e.id:
		*to = e
		t.used++
	case to.place == (place{}) && to.content.same(e.content):
		to.place = e.place
	}
}

// grow makes the table larger by a twelfth: more would be memory for nothing.
func (t *table) grow() { t.resize(len(t.slots) + len(t.slots)/12 + 4) }

// reserve makes room for n more entries.
func (t *table) reserve(n int) {
	if want := (t.used+n)*8/7 + 1; n > 0 && want > len(t.slots) {
		t.resize(want)
	}
}

func (t *table) resize(n int) {
	old := t.slots
	larger := slices.Grow([]entry(nil), n)
	t.slots = larger[:cap(larger)] // what the allocator rounds up to is used too
	for i := range old {
		if old[i].id != (hash{}) {
			*t.slot(old[i].id) = old[i]
		}
	}
}
