package pipeline

import (
	"container/heap"
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

// begin holds a lane, or says that a probe failed; Engine.mu held. What other
// calls answer that were in flight when the hold began is no news.
func (h *hold) begin(e *Engine, l *lane, t *task) {
	now, why := time.Now(), t.work.try.last
	if h.on && !t.probe {
		return
	}
	if !h.on {
		h.on, h.began, h.since, h.probes = true, now, now, 0
		if !l.known {
			h.since = time.Time{} // it may have been so before we came
		}
		h.probe(now)
		e.metrics.held.Inc()
		l.yieldRoom()
	}
	h.code = why.Code
	e.log.WithField("merchant_id", string(l.merchant)).WithField("code", why.Code).WithField("cause", why.Cause).
		WithField("next_probe", h.probeAt.Sub(now).String()).
		Error("merchant on hold: the gateway refuses our credentials or set-up; no intent fails for it. Check merchant id, secret and contract with the gateway")
	e.reschedule(l, now)
}

// end lets a held lane go on; Engine.mu held.
func (h *hold) end(e *Engine, l *lane) {
	if !h.on {
		return
	}
	now := time.Now()
	h.past = append(h.past, period{h.since, now})
	if len(h.past) > keepPeriods {
		h.past[1].from = h.past[0].from
		h.past = h.past[1:]
	}
	h.on = false
	e.metrics.held.Dec()
	e.log.WithField("merchant_id", string(l.merchant)).WithField("since", h.began.UTC().Format(time.RFC3339)).Warn("merchant no longer on hold")
	e.reschedule(l, now)
}

// reschedule puts a lane where it belongs among the ready ones; mu held.
func (e *Engine) reschedule(l *lane, now time.Time) {
	l.schedule(now)
	if l.index >= 0 {
		heap.Fix(&e.ready, l.index)
	}
}
