package main

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
			var l latency
			if err := l.UnmarshalText([]byte(tt.text)); err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, 1))
			draws := make([]time.Duration, 20_000)
			for i := range draws {
				draws[i] = l.draw(rng)
			}
			slices.Sort(draws)
			if draws[0] < tt.lo || draws[len(draws)-1] > tt.hi {
				t.Errorf("draws from %v to %v, want from %v to %v", draws[0], draws[len(draws)-1], tt.lo, tt.hi)
			}
			if got := quantile(draws, 0.5); (got - tt.median).Abs() > tt.median/20 {
				t.Errorf("median %v, want %v", got, tt.median)
			}
		})
	}
}

func TestBadLatenciesAreRefused(t *testing.T) {
	for _, text := range []string{"", "50", "-1s", "2h", "exp", "exp()", "exp(50ms", "exp(1s,2)", "uniform(2s,1s)", "lognormal(1s)", "lognormal(1s,-1)", "lognormal(1s,NaN)", "normal(1s,1)"} {
		var l latency
		if err := l.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted", text)
		}
	}
}

func TestQuantile(t *testing.T) {
	ten := []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for _, tt := range []struct {
		values []time.Duration
		q      float64
		want   time.Duration
	}{{ten, 0.5, 5}, {ten, 0.99, 10}, {ten, 0, 1}, {ten, 1, 10}, {ten[:1], 0.999, 1}, {nil, 0.5, 0}} {
		if got := quantile(tt.values, tt.q); got != tt.want {
			t.Errorf("quantile(%v, %v) = %d, want %d", tt.values, tt.q, got, tt.want)
		}
	}
}
