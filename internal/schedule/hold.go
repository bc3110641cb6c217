package schedule

import (
	"time"

	"paylink/internal/pace"
)

// A hold is a merchant that is not called, because our credentials or set-up
// are wrong and every call would fail. One call probes from time to time.
type hold struct {
	on      bool
	began   time.Time // when we saw it begin
	since   time.Time // from when on it is taken to have lasted
	probeAt time.Time // when one call may try again
	probes  int
	code    string   // the gateway's error code
	past    []period // the holds before this one
}

// A period is a hold that is over.
type period struct{ from, to time.Time }

// keepPeriods is how many holds that are over are told apart. Older ones run
// together, which makes them longer: rather give up late.
const keepPeriods = 64

// heldSince is for how long of the time since then the lane was on hold.
func (h *hold) heldSince(then, now time.Time) (held time.Duration) {
	for _, p := range h.past {
		held += within(p, then)
	}
	if h.on {
		held += within(period{h.since, now}, then)
	}
	return held
}

func within(p period, then time.Time) time.Duration {
	if p.from.Before(then) {
		p.from = then
	}
	return max(0, p.to.Sub(p.from))
}

// probe takes the turn of the one call that may try again.
func (h *hold) probe(now time.Time) {
	h.probeAt = now.Add(pace.HoldProbes().Delay(h.probes, 1))
	h.probes++
}

// begin starts a hold. Where no call has shown yet that the credentials work, it
// may have lasted since before we came, and no age counts.
func (h *hold) begin(proven bool, now time.Time) {
	h.on, h.began, h.since, h.probes = true, now, now, 0
	if !proven {
		h.since = time.Time{}
	}
	h.probe(now)
}

// end ends a hold, which from now on counts as past.
func (h *hold) end(now time.Time) {
	h.on = false
	h.past = append(h.past, period{h.since, now})
	if len(h.past) > keepPeriods {
		h.past[1].from = h.past[0].from
		h.past = h.past[1:]
	}
}
