package model

import (
	"fmt"
	"strings"
)

// The actions; the package comment says where in the code they are.
const (
	Tick    Action = "half a slot passes{begins}"
	Turn    Action = "{who} calls, by a turn of its own{window}"
	Lend    Action = "{whom} asks for a turn, and {who} lends it one"
	Borrow  Action = "{who} calls, by a loan of {whom}, for which it asked {ago} ticks ago{window}"
	Gain    Action = "the group gives slot {slot} to {who}"
	Give    Action = "{who} gives slot {slot} up"
	Expel   Action = "the group takes all slots from {who}, which does not hear of it"
	Rejoin  Action = "{who} hears that it lost its slots"
	Restart Action = "{who} crashes, and is started again"
)

// A lending takes every step that a moment allows, and gives what it leads to.
type lending struct {
	Lending
	from Moment
	out  func(Step, Moment)
}

func (v Lending) steps(s Moment, out func(Step, Moment)) {
	x := lending{v, s, out}
	x.tick()
	for i := range uint8(sharers) {
		x.group(i)
		x.pace(i)
		x.notes(i)
	}
}

// by is a step of a member; do changes the moment that it leads to.
func (x *lending) by(i uint8, step Step, do func(*Moment, *sharer)) {
	next := x.from
	step.who, step.fault = i, true
	do(&next, &next.sharer[i])
	x.out(step, next)
}

func (x *lending) tick() {
	next := x.from
	next.time = (next.time + 1) % (x.slots() * slotTicks)
	for i := range next.sharer {
		x.settle(&next.sharer[i], (next.time+uint8(i)*x.Ahead)%(x.slots()*slotTicks))
		copy(next.loans[i][1:], next.loans[i][:])
		next.loans[i][0] = 0
		if !x.LateUse {
			next.loans[i][loanTicks+1] = 0
		}
	}
	if next.window {
		x.pass(&next)
	}
	x.out(Step{Action: Tick}, next)
}

// group is what the group does with a member.
func (x *lending) group(i uint8) {
	m := &x.from.sharer[i]
	owns := false
	for k, h := range m.has[:x.slots()] {
		step := Step{slot: uint8(k)}
		switch {
		case m.zombie:
		case h > 0:
			owns = true
			step.Action = Give
			x.by(i, step, func(_ *Moment, me *sharer) { x.lose(me, step.slot) })
		case x.isFree(k):
			step.Action = Gain
			x.by(i, step, func(_ *Moment, me *sharer) { x.gain(me, step.slot) })
		}
	}
	if owns {
		x.by(i, Step{Action: Expel}, func(_ *Moment, me *sharer) {
			me.zombie = true
			if !x.NoDebt && !x.ZombieLends {
				x.rejoin(me) // to hear of it later makes no difference: what it does until then is undone
			}
		})
	}
	if m.zombie {
		x.by(i, Step{Action: Rejoin}, func(_ *Moment, me *sharer) { x.rejoin(me) })
	}
	x.by(i, Step{Action: Restart}, func(next *Moment, me *sharer) {
		*me = sharer{life: next.unused(), on: slotTicks + 1}
		next.loans[i] = [loanTicks + 2]uint8{}
	})
}

// isFree reports whether the group may give a slot to a member.
func (x *lending) isFree(slot int) bool {
	for _, m := range x.from.sharer {
		if m.has[slot] != 0 && !m.zombie {
			return false
		}
	}
	return true
}

// unused returns a number that no life has that matters.
func (s *Moment) unused() (life uint8) {
	used := s.counted
	for i := range s.sharer {
		used |= 1 << s.sharer[i].life
		for _, by := range s.loans[i] {
			used |= by
		}
	}
	for used>>life&1 == 1 {
		life++
	}
	if life >= lives {
		panic("model: too few lives")
	}
	return life
}

// pace is what a member does with a turn of its own.
func (x *lending) pace(i uint8) {
	m := &x.from.sharer[i]
	if !m.zombie && x.mayGo(m) {
		x.call(i, Step{Action: Turn}, m.life, func(_ *Moment, me *sharer) { x.take(me) })
	}
	if !x.lends(m) {
		return
	}
	for k := range uint8(sharers) {
		if k != i {
			x.by(i, Step{Action: Lend, whom: k}, func(next *Moment, me *sharer) {
				x.lend(me)
				next.loans[k][0] |= 1 << me.life
			})
		}
	}
}

// notes is what a member hears.
func (x *lending) notes(i uint8) {
	for ago, by := range x.from.loans[i] {
		for life := range uint8(lives) {
			if by>>life&1 == 1 && !x.from.sharer[i].zombie {
				x.call(i, Step{Action: Borrow, whom: life, ago: uint8(ago)}, life, func(next *Moment, _ *sharer) {
					if !x.DoubleUse {
						next.loans[i][ago] &^= 1 << life
					}
				})
			}
		}
	}
}

// lends reports whether a member may lend a turn.
func (x *lending) lends(m *sharer) bool {
	return !x.NoLoans && x.mayGo(m) && (!m.zombie || x.ZombieLends) && (!x.soon(m) || x.AloneLends)
}

// call is a step with a call, which uses a turn of a life. A window begins with any.
func (x *lending) call(i uint8, step Step, life uint8, do func(*Moment, *sharer)) {
	x.by(i, step, func(next *Moment, me *sharer) {
		do(next, me)
		if next.window {
			x.count(next, life)
		}
	})
	if !x.from.window && !x.Endless { // that is about something else
		x.by(i, step, func(next *Moment, me *sharer) {
			do(next, me)
			next.window, next.over = true, -int8(x.burst()*slotTicks+x.Ahead)
			x.count(next, life)
		})
	}
}

// pass is a tick of a window. One with so few calls is given up: from its next call on
// there is one that holds no fewer for its length.
func (x *lending) pass(s *Moment) {
	s.over--
	switch low := -int8(max(s.turns, x.burst())*slotTicks + x.Ahead); {
	case s.over > low:
	case s.turns == mostLives:
		s.over = low // it may have had more lives: more calls than there were
	default:
		s.window, s.counted, s.turns, s.over = false, 0, 0, 0
	}
}

// tell says what a step does.
func (v Lending) tell(step Step, from, to *Moment) string {
	name := func(i uint8) string {
		if from.sharer[i].zombie {
			return "zombie " + string(rune('A'+i))
		}
		return string(rune('A' + i))
	}
	whom := name(step.whom % sharers)
	if step.Action == Borrow {
		whom = "a former life"
		for i := range from.sharer {
			if from.sharer[i].life == step.whom {
				whom = name(uint8(i))
			}
		}
	}
	begins, window := "", ""
	if to.time%slotTicks == 0 {
		begins = fmt.Sprintf(", slot %d begins", to.time/slotTicks)
	}
	if to.window && !from.window {
		window = ": the window begins"
	}
	return strings.NewReplacer("{who}", name(step.who), "{whom}", whom, "{slot}", fmt.Sprint(step.slot),
		"{ago}", fmt.Sprint(step.ago), "{begins}", begins, "{window}", window).Replace(string(step.Action))
}
