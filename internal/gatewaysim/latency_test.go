package gatewaysim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestLatencyDrawsFromItsDistribution(t *testing.T) {
	for _, tt := range []struct {
		text           string
		median, lo, hi time.Duration
	}{
		{"50ms", 50 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond},
		{"const(50ms)", 50 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond},
		{"0", 0, 0, 0},
		{"uniform(20ms, 80ms)", 50 * time.Millisecond, 20 * time.Millisecond, 80 * time.Millisecond},
		{"exp(50ms)", 34657 * time.Microsecond, 0, maxLatency},
		{"lognormal(50ms,0.5)", 50 * time.Millisecond, 0, maxLatency},
		{"lognormal(50s,5)", 50 * time.Second, 0, maxLatency},
	} {
		t.Run(tt.text, func(t *testing.T) {
			var l Latency
			if err := l.UnmarshalText([]byte(tt.text)); err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, 1))
			draws := make([]time.Duration, 20_000)
			for i := range draws {
				draws[i] = l.Draw(rng)
			}
			slices.Sort(draws)
			if draws[0] < tt.lo || draws[len(draws)-1] > tt.hi {
				t.Errorf("draws from %v to %v, want from %v to %v", draws[0], draws[len(draws)-1], tt.lo, tt.hi)
			}
			if got := draws[len(draws)/2]; (got - tt.median).Abs() > tt.median/20 {
				t.Errorf("median %v, want %v", got, tt.median)
			}
		})
	}
}

func TestBadLatenciesAreRefused(t *testing.T) {
	for _, text := range []string{"", "50", "-1s", "2h", "exp", "exp()", "exp(50ms", "exp(1s,2)", "uniform(2s,1s)", "lognormal(1s)", "lognormal(1s,-1)", "lognormal(1s,NaN)", "normal(1s,1)"} {
		var l Latency
		if err := l.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted", text)
		}
	}
}
