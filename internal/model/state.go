package model

// The size of the model.
const (
	members   = 2
	intents   = 2  // at offsets 0 and 1 of the one partition, with different keys
	maxEpochs = 10 // in use at one moment; running out of them is a panic
)

// A State is everything at one moment. It holds no history: of epochs only the
// order matters, and of generations only whether a claim is of the newest. So
// crashes, pauses, hand-overs and fences need no bound.
type State struct {
	owner     uint8 // whom the group gave the partition
	committed uint8 // offset

	coord   uint8 // the newest epoch that the transaction coordinator gave away
	pending bool  // its transaction has ended, its marker is not written yet

	leader uint8            // the newest epoch that the leader of the outcome partition has seen
	once   uint8            // the outcomes in the log: a bit per intent
	twice  uint8            // those of them that are there again
	net    [maxEpochs]uint8 // appends under way, by epoch: each may arrive at any time, or never

	member [members]member
}

// A member is one process, and its claim on the partition.
type member struct {
	phase   phase
	current bool // the claim is of the group's newest generation: it is no zombie
	served  bool // was fenced once: its engine works, also while a new fence is made
	told    uint8
	task    [intents]stage

	fence   uint8 // epoch of the fence that is being made
	unfixed bool  // where the ledger starts is still to be asked
	skipped uint8 // outcomes before the ledger's start
	marked  bool  // our marker is in the log, or a newer one
	before  uint8 // outcomes between the ledger's start and that marker

	writer uint8 // epoch that the writer appends under
	there  bool  // the leader has the append in flight, and says so
}

type phase uint8

const (
	idle    phase = iota // has no claim
	fencing              // asks for an epoch
	ending               // ends the empty transaction
	reading              // reads the ledger up to its marker
	serving              // the writer may append
)

// A stage is how far a claim is with an intent.
type stage uint8

const (
	todo   stage = iota // the ledger did not know it when its turn came: waits for its call
	stale               // so, but the ledger knows it by now: it was read on with a new fence
	inHand              // the gateway has answered
	flight              // its append is under way
	settled
)

// inFlight returns the intent whose append a member waits for.
func (m *member) inFlight() (intent uint8, ok bool) {
	for k, t := range m.task {
		if t == flight {
			return uint8(k), true
		}
	}
	return 0, false
}

// normal returns the one state that stands for all that differ from s only in
// what can never matter again, or in who is who: the owner is member 0.
func (p Protocol) normal(s State) State {
	s.member[0], s.member[s.owner] = s.member[s.owner], s.member[0]
	s.owner = 0
	for i := range s.member {
		p.forget(&s, &s.member[i])
	}
	if !p.NoFence {
		clear(s.net[:s.leader])
	}
	s.renumber()
	return s
}

// forget drops what a member will not use any more. Epochs only rise: an older
// one will be refused for ever, whichever it was.
func (p Protocol) forget(s *State, m *member) {
	if p.Leases && !m.current && !p.AnyCommit { // finds out before it does anything but fence
		*m = member{phase: m.phase, served: m.served, fence: m.fence, unfixed: m.unfixed, marked: m.marked}
	}
	if !m.current && !p.AnyCommit {
		m.told = 0
	}
	if m.phase == serving || m.phase == fencing || m.phase == ending && m.fence < s.coord {
		m.fence, m.marked, m.before = 0, false, 0
	}
	k, flying := m.inFlight()
	if m.phase != serving && !flying || !p.NoFence && m.writer < s.leader {
		m.writer = 0
		if flying && m.phase != serving && !m.there {
			m.task[k] = inHand // as the new fence will have it
		}
	}
}

// renumber gives the epochs that are in use the lowest numbers, in their order.
func (s *State) renumber() {
	var used [maxEpochs]bool
	used[s.coord], used[s.leader] = true, true
	for i := range s.member {
		used[s.member[i].fence], used[s.member[i].writer] = true, true
	}
	var to, net [maxEpochs]uint8
	n := uint8(0)
	for e := 1; e < maxEpochs; e++ {
		if used[e] || s.net[e] != 0 {
			n++
			to[e], net[n] = n, s.net[e]
		}
	}
	s.coord, s.leader, s.net = to[s.coord], to[s.leader], net
	for i := range s.member {
		m := &s.member[i]
		m.fence, m.writer = to[m.fence], to[m.writer]
	}
}

// The properties. L1 is looked at only where no other but Once is broken.
const (
	S1     Property = "S1: at most one outcome per intent is visible"
	S2     Property = "S2: no offset is committed before the outcomes below it are durable"
	Onward Property = "a commit never moves the offset back"
	Once   Property = "an intent that the caller's ledger knows as answered is not called"
	L1     Property = "L1: without further faults every intent is answered and committed, whatever the order of steps"
)

// broken says which property a step breaks, if any.
func (Protocol) broken(s *State, step Step, next *State) Property {
	switch below := uint8(1)<<next.committed - 1; {
	case next.twice != 0:
		return S1
	case below&^next.once != 0:
		return S2
	case next.committed < s.committed:
		return Onward
	case step.again:
		return Once
	}
	return ""
}

func (Protocol) start() State       { return State{} }
func (Protocol) onward() Property   { return L1 }
func (Protocol) done(s *State) bool { return s.once == 1<<intents-1 && s.committed == intents }
