package pace

import (
	"math"
	"slices"
	"time"
)

// What an Adaptive goes by.
const (
	sampleMost  = 128 // latencies in a sample
	sampleLeast = 20
	sampleTime  = 250 * time.Millisecond // a sample takes so long, at least

	tolerance = 2                     // a sample's median may be so many times the usual latency
	quickest  = 50 * time.Millisecond // no usual latency is taken to be less: what is below 100 ms is not slow
	steepest  = 0.5                   // the limit falls to so much at once, at most
	growth    = 1.25                  // and grows so again
	floorPart = 32                    // down to one 32nd of the bound

	forgetUp   = 5 * time.Minute // how long it takes to get used to a gateway that is slower for good
	forgetDown = 2 * time.Second // and to one that is quicker
)

// An Adaptive says how many calls may be in flight toward one gateway host. It
// stands at its bound while latency is near what is usual, falls while it is
// more than twice that, by halves to a 32nd of the bound, and comes back in a
// few seconds when latency does. A gateway that stays slow becomes the usual
// one within minutes.
//
// This is the gradient of Netflix's concurrency-limits (Gradient2Limit), with
// three changes: the median stands for a sample, so that a few slow calls are
// not a slow gateway; it starts at the bound, not at 20, for nothing is gained
// by being careful with a gateway that answers in time; and what is usual rises
// by the clock, not by the number of calls.
//
// It is not safe for concurrent use.
type Adaptive struct {
	bound   int
	limit   float64
	usual   float64 // latency, in nanoseconds; 0: not known
	sample  [sampleMost]time.Duration
	samples int // latencies since the sample began; the last sampleMost are kept
	began   time.Time
}

// NewAdaptive returns a limit that allows bound calls in flight at most.
func NewAdaptive(bound int) *Adaptive {
	a := &Adaptive{}
	a.SetBound(bound)
	a.limit = float64(a.bound)
	return a
}

// Allowed is how many calls may be in flight.
func (a *Adaptive) Allowed() int { return int(a.limit) }

// SetBound changes the bound. A limit that stood at it goes with it.
func (a *Adaptive) SetBound(bound int) {
	bound = max(bound, 1)
	if int(a.limit) == a.bound {
		a.limit = float64(bound)
	}
	a.bound = bound
	a.limit = min(a.limit, float64(bound))
}

// Done tells how long a call took, and whether it was answered. A call that
// failed quickly says nothing of how slow the gateway is; one that failed
// slowly, say by a timeout, does.
func (a *Adaptive) Done(now time.Time, latency time.Duration, ok bool) {
	if !ok && float64(latency) < max(a.usual, float64(quickest)) {
		return
	}
	if a.samples == 0 {
		a.began = now
	}
	a.sample[a.samples%sampleMost] = latency
	a.samples++
	if a.samples < sampleLeast || now.Sub(a.began) < sampleTime {
		return
	}
	a.judge(a.median(), min(now.Sub(a.began), 10*sampleTime))
	a.samples = 0
}

func (a *Adaptive) median() float64 {
	seen := a.sample[:min(a.samples, sampleMost)]
	slices.Sort(seen)
	return float64(seen[len(seen)/2])
}

// judge adapts the limit to a sample's median, and what is usual to the time it took.
func (a *Adaptive) judge(median float64, took time.Duration) {
	median = max(median, float64(quickest))
	if a.usual == 0 {
		a.usual = median
	}
	if gradient := tolerance * a.usual / median; gradient < 1 {
		a.limit *= max(gradient, steepest)
	} else {
		a.limit = a.limit*growth + 1
	}
	a.limit = max(min(a.limit, float64(a.bound)), float64(a.bound)/floorPart, 1)

	memory := forgetUp
	if median < a.usual {
		memory = forgetDown
	}
	a.usual += (median - a.usual) * (1 - math.Exp(-took.Seconds()/memory.Seconds()))
}
