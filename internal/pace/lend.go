package pace

import "time"

// What lending goes by. How long a loan lasts is a rule of the group: whoever lends
// counts on borrowers that keep to it.
const (
	// LoanFor is for how long after an Ask a call may be made for the Loan, at most.
	LoanFor = 400 * time.Millisecond

	// worthAsking is how far the next own slot is away, at least, when it pays to ask.
	worthAsking = leastGuard
)

// A loan is a turn that is lent.
type loan struct {
	until  int64 // a call may be made for it until then
	from   string
	number uint64 // of the Ask, by the one that it is from
}

// loanFor is for how long a loan lasts: not longer than a gained slot is left alone, so
// that who gains a partition uses no slot of it before all loans of the one that lost
// it are over.
func (g *grid) loanFor() int64 { return min(int64(LoanFor), g.interval()) }

// Lend uses up the right to call for the member that asked, as Take does. It reports
// false, and changes nothing, if there is none to lend.
func (l *Limit) Lend(ask Note, now time.Time) bool {
	t := l.settle(now)
	if l.grid.step == 0 || l.scope != Group || l.tokens == 0 || t < l.tat-l.grid.leeway() {
		return false
	}
	// Who owns everything, or soon does, has nobody to lend to; and its own calls must not
	// come between those of others.
	if last := l.stages[len(l.stages)-1].share; l.alone() || last.size() == last.total {
		return false
	}
	until := t + l.grid.loanFor()
	l.tokens--
	l.tat = max(until, l.tat) + l.grid.step
	l.lent = append(l.lent, loan{until, ask.From, ask.Number})
	return true
}

// HasLent reports whether the turn was lent that is asked for, and may still be called
// for: the Ask came twice.
func (l *Limit) HasLent(ask Note, now time.Time) bool {
	l.settle(now)
	for _, x := range l.lent {
		if x.from == ask.From && x.number == ask.Number {
			return true
		}
	}
	return false
}

// expire ends the oldest loan: from now on the call was made. Until then the turn
// counted as saved, as the call might have come at any moment.
func (l *Limit) expire() {
	l.spend(l.lent[0].until)
	l.lent = append(l.lent[:0], l.lent[1:]...)
}

// saved is how many turns are saved, those included that may still be called for
// elsewhere.
func (l *Limit) saved() int64 { return l.tokens + int64(len(l.lent)) }

// Loan is for how long after an Ask a call may be made for it.
func (l *Limit) Loan() time.Duration { return time.Duration(l.grid.loanFor()) }

// Lacks reports whether this member has to wait for its next slot for so long that it
// pays to ask others for a turn.
func (l *Limit) Lacks(now time.Time) bool {
	if l.grid.step == 0 || l.scope != Group || l.alone() {
		return false
	}
	next, ok := l.Next(now)
	return ok && l.tokens == 0 && next.Sub(now) > worthAsking
}

// Owns reports whether a slot is this member's own by the share that is in force.
func (l *Limit) Owns(slot int64, now time.Time) bool {
	l.settle(now)
	return l.grid.step > 0 && slot > 0 && l.share().has(slot)
}

// Others returns the newest slot before a given one that has begun by now, and is not
// this member's own. It reports false if all such slots are older than one round.
func (l *Limit) Others(before int64, now time.Time) (slot int64, ok bool) {
	newest := l.grid.slot(l.settle(now))
	s := l.stages[len(l.stages)-1].share // what will be ours is nobody's
	for k := min(before-1, newest); k > newest-s.total; k-- {
		if !s.has(k) {
			return k, true
		}
	}
	return 0, false
}

// NextSlot is when the next slot begins, anybody's.
func (l *Limit) NextSlot(now time.Time) time.Time {
	t := l.settle(now)
	return now.Add(time.Duration(l.grid.start(l.grid.slot(t)+1) - t))
}

// Place is which place of the round a slot is at: the same for all merchants, as long
// as the share is.
func (l *Limit) Place(slot int64) int64 { return slot % l.stages[len(l.stages)-1].share.total }
