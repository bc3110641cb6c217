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

	quickPart = 10                    // a gateway is as slow as the quickest tenth of a sample
	tolerance = 2                     // which may be so many times the usual latency
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
// Only answers count, and of those the quickest tenth: a gateway that has more to
// do than it can is slow with all of them. Where some are as quick as ever it is
// those calls that are slow, or one merchant's, and not the gateway. What is not
// answered at all is the Breaker's.
//
// This is the gradient of Netflix's concurrency-limits (Gradient2Limit), with
// three changes: the quickest tenth stands for a sample; it starts at the bound, not at 20, for nothing is gained
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

// Answered tells how long a call took that was answered.
func (a *Adaptive) Answered(now time.Time, latency time.Duration) {
	if a.samples == 0 {
		a.began = now
	}
	a.sample[a.samples%sampleMost] = latency
	a.samples++
	if a.samples < sampleLeast || now.Sub(a.began) < sampleTime {
		return
	}
	a.judge(a.quick(), now.Sub(a.began))
	a.samples = 0
}

// quick is how slow the quickest tenth of the sample is.
func (a *Adaptive) quick() float64 {
	seen := a.sample[:min(a.samples, sampleMost)]
	slices.Sort(seen)
	return float64(seen[len(seen)/quickPart])
}

// judge adapts the limit to the latency of a sample, and what is usual to the time it
// took: also where so little is called that a sample takes minutes.
func (a *Adaptive) judge(latency float64, took time.Duration) {
	latency = max(latency, float64(quickest))
	if a.usual == 0 {
		a.usual = latency
	}
	if gradient := tolerance * a.usual / latency; gradient < 1 {
		a.limit *= max(gradient, steepest)
	} else {
		a.limit = a.limit*growth + 1
	}
	a.limit = max(min(a.limit, float64(a.bound)), float64(a.bound)/floorPart, 1)

	memory := forgetUp
	if latency < a.usual {
		memory = forgetDown
	}
	a.usual += (latency - a.usual) * (1 - math.Exp(-took.Seconds()/memory.Seconds()))
}
