package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// starts are when the next calls of a merchant go, from now on.
func starts(s *schedule.Scheduler, m payment.MerchantID, n int, now time.Time) (at []time.Duration) {
	for i := range n {
		w := &schedule.Work{ID: payment.IntentID(fmt.Sprint(i)), At: now, Endless: true}
		w.Own(s.Lane(m))
		s.Queue(w, schedule.First, now)
	}
	for t := now; len(at) < n && t.Before(now.Add(time.Hour)); t = s.Wake(t) {
		for step := s.Next(t); step.Kind == schedule.Start; step = s.Next(t) {
			s.Begin(step.Work, t)
			s.End(step.Work, answered, t)
			at = append(at, t.Sub(now))
		}
	}
	return at
}

// TestANewLaneIsAsOneThatWasThereAllTheTime: its first work goes when it would have,
// through whatever was owned and changed before. If that is more than is remembered, it
// is as in a process that came with the oldest that is.
func TestANewLaneIsAsOneThatWasThereAllTheTime(t *testing.T) {
	const remembered = 16
	rates := []pace.Rate{perSecond(1), perSecond(40), {Events: 1, Per: 1500 * time.Millisecond, Burst: 1}, {Events: 10, Per: time.Second, Burst: 20}}
	atOnce := map[bool]int{}
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		rate, scope, all := rates[rng.IntN(len(rates))], pace.Scope(rng.IntN(2)), 1+rng.IntN(12)
		changes, pause := 1+rng.IntN(2*remembered), []time.Duration{2 * time.Second, 20 * time.Millisecond}[rng.IntN(2)]
		cfg := schedule.Config{Concurrency: 100, GiveUpAfter: time.Hour, Window: 1000, Scope: scope}
		there, fresh, now := schedule.New(cfg), schedule.New(cfg), noon
		there.Bind("1", schedule.Terms{Rate: rate, Endpoint: "gateway"}, false, now)
		for left := changes; left > 0; left-- {
			now = now.Add(time.Duration(rng.ExpFloat64() * float64(pause)))
			own := []int32{int32(rng.IntN(all))}
			for p := range int32(all) {
				if rng.IntN(4) > 0 && p != own[0] {
					own = append(own, p)
				}
			}
			own = own[:rng.IntN(len(own)+1)]
			fresh.Share(own, all, len(own), now)
			if left <= remembered {
				there.Share(own, all, len(own), now)
			}
		}
		now = now.Add(time.Duration(rng.ExpFloat64() * float64(pause)))
		fresh.Bind("1", schedule.Terms{Rate: rate, Endpoint: "gateway"}, false, now)
		want, got := starts(there, "1", 5, now), starts(fresh, "1", 5, now)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: calls of a lane that was there (-) and of a new one (+):\n%s", seed, diff)
		}
		if len(got) > 0 {
			atOnce[got[0] == 0]++
		}
	}
	if atOnce[true] < 50 || atOnce[false] < 50 {
		t.Errorf("calls at once, or later: %v: little was tried", atOnce)
	}
}

// TestANewLaneDoesNotGoByOldTerms: after a change of terms nothing is saved of before,
// as with a lane that was there.
func TestANewLaneDoesNotGoByOldTerms(t *testing.T) {
	cfg := schedule.Config{Concurrency: 100, GiveUpAfter: time.Hour, Window: 1000}
	there, fresh, now := schedule.New(cfg), schedule.New(cfg), noon
	was, is := schedule.Terms{Rate: perSecond(5), Endpoint: "gateway"}, schedule.Terms{Rate: pace.Rate{Events: 1, Per: time.Second, Burst: 9}, Endpoint: "gateway"}
	there.Bind("1", was, false, now)
	for _, own := range [][]int32{{0, 1, 2, 3}, {0, 1, 2}} {
		now = now.Add(time.Minute)
		there.Share(own, 4, len(own), now)
		fresh.Share(own, 4, len(own), now)
	}
	now = now.Add(time.Minute)
	there.Bind("1", is, false, now)
	there.Rebound(now)
	fresh.Rebound(now)
	now = now.Add(2500 * time.Millisecond)
	there.Share([]int32{0, 1, 2, 3}, 4, 4, now)
	fresh.Share([]int32{0, 1, 2, 3}, 4, 4, now)
	now = now.Add(2500 * time.Millisecond)
	fresh.Bind("1", is, false, now)
	want, got := starts(there, "1", 12, now), starts(fresh, "1", 12, now)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls of a lane that was there (-) and of a new one (+):\n%s", diff)
	}
	if len(got) < 9 || got[8] == 0 {
		t.Errorf("calls at %v, want no full store of nine", got)
	}
}

// TestAMerchantThatIsBackHasNoStore: what it has used before it was gone is forgotten,
// so nothing may count as saved.
func TestAMerchantThatIsBackHasNoStore(t *testing.T) {
	s, now := schedule.New(schedule.Config{Concurrency: 100, GiveUpAfter: time.Hour, Window: 1000}), noon
	s.Share([]int32{0, 1}, 2, 2, now)
	now = now.Add(time.Hour)
	terms := schedule.Terms{Rate: perSecond(1), Endpoint: "gateway"}
	s.Bind("1", terms, false, now)
	if at := starts(s, "1", 1, now); len(at) != 1 || at[0] != 0 {
		t.Fatalf("first call after %v, want at once", at)
	}
	s.Bind("1", schedule.Terms{}, true, now)
	s.Rebound(now)
	s.Bind("1", terms, false, now)
	s.Rebound(now)
	if at := starts(s, "1", 1, now); len(at) != 1 || at[0] < time.Second {
		t.Errorf("next call after %v, want after a second at the earliest", at)
	}
}

// TestALaneMadeLateKeepsTheRateOfAll: one member has saved its burst and uses it, then
// half of what it has goes to another that has had no work of the merchant yet. Both
// together keep the bound that pace.Limit states.
func TestALaneMadeLateKeepsTheRateOfAll(t *testing.T) {
	const burst = 20
	rate := pace.Rate{Events: 10, Per: time.Second, Burst: burst}
	terms, step := schedule.Terms{Rate: rate, Endpoint: "gateway"}, rate.Interval()*201/200
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		cfg := schedule.Config{Concurrency: 1000, GiveUpAfter: time.Hour, Window: 1000}
		old, next := schedule.New(cfg), schedule.New(cfg)
		old.Share([]int32{0, 1, 2, 3}, 4, 4, noon)
		next.Share(nil, 4, 0, noon)
		began := noon.Add(time.Hour)
		over := began.Add(time.Duration(rng.Int64N(int64(500 * time.Millisecond))))
		first := over.Add(time.Duration(rng.Int64N(int64(500 * time.Millisecond))))
		work := func(s *schedule.Scheduler, now time.Time) {
			s.Bind("1", terms, false, now)
			for i := range 100 {
				w := &schedule.Work{ID: payment.IntentID(fmt.Sprint(i)), At: now}
				w.Own(s.Lane("1"))
				s.Queue(w, schedule.First, now)
			}
		}
		work(old, began)
		var calls []time.Time
		by := map[*schedule.Scheduler]int{}
		for now := began; now.Before(began.Add(3 * time.Second)); now = now.Add(time.Millisecond) {
			if over.Sub(now).Abs() < time.Millisecond/2 {
				old.Share([]int32{2, 3}, 4, 2, now)
				next.Share([]int32{0, 1}, 4, 2, now)
			}
			if first.Sub(now).Abs() < time.Millisecond/2 {
				work(next, now)
			}
			for _, s := range []*schedule.Scheduler{old, next} {
				for is := s.Next(now); is.Kind == schedule.Start; is = s.Next(now) {
					s.Begin(is.Work, now)
					s.End(is.Work, answered, now)
					calls = append(calls, now)
					by[s]++
				}
			}
		}
		for i := range calls {
			for j := i; j < len(calls); j++ {
				if w := calls[j].Sub(calls[i]); j-i+1 > int((w+10*time.Millisecond)/step)+burst {
					t.Fatalf("seed %d: %d calls in %v", seed, j-i+1, w)
				}
			}
		}
		if by[old] < burst || by[next] < 3 {
			t.Errorf("seed %d: %d and %d calls, want some of both", seed, by[old], by[next])
		}
	}
}
