package pq_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/pq"
)

// An element has few ranks, so that many are equal, and a name that tells those apart.
type element struct {
	rank, name, index int
}

func byRank(a, b *element) bool { return a.rank < b.rank }

func place(e *element, i int) { e.index = i }

// A plain is the same queue on container/heap, which ours has to equal.
type plain []*element

func (p plain) Len() int           { return len(p) }
func (p plain) Less(i, j int) bool { return byRank(p[i], p[j]) }
func (p plain) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *plain) Push(x any)        { *p = append(*p, x.(*element)) }
func (p *plain) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

// A both does everything on two heaps, and fails where they part.
type both struct {
	t     *testing.T
	ours  *pq.Heap[*element]
	plain plain
	out   []*element // have left
	names int
}

func newBoth(t *testing.T) *both { return &both{t: t, ours: pq.New(byRank, place)} }

// step does one operation, chosen by op; at and rank are its arguments.
func (b *both) step(op, at, rank int) {
	n := b.ours.Len()
	switch {
	case op%8 < 3 || n == 0:
		e := &element{rank: rank % 8, name: b.names, index: -2}
		b.names++
		b.ours.Push(e)
		heap.Push(&b.plain, e)
	case op%8 < 5:
		b.left(b.ours.Pop(), heap.Pop(&b.plain))
	case op%8 == 5:
		b.left(b.ours.Remove(at%n), heap.Remove(&b.plain, at%n))
	case op%8 == 6:
		b.plain[at%n].rank = rank % 8
		b.ours.Fix(at % n)
		heap.Fix(&b.plain, at%n)
	default:
		for i, e := range b.plain {
			e.rank = (e.rank*rank + i) % 8
		}
		b.ours.FixAll()
		heap.Init(&b.plain)
	}
	b.compare()
}

func (b *both) left(got *element, want any) {
	b.t.Helper()
	if got != want.(*element) {
		b.t.Fatalf("element %d left, want %d", got.name, want.(*element).name)
	}
	b.out = append(b.out, got)
}

// compare compares the whole layout, and what moved was told.
func (b *both) compare() {
	b.t.Helper()
	if got := slices.Collect(b.ours.All()); !slices.Equal(got, b.plain) {
		b.t.Fatalf("elements stand as %v, want %v", names(got), names(b.plain))
	}
	if b.ours.Len() != len(b.plain) {
		b.t.Fatalf("Len() = %d, want %d", b.ours.Len(), len(b.plain))
	}
	for i, e := range b.plain {
		if got := b.ours.At(i); got != e {
			b.t.Fatalf("At(%d) = element %d, want %d", i, got.name, e.name)
		}
		if e.index != i {
			b.t.Fatalf("element %d believes to stand at %d, want %d", e.name, e.index, i)
		}
	}
	for _, e := range b.out {
		if e.index != -1 {
			b.t.Fatalf("element %d has left and believes to stand at %d, want -1", e.name, e.index)
		}
	}
	if b.ours.Len() > 0 && b.ours.Peek() != b.plain[0] {
		b.t.Fatalf("Peek() = element %d, want %d", b.ours.Peek().name, b.plain[0].name)
	}
}

func names(es []*element) []int {
	out := make([]int, len(es))
	for i, e := range es {
		out[i] = e.name
	}
	return out
}

func TestHeapOrdersAsContainerHeapDoes(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := newBoth(t)
		for range 200 {
			b.step(r.IntN(8), r.IntN(1000), r.IntN(8))
		}
		for b.ours.Len() > 0 {
			b.left(b.ours.Pop(), heap.Pop(&b.plain))
			b.compare()
		}
	}
}

func FuzzHeapOrdersAsContainerHeapDoes(f *testing.F) {
	f.Add([]byte{0, 0, 3, 0, 0, 1, 0, 0, 2, 6, 2, 0, 5, 1, 0, 3, 0, 0, 7, 0, 5})
	f.Fuzz(func(t *testing.T, steps []byte) {
		b := newBoth(t)
		for ; len(steps) >= 3; steps = steps[3:] {
			b.step(int(steps[0]), int(steps[1]), int(steps[2]))
		}
	})
}

func TestHeapOfValuesNeedsNoCallback(t *testing.T) {
	h := pq.New(func(a, b int) bool { return a < b }, nil)
	want := rand.New(rand.NewPCG(1, 1)).Perm(100)
	for _, x := range want {
		h.Push(x)
	}
	slices.Sort(want)
	var got []int
	for h.Len() > 0 {
		got = append(got, h.Pop())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("popped (-want +got):\n%s", diff)
	}
}

func TestAllStopsWhenAsked(t *testing.T) {
	h := pq.New(func(a, b int) bool { return a < b }, nil)
	h.Push(2)
	h.Push(1)
	for x := range h.All() {
		if x != 1 {
			t.Errorf("All() begins with %d, want 1", x)
		}
		break
	}
}

func TestLeastLooksAtFewMore(t *testing.T) {
	for seed := range uint64(20) {
		h := pq.New(func(a, b int) bool { return a < b }, nil)
		for _, x := range rand.New(rand.NewPCG(seed, 2)).Perm(1000) {
			h.Push(x)
		}
		looked := 0
		got := slices.Sorted(h.Least(func(x int) bool { looked++; return x < 30 }))
		if len(got) != 30 || got[0] != 0 || got[29] != 29 || looked > 61 {
			t.Fatalf("seed %d: %v after %d looks, want 0 to 29, and one look more for each but the first", seed, got, looked)
		}
		for range h.Least(func(int) bool { return true }) {
			break
		}
	}
}

func TestAHeapThatHasGrownAllocatesNothing(t *testing.T) {
	h := pq.New(byRank, place)
	e, spare := &element{rank: 5}, &element{rank: 3}
	for i := range 100 {
		h.Push(&element{rank: i})
	}
	h.Push(e)
	h.Push(spare)
	h.Pop()
	n := testing.AllocsPerRun(100, func() {
		h.Remove(e.index)
		h.Push(e)
		e.rank = 100 - e.rank
		h.Fix(e.index)
		h.Push(h.Pop())
		h.FixAll()
		for x := range h.All() {
			_ = x
		}
	})
	if n != 0 {
		t.Errorf("operations allocate %v times, want 0", n)
	}
}

// Tasks wait for their time; one is put off, and one is given up.
func Example() {
	type task struct {
		name  string
		at    time.Duration
		index int // in the heap, -1 outside
	}
	waiting := pq.New(
		func(a, b *task) bool { return a.at < b.at },
		func(t *task, i int) { t.index = i },
	)
	soon, later, never := &task{name: "soon", at: 1}, &task{name: "later", at: 2}, &task{name: "never", at: 3}
	waiting.Push(later)
	waiting.Push(never)
	waiting.Push(soon)

	soon.at = 4
	waiting.Fix(soon.index)
	waiting.Remove(never.index)

	for waiting.Len() > 0 {
		fmt.Println(waiting.Pop().name)
	}
	fmt.Println(never.index)
	// Output:
	// later
	// soon
	// -1
}

func BenchmarkHeap(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	h := pq.New(byRank, place)
	for range 1000 {
		h.Push(&element{rank: r.IntN(1 << 20)})
	}
	b.ReportAllocs()
	for b.Loop() {
		e := h.Pop()
		e.rank = r.IntN(1 << 20)
		h.Push(e)
	}
}
