package schedule

import (
	"slices"
	"time"
)

// Calls that hang take the room of others: of those in flight there may be so many, in
// all and of an endpoint. So a merchant whose calls hang may have three times as many of
// them as all such merchants leave over: one has three quarters of the room, two have
// three sevenths each, and so on. The last place is for those whose calls are quick.
// Before it is known whose hang, the last sixteenth is for those that have none in
// flight. Where there is nobody else, all is one's own.
const (
	// hangTime is after how long a call hangs.
	hangTime = 2 * time.Second

	// mostHung is how many calls that hung are remembered of a lane, about: a quick one
	// makes up for half of them.
	mostHung = 8

	hangShare  = 3  // times what is left over
	spareShare = 16 // one of so many calls is for a lane that has none
)

// A usage is how many calls are in flight where there may be so many.
type usage struct {
	inFlight int
	hanging  int // of lanes that hang
}

// mayHang reports whether one more call may be in flight of a lane that hangs, where
// there may be so many.
func (u usage) mayHang(l *Lane, most int) bool {
	return u.hanging == 0 || u.hanging+1 < most && len(l.calls) < hangShare*(most-u.hanging)
}

// mayTake reports whether a lane may have one more call in flight, as far as it is to
// leave room to others.
func (s *Scheduler) mayTake(l *Lane) bool {
	most := s.cfg.Concurrency
	switch {
	case s.isAlone():
		return true
	case len(l.calls) > 0 && s.inFlight >= most-max(1, most/spareShare):
		return false
	}
	return !l.hangs() || s.mayHang(l, most)
}

// isAlone reports whether there is one merchant.
func (s *Scheduler) isAlone() bool {
	return len(s.ordered) == 1 && (s.cfg.Merchants == nil || s.cfg.Merchants() == 1)
}

// mayTake is the same of an endpoint's calls.
func (p *Endpoint) mayTake(l *Lane) bool {
	return p.lanes == 1 || !l.hangs() || p.mayHang(l, p.adaptive.Allowed())
}

// hangs reports whether calls of the lane hang: one in flight, or some not long ago.
func (l *Lane) hangs() bool { return l.hung > 0 }

// begins counts a call that begins.
func (s *Scheduler) begins(c *call) {
	s.young = append(s.young, c)
	c.lane.calls = append(c.lane.calls, c)
	s.inFlight++
	c.endpoint.inFlight++
	if c.lane.hangs() {
		s.count(c, 1)
	}
}

// ends does not count it any more.
func (s *Scheduler) ends(c *call, now time.Time) {
	l := c.lane
	i := slices.Index(l.calls, c)
	l.calls = slices.Delete(l.calls, i, i+1)
	c.over = true
	s.inFlight--
	c.endpoint.inFlight--
	if l.hangs() {
		s.count(c, -1)
	}
	switch {
	case now.Sub(c.began) >= hangTime:
		s.hang(l, min(l.hung+1, mostHung))
	case len(l.calls) > 0 && now.Sub(l.calls[0].began) >= hangTime:
		s.hang(l, max(l.hung/2, 1))
	default:
		s.hang(l, l.hung/2)
	}
}

// notice finds the lanes that have a call in flight which hangs.
func (s *Scheduler) notice(now time.Time) {
	for len(s.young) > 0 {
		c := s.young[0]
		if !c.over && now.Sub(c.began) < hangTime {
			return
		}
		if s.young = s.young[1:]; !c.over {
			s.hang(c.lane, max(c.lane.hung, 1))
		}
	}
}

// hang notes how many calls of a lane hung.
func (s *Scheduler) hang(l *Lane, n int) {
	hung := l.hangs()
	l.hung = n
	switch {
	case hung == l.hangs():
		return
	case hung:
		for _, c := range l.calls {
			s.count(c, -1)
		}
		return
	case l.crowded:
		s.crowds(l)
	}
	for _, c := range l.calls {
		s.count(c, 1)
	}
}

// crowds says that what waits in a lane that hangs is to be in nobody's way.
func (s *Scheduler) crowds(l *Lane) { s.changed(Change{Kind: Crowds, Merchant: l.merchant}) }

// count counts a call of a lane that hangs, or not any more.
func (s *Scheduler) count(c *call, by int) {
	s.hanging += by
	c.endpoint.hanging += by
}

// firstToGo takes the first lane out of a queue that may go, or that has no work any more.
func firstToGo(queue *[]*Lane, mayGo func(*Lane) bool) *Lane {
	i := slices.IndexFunc(*queue, func(l *Lane) bool { return l.index < 0 || mayGo(l) })
	if i < 0 {
		return nil
	}
	l := (*queue)[i]
	if i == 0 {
		*queue = (*queue)[1:]
	} else {
		*queue = slices.Delete(*queue, i, i+1)
	}
	return l
}
