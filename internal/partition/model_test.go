package partition

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"paylink/internal/payment"
)

// A model is a partition as somebody would write it who has all the time and
// memory there is: a list of what is unfinished.
type model struct {
	*testing.T
	*rand.Rand
	p          *Partition
	next       int64
	unfinished map[int64]bool
	going      []*Record       // may go
	behind     []*Record       // loaded, wait for others
	slots      map[int64]place // not loaded, by offset
	order      map[Hash][]int64
}

// A place is where an offset is remembered, and its key if it waits behind it.
type place struct {
	slot int64
	key  Hash
}

// FuzzPartition holds a Partition against the model under random events. First of
// all: the watermark never passes an unfinished offset.
func FuzzPartition(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, uint8(seed%7), uint8(seed%5))
	}
	f.Fuzz(func(t *testing.T, seed uint64, keys, ids uint8) {
		m := &model{
			T: t, Rand: rand.New(rand.NewPCG(seed, 2)), p: New(roomy), next: -1,
			unfinished: map[int64]bool{}, slots: map[int64]place{}, order: map[Hash][]int64{},
		}
		for range 500 {
			m.event(int(keys%8)+1, int(ids%8)+1)
			m.compare()
			if t.Failed() {
				return
			}
		}
		for n := 0; len(m.unfinished) > 0 && !t.Failed(); n++ {
			if n > 10_000 {
				t.Fatalf("%d records never go", len(m.unfinished))
			}
			m.read()
			m.settle()
			m.compare()
		}
		if got := m.p.Watermark(); got != m.next {
			t.Errorf("all is settled: Watermark = %d, want %d", got, m.next)
		}
		if len(m.p.keys)+len(m.p.ids)+len(m.p.slots.chunks) > 0 {
			t.Errorf("all is settled, and %d keys, %d ids, %d slots are kept", len(m.p.keys), len(m.p.ids), len(m.p.slots.chunks))
		}
	})
}

func (m *model) event(keys, ids int) {
	switch m.IntN(8) {
	case 0, 1, 2:
		m.arrive(Hash(m.IntN(keys)), payment.IntentID(fmt.Sprint("i", m.IntN(ids))))
	case 3, 4:
		m.settle()
	case 5:
		m.read()
	case 6:
		m.next = max(m.next, 0) + int64(m.IntN(4))
		m.p.Passed(m.next)
	case 7:
		if r := m.pick(append(slices.Clone(m.going), m.behind...)); r != nil {
			m.p.Yield(r)
		}
	}
}

// arrive takes a record, after a gap perhaps: it is settled at once, loaded, or
// remembered.
func (m *model) arrive(key Hash, id payment.IntentID) {
	offset := max(m.next, 0) + int64(m.IntN(3))
	m.next = offset + 1
	m.p.Took(offset)
	_, full := m.p.Key(key)
	switch {
	case m.IntN(5) == 0:
	case key != 0 && full:
		m.unfinished[offset] = true
		slot := m.p.Remember(offset)
		m.slots[offset] = place{slot, key}
		m.order[key] = append(m.order[key], offset)
		m.p.PutBehindKey(key, NewEntry(slot, HashOf([]byte(id)), "", noon))
	case key == 0 && m.IntN(3) == 0: // behind its lane
		m.unfinished[offset] = true
		m.slots[offset] = place{m.p.Remember(offset), 0}
	default:
		m.unfinished[offset] = true
		m.order[key] = append(m.order[key], offset)
		m.load(&Record{Offset: offset, Key: key, ID: id, Size: 1 + m.IntN(100)})
	}
}

func (m *model) load(r *Record) {
	if m.p.Load(r, m.IntN(3) == 0) {
		m.goes(r)
		return
	}
	m.behind = append(m.behind, r)
}

// goes notes that a record may go, and judges whether it may: no unfinished one
// of its key comes before it, and none of its id goes.
func (m *model) goes(r *Record) {
	if first := m.order[r.Key]; r.Key != 0 && first[0] != r.Offset {
		m.Errorf("%d goes before %d, of the same key", r.Offset, first[0])
	}
	for _, other := range m.going {
		if other.ID == r.ID && r.ID != "" {
			m.Errorf("%d goes together with %d, of the same intent", r.Offset, other.Offset)
		}
	}
	m.behind = slices.DeleteFunc(m.behind, func(x *Record) bool { return x == r })
	m.going = append(m.going, r)
}

func (m *model) settle() {
	r := m.pick(m.going)
	if r == nil {
		return
	}
	m.going = slices.DeleteFunc(m.going, func(x *Record) bool { return x == r })
	delete(m.unfinished, r.Offset)
	m.order[r.Key] = slices.DeleteFunc(m.order[r.Key], func(x int64) bool { return x == r.Offset })
	byID, byKey := m.p.Settle(r)
	for _, next := range []*Record{byID, byKey} {
		if next != nil {
			m.goes(next)
		}
	}
}

// read reads again what can be: behind some key, or behind a lane. Some of it has
// vanished.
func (m *model) read() {
	for key := range Hash(8) {
		entries := m.p.ReadKey(key)
		if entries == nil {
			continue
		}
		for _, e := range entries {
			m.readAgain(m.p.Offset(e.Slot), key)
		}
		m.p.DoneKey(key)
	}
	for _, offset := range slices.Sorted(maps.Keys(m.slots)) {
		if m.slots[offset].key == 0 {
			m.order[0] = append(m.order[0], offset)
			m.readAgain(offset, 0)
			return
		}
	}
}

func (m *model) readAgain(offset int64, key Hash) {
	m.p.Forget(m.slots[offset].slot)
	delete(m.slots, offset)
	if m.IntN(10) == 0 {
		delete(m.unfinished, offset)
		m.order[key] = slices.DeleteFunc(m.order[key], func(x int64) bool { return x == offset })
		return
	}
	m.load(&Record{Offset: offset, Key: key, ID: payment.IntentID(fmt.Sprint("i", m.IntN(5))), Size: 1 + m.IntN(100)})
}

func (m *model) pick(rs []*Record) *Record {
	if len(rs) == 0 {
		return nil
	}
	return rs[m.IntN(len(rs))]
}

// compare holds what the partition says against what the model has.
func (m *model) compare() {
	want := m.next
	for offset := range m.unfinished {
		want = min(want, offset)
	}
	if got := m.p.Watermark(); got != want {
		m.Errorf("Watermark = %d, want %d", got, want)
	}
	if got := m.p.Unfinished(); got != len(m.unfinished) {
		m.Errorf("Unfinished = %d, want %d", got, len(m.unfinished))
	}
	if got := m.p.Backlogged(); got != len(m.slots) {
		m.Errorf("Backlogged = %d, want %d", got, len(m.slots))
	}
	for offset, s := range m.slots {
		if got := m.p.Offset(s.slot); got != offset {
			m.Errorf("Offset(%d) = %d, want %d", s.slot, got, offset)
		}
	}
	var count, bytes, patient int
	for _, r := range append(slices.Clone(m.going), m.behind...) {
		if r.IsPatient() {
			patient += r.Size
			continue
		}
		count++
		bytes += r.Size
	}
	if _, used, _ := m.p.Patience(); m.p.Going() != count || used != patient || m.p.usage.bytes != bytes {
		m.Errorf("%d that could go of %d bytes, and %d bytes of others; want %d, %d, %d", m.p.Going(), m.p.usage.bytes, used, count, bytes, patient)
	}
}
