package answered

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"
)

var t0 = time.Unix(1_790_000_000, 0)

// digest makes a digest of a number.
func digest(n int) (d [16]byte) {
	binary.BigEndian.PutUint64(d[:], uint64(n)<<1)
	return d
}

func TestASetKnowsItsWindow(t *testing.T) {
	const window = 8 * time.Hour
	s := New(window)
	id := func(hour int) []byte { return fmt.Appendf(nil, "i-%d", hour) }
	for h := range 24 {
		now := t0.Add(time.Duration(h) * time.Hour)
		s.Add(Outcome{ID: id(h), Digest: digest(h), At: now})
		reach := s.Trim(now)
		for old := 0; old <= h; old++ {
			at, got := t0.Add(time.Duration(old)*time.Hour), s.Look(id(old), digest(old))
			if now.Sub(at) <= window && got != Answered {
				t.Errorf("after %d h: the intent of hour %d is %v, want it known within the window", h, old, got)
			}
			if !reach.IsZero() && !at.Before(reach) && got != Answered {
				t.Errorf("after %d h: the intent of hour %d is forgotten, though the reach is %v", h, old, reach.Sub(t0))
			}
		}
	}
	if n := s.Len(); n > 8+8/partsPerWindow+1 {
		t.Errorf("%d intents known of a window of 8 hours, one an hour", n)
	}
}

func TestASetTellsConflicts(t *testing.T) {
	s := New(time.Hour)
	s.Add(Outcome{ID: []byte("i"), Digest: digest(1), At: t0})
	s.Add(Outcome{ID: []byte("i"), Digest: digest(2), At: t0.Add(time.Minute)}) // the first answer is the answer
	s.Add(Outcome{ID: []byte("k"), Digest: digest(4), Ours: true, At: t0})
	for _, c := range []struct {
		id     string
		digest int
		want   Known
	}{
		{"i", 1, Answered}, {"i", 2, Differs}, {"i", 3, Differs},
		{"k", 4, Repeated}, {"k", 1, Differs},
		{"j", 1, Unknown},
	} {
		if got := s.Look([]byte(c.id), digest(c.digest)); got != c.want {
			t.Errorf("%s with digest %d: %v, want %v", c.id, c.digest, got, c.want)
		}
	}
}

// Times of one partition fall now and then: clocks of two owners differ.
func TestASetForgivesFallingTimes(t *testing.T) {
	s := New(4 * time.Hour)
	for i := range 1000 {
		at := t0.Add(time.Duration(i) * time.Minute)
		if i%7 == 0 {
			at = at.Add(-20 * time.Minute)
		}
		s.Add(Outcome{ID: fmt.Append(nil, i), At: at})
		reach := s.Trim(t0.Add(time.Duration(i) * time.Minute))
		if i%50 == 0 {
			for j := range i + 1 {
				at := t0.Add(time.Duration(j) * time.Minute)
				if !reach.IsZero() && at.After(reach) && s.Look(fmt.Append(nil, j), digest(0)) != Answered {
					t.Fatalf("after %d min: the intent of minute %d is unknown, reach %v", i, j, reach.Sub(t0))
				}
			}
		}
	}
}

// TestASetIsAMap: whatever is added in whatever order, it knows what a map would, also
// while many are added.
func TestASetIsAMap(t *testing.T) {
	for name, load := range map[string]struct{ begin, end int }{
		"one by one": {-1, -1}, "many": {0, 50_000}, "many first": {0, 20_000}, "many later": {20_000, 40_000}, "many for ever": {0, -1},
	} {
		t.Run(name, func(t *testing.T) { isAMap(t, load.begin, load.end) })
	}
}

func isAMap(t *testing.T, begin, end int) {
	r := rand.New(rand.NewPCG(1, 2))
	s, want := New(time.Hour), map[string]Outcome{}
	for n := range 50_000 {
		switch n {
		case begin:
			s.BeginLoad()
		case end:
			s.EndLoad()
		}
		at := t0
		if n > 30_000 {
			at = t0.Add(40 * time.Minute) // another part of the window
		}
		o := Outcome{ID: fmt.Append(nil, "i", r.IntN(30_000)), Digest: digest(r.IntN(3)), Ours: r.IntN(2) == 0, At: at}
		s.Add(o)
		if _, ok := want[string(o.ID)]; !ok {
			want[string(o.ID)] = o
		}
	}
	if end == 50_000 {
		s.EndLoad()
	}
	for i := range 40_000 {
		id, known := fmt.Append(nil, "i", i), Unknown
		if o, ok := want[string(id)]; ok {
			switch {
			case o.Digest != digest(1):
				known = Differs
			case o.Ours:
				known = Repeated
			default:
				known = Answered
			}
		}
		if got := s.Look(id, digest(1)); got != known {
			t.Fatalf("%s is %v, want %v", id, got, known)
		}
	}
}

// TestASetKnowsPlaces: those that it was told, also later, and none that are too far
// from the first one of their part of the window.
func TestASetKnowsPlaces(t *testing.T) {
	const far = 1 << 40
	s := New(4 * time.Hour)
	add := func(id string, digest int, offset int64, hour int) {
		s.Add(Outcome{ID: []byte(id), Digest: [16]byte{byte(digest)}, Offset: offset, At: t0.Add(time.Duration(hour) * time.Hour)})
	}
	add("unknown", 1, -1, 0)
	add("first", 1, far, 0)
	add("later", 1, far+1_000_000_000, 0)
	add("before", 1, far-1000, 0)
	add("too far", 1, far+math.MaxUint32, 0)
	add("long before", 1, 0, 0)
	add("filled in", 1, -1, 0)
	add("filled in", 2, far+1, 0) // other content: not that outcome
	add("filled in", 1, far+2, 0)
	add("filled in", 1, far+3, 0)
	add("another part", 1, 7, 2)
	for id, want := range map[string]int64{"unknown": -1, "first": far, "later": far + 1_000_000_000, "before": far - 1000, "too far": -1, "long before": -1, "filled in": far + 2, "another part": 7} {
		if got, known := s.Place([]byte(id)); got != want || !known {
			t.Errorf("%s: %d, %t; want %d", id, got, known, want)
		}
	}
	if got, known := s.Place([]byte("nobody")); known || got >= 0 {
		t.Errorf("nobody: %d, %t; want that it is not known", got, known)
	}
}

// heapOf measures what n intents cost, that are added one by one or at once.
func heapOf(n int, atOnce bool) (bytes int64, s *Set) {
	heap := func() int64 {
		for range 3 { // pools of other tests need two to be empty
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	s = New(168 * time.Hour)
	if atOnce {
		s.BeginLoad()
	}
	for i := range n {
		s.Add(Outcome{ID: fmt.Appendf(nil, "order-%012d", i), Digest: digest(i), At: t0.Add(s.window * time.Duration(i) / time.Duration(n))})
	}
	if atOnce {
		s.EndLoad()
	}
	return heap() - before, s
}

// mostPerIntent is what an intent may cost.
const mostPerIntent = 36

func TestAnIntentCostsAtMost36Bytes(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		const n = 400_000 // of fewer, allocations are rounded up by more
		size, s := heapOf(n, atOnce)
		if s.Len() != n {
			t.Errorf("%d intents known, want %d", s.Len(), n)
		}
		if per := float64(size) / float64(n); per > mostPerIntent {
			t.Errorf("%d intents take %.1f bytes each, want %d at most", s.Len(), per, mostPerIntent)
		}
		if told := s.Bytes(); told > size || told < size*9/10 {
			t.Errorf("%d intents take %d bytes, and it says %d", n, size, told)
		}
	}
}

func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000, 2_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				size, s := heapOf(n, true)
				b.ReportMetric(float64(size)/float64(s.Len()), "bytes/intent")
			}
		})
	}
}

func BenchmarkLook(b *testing.B) {
	_, s := heapOf(1_000_000, true)
	for _, c := range []struct {
		name, id string
		want     Known
	}{{"known", "order-000000500000", Answered}, {"new", "order-x", Unknown}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if got := s.Look([]byte(c.id), digest(500_000)); got != c.want {
					b.Fatal(got)
				}
			}
		})
	}
}

// BenchmarkAdd adds a million, one by one and at once.
func BenchmarkAdd(b *testing.B) {
	const n = 1_000_000
	for _, name := range []string{"one by one", "at once"} {
		b.Run(name, func(b *testing.B) {
			before := cpu()
			for b.Loop() {
				s, id := New(168*time.Hour), make([]byte, 8)
				if name == "at once" {
					s.BeginLoad()
				}
				for i := range n {
					binary.BigEndian.PutUint64(id, uint64(i))
					s.Add(Outcome{ID: id, At: t0.Add(s.window * time.Duration(i) / n)})
				}
				s.EndLoad()
			}
			b.ReportMetric(float64((cpu()-before).Nanoseconds())/n/float64(b.N), "cpu-ns/intent")
		})
	}
}

// cpu is the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
