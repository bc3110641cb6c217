package partition

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"paylink/internal/payment"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var roomy = Limit{Count: 100, Bytes: 1 << 20, Backlog: 1000}

// A hand has a partition in hand, and the records that were loaded, by offset.
type hand struct {
	*testing.T
	*Partition
	records map[int64]*Record
}

func take(t *testing.T, l Limit) *hand { return &hand{t, New(l), map[int64]*Record{}} }

// load takes a record of a key and an intent id, and loads it. Key 0: none.
func (h *hand) load(offset int64, key Hash, id payment.IntentID, goes bool) {
	h.Helper()
	r := &Record{Offset: offset, Key: key, ID: id, Size: 10}
	h.records[offset] = r
	h.Took(offset)
	if got := h.Load(r, false); got != goes {
		h.Errorf("Load(%d) = %v, want %v", offset, got, goes)
	}
}

// settle settles a record, and asks which may go then, by id and by key; 0: none.
func (h *hand) settle(offset, wantByID, wantByKey int64) {
	h.Helper()
	offsetOf := func(r *Record) int64 {
		if r == nil {
			return 0
		}
		return r.Offset
	}
	byID, byKey := h.Settle(h.records[offset])
	if offsetOf(byID) != wantByID || offsetOf(byKey) != wantByKey {
		h.Errorf("Settle(%d) = %d by id, %d by key; want %d, %d", offset, offsetOf(byID), offsetOf(byKey), wantByID, wantByKey)
	}
}

func (h *hand) wantWatermark(want int64) {
	h.Helper()
	if got := h.Watermark(); got != want {
		h.Errorf("Watermark = %d, want %d", got, want)
	}
}

func TestRecordsOfAKeyGoInTheirOrder(t *testing.T) {
	h := take(t, roomy)
	h.load(1, 7, "a", true)
	h.load(2, 7, "b", false)
	h.load(3, 8, "c", true) // other keys go on
	h.load(4, 7, "d", false)
	h.load(5, 0, "e", true) // one without a key waits for nobody
	h.load(6, 0, "f", true)
	h.settle(3, 0, 0)
	h.settle(1, 0, 2)
	h.settle(2, 0, 4)
	h.settle(4, 0, 0)
	h.load(7, 7, "g", true) // the key is free again
}

func TestRecordsOfAnIntentGoInTheirOrder(t *testing.T) {
	h := take(t, roomy)
	h.load(1, 7, "a", true)
	h.load(2, 8, "a", false) // an upstream duplicate under another key
	h.load(3, 0, "a", false) // and one without a key
	h.load(4, 0, "b", true)
	h.load(5, 0, "", true) // no intent
	h.load(6, 0, "", true)
	h.settle(1, 2, 0)
	h.settle(2, 3, 0)
	h.settle(3, 0, 0)
	h.load(7, 0, "a", true)
}

// TestKeyBeforeID: a record waits for its key first, and takes its place behind
// its intent id when the key is free. So no two can wait for each other.
func TestKeyBeforeID(t *testing.T) {
	h := take(t, roomy)
	h.load(1, 7, "x", true)
	h.load(2, 8, "y", true)
	h.load(3, 7, "y", false) // behind 1 by key; then behind 2 by id
	h.load(4, 8, "x", false) // behind 2 by key; then behind 1 by id
	h.settle(1, 0, 0)        // 3 has its key, and waits for 2
	h.settle(2, 3, 4)        // 4 has its key, and 1 is settled already
	h.settle(3, 0, 0)
	h.settle(4, 0, 0)

	h.load(5, 7, "z", true)
	h.load(6, 8, "w", true)
	h.load(7, 8, "z", false) // queued behind its key, it does not hold up its id
	h.load(8, 9, "z", false)
	h.settle(5, 8, 0) // 8 came later, but its key is free
	h.settle(6, 0, 0) // 7 has its key, and waits for 8
	h.settle(8, 7, 0)
	h.settle(7, 0, 0)
	h.wantWatermark(9)
}

// TestNobodyWaitsForEver: whatever keys and ids records have, all of them go.
func TestNobodyWaitsForEver(t *testing.T) {
	for keys := range 4 {
		for ids := 1; ids < 4; ids++ {
			p := New(roomy)
			var going []*Record
			for offset := range int64(60) {
				r := &Record{Offset: offset, Key: Hash(int(offset*7%11) % (keys + 1)), ID: payment.IntentID(fmt.Sprint(int(offset*5%13) % ids))}
				p.Took(offset)
				if p.Load(r, false) {
					going = append(going, r)
				}
			}
			for n := 0; len(going) > 0; n++ {
				r := going[n%len(going)] // not the first: what goes ends in any order
				going = slices.DeleteFunc(going, func(x *Record) bool { return x == r })
				byID, byKey := p.Settle(r)
				for _, next := range []*Record{byID, byKey} {
					if next != nil {
						going = append(going, next)
					}
				}
			}
			if n := p.Unfinished(); n != 0 || p.Watermark() != 60 {
				t.Errorf("%d keys, %d ids: %d records wait for ever, watermark %d", keys, ids, n, p.Watermark())
			}
			if len(p.keys) != 0 || len(p.ids) != 0 {
				t.Errorf("%d keys, %d ids: %d keys and %d ids are kept of nothing", keys, ids, len(p.keys), len(p.ids))
			}
		}
	}
}

func TestTheWatermarkStopsBeforeWhatIsNotSettled(t *testing.T) {
	h := take(t, roomy)
	h.wantWatermark(-1)
	h.Passed(100) // control records, say
	h.wantWatermark(100)
	h.load(105, 0, "a", true) // 100 … 104 are not there
	h.wantWatermark(105)
	h.load(106, 0, "b", true)
	h.Took(107)
	slot := h.Remember(107)
	h.Took(108) // settled at once
	h.Passed(120)
	h.Passed(110) // known already
	h.wantWatermark(105)
	h.settle(106, 0, 0)
	h.wantWatermark(105)
	h.settle(105, 0, 0)
	h.wantWatermark(107)
	h.Forget(slot)
	h.wantWatermark(120)
	if h.Unfinished() != 0 {
		t.Errorf("Unfinished = %d, want 0", h.Unfinished())
	}
}

// TestARecordThatIsReadAgainHoldsTheWatermarkAllTheTime, in the order in which its
// owner does it, and in the other.
func TestARecordThatIsReadAgainHoldsTheWatermarkAllTheTime(t *testing.T) {
	h := take(t, roomy)
	h.Took(5)
	slot := h.Remember(5)
	h.load(6, 0, "b", true)
	h.settle(6, 0, 0)
	r := &Record{Offset: 5, ID: "a"}
	h.Load(r, false)
	h.wantWatermark(5)
	h.Forget(slot)
	h.wantWatermark(5)
	h.Settle(r)
	h.wantWatermark(7)
}

func TestSlotsStayValid(t *testing.T) {
	p := New(roomy)
	slots := map[int64]int64{} // slot → offset
	for offset := int64(10); offset < 60; offset += 5 {
		slots[p.Remember(offset)] = offset
	}
	if len(slots) != 10 || p.Backlogged() != 10 {
		t.Fatalf("%d slots, Backlogged = %d; want 10", len(slots), p.Backlogged())
	}
	order := []int64{3, 0, 9, 1, 2, 4, 8, 6, 5, 7}
	for n, i := range order {
		p.Forget(i)
		delete(slots, i)
		lowest := int64(1 << 62)
		for slot, offset := range slots {
			lowest = min(lowest, offset)
			if got := p.Offset(slot); got != offset {
				t.Errorf("after %v: Offset(%d) = %d, want %d", order[:n+1], slot, got, offset)
			}
		}
		if got := p.slots.first(); len(slots) > 0 && got != lowest {
			t.Errorf("after %v: the lowest offset is %d, want %d", order[:n+1], got, lowest)
		}
		if p.Backlogged() != len(slots) {
			t.Errorf("after %v: Backlogged = %d, want %d", order[:n+1], p.Backlogged(), len(slots))
		}
	}
	if slot := p.Remember(100); slot != 10 || p.Offset(slot) != 100 {
		t.Errorf("Remember = slot %d, want 10: a slot is not used twice", slot)
	}
}

func TestAWindowIsFullByCountOrBytesOrBacklog(t *testing.T) {
	tests := []struct {
		name    string
		load    int // records
		size    int // bytes of each
		patient bool
		backlog int
		want    bool
	}{
		{"nothing", 0, 0, false, 0, true},
		{"fewer", 4, 10, false, 0, true},
		{"as many as may be", 5, 10, false, 0, false},
		{"fewer bytes", 2, 499, false, 0, true},
		{"as many bytes as may be", 2, 500, false, 0, false},
		{"one that is larger than all there is", 1, 5000, false, 0, false},
		{"patient ones take no room of those that could go", 50, 1000, true, 0, true},
		{"fewer behind", 0, 0, false, 2, true},
		{"as many behind as may be", 0, 0, false, 3, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := New(Limit{Count: 5, Bytes: 1000, Backlog: 3})
			var offset int64
			for range tt.load {
				p.Load(&Record{Offset: offset, Size: tt.size}, tt.patient)
				offset++
			}
			for range tt.backlog {
				p.Remember(offset)
				offset++
			}
			if got := p.HasRoom(); got != tt.want {
				t.Errorf("HasRoom = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPatientRecordsTakeAPartOfTheirOwn(t *testing.T) {
	p := New(Limit{Count: 5, Bytes: 1000, Backlog: 3})
	want := func(going, used, merchants int) {
		t.Helper()
		bytes, u, m := p.Patience()
		if bytes != 500 || u != used || m != merchants || p.Going() != going {
			t.Errorf("Going = %d, Patience = %d, %d, %d; want %d, 500, %d, %d", p.Going(), bytes, u, m, going, used, merchants)
		}
	}
	goes, waits := &Record{Offset: 1, Size: 100}, &Record{Offset: 2, Size: 30}
	p.Load(goes, false)
	p.Load(waits, true)
	p.Merchants(1)
	p.Merchants(1)
	want(1, 30, 2)
	if waits.IsPatient() != true || goes.IsPatient() || p.Yield(waits) > 0 {
		t.Error("one that is patient has room to give")
	}
	if p.Yield(goes) != 1 || !goes.IsPatient() || p.Yield(goes) > 0 {
		t.Error("one that goes gives no room, or gives it twice")
	}
	want(0, 130, 2)
	p.Settle(goes)
	want(0, 30, 2)
	if p.Yield(goes) > 0 {
		t.Error("one that is settled gives room")
	}
	p.Settle(waits)
	p.Merchants(-2)
	want(0, 0, 0)
	if !p.HasRoom() {
		t.Error("no room, and nothing is loaded")
	}
}

// TestWhoIsBehindOneThatWaitsTakesNoRoom, under its key or its id, loaded before it waits
// or after.
func TestWhoIsBehindOneThatWaitsTakesNoRoom(t *testing.T) {
	h := take(t, roomy)
	h.load(0, 1, "a", true)
	first := h.records[0]
	h.load(1, 1, "b", false)
	h.load(2, 2, "a", false)
	h.load(3, 2, "c", false)
	h.load(4, 3, "d", true)
	if got := h.Yield(first); got != 4 || h.Going() != 1 {
		t.Errorf("Yield = %d, Going = %d, want 4 and 1", got, h.Going())
	}
	h.load(5, 1, "e", false)
	h.load(6, 0, "a", false)
	h.load(7, 3, "f", false)
	if got := h.Yield(first); got != 0 || h.Going() != 2 {
		t.Errorf("Yield = %d, Going = %d, want 0 and 2", got, h.Going())
	}
}

func TestLoadedGivesEveryRecord(t *testing.T) {
	h := take(t, roomy)
	for offset := range int64(10) {
		h.load(offset, 0, "", true)
	}
	h.settle(4, 0, 0)
	var got []int64
	h.Loaded(func(r *Record) { got = append(got, r.Offset) })
	slices.Sort(got)
	if want := []int64{0, 1, 2, 3, 5, 6, 7, 8, 9}; !slices.Equal(got, want) {
		t.Errorf("Loaded = %v, want %v", got, want)
	}
}

func TestNoKeyIsNoHash(t *testing.T) {
	for _, key := range []string{"", "a", "order-1"} {
		first, again := HashOf([]byte(key)), HashOf([]byte(key))
		if first == 0 {
			t.Errorf("HashOf(%q) = 0, which stands for no key", key)
		}
		if first != again {
			t.Errorf("HashOf(%q) changes", key)
		}
	}
}
