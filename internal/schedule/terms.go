package schedule

import (
	"iter"
	"slices"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// Lane returns the lane of a merchant, nil if it has none yet.
func (s *Scheduler) Lane(m payment.MerchantID) *Lane { return s.lanes[m] }

// Lanes are all lanes there are, in the order they were made.
func (s *Scheduler) Lanes() iter.Seq[*Lane] { return slices.Values(s.ordered) }

// Bind puts terms in force for a merchant, and makes its lane if there is none.
// gone says that the merchant is not configured any more.
func (s *Scheduler) Bind(m payment.MerchantID, t Terms, gone bool, now time.Time) *Lane {
	l := s.lanes[m]
	isNew := l == nil
	if isNew {
		l = newLane(m)
		l.lends, l.asked = s.cfg.Name != "", map[string]int64{}
		s.lanes[m] = l
		s.ordered = append(s.ordered, l)
	}
	if l.gone = gone; gone {
		s.moveTo(newEndpoint("", 1, new(bool)), l) // nobody's: it counts neither as up nor as down
	} else {
		s.moveTo(s.endpoint(t.Endpoint), l)
	}
	switch {
	case t.Rate == (pace.Rate{}):
		l.limit = nil
	case isNew:
		l.limit = s.ownings.limit(m, t.Rate, s.cfg.Scope)
	case l.limit == nil: // what it has used before is not known any more
		l.limit = pace.NewLimit(string(m), t.Rate, s.cfg.Scope)
		l.limit.Own(s.share, now)
	default:
		l.limit.SetRate(t.Rate, now)
	}
	l.size(s.partitions, s.cfg.Window)
	s.reschedule(l, now)
	return l
}

// Mended ends a merchant's hold, as its settings have changed.
func (s *Scheduler) Mended(l *Lane, now time.Time) { s.endHold(l, true, now) }

// Rebound has everything looked at again that new terms may have changed: work of
// merchants that are gone waits no longer, and endpoints that nobody has are
// forgotten. Calls of one that are in flight end by themselves.
func (s *Scheduler) Rebound(now time.Time) {
	s.ownings.terms = now
	for w := range s.waiting.All() {
		if w.lane != nil && w.lane.gone {
			w.until, w.look = now, now
		}
	}
	s.waiting.FixAll()
	s.endpoints = slices.DeleteFunc(s.endpoints, func(p *Endpoint) bool {
		if p.lanes == 0 {
			delete(s.byName, p.name)
			s.changed(Change{Kind: EndpointGone, Endpoint: p.name})
		}
		return p.lanes == 0
	})
}

// moveTo binds a lane to an endpoint.
func (s *Scheduler) moveTo(p *Endpoint, l *Lane) {
	if l.endpoint == p {
		return
	}
	if was := l.endpoint; was != nil {
		was.lanes--
		was.full = slices.DeleteFunc(was.full, func(x *Lane) bool { return x == l })
		l.blockedAt = time.Time{}
	}
	l.endpoint, l.misses, l.answers = p, 0, 0
	p.lanes++
}

// Share tells every limit which of all partitions are ours to call for, and how
// many we work on, those that are handed over included.
func (s *Scheduler) Share(own []int32, all, partitions int, now time.Time) {
	s.share, s.partitions = pace.NewShare(own, all), partitions
	s.ownings.add(own, all, s.share, now)
	clear(s.owners)
	for _, l := range s.ordered {
		if l.limit != nil {
			clear(l.asked)
			l.limit.Own(s.share, now)
			l.size(partitions, s.cfg.Window)
			s.reschedule(l, now)
		}
	}
}

// SetConcurrency changes how many calls may be in flight.
func (s *Scheduler) SetConcurrency(n int, now time.Time) {
	s.cfg.Concurrency = n
	for _, p := range s.endpoints {
		p.adaptive.SetBound(n)
		s.release(p, now)
	}
	for _, l := range s.ordered {
		if l.endpoint.own {
			l.endpoint.adaptive.SetBound(n)
			s.release(l.endpoint, now)
		}
	}
}
