package kafkaio

import (
	"slices"
	"time"
)

// A State is what a source says of itself at one moment.
type State struct {
	Membership Membership
	Partitions []Partition // assigned to us, or still being handed over; in order
	Counters   Counters
	Troubles   []Trouble // that stand now, in order

	// Missing names the rights that the brokers do not grant us and something waits
	// for, each in one sentence.
	Missing []string

	// Unlent is why no turns are lent though there should be a topic for them, and
	// since when; empty: they are.
	Unlent      string
	UnlentSince time.Time
}

// A Membership is how we stand with the group.
type Membership struct {
	Joined bool      // the group has given us our partitions, perhaps none, and has not lost us since
	Since  time.Time // when Joined last changed; zero: never
	Live   bool      // the lease stands, see Source.Live

	// The last error of brokers or group, nil if there was none, and when it came. It
	// stays when the trouble is over: compare its time.
	Trouble   error
	TroubleAt time.Time

	// Refused is why a broker does not let us in now, a *LoginError; nil: none does
	// that. Connections that stand may go on all the same. It is the Trouble, too.
	Refused error
}

// A PartitionState is how far a partition has come in our hands.
type PartitionState int

// The states of a partition, in the order of its life.
const (
	Fencing  PartitionState = iota // older owners are being shut out
	Loading                        // its ledger is being read
	Running                        // its intents are worked on
	Draining                       // it is being handed over
)

// String returns the state in one word.
func (s PartitionState) String() string {
	return [...]string{"fencing", "loading", "running", "draining"}[s]
}

// A Partition is one partition of the intent topic in our hands. Offsets that are
// not known yet are -1.
type Partition struct {
	Number    int32
	Assigned  bool // the group gave it to us; if not, it is only still being handed over
	State     PartitionState
	Committed int64 // offset
	Fetched   int64 // offset to fetch from next
	End       int64 // offset, as of the last fetch
}

// Lag is how many records are not fetched yet; -1: not known.
func (p Partition) Lag() int64 {
	if p.End < 0 || p.Fetched < 0 {
		return -1
	}
	return max(0, p.End-p.Fetched)
}

// Counters count since the source was made.
type Counters struct {
	CorruptBatches  uint64 // could not be read; their partition stands still
	LostRecords     uint64 // deleted by retention before they were read
	NewProducerIDs  uint64 // fences begun anew, because the coordinator had forgotten us
	BrokenFences    uint64 // somebody else fenced what we owned
	RecordsAppended uint64
	AppendRetries   uint64
	FetchErrors     uint64
}

// State returns how the source stands now. It may be called at any time.
func (s *Source) State() State {
	m := s.metrics
	membership, partitions := s.member.state()
	membership.Live = s.lease.live()
	if r := s.logins.refusal(); r.err != nil { // what else is said is its consequence
		membership.Trouble, membership.TroubleAt, membership.Refused = r.err, r.at, r.err
	}
	turns := s.turns.state()
	return State{Membership: membership, Partitions: partitions, Missing: s.rights.list(), Troubles: s.troubles.list(), Unlent: turns.why, UnlentSince: turns.since, Counters: Counters{
		CorruptBatches: m.corrupt.n.Load(), LostRecords: m.lostRecords.n.Load(),
		NewProducerIDs: m.newProducers.n.Load(), BrokenFences: m.refences.n.Load(),
		RecordsAppended: m.appended.n.Load(), AppendRetries: m.retries.n.Load(), FetchErrors: m.fetchErrors.n.Load(),
	}}
}

// state tells of the membership and of every partition that is assigned or in our
// hands. One whose claim was lost and has not ended yet begins anew after that, if
// it is assigned; else it is gone.
func (m *member) state() (Membership, []Partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Partition
	for p, c := range m.claims {
		if c.isLost() {
			continue
		}
		is := c.state()
		is.Assigned = m.assigned[p]
		out = append(out, is)
	}
	for p := range m.assigned {
		if m.stopping {
			break // nothing begins any more
		}
		if c := m.claims[p]; c == nil || c.isLost() {
			out = append(out, Partition{Number: p, Assigned: true, State: Fencing, Committed: -1, Fetched: -1, End: -1})
		}
	}
	slices.SortFunc(out, func(a, b Partition) int { return int(a.Number - b.Number) })
	return m.membership, out
}

func (c *claim) state() Partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := Partition{Number: c.partition, State: c.stage, Committed: c.done.committed, Fetched: -1, End: c.input.end}
	if c.done.settled >= 0 {
		p.Fetched = c.input.next
	}
	if c.isDraining() {
		p.State = Draining
	}
	return p
}

// joinedLocked notes whether the group has given us partitions.
func (m *member) joinedLocked(joined bool) {
	if m.membership.Joined != joined {
		m.membership.Joined, m.membership.Since = joined, time.Now()
	}
}

// noteTrouble notes an error of brokers or group; nil is none.
func (m *member) noteTrouble(err error) {
	if err == nil {
		return
	}
	m.s.routes.doubt()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.membership.Trouble, m.membership.TroubleAt = err, time.Now()
}
