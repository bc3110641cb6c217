package schedule

import (
	"slices"
	"time"

	"paylink/internal/pace"
)

// An Endpoint is one gateway host: its merchants share whether it works, and how
// many calls it can take.
type Endpoint struct {
	name     string
	breaker  pace.Breaker
	adaptive *pace.Adaptive
	usage
	lanes   int     // that are bound to it
	full    []*Lane // those that wait for a call of it to end, in their order
	blocks  *bool   // of the scheduler: whether lanes may wait for a call of any to end
	was     pace.State
	last    string // cause of the newest failure
	answers uint64 // calls that were answered
	own     bool   // of one lane, which alone fails
	fresh   bool   // for IsDown
}

func newEndpoint(name string, concurrency int, blocks *bool) *Endpoint {
	return &Endpoint{name: name, adaptive: pace.NewAdaptive(concurrency), blocks: blocks}
}

// isFull reports whether it has as many calls in flight as it can take.
func (p *Endpoint) isFull() bool { return p.inFlight >= p.adaptive.Allowed() }

// hasRoom reports whether a lane may have one more call of it in flight. Since it can take
// fewer, those that hang may be more than that: they do not fill the last place.
func (p *Endpoint) hasRoom(l *Lane) bool {
	if l.hangs() || p.lanes == 1 {
		return !p.isFull() && p.mayTake(l)
	}
	most := p.adaptive.Allowed()
	return p.inFlight-max(0, p.hanging-(most-1)) < most
}

// block has a lane wait until a call ends.
func (p *Endpoint) block(l *Lane, now time.Time) {
	if l.blockedAt.IsZero() {
		l.blockedAt = now
		p.full = append(p.full, l)
		*p.blocks = true
	}
}

// judge tells breaker and adaptive how a call went. That our credentials are
// refused says nothing of how well the gateway works, but that it is there: a
// merchant on hold may be the only one left to find that out.
func (p *Endpoint) judge(began, now time.Time, how How) {
	switch how {
	case Unasked:
		return
	case Denied:
		if p.breaker.State(now) == pace.Open {
			p.breaker.Done(began, now, false)
		}
		return
	}
	// A refusal is an answer: it shows that the gateway works.
	failed := how == Unanswered
	if p.breaker.Done(began, now, failed); !failed {
		p.adaptive.Answered(now, now.Sub(began))
	}
}

// isDown reports whether it fails broadly and not even a probe is due. Whoever
// could have made that probe may have been lost with its partition, or have
// expired, and then only a fresh record can find out whether it is back.
func (p *Endpoint) isDown(now time.Time) bool {
	return p.breaker.State(now) == pace.Open && p.breaker.Next(now).After(now)
}

// IsDown reports whether every endpoint is down, and they are all that there are, and
// each may be probed for work that was not called for yet: then nothing needs to be
// fetched either. What was called for may be odd, and its probes show nothing, whatever
// the gateway does. all is how many endpoints there are; 0: not known.
func (s *Scheduler) IsDown(all int, now time.Time) bool {
	if all == 0 || len(s.endpoints) < all {
		return false
	}
	for _, p := range s.endpoints {
		if p.fresh = false; !p.isDown(now) {
			return false
		}
	}
	for _, l := range s.ordered {
		l.endpoint.fresh = l.endpoint.fresh || !l.hold.on && l.queues[First].Len() > 0
	}
	return !slices.ContainsFunc(s.endpoints, func(p *Endpoint) bool { return !p.fresh })
}

const (
	aloneFails   = 8 // so many more calls of a lane have failed than were answered
	aloneAnswers = 2 // while so many of others were answered: since its newest answer, or since a call began that failed
)

// tellApart takes in how a call of a lane went, to an endpoint. One whose calls fail while
// those of others are answered does not share their endpoint, but has one of its own, with
// a breaker of its own, until as many of its calls are answered as failed.
func (s *Scheduler) tellApart(l *Lane, p *Endpoint, c *call, how How, now time.Time) {
	if failed := l.misses > 0; failed != (how == Unanswered) { // it goes before others, or not any more
		defer s.reschedule(l, now)
	}
	switch {
	case how == Unasked, l.endpoint != p:
		return
	case how != Unanswered:
		p.answers++
		l.answers++
		l.misses, l.missed = max(0, l.misses-1), l.others()
		if p.own && l.misses == 0 {
			s.moveTo(s.endpoint(p.name), l)
			s.reschedule(l, now)
			s.changed(Change{Kind: AnsweredAgain, Merchant: l.merchant})
		}
		return
	case l.misses == 0:
		l.missed = l.others()
	}
	l.misses = min(l.misses+1, aloneFails)
	if l.misses >= aloneFails && l.others()-min(l.missed, c.others) >= aloneAnswers && !p.own {
		own := newEndpoint(p.name, s.cfg.Concurrency, new(bool))
		own.own = true
		s.moveTo(own, l)
		l.misses = aloneFails
		s.reschedule(l, now)
		s.changed(Change{Kind: FailsAlone, Merchant: l.merchant, Cause: p.last})
	}
}

// others is how many calls of other lanes of its endpoint were answered.
func (l *Lane) others() uint64 { return l.endpoint.answers - l.answers }

// endpoint returns the endpoint of that name.
func (s *Scheduler) endpoint(name string) *Endpoint {
	p := s.byName[name]
	if p == nil {
		p = newEndpoint(name, s.cfg.Concurrency, &s.blocked)
		s.byName[name] = p
		s.endpoints = append(s.endpoints, p)
	}
	return p
}

// told keeps a change of an endpoint's state.
func (s *Scheduler) told(p *Endpoint, now time.Time) {
	state := p.breaker.State(now)
	if state == p.was || p.lanes == 0 {
		return
	}
	if p.was = state; p.own {
		return
	}
	kind := EndpointBack
	if state == pace.Open {
		kind = EndpointDown
	}
	s.changed(Change{Kind: kind, Endpoint: p.name, State: state.String(), Cause: p.last})
}

// release lets lanes go that waited for a call of an endpoint to end, as many as
// there is room for. It reports whether there were any.
func (s *Scheduler) release(p *Endpoint, now time.Time) (any bool) {
	for room := max(1, p.adaptive.Allowed()-p.inFlight); room > 0 && len(p.full) > 0; any = true {
		l := firstToGo(&p.full, p.hasRoom)
		if l == nil {
			break
		}
		l.blockedAt = time.Time{}
		if l.index < 0 {
			continue
		}
		if s.reschedule(l, now); !l.next.After(now) {
			room--
		}
	}
	return any
}

// releaseAll lets lanes go that still wait although their endpoint has room: whom
// release gave the room to has made no call, because its work was overdue, or its
// partition is not ours any more. It reports whether there were any.
func (s *Scheduler) releaseAll(now time.Time) (any bool) {
	if !s.blocked { // there may be as many endpoints as merchants
		return false
	}
	s.blocked = false
	for _, p := range s.endpoints {
		any = s.release(p, now) || any
		s.blocked = s.blocked || len(p.full) > 0
	}
	return any
}
