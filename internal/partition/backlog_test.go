package partition

import (
	"slices"
	"testing"
	"time"
)

// behind puts records of key 7 behind it.
func (h *hand) behind(offsets ...int64) {
	h.Helper()
	for _, offset := range offsets {
		h.Took(offset)
		if others, full := h.Key(7); !others || !full {
			h.Errorf("Key = %v, %v for %d, want it behind its key", others, full, offset)
		}
		h.PutBehindKey(7, NewEntry(h.Remember(offset), 0, "1", noon))
	}
}

// wantRead reads the records of key 7 that are to be read again now.
func (h *hand) wantRead(want ...int64) []Entry {
	h.Helper()
	entries := h.ReadKey(7)
	var got []int64
	for _, e := range entries {
		got = append(got, h.Offset(e.Slot))
	}
	if !slices.Equal(got, want) {
		h.Errorf("ReadKey = %v, want %v", got, want)
	}
	return entries
}

// reload loads records that were read again.
func (h *hand) reload(entries []Entry) {
	for _, e := range entries {
		r := &Record{Offset: h.Offset(e.Slot), Key: 7, Size: 10}
		h.records[r.Offset] = r
		h.Forget(e.Slot)
		h.Load(r, false)
	}
	h.DoneKey(7)
}

func TestFourRecordsOfAKeyAreLoadedAndTheOthersBehindIt(t *testing.T) {
	h := take(t, roomy)
	if others, full := h.Key(7); others || full {
		t.Error("a key of nothing has others")
	}
	for offset := range int64(4) {
		h.load(offset, 7, "", offset == 0)
	}
	if others, full := h.Key(8); others || full {
		t.Error("another key has others")
	}
	h.behind(4, 5, 6, 7, 8, 9)
	if h.Backlogged() != 6 || h.Unfinished() != 10 {
		t.Errorf("Backlogged = %d, Unfinished = %d; want 6, 10", h.Backlogged(), h.Unfinished())
	}
	h.wantRead()
	h.settle(0, 0, 1)
	h.wantRead()      // three are loaded
	h.behind(10)      // though there is room, others come before it
	h.settle(1, 0, 2) // two are loaded
	entries := h.wantRead(4, 5, 6, 7)
	h.wantRead() // not twice
	h.behind(11) // nor does anybody overtake what is being read
	h.settle(2, 0, 3)
	h.settle(3, 0, 0) // nothing is loaded, and the key is kept
	h.behind(12)
	h.wantWatermark(4)
	h.reload(entries)
	for offset := int64(4); offset < 7; offset++ {
		h.settle(offset, 0, offset+1)
	}
	h.reload(h.wantRead(8, 9, 10, 11))
	for offset := int64(7); offset < 11; offset++ {
		h.settle(offset, 0, offset+1)
	}
	h.reload(h.wantRead(12))
	h.settle(11, 0, 12)
	h.settle(12, 0, 0)
	h.wantWatermark(13)
	if others, full := h.Key(7); others || full {
		t.Error("a key of which all is settled has others")
	}
}

// TestAKeyWhoseRecordsHaveVanishedIsFree: retention may take what waits.
func TestAKeyWhoseRecordsHaveVanishedIsFree(t *testing.T) {
	h := take(t, roomy)
	for offset := range int64(4) {
		h.load(offset, 7, "", offset == 0)
	}
	h.behind(4, 5)
	for offset := range int64(4) {
		h.settle(offset, 0, (offset+1)%4)
	}
	for _, e := range h.wantRead(4, 5) {
		h.Forget(e.Slot)
	}
	h.DoneKey(7)
	h.DoneKey(7) // of nothing
	if others, _ := h.Key(7); others {
		t.Error("it has others")
	}
	h.wantWatermark(6)
}

func TestEachBehindKey(t *testing.T) {
	h := take(t, roomy)
	for offset := range int64(4) {
		h.load(offset, 7, "", offset == 0)
	}
	h.behind(4, 5, 6)
	var got []int64
	h.EachBehindKey(func(e Entry) {
		got = append(got, h.Offset(e.Slot))
		if e.Merchant != "1" || !e.Since().Equal(noon) {
			t.Errorf("entry %+v since %v", e, e.Since())
		}
	})
	slices.Sort(got)
	if want := []int64{4, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("EachBehindKey = %v, want %v", got, want)
	}
}

// TestFarRemembersTheLast: later records of a key must not overtake those of it
// that are in a backlog behind their lane.
func TestFarRemembersTheLast(t *testing.T) {
	p := New(roomy)
	lane := new(int)
	want := func(count int, by time.Time, patient bool) {
		t.Helper()
		f, ok := p.Far(7)
		if ok != (count > 0) || int(f.count) != count {
			t.Fatalf("Far = %+v, %v; want %d records", f, ok, count)
		}
		if ok && (f.Behind != any(lane) || !f.By().Equal(by) || f.Patient != patient) {
			t.Errorf("Far = %+v, want by %v, patient %v", f, by, patient)
		}
	}
	p.ReadFar(7) // of nothing
	want(0, time.Time{}, false)
	p.PutFar(7, lane, noon, false)
	want(1, noon, false)
	p.PutFar(7, lane, noon.Add(time.Hour), true)
	want(2, noon.Add(time.Hour), true)
	if _, ok := p.Far(8); ok {
		t.Error("another key is far")
	}
	p.ReadFar(7)
	want(1, noon.Add(time.Hour), true)
	p.ReadFar(7)
	want(0, time.Time{}, false)
	p.PutFar(7, lane, noon, false)
	want(1, noon, false)
}
