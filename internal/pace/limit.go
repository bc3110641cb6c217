package pace

import "time"

// A Scope says who may use a merchant's slots.
type Scope int

const (
	// Group: the members of the group share the limit by the partitions they own.
	Group Scope = iota
	// Partition: all intents of a merchant are in one partition, so that whoever
	// has an intent of it has the whole limit.
	Partition
)

// A Limit is one merchant's pace in one process. It is exact over all replicas,
// which agree without talking: wall-clock time is cut into slots a little
// longer than the interval T of the rate, each slot belongs to one partition
// of the intent topic, and so to the one member that owns the partition. Every
// call uses up one slot, any intent's. So the rate of all replicas together is
// right by construction, a share shrinks at once when a partition is revoked,
// and calls of different replicas do not come together.
//
// # The bound
//
// In any window w the gateway sees at most (w+J)/T' + max(burst, replicas)
// calls. T' = 1.005 T is the length of a slot; J is the slack for late timers
// (5 ms, for slow rates T/50 up to 100 ms; twice that where T is shorter than
// it) plus the difference between the members' clocks. So for windows of at
// least 200 J (one second, with the clocks in step) it is at most
// w/T + max(burst, replicas), what S5 asks; and in shorter ones as many more as
// a network that delays calls by J would make of it. replicas are the processes
// whose turns were used within the window, also those that were killed in it.
//
// Why it holds. A member saves unused slots, at most c = burst × share, at
// least one; that is what lets an intent go at once after a quiet time, though
// the slot of the moment is another member's. A slot has one user: a member
// uses slots that began while it owned their partition, and a new owner none
// that begin before it had it for one interval, longer than clocks differ. So
// let S be the slots that begin in the window, s of them a given member's. It
// makes at most c+s calls: c saved, s new. One less, if s > 0: when it calls
// with a full store and not at the start of a slot, the next slot is forfeited;
// had the store been less than full, it would have been c-1 saved; at the start
// of a slot that found the store full, that slot gave nothing. So it makes at
// most c-1+max(1, s), and all together Σc - R + S + (members with s = 0), where
// at least one has s > 0 unless S = 0: at most Σc + S - 1, and S ≤ w/T' + 1.
// Σc ≤ max(burst, R), as long as the group gives out partitions evenly (to
// within one), which ours does. Taking slots up to a slack late, and clocks
// that differ, make the window wider: J.
//
// With a burst of one a slot is used without a forfeit as long as it is on, not only
// at its start. For this let the slots count that are on at some time of the window:
// at most w/T' + 2, s of them a given member's. One that uses the turn of a slot that
// is over forfeits its next, so it makes at most max(1, s) calls. If two members with
// s > 0 call, all make at most w/T' + 2 + (replicas - 2). If one does, the gap rule
// below, which binds every member, leaves it w/T' + 1, and the others one each.
//
// A member that owns everything needs no forfeits: the gap rule of a GCRA (no
// call before the theoretical arrival time, less leeway) binds it to the bound,
// and a stall costs it only the time of the stall. It forfeits what it saved and
// one slot when it has to share.
//
// # Turns that are lent
//
// A member without a token asks another for one of its (Lend). The lender uses it up,
// as in Take; the one that asked calls within LoanFor of its question, or never. No
// clocks are compared: a question comes before its answer, so that the call is made
// within LoanFor of the loan too. A call counts as of the member whose turn it was, so
// in the bound a replica that lent within the window is one that called. Who borrows
// does so beside its own limit, which does not change.
//
// The bound stays, as every call still uses up one token of one store; but the lender
// does not know when. So until the loan is over, the token counts as saved: what is
// saved and what is lent is at most c, and slots that begin while that is full give
// nothing. At its end the turn is spent as by a call at that moment: with the same
// forfeit, and with the gap that follows. For a call that came before, the store held
// more than it had to, never less: either a slot began since, which then gave nothing,
// as if forfeited, or the same slot was on all the time.
//
// A loan is not longer than a gained slot is left alone (guard). So when a lender
// loses its share, or dies, its loans are over before the first slot that another
// uses in its place; until then its store counts in Σc. With a burst the gainer's store
// grows in that moment, so that the gained slot is left alone for a loan longer. Who
// owns everything, or soon will, lends nothing: the gap rule alone would have to know
// when the call came.
//
// A clock that is set forward or back while calls are made is beyond the bound
// for the moment of the jump; going on later is not: a clock set back by more
// than a second starts the limit anew.
//
// A Limit is not safe for concurrent use. Times must come from time.Now, or
// carry the wall clock in another way.
type Limit struct {
	merchant uint64
	scope    Scope
	rate     Rate
	grid     grid

	stages []stage // the first counts now, the others from their time on
	full   int64   // how many tokens are saved
	tokens int64   // unused slots
	owes   bool    // the next slot is forfeited
	lent   []loan  // turns that were taken for others, the oldest first

	at     int64 // last time seen
	seen   int64 // last slot that was looked at
	filled int64 // last own slot
	tat    int64 // theoretical arrival time: own calls at an even pace, the last one included
}

// A stage is a share that counts from a time on. Each is within the next.
type stage struct {
	share *Share
	from  int64
}

// maxStages is how many gains are told apart before they wait for the latest.
const maxStages = 8

// NewLimit returns the limit of a merchant. It has no share yet: nothing may go
// before Own.
func NewLimit(merchantID string, r Rate, scope Scope) *Limit {
	l := &Limit{merchant: merchantHash(merchantID), scope: scope, rate: r}
	l.grid = newGrid(r, l.merchant)
	l.stages = append(make([]stage, 0, 2), stage{share: &Share{total: 1}})
	l.reshape(false)
	return l
}

// Next returns when a call may go: now, if at once; later, or earlier than it
// turns out, if shares change meanwhile. It reports false if this member has no
// share, and gets none by waiting.
func (l *Limit) Next(now time.Time) (time.Time, bool) {
	t := l.settle(now)
	if l.grid.step == 0 {
		return now, l.share().size() > 0
	}
	at := t
	if l.tokens == 0 {
		slot, ok := l.nextSlot()
		if !ok {
			return time.Time{}, false
		}
		at = max(t, l.grid.start(slot))
	}
	at = max(at, l.tat-l.grid.leeway())
	return now.Add(time.Duration(at - t)), true
}

// Take uses the right to call. It reports false, and changes nothing, if no
// call may go now.
func (l *Limit) Take(now time.Time) bool {
	t := l.settle(now)
	if l.grid.step == 0 {
		return l.share().size() > 0
	}
	if l.tokens == 0 || t < l.tat-l.grid.leeway() {
		return false
	}
	l.spend(t)
	l.tokens--
	l.tat = max(t, l.tat) + l.grid.step
	return true
}

// spend forfeits the next slot if a turn is used at a time when the store is full, and
// it is not the turn of a slot that is on.
func (l *Limit) spend(t int64) {
	if l.saved() >= l.full && !l.alone() && t-l.grid.start(l.filled) > l.grid.fresh() {
		l.owes = true
	}
}

// Own says what this member owns from now on. What it lost is lost at once;
// what it gained counts after one interval, and with a burst when the loans of the one
// that lost it are over besides. Who lost something forfeits its next slot: it may have
// lost it a while ago, and what it forfeited meanwhile was another's.
func (l *Limit) Own(s *Share, now time.Time) {
	t := l.settle(now)
	alone := l.alone()
	if l.scope == Partition {
		l.ownAll(s)
	} else {
		if !l.stages[len(l.stages)-1].share.within(s) {
			l.owes = true
		}
		l.ownSome(s, t+l.grid.guard())
	}
	l.reshape(alone)
	l.settle(now)
}

// SetRate changes the rate. What is in force stays so until all members know.
func (l *Limit) SetRate(r Rate, now time.Time) {
	if r == l.rate {
		return
	}
	t := l.settle(now)
	l.rate, l.grid = r, newGrid(r, l.merchant)
	l.restart(t)
	l.reshape(false)
}

// Rate returns the merchant's rate, of all members together.
func (l *Limit) Rate() Rate { return l.rate }

// Interval is the mean time between two slots of this member: zero if there is
// no limit, or no share.
func (l *Limit) Interval() time.Duration {
	s := l.share()
	if s.size() == 0 || l.alone() {
		return time.Duration(l.grid.step)
	}
	return time.Duration(l.grid.step * s.total / s.size())
}

func (l *Limit) share() *Share { return l.stages[0].share }

// alone reports whether all slots are this member's.
func (l *Limit) alone() bool {
	s := l.share()
	return s.size() == s.total || l.scope == Partition && s.size() > 0
}

// ownAll is Own where a member that has anything may use every slot. The
// partition of the merchant may be among those gained, and its last owner may
// just have used all that was saved: begin with an empty store, and leave one
// slot out.
func (l *Limit) ownAll(s *Share) {
	if !s.within(l.share()) {
		l.tokens, l.owes = 0, true
	}
	l.stages[0].share = s
}

// ownSome is Own where members share the slots.
func (l *Limit) ownSome(s *Share, from int64) {
	for i := range l.stages {
		l.stages[i].share = l.stages[i].share.and(s)
	}
	last := &l.stages[len(l.stages)-1]
	switch {
	case s.within(last.share):
	case len(l.stages) < maxStages:
		l.stages = append(l.stages, stage{s, from})
	default:
		*last = stage{s, from}
	}
}

// reshape fits the store to the share.
func (l *Limit) reshape(wasAlone bool) {
	s, g := l.share(), &l.grid
	if g.step == 0 {
		return
	}
	mine, of := s.size(), s.total
	if l.alone() {
		mine = of
	} else if wasAlone {
		l.tokens, l.owes = 0, true
	}
	l.full = max(1, g.burst*mine/of) + g.slack*mine/(g.step*of)
	l.tokens = min(l.tokens, l.room())
	if s.size() == 0 {
		l.tokens = 0
	}
}

// settle brings the limit up to now, which it returns in nanoseconds.
func (l *Limit) settle(now time.Time) int64 {
	t := now.UnixNano()
	if t < l.at-int64(setBack) {
		l.restart(t)
	}
	l.at = t
	for {
		from, until := l.due(t)
		if from > t && until > t {
			break
		}
		if until <= from {
			if l.grid.step > 0 {
				l.fill(l.grid.slot(until))
			}
			l.expire()
			continue
		}
		if l.grid.step > 0 {
			l.fill(l.grid.firstFrom(from) - 1)
		}
		alone := l.alone()
		l.stages = append(l.stages[:0], l.stages[1:]...)
		l.reshape(alone)
	}
	if l.grid.step > 0 {
		l.fill(l.grid.slot(t))
	}
	return t
}

// due is when the next stage begins to count, and when the oldest loan ends: after t,
// if there is none.
func (l *Limit) due(t int64) (from, until int64) {
	from, until = t+1, t+1
	if len(l.stages) > 1 {
		from = l.stages[1].from
	}
	if len(l.lent) > 0 {
		until = l.lent[0].until
	}
	return from, until
}

// restart begins with an empty store: the slots are others than before.
func (l *Limit) restart(t int64) {
	l.at, l.tokens = t, 0
	if l.grid.step > 0 {
		l.seen = l.grid.slot(t)
	}
	l.tat = min(l.tat, t+l.grid.step)
	for i := range l.stages {
		l.stages[i].from = min(l.stages[i].from, t+l.grid.guard())
	}
	for i := range l.lent {
		l.lent[i].until = min(l.lent[i].until, t+int64(LoanFor))
	}
}

// fill saves the own slots up to the given one.
func (l *Limit) fill(slot int64) {
	if slot <= l.seen {
		return
	}
	n := l.owned(slot) - l.owned(l.seen)
	l.seen = slot
	if n == 0 {
		return
	}
	l.filled = slot
	if !l.alone() {
		l.filled = l.share().last(slot)
	}
	if l.owes {
		l.owes = false
		n--
	}
	l.tokens = min(l.tokens+n, l.room())
}

// room is how many tokens the store has room for, besides what is lent.
func (l *Limit) room() int64 { return max(0, l.full-int64(len(l.lent))) }

// owned counts the own slots up to the given one.
func (l *Limit) owned(slot int64) int64 {
	switch s := l.share(); {
	case l.alone():
		return slot
	case s.size() == 0:
		return 0
	default:
		return s.upTo(slot)
	}
}

// nextSlot returns the next slot that may be used, at the earliest.
func (l *Limit) nextSlot() (slot int64, ok bool) {
	if l.share().size() > 0 {
		slot, ok = l.slotAfter(l.share(), l.seen), true
		if l.owes {
			slot = l.slotAfter(l.share(), slot)
		}
	}
	for _, later := range l.stages[1:] { // what a nearer one gained may be lost again
		if later.share.size() == 0 {
			continue
		}
		if gained := l.slotAfter(later.share, l.grid.firstFrom(later.from)-1); !ok || gained < slot {
			slot, ok = gained, true
		}
	}
	return slot, ok
}

func (l *Limit) slotAfter(s *Share, slot int64) int64 {
	if l.alone() || s.size() == s.total {
		return slot + 1
	}
	return s.after(slot)
}
