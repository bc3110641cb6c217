package kafkaio

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"paylink/internal/pipeline"
)

func TestAnsweredKnowsItsWindow(t *testing.T) {
	t0 := time.Unix(1_790_000_000, 0)
	a := answered{window: 8 * time.Hour}
	id := func(hour int) []byte { return fmt.Appendf(nil, "i-%d", hour) }
	for h := range 24 {
		now := t0.Add(time.Duration(h) * time.Hour)
		a.add(id(h), uint64(h)<<1, now)
		reach := a.trim(now)
		for old := 0; old <= h; old++ {
			at, got := t0.Add(time.Duration(old)*time.Hour), a.look(id(old), uint64(old)<<1)
			if now.Sub(at) <= a.window && got != pipeline.Answered {
				t.Errorf("after %d h: the intent of hour %d is %v, want it known within the window", h, old, got)
			}
			if !reach.IsZero() && !at.Before(reach) && got != pipeline.Answered {
				t.Errorf("after %d h: the intent of hour %d is forgotten, though the reach is %v", h, old, reach.Sub(t0))
			}
		}
	}
	if n := a.len(); n > 8+8/bucketsPerWindow+1 {
		t.Errorf("%d intents known of a window of 8 hours, one an hour", n)
	}
}

func TestAnsweredTellsConflicts(t *testing.T) {
	a := answered{window: time.Hour}
	at := time.Unix(1_790_000_000, 0)
	a.add([]byte("i"), 2, at)
	a.add([]byte("i"), 4, at.Add(time.Minute)) // the first answer is the answer
	a.add([]byte("k"), 8|ours, at)
	for _, c := range []struct {
		id     string
		digest uint64
		want   pipeline.Known
	}{
		{"i", 2, pipeline.Answered}, {"i", 4, pipeline.Differs}, {"i", 6, pipeline.Differs},
		{"k", 8, pipeline.Repeated}, {"k", 2, pipeline.Differs},
	} {
		if got := a.look([]byte(c.id), c.digest); got != c.want {
			t.Errorf("%s with digest %d: %v, want %v", c.id, c.digest, got, c.want)
		}
	}
	if got := a.look([]byte("j"), 1); got != pipeline.Unknown {
		t.Errorf("another intent: %v, want unknown", got)
	}
}

// Times of one partition fall now and then: clocks of two owners differ.
func TestAnsweredForgivesFallingTimes(t *testing.T) {
	t0 := time.Unix(1_790_000_000, 0)
	a := answered{window: 4 * time.Hour}
	for i := range 1000 {
		at := t0.Add(time.Duration(i) * time.Minute)
		if i%7 == 0 {
			at = at.Add(-20 * time.Minute)
		}
		a.add(fmt.Append(nil, i), 0, at)
		reach := a.trim(t0.Add(time.Duration(i) * time.Minute))
		if i%50 == 0 {
			for j := range i + 1 {
				at := t0.Add(time.Duration(j) * time.Minute)
				if !reach.IsZero() && at.After(reach) && a.look(fmt.Append(nil, j), 0) != pipeline.Answered {
					t.Fatalf("after %d min: the intent of minute %d is unknown, reach %v", i, j, reach.Sub(t0))
				}
			}
		}
	}
}

// heapOf measures what n intents cost.
func heapOf(n int) (bytes uint64, a *answered) {
	heap := func() uint64 {
		for range 3 { // pools of other tests need two to be empty
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	a = &answered{window: 168 * time.Hour}
	t0 := time.Unix(1_790_000_000, 0)
	for i := range n {
		a.add(fmt.Appendf(nil, "order-%012d", i), uint64(i), t0.Add(a.window*time.Duration(i)/time.Duration(n)))
	}
	return heap() - before, a
}

func TestAnIntentCostsAtMost64Bytes(t *testing.T) {
	for _, n := range []int{50_000, 115_000, 230_000} { // half full and nearly full maps
		size, a := heapOf(n)
		if per := float64(size) / float64(n); per > 64 {
			t.Errorf("%d intents take %.1f bytes each, want 64 at most", a.len(), per)
		}
	}
}

func BenchmarkAnsweredMemory(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				size, a := heapOf(n)
				b.ReportMetric(float64(size)/float64(a.len()), "bytes/intent")
			}
		})
	}
}

func BenchmarkAnsweredLook(b *testing.B) {
	_, a := heapOf(1_000_000)
	id := []byte("order-000000500000")
	for b.Loop() {
		if a.look(id, 500_000) != pipeline.Answered {
			b.Fatal("not found")
		}
	}
}

// TestALogThatBeginsWithinTheWindowIsShort: answers of the window were deleted.
func TestALogThatBeginsWithinTheWindowIsShort(t *testing.T) {
	for _, c := range []struct {
		has  offsetRange
		lost bool
		want bool
	}{
		{offsetRange{first: 0, since: 0, last: 9}, false, false},
		{offsetRange{first: 5, since: 7, last: 9}, false, false},
		{offsetRange{first: 5, since: 5, last: 9}, false, true},
		{offsetRange{first: 9, since: 9, last: 9}, true, true},
	} {
		l := &ledger{marked: map[int64]int16{}}
		if l.beginAt(c.has, time.Now(), c.lost); l.isShort() != c.want {
			t.Errorf("%+v, lost %t: short %t, want %t", c.has, c.lost, l.isShort(), c.want)
		}
	}
}
