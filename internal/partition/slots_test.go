package partition

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// Slots against the plainest that could be: a list.
func TestSlots(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		p := New(Limit{})
		type kept struct{ slot, offset int64 }
		var all []kept
		for offset := range int64(3000) {
			if r.IntN(5) < 3 || len(all) == 0 {
				all = append(all, kept{p.Remember(offset), offset})
			}
			for len(all) > 0 && (r.IntN(5) < 2 || offset%1000 > 900) {
				i := r.IntN(len(all))
				if got := p.Offset(all[i].slot); got != all[i].offset {
					t.Fatalf("offset %d, want %d", got, all[i].offset)
				}
				p.Forget(all[i].slot)
				all = slices.Delete(all, i, i+1)
			}
			want := int64(math.MaxInt64)
			if len(all) > 0 {
				want = all[0].offset
			}
			if got := p.slots.first(); got != want || p.Backlogged() != len(all) {
				t.Fatalf("first %d of %d, want %d of %d", got, p.Backlogged(), want, len(all))
			}
		}
	}
}

// One record that waits for ever does not keep what was remembered after it.
func TestOneThatWaitsKeepsLittle(t *testing.T) {
	p := New(Limit{})
	p.Remember(0)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for offset := range int64(4 << 20) {
		p.Forget(p.Remember(offset + 1))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("4 Mi records that came and went keep %d bytes", grown)
	}
	if p.slots.first() != 0 {
		t.Error("the first is forgotten")
	}
}
