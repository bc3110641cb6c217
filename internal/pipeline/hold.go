package pipeline

import (
	"container/heap"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// A hold is a merchant that is not called, because our credentials or set-up
// are wrong and every call would fail. One call probes from time to time.
type hold struct {
	on      bool
	since   time.Time
	probeAt time.Time // when one call may try again
	probes  int
	code    string        // the gateway's error code
	total   time.Duration // of the holds before this one
}

// probing is how the waits between probes grow.
var probing = pace.Backoff{Base: 10 * time.Second, Max: 2 * time.Minute}

// held is how long the lane was on hold, ever, up to now.
func (h *hold) held(now time.Time) time.Duration {
	if h.on {
		return h.total + now.Sub(h.since)
	}
	return h.total
}

// begin holds a lane, or holds it on after a probe that failed; Engine.mu held.
func (h *hold) begin(e *Engine, l *lane, why *payment.GatewayError) {
	now := time.Now()
	if !h.on {
		h.on, h.since, h.probes = true, now, 0
		e.metrics.held.Inc()
	}
	for _, t := range l.tasks {
		t.yieldRoom()
	}
	h.code = why.Code
	h.probeAt = now.Add(probing.Delay(h.probes, 1))
	h.probes++
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
	h.total += now.Sub(h.since)
	h.on = false
	e.metrics.held.Dec()
	e.log.WithField("merchant_id", string(l.merchant)).WithField("held", now.Sub(h.since).Round(time.Millisecond).String()).Warn("merchant no longer on hold")
	e.reschedule(l, now)
}

// reschedule puts a lane where it belongs among the ready ones; mu held.
func (e *Engine) reschedule(l *lane, now time.Time) {
	l.schedule(now)
	if l.index >= 0 {
		heap.Fix(&e.ready, l.index)
	}
}
