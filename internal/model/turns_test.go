package model

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"paylink/internal/pace"
)

func TestTurnsAreLentWithinTheBound(t *testing.T) {
	for _, c := range []struct {
		name   string
		v      Lending
		breaks Property
		steps  int // of the shortest trace
	}{
		{"without lending", Lending{NoLoans: true}, "", 0},
		{"as it is built", Lending{}, "", 0},
		{"as it is built, with a burst", Lending{Burst: 2}, "", 0},

		// What is left out is left out of what holds.
		{"nothing forfeited for a slot that is lost", Lending{NoDebt: true}, S5, 20},
		{"a gained slot left alone for no longer with a burst", Lending{Shorter: true, Burst: 2}, S5, 14},
		{"no guard", Lending{NoGuard: true, Ahead: 1}, S5, 17},
		{"a loan used after its end", Lending{LateUse: true}, S5, 10},
		{"a loan that comes twice used twice", Lending{DoubleUse: true}, S5, 6},
		{"a turn that is lent not used up", Lending{Kept: true}, S5, 6},
		{"a turn that is lent not counted as saved", Lending{Uncounted: true}, S5, 15},
		{"nothing forfeited at the end of a loan", Lending{NoForfeit: true}, S5, 15},
		{"the gap counted from when a turn was lent", Lending{EarlyGap: true}, S5, 13},
		{"a zombie lends", Lending{ZombieLends: true}, S5, 15},
		{"a loan that is never over for the lender", Lending{Endless: true}, Own, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			r := explore(c.v)
			t.Logf("%d states, %d steps, %v", r.States, r.Steps, time.Since(began).Round(time.Millisecond))
			for _, trace := range r.Broken {
				t.Logf("\n%s", trace)
			}
			if got := len(r.Broken[c.breaks].Steps); got != c.steps || (c.breaks == "") != (len(r.Broken) == 0) {
				t.Errorf("broken %q after %d steps, want %q after %d", slices.Collect(maps.Keys(r.Broken)), got, c.breaks, c.steps)
			}
		})
	}
}

func ExampleLending() {
	fmt.Print(explore(Lending{Shorter: true, Burst: 2}).Broken[S5])
	// Output:
	//  1. the group gives slot 0 to A
	//  2. the group gives slot 1 to B
	//  3. half a slot passes
	//  4. half a slot passes, slot 1 begins
	//  5. half a slot passes
	//  6. half a slot passes, slot 0 begins
	//  7. A asks for a turn, and B lends it one
	//  8. B gives slot 1 up
	//  9. the group gives slot 1 to A
	// 10. half a slot passes
	// 11. half a slot passes, slot 1 begins
	// 12. A calls, by a turn of its own: the window begins
	// 13. A calls, by a turn of its own
	// 14. A calls, by a loan of B, for which it asked 2 ticks ago
	// broken: S5: in any time w there are at most w/T + max(burst, replicas) calls
}

// TestTheModelPacesAsTheLimitDoes: the same that happens to both has them give the same
// turns, at an interval as long as a loan.
func TestTheModelPacesAsTheLimitDoes(t *testing.T) {
	const step = pace.LoanFor
	chance, took, lent := rand.New(rand.NewPCG(1, 2)), 0, 0
	for range 3000 {
		v := Lending{Burst: uint8(1 + chance.IntN(2))}
		rate := pace.Rate{Events: 1, Per: step * 200 / 201, Burst: int(v.Burst)}
		l, m := pace.NewLimit("540001", rate, pace.Group), v.start().sharer[0]
		now := l.NextSlot(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		if slot, _ := l.Others(math.MaxInt64, now); slot%2 == 1 {
			now = now.Add(step)
		}
		for tick := range 120 {
			what := ""
			agree := func(model, limit bool) {
				if model != limit {
					t.Fatalf("tick %d, %s: model %t, limit %t; %+v", tick, what, model, limit, m)
				}
			}
			for range chance.IntN(4) {
				switch slot := uint8(chance.IntN(2)); chance.IntN(8) {
				case 0:
					what = "gain or lose"
					if m.has[slot] == 0 {
						v.gain(&m, slot)
					} else {
						v.lose(&m, slot)
					}
					var own []int32
					for k, h := range m.has {
						if h > 0 {
							own = append(own, int32(k))
						}
					}
					l.Own(pace.NewShare(own, 2), now)
				case 1, 2, 3:
					what = "take"
					may := v.mayGo(&m)
					if agree(may, l.Take(now)); may {
						v.take(&m)
						took++
					}
				default:
					what = "lend"
					may := (&lending{Lending: v}).lends(&m)
					if agree(may, l.Lend(pace.Note{From: "b"}, now)); may {
						v.lend(&m)
						lent++
					}
				}
			}
			at, ok := l.Next(now)
			what = "next"
			agree(v.mayGo(&m), ok && at.Equal(now))
			now = now.Add(step / slotTicks)
			v.settle(&m, uint8(tick+1)%(2*slotTicks))
		}
	}
	if took < 5_000 || lent < 2_000 {
		t.Errorf("only %d turns taken and %d lent", took, lent)
	}
}

// TestWindowsAreCountedAsTheBoundSays: calls by chance break S5 if, and when, a count of
// all windows does.
func TestWindowsAreCountedAsTheBoundSays(t *testing.T) {
	chance, late := rand.New(rand.NewPCG(1, 2)), 0
	for range 5000 {
		v := Lending{Burst: uint8(1 + chance.IntN(2)), Ahead: uint8(chance.IntN(2))}
		at := []Moment{v.start()} // one for each window that is open, and one for those to come
		var calls [][2]int        // when, and whose turn
		want, got := false, false
		for now := 0; now < 30 && !want && !got; now++ {
			for range chance.IntN(3) * chance.IntN(2) {
				life := chance.IntN(3)
				calls = append(calls, [2]int{now, life})
				want = want || v.tooMany(calls)
				var next []Moment
				for _, s := range at {
					x := lending{v, s, func(_ Step, s Moment) { next = append(next, s) }}
					x.call(0, Step{}, uint8(life), func(*Moment, *sharer) {})
				}
				at = next
				got = got || slices.ContainsFunc(at, func(s Moment) bool { return s.over > 0 })
			}
			for i := range at {
				if x := (&lending{Lending: v}); at[i].window {
					x.pass(&at[i])
				}
			}
			slices.SortFunc(at, func(a, b Moment) int { return slices.Compare(a.counts(), b.counts()) })
			at = slices.Compact(at)
		}
		if want != got {
			t.Fatalf("%+v, calls %v: broken %t, want %t", v, calls, got, want)
		}
		if want && calls[len(calls)-1][0] > 4 {
			late++
		}
	}
	if late < 500 {
		t.Errorf("only %d histories break S5 later than at once", late)
	}
}

func (s *Moment) counts() []int { return []int{int(s.counted), int(s.turns), int(s.over)} }

// tooMany reports whether a window that ends with the last call holds too many.
func (v Lending) tooMany(calls [][2]int) bool {
	last, whose := calls[len(calls)-1][0], map[int]bool{}
	for i, c := range slices.Backward(calls) {
		whose[c[1]] = true
		if n := len(calls) - i; n > (last-c[0]+int(v.Ahead))/slotTicks+max(int(v.burst()), len(whose)) {
			return true
		}
	}
	return false
}
