package pipeline

import (
	"container/heap"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// Terms are what the calls of a merchant are bound to. The zero Terms are those
// of a merchant that is not configured, or not any more.
type Terms struct {
	Rate pace.Rate // all replicas together; zero: no limit
	Host string    // of the gateway: merchants of one host share its fate
}

// terms returns the terms of a merchant.
func (c *Config) terms(m payment.MerchantID) Terms {
	if c.Terms == nil {
		return Terms{}
	}
	return c.Terms(m)
}

// lane returns the lane of a merchant; mu held.
func (e *Engine) lane(m payment.MerchantID) *lane {
	l := e.lanes[m]
	if l == nil {
		l = &lane{merchant: m, index: -1}
		e.lanes[m] = l
		e.bind(l, e.cfg.terms(m), time.Now())
	}
	return l
}

// bind puts terms in force for a lane; mu held.
func (e *Engine) bind(l *lane, t Terms, now time.Time) {
	if l.gone = e.cfg.Terms != nil && t == (Terms{}); l.gone {
		e.moveTo(newHost("", 1), l) // nobody's: it counts neither as up nor as down
	} else {
		e.moveTo(e.host(t.Host), l)
	}
	switch {
	case t.Rate == (pace.Rate{}):
		l.limit = nil
	case l.limit == nil:
		l.limit = pace.NewLimit(string(l.merchant), t.Rate, e.cfg.Scope)
		l.limit.Own(e.share, now)
	default:
		l.limit.SetRate(t.Rate, now)
	}
	l.size(len(e.desks), e.cfg.WindowCount)
	e.reschedule(l, now)
}

// Renew has all merchants' terms asked for again: call it when the merchants'
// settings have changed. It ends the holds of those that are mended. The others
// have nothing new to try with, so they are probed as before. What waits of a
// merchant that is not configured any more is settled.
func (e *Engine) Renew(mended func(payment.MerchantID) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for m, l := range e.lanes {
		if mended(m) {
			l.hold.end(e, l)
		}
		e.bind(l, e.cfg.terms(m), now)
	}
	for _, t := range e.waiting {
		if t.stand != nil && t.stand.lane.gone {
			t.until, t.look = now, now
		}
	}
	heap.Init(&e.waiting)
	e.dropHosts()
	e.pump()
}

// shareChanged tells every limit which partitions are ours; mu held. A partition
// that is handed over does not count any more, though its last calls are out.
func (e *Engine) shareChanged() {
	e.renewShare(time.Now())
	e.pump()
}

func (e *Engine) renewShare(now time.Time) {
	var own []int32
	for d := range e.desks {
		if !d.closed {
			own = append(own, d.claim.Partition())
		}
	}
	e.total = len(own)
	if e.cfg.Partitions != nil {
		e.total = e.cfg.Partitions()
	}
	e.share = pace.NewShare(own, e.total)
	for _, l := range e.lanes {
		if l.limit != nil {
			l.limit.Own(e.share, now)
			l.size(len(e.desks), e.cfg.WindowCount)
			e.reschedule(l, now)
		}
	}
}

// SetConcurrency changes how many calls may be in flight.
func (e *Engine) SetConcurrency(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cfg.Concurrency = n
	for _, h := range e.hosts {
		h.adaptive.SetBound(n)
		h.release(e, time.Now())
	}
	e.pump()
}
