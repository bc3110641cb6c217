package model

import "slices"

// The size of the model of turns that are lent. A tick is the unit of time.
const (
	sharers   = 2 // members
	mostSlots = 3 // of a round, each a partition's
	slotTicks = 2 // length of a slot, and so the interval of the rate
	loanTicks = 2 // for how long after an Ask a call may be made
	guard     = 2 // for how long a gained slot is left alone
	mostLives = 4 // that are told apart in a window
	lives     = 8 // in use at one moment; running out of them is a panic
)

// A Lending says how members go about a merchant's turns. The zero value is as it is
// built, for two slots, a burst of one and clocks that agree.
type Lending struct {
	Slots   uint8 // more than two
	Burst   uint8 // more than one
	Ahead   uint8 // by how many ticks the second member's clock is ahead
	NoLoans bool  // nobody lends

	// What is left out, or is otherwise.
	NoDebt      bool // whoever loses a slot forfeits nothing
	Shorter     bool // a gained slot is left alone for no longer with a burst
	NoGuard     bool // a gained slot is used at once
	LateUse     bool // a loan is used after its end
	DoubleUse   bool // a loan that comes twice is used twice
	Kept        bool // a turn that is lent is not used up
	Uncounted   bool // a turn that is lent does not count as saved
	NoForfeit   bool // nothing is forfeited at the end of a loan
	EarlyGap    bool // the gap that follows a loan is counted from when it was lent
	ZombieLends bool // whoever may not call lends
	AloneLends  bool // whoever owns everything, or soon does, lends
	Endless     bool // a loan is never over for the one that lent it
}

// The properties.
const (
	S5  Property = "S5: in any time w there are at most w/T + max(burst, replicas) calls"
	Own Property = "who is lent nothing has its own turns"
)

// A Moment is everything at one moment: pace.Limit of all members, what is under way
// between them, and a window of time in which calls are counted. It begins with any
// call, so that the search looks at every window.
type Moment struct {
	time   uint8 // in ticks, within the round
	sharer [sharers]sharer
	loans  [sharers][loanTicks + 2]uint8 // under way to a member, by how long ago it asked: a bit per life that lent

	window  bool
	counted uint8 // whose turns were used in it: a bit per life
	turns   uint8 // how many lives those were, up to mostLives
	over    int8  // the calls in it that are more than max(burst, replicas), in ticks, less its length
}

// A sharer is one member's pace.Limit.
type sharer struct {
	life   uint8            // no other life of a process has its number
	zombie bool             // the group has taken all from it, and it does not know
	has    [mostSlots]uint8 // 0: not its own; 1: its own; more: in so many ticks less one
	tokens uint8
	owes   bool
	gap    uint8            // until the theoretical arrival time
	on     uint8            // ticks since its last own slot began
	lent   [loanTicks]uint8 // turns that are lent, by the tick at which the loan ends
}

func (v Lending) slots() uint8 { return max(v.Slots, 2) }
func (v Lending) burst() uint8 { return max(v.Burst, 1) }

func (m *sharer) size() (n uint8) {
	for _, h := range m.has {
		if h == 1 {
			n++
		}
	}
	return n
}

// soon reports whether the member owns everything, or will.
func (v Lending) soon(m *sharer) bool {
	for _, h := range m.has[:v.slots()] {
		if h == 0 {
			return false
		}
	}
	return true
}

// key puts members into some order.
func (m *sharer) key() (k uint64) {
	for _, x := range []uint8{m.has[0], m.has[1], m.has[2], m.tokens, m.gap, m.on, m.lent[0], m.lent[1]} {
		k = k<<5 | uint64(x)
	}
	if m.owes {
		k |= 1 << 60
	}
	if m.zombie {
		k |= 1 << 61
	}
	return k
}

func (v Lending) alone(m *sharer) bool { return m.size() == v.slots() }

func (v Lending) full(m *sharer) uint8 { return max(1, v.burst()*m.size()/v.slots()) }

// out is how many turns are lent, of those that count.
func (v Lending) out(m *sharer) (n uint8) {
	for _, k := range m.lent {
		n += k
	}
	if v.Uncounted {
		return 0
	}
	return n
}

func (v Lending) room(m *sharer) uint8 { return v.full(m) - min(v.full(m), v.out(m)) }

// mayGo reports whether a turn may be used, or lent.
func (v Lending) mayGo(m *sharer) bool {
	return m.tokens > 0 && m.gap <= (v.burst()-1)*slotTicks
}

// take is Limit.Take, and lend Limit.Lend.
func (v Lending) take(m *sharer) {
	v.spend(m)
	m.tokens--
	m.gap += slotTicks
}

func (v Lending) lend(m *sharer) {
	if v.Kept {
		return
	}
	m.tokens--
	if !v.EarlyGap {
		m.gap = max(m.gap, loanTicks)
	}
	m.gap += slotTicks
	m.lent[loanTicks-1]++
}

// spend is Limit.spend.
func (v Lending) spend(m *sharer) {
	fresh := uint8(0)
	if v.burst() == 1 {
		fresh = slotTicks
	}
	if m.tokens+v.out(m) >= v.full(m) && !v.alone(m) && m.on > fresh {
		m.owes = true
	}
}

// reshape is Limit.reshape.
func (v Lending) reshape(m *sharer, wasAlone bool) {
	if wasAlone && !v.alone(m) {
		m.tokens, m.owes = 0, true
	}
	m.tokens = min(m.tokens, v.room(m))
	if m.size() == 0 {
		m.tokens = 0
	}
}

// gain and lose are Limit.Own.
func (v Lending) gain(m *sharer, slot uint8) {
	switch wasAlone := v.alone(m); {
	case v.NoGuard:
		m.has[slot] = 1
		v.reshape(m, wasAlone)
	case v.burst() > 1 && !v.Shorter:
		m.has[slot] = guard + loanTicks + 1
	default:
		m.has[slot] = guard + 1
	}
}

func (v Lending) lose(m *sharer, slot uint8) {
	wasAlone := v.alone(m)
	if !v.NoDebt && m.has[slot] != 0 {
		m.owes = true
	}
	m.has[slot] = 0
	v.reshape(m, wasAlone)
}

// rejoin is to hear that all is lost.
func (v Lending) rejoin(m *sharer) {
	m.zombie = false
	for k := range m.has {
		v.lose(m, uint8(k))
	}
}

// settle is Limit.settle, a tick later.
func (v Lending) settle(m *sharer, time uint8) {
	m.gap, m.on = max(m.gap, 1)-1, min(m.on+1, slotTicks+1)
	begins := time%slotTicks == 0
	if !v.Endless {
		if m.lent[0] > 0 && begins { // with the share of before
			v.fill(m, time/slotTicks)
			begins = false
		}
		for ; m.lent[0] > 0; m.lent[0]-- {
			if !v.NoForfeit {
				v.spend(m)
			}
		}
		copy(m.lent[:], m.lent[1:])
		m.lent[loanTicks-1] = 0
	}
	wasAlone := v.alone(m)
	for i := range m.has {
		if m.has[i] > 1 {
			m.has[i]--
		}
	}
	v.reshape(m, wasAlone)
	if begins {
		v.fill(m, time/slotTicks)
	}
}

// fill is Limit.fill, as a slot begins.
func (v Lending) fill(m *sharer, slot uint8) {
	switch {
	case m.has[slot] != 1:
	case m.owes:
		m.on, m.owes = 0, false
	default:
		m.on, m.tokens = 0, min(m.tokens+1, v.room(m))
	}
}

// count counts a call of the window.
func (v Lending) count(s *Moment, life uint8) {
	most := max(s.turns, v.burst())
	if s.counted>>life&1 == 0 {
		s.counted |= 1 << life
		s.turns = min(s.turns+1, mostLives)
	}
	s.over += int8(slotTicks * (1 + most - max(s.turns, v.burst())))
}

func (v Lending) start() (s Moment) {
	for i := range s.sharer {
		s.sharer[i] = sharer{life: uint8(i), on: slotTicks + 1}
	}
	return s
}

// normal forgets what is of no use, and gives up who is who.
func (v Lending) normal(s Moment) Moment {
	for i := range s.sharer {
		v.forget(&s.sharer[i], s.time)
	}
	if v.Ahead != 0 {
		return s.named()
	}
	o := s
	o.sharer[0], o.sharer[1] = s.sharer[1], s.sharer[0]
	o.loans[0], o.loans[1] = s.loans[1], s.loans[0]
	if k, l := s.sharer[0].key(), s.sharer[1].key(); k != l {
		if k < l {
			return s.named()
		}
		return o.named()
	}
	s, o = s.named(), o.named()
	if slices.Compare(s.bits(), o.bits()) < 0 {
		return s
	}
	return o
}

// bits is what two moments may differ in whose members differ in nothing.
func (s *Moment) bits() []uint8 {
	return append(slices.Concat(s.loans[0][:], s.loans[1][:]), s.counted)
}

// named gives the lives the lowest numbers.
func (s Moment) named() Moment {
	var to [lives]uint8
	n := uint8(0)
	name := func(life uint8) uint8 {
		if to[life] == 0 {
			n++
			to[life] = n
		}
		return to[life] - 1
	}
	for i := range s.sharer {
		s.sharer[i].life = name(s.sharer[i].life)
	}
	for i := range s.loans {
		for ago, by := range s.loans[i] {
			s.loans[i][ago] = 0
			for life := uint8(0); by>>life != 0; life++ {
				if by>>life&1 == 1 {
					s.loans[i][ago] |= 1 << name(life)
				}
			}
		}
	}
	counted := s.counted
	s.counted = 0
	for life := range uint8(lives) {
		if counted>>life&1 == 1 && to[life] > 0 {
			s.counted |= 1 << (to[life] - 1)
		}
	}
	return s
}

// forget drops what cannot matter until it is set anew.
func (v Lending) forget(m *sharer, time uint8) {
	if m.tokens > 0 || m.lent != [loanTicks]uint8{} {
		return
	}
	m.on = slotTicks + 1
	if v.burst() == 1 && v.Ahead == 0 && m.gap <= slotTicks-time%slotTicks {
		m.gap = 0
	}
}

// broken says whether a step breaks S5.
func (Lending) broken(_ *Moment, _ Step, to *Moment) Property {
	if to.over > 0 {
		return S5
	}
	return ""
}

// done reports whether whoever owns slots has a turn.
func (v Lending) done(s *Moment) bool {
	for i := range s.sharer {
		m := &s.sharer[i]
		if m.has != [mostSlots]uint8{} && !m.zombie && !v.mayGo(m) {
			return false
		}
	}
	return true
}

func (Lending) onward() Property { return Own }
