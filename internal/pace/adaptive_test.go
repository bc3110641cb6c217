package pace

import (
	"math/rand/v2"
	"testing"
	"time"
)

// serve has as many calls in flight as allowed, for a while, and returns the
// time it ends. A call takes what latency says when that many are in flight.
func serve(a *Adaptive, from time.Time, d time.Duration, latency func(inFlight int) time.Duration) time.Time {
	now := from
	for now.Before(from.Add(d)) {
		n := a.Allowed()
		took := latency(n)
		for i := range n { // they end one after another, over one latency
			l := latency(n)
			a.Answered(now.Add(took*time.Duration(i)/time.Duration(n)), l)
		}
		now = now.Add(took)
	}
	return now
}

func TestAdaptiveStaysAtTheBoundWithASteadyGateway(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	gateways := map[string]func(int) time.Duration{
		"steady 50 ms": func(int) time.Duration { return 50 * time.Millisecond },
		"exponential, 80 ms": func(int) time.Duration {
			return time.Duration(rng.ExpFloat64() * float64(80*time.Millisecond))
		},
		"half take 20 s": func(int) time.Duration {
			if rng.IntN(2) > 0 {
				return 20 * time.Second
			}
			return 50 * time.Millisecond
		},
		"one in ten takes 5 s": func(int) time.Duration {
			if rng.IntN(10) == 0 {
				return 5 * time.Second
			}
			return 50 * time.Millisecond
		},
		"2 ms, sometimes 90": func(int) time.Duration { return time.Duration(2+88*rng.IntN(2)) * time.Millisecond },
	}
	for name, latency := range gateways {
		a := NewAdaptive(1024)
		now := noon
		for range 100 {
			now = serve(a, now, 200*time.Millisecond, latency)
			if a.Allowed() != 1024 {
				t.Errorf("%s: %d allowed, want 1024", name, a.Allowed())
				break
			}
		}
	}
}

func TestAdaptiveFallsWithASlowGatewayAndComesBack(t *testing.T) {
	for _, bound := range []int{256, 1024} {
		a := NewAdaptive(bound)
		now := serve(a, noon, 10*time.Second, func(int) time.Duration { return 50 * time.Millisecond })
		now = serve(a, now, 10*time.Second, func(int) time.Duration { return 500 * time.Millisecond })
		if got := a.Allowed(); got > bound/8 {
			t.Errorf("bound %d: %d allowed after 10 s of tenfold latency, want at most %d", bound, got, bound/8)
		}
		serve(a, now, 10*time.Second, func(int) time.Duration { return 50 * time.Millisecond })
		if got := a.Allowed(); got != bound {
			t.Errorf("bound %d: %d allowed 10 s after the gateway recovered", bound, got)
		}
	}
}

func TestAdaptiveFindsWhatAGatewayCanBear(t *testing.T) {
	a := NewAdaptive(1024)
	serve(a, noon, time.Second, func(int) time.Duration { return 50 * time.Millisecond })
	// It works on 100 calls at a time; the others queue.
	now := serve(a, noon.Add(time.Second), 30*time.Second, func(n int) time.Duration {
		return 50 * time.Millisecond * time.Duration(max(n, 100)) / 100
	})
	lo, hi := a.Allowed(), a.Allowed()
	for range 50 {
		now = serve(a, now, 500*time.Millisecond, func(n int) time.Duration {
			return 50 * time.Millisecond * time.Duration(max(n, 100)) / 100
		})
		lo, hi = min(lo, a.Allowed()), max(hi, a.Allowed())
	}
	if lo < 60 || hi > 600 {
		t.Errorf("between %d and %d allowed at a gateway that bears 100, want near 100 to 300", lo, hi)
	}
}

func TestAdaptiveGetsUsedToASlowerGateway(t *testing.T) {
	a := NewAdaptive(64)
	now := serve(a, noon, 10*time.Second, func(int) time.Duration { return 100 * time.Millisecond })
	serve(a, now, 20*time.Minute, func(int) time.Duration { return 400 * time.Millisecond })
	if got := a.Allowed(); got != 64 {
		t.Errorf("%d allowed after 20 minutes of a slower gateway, want 64", got)
	}
}

// TestAdaptiveGetsUsedToItAlsoWhereLittleIsCalled: a sample takes a minute and a half.
func TestAdaptiveGetsUsedToItAlsoWhereLittleIsCalled(t *testing.T) {
	a := NewAdaptive(64)
	now := serve(a, noon, 10*time.Second, func(int) time.Duration { return 200 * time.Millisecond })
	serve(a, now, 20*time.Minute, func(int) time.Duration { return 10 * time.Second })
	if got := a.Allowed(); got != 64 {
		t.Errorf("%d allowed after 20 minutes of a slower gateway, want 64", got)
	}
}

func TestAdaptiveBoundChangesLive(t *testing.T) {
	a := NewAdaptive(64)
	a.SetBound(256)
	if got := a.Allowed(); got != 256 {
		t.Errorf("%d allowed after the bound rose to 256", got)
	}
	a.SetBound(16)
	if got := a.Allowed(); got != 16 {
		t.Errorf("%d allowed after the bound fell to 16", got)
	}
	if got := NewAdaptive(0).Allowed(); got != 1 {
		t.Errorf("%d allowed with a bound of 0, want 1: calls must go", got)
	}
}
