package pipeline

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The second laboratory is of the deciding parts alone: core, scheduler, partition,
// attempt, answered, pace. A seed is one history, on every machine of one kind of
// processor: one thread, one event queue, no clock but its own. It is more than a
// hundred times quicker than the first laboratory (internal/lab), which runs the whole
// service (make sim-ratio; 465 times as measured); what it leaves out is everything
// below pipeline.Claim and payment.Gateway but the set of answered intents: of those
// it has models, sim_world_test.go.
//
//	make sim                 100,000 seeds; go test takes 10,000
//	make sim SEED=17         one seed, with its timeline and all that was called
//	make mutants             proves that it can fail
//
// A seed that fails is made smaller: faults are left out, then intents, while the
// same rule stays broken.

// simSeeds is how many seeds go test runs. The race detector has nothing to find in
// one thread, and is slow.
func simSeeds(t *testing.T) uint64 {
	if v := os.Getenv("SIM_SEEDS"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("SIM_SEEDS: %v", err)
		}
		return n
	}
	if raceEnabled || testing.Short() {
		const few = 1000
		t.Logf("%d seeds instead of 10,000, because of -race or -short", few)
		return few
	}
	return 10_000
}

var simFrom = flag.Uint64("sim.from", 1, "first seed of TestSim")

func TestSim(t *testing.T) {
	if v := os.Getenv("SIM_SEED"); v != "" {
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("SIM_SEED: %v", err)
		}
		tellSim(t, drawSim(seed))
		return
	}
	n, began := simSeeds(t), time.Now()
	var events, seen, lent, borrowed atomic.Uint64
	failed := huntSim(*simFrom, n, 3, func(h *simHistory) {
		events.Add(h.events)
		seen.Add(1)
		lent.Add(uint64(len(h.loans)))
		for _, c := range h.calls {
			if c.lentBy != "" {
				borrowed.Add(1)
			}
		}
	})
	took := time.Since(began)
	done := float64(seen.Load())
	t.Logf("%.0f histories in %.1f s: %.0f each second, %.0f events each", done, took.Seconds(), done/took.Seconds(), float64(events.Load())/done)
	t.Logf("%d turns were lent, and %d of them called for", lent.Load(), borrowed.Load())
	if len(failed) == 0 && borrowed.Load() < n/2 {
		t.Errorf("%d calls for turns that were lent in %d histories: little was tried", borrowed.Load(), n)
	}
	for _, seed := range failed {
		p := drawSim(seed)
		found := judgeSim(simulate(p))
		t.Errorf("seed %d: found by %s", seed, found[0].rule)
		if os.Getenv("SIM_MUTANT") == "" {
			tellSim(t, minimiseSim(p, found[0].rule))
		}
	}
}

// huntSim returns the first seeds that fail, at most so many. Every processor has
// seeds of its own; a history is one thread's.
func huntSim(from, n uint64, most int, seen func(*simHistory)) (failed []uint64) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var next, found atomic.Uint64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < n && found.Load() < uint64(most); i = next.Add(1) - 1 {
				h := simulate(drawSim(from + i))
				seen(h)
				if len(judgeSim(h)) > 0 {
					found.Add(1)
					mu.Lock()
					failed = append(failed, from+i)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(failed)
	return failed
}

// tellSim performs a plan, and tells all of it.
func tellSim(t *testing.T, p *simPlan) {
	h := simulate(p)
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %+v\n", p.seed, p.world)
	for _, f := range p.faults {
		fmt.Fprintln(&b, " ", f)
	}
	for _, e := range p.emits {
		fmt.Fprintln(&b, " ", e)
	}
	type line struct {
		at   time.Duration
		text string
	}
	var lines []line
	for _, c := range h.calls {
		lines = append(lines, line{c.at, fmt.Sprintf("call %d (%d@%d) by %d, turn of %s, look-up %v; ended %v class %d payment %d", c.id, c.part, c.offset, c.member, c.turn(), c.find, c.ended, c.class, c.paid)})
	}
	for _, o := range h.outcomes {
		lines = append(lines, line{o.at, fmt.Sprintf("outcome of %d (%d@%d) by %d: created %v %d, %s, may exist %v", o.id, o.part, o.offset, o.member, o.created, o.payment, o.reason, o.mayExist)})
	}
	for _, d := range h.dead {
		lines = append(lines, line{d.at, fmt.Sprintf("dead letter %d@%d", d.part, d.offset)})
	}
	for _, c := range h.commits {
		lines = append(lines, line{c.at, fmt.Sprintf("commit %d@%d", c.part, c.next)})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return int(a.at - b.at) })
	for i, l := range lines {
		if i > 40 {
			fmt.Fprintln(&b, "  and", len(lines)-i, "more")
			break
		}
		fmt.Fprintf(&b, "  %10.4f s  %s\n", l.at.Seconds(), l.text)
	}
	t.Logf("%s  hash %x", b.String(), h.sum())
	for _, x := range judgeSim(h) {
		t.Error(x)
	}
}

// minimiseSim leaves out faults, then intents, while the same rule stays broken.
func minimiseSim(p *simPlan, rule string) *simPlan {
	fails := func(q *simPlan) bool {
		return slices.ContainsFunc(judgeSim(simulate(q)), func(b simBreach) bool { return b.rule == rule })
	}
	small := *p
	small.faults = shrinkSim(small.faults, func(part []simFault) bool { q := small; q.faults = part; return fails(&q) })
	small.emits = shrinkSim(small.emits, func(part []simEmit) bool { q := small; q.emits = part; return fails(&q) })
	return &small
}

// shrinkSim returns a part of the whole that fails and none of whose smaller parts
// does, as far as they were tried.
func shrinkSim[T any](whole []T, fails func([]T) bool) []T {
	for size := (len(whole) + 1) / 2; size > 0 && len(whole) > 0; {
		smaller := false
		for from := 0; from < len(whole); {
			part := slices.Delete(slices.Clone(whole), from, min(from+size, len(whole)))
			if fails(part) {
				whole, smaller = part, true
				continue
			}
			from += size
		}
		if size == 1 && !smaller {
			break
		}
		size = max(1, size/2)
	}
	return whole
}

// TestTheSameSeedIsTheSameHistory: every call, outcome and commit, to the nanosecond,
// however many processors there are.
func TestTheSameSeedIsTheSameHistory(t *testing.T) {
	const seeds = 200
	var want [seeds]uint64
	for i := range want {
		want[i] = simulate(drawSim(uint64(i))).sum()
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 8} {
		runtime.GOMAXPROCS(procs)
		var wg sync.WaitGroup
		for i := range want {
			wg.Go(func() {
				if got := simulate(drawSim(uint64(i))).sum(); got != want[i] {
					t.Errorf("seed %d on %d processors: %x, want %x", i, procs, got, want[i])
				}
			})
		}
		wg.Wait()
	}
}
