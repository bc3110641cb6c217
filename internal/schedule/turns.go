package schedule

import (
	"math"
	"strconv"
	"time"

	"paylink/internal/pace"
)

// What asking for turns goes by. A lane asks for a slot of another member once at
// most, and one after another: the newest first, as its owner is the likeliest to have
// saved it. So a lane says at most one Ask a slot; and, as each that brings no loan is
// taken from an allowance, at most two in one interval of its own, or ten a second.
// With as many answers, all members together say at most four notes for each slot of a
// merchant, and two for each loan. A lane that has a turn, or no work, says nothing.
const (
	// patience is how long to wait for an answer before somebody else is asked.
	patience = 100 * time.Millisecond

	// settles is how long after a slot began its owner is asked for it: by its clock it
	// may begin a little later.
	settles = 20 * time.Millisecond

	// allowance is how many asks a lane may say at once that bring no loan, and
	// leastApart how far such are apart in the long run, at least.
	allowance  = 8
	leastApart = 100 * time.Millisecond

	// farOff is how much longer an ask may seem to hold than any does: clocks differ.
	farOff = time.Second
)

// A borrowing is what a lane knows of turns that others may lend it.
type borrowing struct {
	lends   bool
	asks    []question       // that may still be answered, the oldest first
	asked   map[string]int64 // the newest slot there was when somebody was asked, by who it was
	askNext time.Time        // nobody is asked before
	spent   time.Time        // when the allowance is whole again
	lent    []string         // by whom turns were lent that are to be used now
}

// A question is an Ask that was said.
type question struct {
	number uint64
	at     time.Time
	slot   int64
	newest int64
}

// Turns counts what has become of turns that are lent.
type Turns struct {
	Asked    int
	Lent     int // by us
	Declined int // by us
	Borrowed int // calls that were made for loans of others
	Lost     int // loans of others that came too late, or when there was nothing to call for
}

// Notes returns what is to be said to the other members, and what has become of turns,
// since it was asked for last.
func (s *Scheduler) Notes() ([]pace.Note, Turns) {
	n, t := s.notes, s.turns
	s.notes, s.turns = nil, Turns{}
	return n, t
}

// Hear takes in what another member said. A loan is used by the next steps, or lost.
func (s *Scheduler) Hear(n pace.Note, now time.Time) {
	l := s.lanes[n.Merchant]
	switch {
	case l == nil || l.limit == nil || !l.lends || n.From == s.cfg.Name:
	case n.Kind == pace.Ask:
		s.answer(l, n, now)
	case n.To == s.cfg.Name:
		s.answered(l, n, now)
	}
}

// answer lends the turn that is asked for, if its slot is ours and we have no use for
// it. An ask of another time is not answered, and neither is one that comes again.
func (s *Scheduler) answer(l *Lane, ask pace.Note, now time.Time) {
	holds := ask.Until.Sub(now)
	if holds <= 0 || holds > pace.LoanFor+farOff || !l.limit.Owns(ask.Slot, now) || l.limit.HasLent(ask, now) {
		return
	}
	n := pace.Note{Kind: pace.Decline, Merchant: ask.Merchant, Slot: ask.Slot, From: s.cfg.Name, To: ask.From, Number: ask.Number}
	if l.len() == 0 && l.limit.Lend(ask, now) {
		n.Kind, n.Until = pace.Loan, now.Add(l.limit.Loan()).Round(0)
		s.turns.Lent++
	} else {
		s.turns.Declined++
	}
	s.notes = append(s.notes, n)
}

// answered takes in the answer to an ask of ours, once.
func (s *Scheduler) answered(l *Lane, n pace.Note, now time.Time) {
	for i, q := range l.asks {
		if q.number != n.Number {
			continue
		}
		last := i == len(l.asks)-1
		l.asks = append(l.asks[:i], l.asks[i+1:]...)
		s.owners[l.limit.Place(q.slot)] = n.From
		l.asked[n.From] = max(l.asked[n.From], q.newest)
		switch {
		case n.Kind == pace.Loan && q.isOpen(l.limit.Loan(), now):
			l.lent = append(l.lent, n.From)
			s.borrowers = append(s.borrowers, l)
			l.spent = l.spent.Add(-l.apart())
		case n.Kind == pace.Loan:
			s.turns.Lost++
		case last:
			l.askNext = now
		}
		s.reschedule(l, now)
		return
	}
	if n.Kind == pace.Loan {
		s.turns.Lost++
	}
}

// isOpen reports whether a call may still be made for the answer, by both clocks: the
// one stands still while the machine sleeps, the other can be set.
func (q question) isOpen(loan time.Duration, now time.Time) bool {
	took, wall := now.Sub(q.at), now.Round(0).Sub(q.at.Round(0))
	return took <= loan && wall <= loan && wall >= 0
}

// mayAsk is when somebody may be asked for a turn. It reports false if none is
// lacking, or something else keeps the lane from calling.
func (l *Lane) mayAsk(now time.Time) (at time.Time, ok bool) {
	if !l.lends || l.limit == nil || l.gone || l.crowded || !l.endpoint.hasRoom(l) || !l.limit.Lacks(now) {
		return time.Time{}, false
	}
	calls, ok := l.callsAt(now)
	at = later(later(calls, l.endpoint.breaker.Next(now)), later(l.askNext, l.spent.Add(-(allowance-1)*l.apart())))
	return at, ok
}

// apart is how far asks that bring no loan are apart in the long run.
func (l *Lane) apart() time.Duration { return max(l.limit.Interval()/2, leastApart) }

// ask asks for a turn, if it is time.
func (s *Scheduler) ask(l *Lane, now time.Time) {
	if at, ok := l.mayAsk(now); !ok || at.After(now) {
		return
	}
	if !s.hasRoom() {
		l.askNext = now.Add(patience)
		return
	}
	newest, ok := l.limit.Others(math.MaxInt64, now)
	slot := newest
	for ; ok && s.hasAsked(l, slot, newest); slot, ok = l.limit.Others(slot, now) {
	}
	if !ok { // all have been asked
		l.askNext = l.limit.NextSlot(now).Add(settles)
		return
	}
	for len(l.asks) > 0 && !l.asks[0].isOpen(l.limit.Loan(), now) {
		l.asks = l.asks[1:]
	}
	s.numbers++
	l.asks = append(l.asks, question{s.numbers, now, slot, newest})
	l.asked[s.owner(l, slot)] = newest
	l.askNext = now.Add(patience)
	l.spent = later(l.spent, now).Add(l.apart())
	s.turns.Asked++
	s.notes = append(s.notes, pace.Note{
		Kind: pace.Ask, Merchant: l.merchant, Slot: slot, From: s.cfg.Name, Number: s.numbers, Until: now.Add(l.limit.Loan()).Round(0),
	})
}

// hasAsked reports whether the owner of a slot was asked since the slot began.
func (s *Scheduler) hasAsked(l *Lane, slot, newest int64) bool {
	when := l.asked[s.owner(l, slot)]
	return slot <= when && when <= newest // later: by another rate, or another clock
}

// owner is who owns a slot, as answers have shown, or its place if none has.
func (s *Scheduler) owner(l *Lane, slot int64) string {
	place := l.limit.Place(slot)
	if name, ok := s.owners[place]; ok {
		return name
	}
	return strconv.FormatInt(place, 10)
}

// loseLoans gives up turns that were lent, and that no call was made for.
func (s *Scheduler) loseLoans(now time.Time) {
	for _, l := range s.borrowers {
		if len(l.lent) > 0 {
			s.turns.Lost += len(l.lent)
			l.lent = nil
			s.reschedule(l, now)
		}
	}
	clear(s.borrowers)
	s.borrowers = s.borrowers[:0]
}

// take uses up the right to call: a turn that was lent, which is used now or never, or
// else an own one. It returns who lent it; empty: nobody.
func (l *Lane) take(now time.Time) (lender string) {
	switch {
	case len(l.lent) > 0:
		lender, l.lent = l.lent[0], l.lent[1:]
	case l.limit != nil:
		l.limit.Take(now)
	}
	return lender
}

// LentBy is who lent the turn for the call that is made for the work; empty: it is an
// own one.
func (w *Work) LentBy() string {
	if w.call == nil {
		return ""
	}
	return w.call.lentBy
}
