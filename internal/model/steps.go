package model

// A Protocol says how members and brokers go about it. The zero value is the
// protocol as it is built, but for the leases: every zombie acts.
type Protocol struct {
	Leases bool // only who owns the partition calls and sends

	NoFence      bool // a new producer id, not a new epoch, and no marker: the ledger is read to its end
	NoMarkerWait bool // the ledger is read to its end as soon as EndTxn has answered
	NoReread     bool // after a new fence the ledger is not read on
	NoAsk        bool // a broken fence is made anew without asking the group whose the partition is
	LateStart    bool // the ledger's start is asked for after the fence
	TornStart    bool // "is anything younger?" and "where is the end?" are two requests, in this order
	EarlyCommit  bool // what is sent counts as settled
	AnyCommit    bool // the group takes commits of every generation
	NoSequence   bool // the leader does not know a batch that it has already
}

// A Step is an action, of a member and about an intent or a slot where it has those.
type Step struct {
	Action             Action
	who, intent, epoch uint8
	whom, slot, ago    uint8
	fault              bool // fairness may not rely on it
	again              bool // a call for an intent that the caller's ledger knows as answered
}

// A move takes every step that a state allows, and gives what it leads to.
type move struct {
	Protocol
	from State
	out  func(Step, State)
}

func (p Protocol) steps(s State, out func(Step, State)) {
	v := move{p, s, out}
	for i := range uint8(members) {
		v.group(i)
		v.fence(i)
		v.work(i)
		v.writer(i)
	}
	v.brokers()
}

// by is a step of a member; do changes the state that it leads to.
func (v *move) by(i uint8, step Step, do func(*State, *member)) {
	next := v.from
	step.who = i
	do(&next, &next.member[i])
	v.out(step, next)
}

// group is what a member and the group coordinator do.
func (v *move) group(i uint8) {
	s, m := &v.from, &v.from.member[i]
	v.by(i, Step{Action: HandOver, fault: true}, func(next *State, _ *member) {
		next.owner = i
		for k := range next.member {
			next.member[k].current = false
		}
	})
	if m.phase == idle {
		if s.owner == i {
			v.by(i, Step{Action: Take}, v.take)
		}
		return
	}
	v.by(i, Step{Action: Crash, fault: true}, drop)
	if !m.current {
		v.by(i, Step{Action: Notice}, drop)
	}
	w := uint8(0) // the unbroken run of settled offsets
	for w < intents && (m.task[w] == settled || v.EarlyCommit && m.task[w] == flight) {
		w++
	}
	if w > m.told && (m.current || v.AnyCommit) {
		v.by(i, Step{Action: Commit}, func(next *State, me *member) { next.committed, me.told = w, w })
	}
}

func drop(_ *State, me *member) { *me = member{} }

// take begins a claim. The ledger starts with the first outcome, all being in
// its window, or at the end.
func (v *move) take(s *State, me *member) {
	*me = member{phase: fencing, current: true, told: s.committed}
	me.unfixed = v.LateStart || v.TornStart && s.once == 0
	for k := range s.committed {
		me.task[k] = settled
	}
}

// fence makes the fence, and reads the ledger.
func (v *move) fence(i uint8) {
	s, m := &v.from, &v.from.member[i]
	ended := s.leader >= m.fence // the marker is there: an earlier EndTxn did it, its answer got lost
	toEnd := v.NoFence || v.NoMarkerWait
	switch {
	case m.unfixed && m.phase == reading: // LateStart
		v.by(i, Step{Action: FixStart}, func(_ *State, me *member) {
			me.unfixed, me.marked = false, m.marked && m.before != 0 // else it starts after the marker
		})
	case m.unfixed && m.phase == fencing && v.TornStart:
		v.by(i, Step{Action: FixStart}, func(_ *State, me *member) { me.unfixed, me.skipped = false, s.once })
	case m.phase == fencing && !s.pending: // else CONCURRENT_TRANSACTIONS, until the marker is written
		v.by(i, Step{Action: InitProducer, epoch: s.coord + 1}, func(next *State, me *member) {
			next.coord++
			me.phase, me.fence = ending, next.coord
			if v.NoFence {
				me.phase = reading
			}
		})
	case m.phase == ending && m.fence < s.coord:
		v.ask(i, FencedOut, FencedOutBlind)
	case m.phase == ending && (!s.pending || ended):
		v.by(i, Step{Action: EndTxn, epoch: m.fence}, func(next *State, me *member) {
			next.pending, me.phase = !ended, reading
			if v.NoReread && m.served {
				me.resume(0)
			}
		})
	case m.phase == reading && toEnd:
		v.by(i, Step{Action: Read}, func(_ *State, me *member) { me.resume(s.once) })
	case m.phase == reading && m.marked:
		v.by(i, Step{Action: Read}, func(_ *State, me *member) { me.resume(m.before) })
	case m.phase == serving && !v.NoFence:
		v.by(i, Step{Action: Renew, fault: true}, v.again)
	}
}

// resume goes on under the new fence, with what the ledger has read. What was in
// flight is queued again, but of what is answered nothing is published any more;
// where such an intent waits for its call, the call is due still.
func (m *member) resume(known uint8) {
	for k, t := range m.task {
		switch answered := known>>k&1 == 1; {
		case answered && t == todo && m.served:
			m.task[k] = stale
		case answered && t != stale:
			m.task[k] = settled
		case t == flight:
			m.task[k] = inHand
		}
	}
	m.phase, m.served, m.writer, m.fence = serving, true, m.fence, 0
	m.skipped, m.marked, m.before, m.there = 0, false, 0, false
}

// again begins a new fence of a claim that has, or had, one.
func (v *move) again(_ *State, me *member) {
	me.phase, me.unfixed = fencing, v.LateStart
	me.skipped, me.marked, me.before = 0, false, 0
}

// ask has the group say whose the partition is, after the fence was found
// broken: then a new fence, or the end of the claim. No answer, a new fence.
func (v *move) ask(i uint8, act, blind Action) {
	again := func(s *State, me *member) {
		v.again(s, me)
		me.there = false // the writer has heard something else
	}
	if v.from.member[i].current || v.NoAsk {
		v.by(i, Step{Action: act}, again)
		return
	}
	v.by(i, Step{Action: blind, fault: true}, again)
	v.by(i, Step{Action: act}, drop)
}

// work is the engine.
func (v *move) work(i uint8) {
	m := &v.from.member[i]
	if !m.served || v.Leases && !m.current {
		return
	}
	_, busy := m.inFlight()
	for k, t := range m.task {
		switch {
		case t == todo: // without an answer nothing changes
			v.by(i, Step{Action: Call, intent: uint8(k)}, func(_ *State, me *member) { me.task[k] = inHand })
		case t == stale: // the answer will be dropped
			v.by(i, Step{Action: Call, intent: uint8(k), again: true}, func(_ *State, me *member) { me.task[k] = settled })
		case t == inHand && m.phase == serving && !busy:
			v.by(i, Step{Action: Send, intent: uint8(k), epoch: m.writer}, func(next *State, me *member) {
				me.task[k] = flight
				next.net[m.writer] |= 1 << k
			})
		}
	}
}

// writer is what the writer hears of its append, or of the same bytes sent again.
func (v *move) writer(i uint8) {
	m := &v.from.member[i]
	k, busy := m.inFlight()
	if busy && m.there {
		v.by(i, Step{Action: Deliver, intent: k}, func(_ *State, me *member) { me.task[k], me.there = settled, false })
	}
	if busy && m.phase == serving && !v.NoFence && m.writer < v.from.leader { // INVALID_PRODUCER_EPOCH
		v.ask(i, Refused, RefusedBlind)
	}
}

// brokers is what comes to pass by itself: appends arrive, markers are written,
// requests arrive that nobody waits for.
func (v *move) brokers() {
	s := &v.from
	for e := range uint8(maxEpochs) {
		for k := range uint8(intents) {
			if s.net[e]>>k&1 == 1 && (e >= s.leader || v.NoFence) {
				v.by(0, Step{Action: Append, intent: k, epoch: e}, func(next *State, _ *member) { v.land(next, e, k) })
			}
		}
	}
	if s.pending {
		v.by(0, Step{Action: Marker, epoch: s.coord}, mark)
	} else if !v.NoFence {
		v.by(0, Step{Action: GhostInit, epoch: s.coord + 1, fault: true}, func(next *State, _ *member) { next.coord++ })
		if s.coord > s.leader {
			v.by(0, Step{Action: GhostEnd, epoch: s.coord, fault: true}, func(next *State, _ *member) { next.pending = true })
		}
	}
}

// mark writes the marker.
func mark(s *State, _ *member) {
	s.pending, s.leader = false, s.coord
	for i := range s.member {
		if m := &s.member[i]; (m.phase == ending || m.phase == reading) && !m.marked {
			m.marked, m.before = true, s.once&^m.skipped
		}
	}
}

// land appends. A batch lands once, however often it arrives: the leader knows
// its sequence number.
func (v *move) land(s *State, epoch, intent uint8) {
	bit := uint8(1) << intent
	s.once, s.twice = s.once|bit, s.twice|s.once&bit
	if !v.NoSequence {
		s.net[epoch] &^= bit
	}
	if !v.NoFence {
		s.leader = max(s.leader, epoch)
	}
	for i := range s.member {
		m := &s.member[i]
		if k, flying := m.inFlight(); flying && k == intent && m.writer == epoch {
			m.there = true
		}
	}
}
