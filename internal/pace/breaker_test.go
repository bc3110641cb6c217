package pace

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A gatewayRun plays calls at a rate against a gateway, through a breaker.
type gatewayRun struct {
	breaker *Breaker
	rate    int
	latency func(at time.Time) time.Duration
	fails   func(at time.Time) bool
	begun   []time.Time
	pending []answer
}

type answer struct {
	began, at time.Time
	failed    bool
}

func (g *gatewayRun) play(from time.Time, d time.Duration) {
	for now := from; now.Before(from.Add(d)); now = now.Add(time.Second / time.Duration(g.rate)) {
		kept := g.pending[:0]
		for _, a := range g.pending {
			if a.at.After(now) {
				kept = append(kept, a)
				continue
			}
			g.breaker.Done(a.began, a.at, a.failed)
		}
		g.pending = kept
		if ok, _ := g.breaker.Allow(now); ok {
			g.begun = append(g.begun, now)
			g.pending = append(g.pending, answer{now, now.Add(g.latency(now)), g.fails(now)})
		}
	}
}

func (g *gatewayRun) between(from, to time.Duration) int {
	n := 0
	for _, at := range g.begun {
		if d := at.Sub(noon); d >= from && d < to {
			n++
		}
	}
	return n
}

func fixed(d time.Duration) func(time.Time) time.Duration {
	return func(time.Time) time.Duration { return d }
}

func TestBreakerOverAnOutage(t *testing.T) {
	down := func(at time.Time) bool { d := at.Sub(noon); return d >= 10*time.Second && d < 70*time.Second }
	tests := []struct {
		name    string
		rate    int
		latency func(time.Time) time.Duration
	}{
		{"refused at 200/s", 200, fixed(50 * time.Millisecond)},
		{"refused at 20/s", 20, fixed(50 * time.Millisecond)},
		{"refused at 2000/s", 2000, fixed(20 * time.Millisecond)},
		{"swallowed at 200/s, timeout 3 s", 200, func(at time.Time) time.Duration {
			if down(at) {
				return 3 * time.Second
			}
			return 50 * time.Millisecond
		}},
	}
	for _, tt := range tests {
		g := &gatewayRun{breaker: &Breaker{}, rate: tt.rate, latency: tt.latency, fails: down}
		g.play(noon, 80*time.Second)
		if got := g.between(0, 10*time.Second); got != 10*tt.rate {
			t.Errorf("%s: %d calls before the outage, want %d", tt.name, got, 10*tt.rate)
		}
		if got, most := g.between(10*time.Second, 70*time.Second), 6*tt.rate; got > most {
			t.Errorf("%s: %d calls in the outage of 60 s, want at most %d", tt.name, got, most)
		}
		if got, least := g.between(75*time.Second, 76*time.Second), tt.rate*9/10; got < least {
			t.Errorf("%s: %d calls in the sixth second after the outage, want at least %d", tt.name, got, least)
		}
		if got := g.breaker.State(noon.Add(80 * time.Second)); got != Closed {
			t.Errorf("%s: breaker is %v in the end", tt.name, got)
		}
	}
}

func TestBreakerProbesOneAtATime(t *testing.T) {
	b := broken(noon)
	var probes []time.Duration
	for now := noon; now.Before(noon.Add(10 * time.Second)); now = now.Add(time.Millisecond) {
		for range 10 {
			if ok, next := b.Allow(now); ok {
				probes = append(probes, now.Sub(noon))
				b.Done(now, now, true)
			} else if !next.After(now) {
				t.Fatalf("refused at %v, next at %v", now, next)
			}
		}
	}
	want := []time.Duration{1 * time.Second, 3 * time.Second, 5 * time.Second, 7 * time.Second, 9 * time.Second}
	if len(probes) != len(want) {
		t.Fatalf("probes after %v, want %v", probes, want)
	}
	for i := range want {
		if probes[i] != want[i] {
			t.Errorf("probe %d after %v, want %v", i, probes[i], want[i])
		}
	}
}

// broken returns a breaker that has just opened.
func broken(now time.Time) *Breaker {
	b := &Breaker{}
	for range breakLead {
		b.Done(now, now, true)
	}
	return b
}

// TestBreakerForgetsWhatWasCalledBeforeItClosed: what times out half a minute after the
// gateway is back does not open it again.
func TestBreakerForgetsWhatWasCalledBeforeItClosed(t *testing.T) {
	b := broken(noon)
	back := noon.Add(5 * time.Second)
	b.Allow(back)
	b.Done(back, back, false)
	for i := range 20 {
		b.Done(noon.Add(-time.Second), back.Add(10*time.Second+time.Duration(i)*time.Second), true)
	}
	if got := b.State(back.Add(30 * time.Second)); got != Closed {
		t.Errorf("%v after 20 timeouts of calls from before the outage, want closed", got)
	}
	for range breakLead {
		b.Done(back.Add(time.Second), back.Add(31*time.Second), true)
	}
	if got := b.State(back.Add(31 * time.Second)); got != Open {
		t.Errorf("%v after timeouts of calls from since it began to close, want open", got)
	}
}

func TestBreakerOpensOnlyOnBroadFailure(t *testing.T) {
	for _, share := range []float64{0.05, 0.2, 0.3} {
		rng := rand.New(rand.NewPCG(7, 7))
		g := &gatewayRun{breaker: &Breaker{}, rate: 100, latency: fixed(50 * time.Millisecond), fails: func(time.Time) bool { return rng.Float64() < share }}
		g.play(noon, 10*time.Minute)
		if len(g.begun) != 60_000 {
			t.Errorf("with %.0f %% failures %d calls of 60000 went", 100*share, len(g.begun))
		}
	}
	b := &Breaker{}
	for range breakLead - 1 {
		b.Done(noon, noon, true)
	}
	if b.State(noon) != Closed {
		t.Errorf("open after %d failures", breakLead-1)
	}
	b.Done(noon, noon, true)
	if b.State(noon) != Open {
		t.Errorf("closed after %d failures in a row", breakLead)
	}
}

func TestBreakerIgnoresWhatBeganBefore(t *testing.T) {
	b := broken(noon)
	b.Done(noon.Add(-time.Second), noon.Add(time.Millisecond), false)
	if got := b.State(noon); got != Open {
		t.Errorf("%v after the success of a call from before the outage, want open", got)
	}
	back := noon.Add(time.Second)
	b.Allow(back)
	b.Done(back, back, false)
	if got := b.State(back); got != Closing {
		t.Fatalf("%v after a probe that worked, want closing", got)
	}
	for range 256 {
		b.Done(noon.Add(-time.Second), back.Add(time.Millisecond), true)
	}
	if got := b.State(back.Add(time.Millisecond)); got != Closing {
		t.Errorf("%v after timeouts of calls from before, want closing", got)
	}
	for range relapse {
		b.Done(back.Add(time.Millisecond), back.Add(2*time.Millisecond), true)
	}
	if got := b.State(back.Add(2 * time.Millisecond)); got != Open {
		t.Errorf("%v after failures while closing, want open", got)
	}
}

func TestBreakerClosesInSteps(t *testing.T) {
	b := broken(noon)
	now := noon.Add(time.Second)
	b.Allow(now)
	b.Done(now, now, false)
	for step := range rampSteps {
		at, got := now.Add(time.Duration(step)*rampStep), 0
		for {
			ok, next := b.Allow(at)
			if !ok {
				if want := at.Add(rampStep); !next.Equal(want) {
					t.Errorf("step %d: ask again at %v, want %v", step, next, want)
				}
				break
			}
			got++
		}
		if want := rampFirst << step; got != want {
			t.Errorf("step %d: %d calls, want %d", step, got, want)
		}
	}
	if got := b.State(now.Add(rampSteps * rampStep)); got != Closed {
		t.Errorf("%v after the last step, want closed", got)
	}
}

func TestRecentForgets(t *testing.T) {
	var r Recent
	for i := range 250 {
		r.Add(noon, i%2 == 0)
	}
	if failed, all := r.Count(noon); failed != 50 || all != 100 {
		t.Errorf("%d of %d failed, want 50 of 100", failed, all)
	}
	r.Add(noon.Add(20*time.Second), true)
	if failed, all := r.Count(noon.Add(31 * time.Second)); failed != 1 || all != 1 {
		t.Errorf("after 31 s %d of %d failed, want 1 of 1", failed, all)
	}
	if failed, all := r.Count(noon.Add(time.Hour)); failed != 0 || all != 0 {
		t.Errorf("after an hour %d of %d failed, want none", failed, all)
	}
}

func TestBudgetGivesRetriesATenthWhileTheGatewayFails(t *testing.T) {
	const interval = 25 * time.Millisecond
	for _, failing := range []bool{true, false} {
		var b Budget
		retries := 0
		for now := noon; now.Before(noon.Add(10 * time.Second)); now = now.Add(interval) {
			if !b.Next(now, interval, failing).After(now) {
				b.Take(now)
				retries++
			}
		}
		want := 400
		if failing {
			want = 40
		}
		if retries != want {
			t.Errorf("failing %v: %d retries in 400 slots, want %d", failing, retries, want)
		}
	}
}

func TestFailingIsLessThanOpen(t *testing.T) {
	b := &Breaker{}
	for i := range 100 {
		b.Done(noon, noon, i%3 == 0)
	}
	if b.State(noon) != Closed || !b.Failing(noon) {
		t.Errorf("with a third of the calls failing: %v, failing %v; want closed, and failing", b.State(noon), b.Failing(noon))
	}
	for i := range 100 {
		b.Done(noon, noon, i%10 == 0)
	}
	if b.Failing(noon) {
		t.Error("with a tenth of the calls failing: the gateway fails broadly")
	}
}
