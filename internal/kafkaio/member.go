package kafkaio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/sirupsen/logrus"

	"paylink/internal/kafkawire"
	"paylink/internal/pipeline"
)

// member is our place in the consumer group: joined by hand, cooperatively
// (partitions that stay are never interrupted) and, if it has an instance id,
// statically (a restart within the session timeout moves nothing).
//
// run joins and hands out claims; beat sends heartbeats all the while, also
// during a join and a drain, because a member that is silent for a session
// timeout loses everything, however good its reason. Nothing but an answer of
// the coordinator renews the lease.
type member struct {
	s     *Source
	woken chan struct{} // run should look again
	serve func(pipeline.Claim)
	bg    context.Context // outlives the caller's, for drains
	lives sync.WaitGroup  // the goroutines of claims

	committing chan struct{} // has a token in it while a commit is on its way

	uncommitted atomic.Bool // there may be something to commit

	given atomic.Int32 // partitions of the intent topic that the group gave out; zero: not yet

	outcomePartitions int // read once: p mod outcomePartitions must never change

	mu         sync.Mutex
	id         kafkawire.Member // ID "": the group does not know us
	joining    bool             // a join or sync is on its way
	rejoin     bool             // there is a reason to join again
	stopping   bool
	over       error            // why there is no way back into the group
	replacedAt time.Time        // when somebody last joined under our instance id
	drained    chan struct{}    // closed when it is stopping and no claim is left
	unsynced   bool             // the generation's assignment has not come yet: the group may wait for our sync
	gathering  time.Time        // newest heartbeat that found our last generation's members being gathered anew
	assigned   map[int32]bool   // what the group gave us last
	claims     map[int32]*claim // every claim whose goroutine has not ended
	membership Membership       // for State; Live is not kept here
	commits    failing          // commits
}

// joinBackoff is the wait after a join that failed.
const joinBackoff = 500 * time.Millisecond

func newMember(s *Source) *member {
	return &member{
		s: s, woken: make(chan struct{}, 1), drained: make(chan struct{}), committing: make(chan struct{}, 1),
		assigned: map[int32]bool{}, claims: map[int32]*claim{},
		id: kafkawire.Member{Group: s.cfg.Group, InstanceID: s.cfg.InstanceID},
	}
}

// run belongs to the group until ctx ends; then it drains all claims, commits
// and leaves. It returns an error when the group can never be joined.
func (m *member) run(ctx, background context.Context, serve func(pipeline.Claim)) error {
	m.bg, m.serve = background, serve
	m.outcomePartitions = m.s.routes.partitions(m.s.cfg.OutcomeTopic)
	joins, release := m.untilDrained(ctx)
	defer release()
	var err error
	for ctx.Err() == nil && err == nil {
		if err = m.ending(); err != nil {
			break
		}
		var got assignment
		if got, err = m.join(joins); err == nil {
			m.apply(got)
			m.stay(ctx)
			continue
		}
		if fatal := new(fatalError); !errors.As(err, fatal) {
			m.explainJoin(ctx, err)
			err = nil
			Sleep(ctx, joinBackoff)
		}
	}
	m.drainAll()
	<-m.drained
	m.lives.Wait()
	// Leaving comes last: until then the commits of the drains need our generation.
	m.leave()
	return err
}

// untilDrained is the context of joins: it outlives ctx until all claims are
// drained, which the end of ctx begins. To hang up on a join that stands open
// would leave us behind in a generation that the group has left, and cost the
// calls in flight. Who calls it has drained all claims before it calls release.
func (m *member) untilDrained(ctx context.Context) (joins context.Context, release func()) {
	joins, giveUp := context.WithCancel(m.bg)
	gone := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(gone)
		m.drainAll()
		<-m.drained
		giveUp()
	})
	return joins, func() {
		if !stop() {
			<-gone
		}
		giveUp()
	}
}

// ending returns an error when there is no going on: the group has taken our
// instance id away, or outcome partitions were added.
func (m *member) ending() error {
	if n := m.s.routes.partitions(m.s.cfg.OutcomeTopic); n != m.outcomePartitions {
		return fatalError{fmt.Errorf("topic %s has %d partitions now, had %d: outcomes of an intent partition would go "+
			"elsewhere; stop all members, then start them again", m.s.cfg.OutcomeTopic, n, m.outcomePartitions)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.over
}

// A fatalError ends the service: trying again cannot help.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

func (m *member) explainJoin(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	err = m.s.lacks(m.s.readsIntents(), err)
	m.noteTrouble(err)
	l := m.s.log.WithError(err)
	switch {
	case errors.Is(err, kafka.InconsistentGroupProtocol):
		m.sayRefused(l, "the group's other members are no paylink, or run with another number of outcome partitions: stop all "+
			"members, then start them again")
	case errors.Is(err, kafka.GroupMaxSizeReached):
		m.sayRefused(l, "the group has as many members as the brokers allow (group.max.size): run fewer replicas, or raise it")
	case errors.Is(err, kafka.GroupAuthorizationFailed):
		// the missing right was told
	default:
		m.s.bursts.Say("join", func() { l.Info("joining the group again") }, func(more int) {
			l.WithField("more", more).Info("goes on joining the group again")
		})
	}
}

// sayRefused tells, once per burst, why the group does not take us in.
func (m *member) sayRefused(l logrus.FieldLogger, why string) {
	m.s.bursts.Say("join", func() { l.Error(why) }, func(more int) { l.WithField("more", more).Error(why) })
}

// stay waits until there is a reason to join again, or ctx ends.
func (m *member) stay(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.s.routes.changed:
			return // more intent partitions: join again, so that they are given out
		case <-m.woken:
			m.mu.Lock()
			again := m.rejoin
			m.rejoin = false
			m.mu.Unlock()
			if again {
				return
			}
		}
	}
}

// join joins the group and returns what is given to us.
func (m *member) join(ctx context.Context) (a assignment, err error) {
	m.setJoining(true)
	defer m.setJoining(false)
	// so that the group refuses members with other outcome partitions
	protocol := fmt.Sprintf("paylink-sticky-%d", m.outcomePartitions)
	res, err := m.joinGroup(ctx, protocol)
	if err != nil {
		return a, err
	}
	sync := &kafka.SyncGroupRequest{
		GroupID: m.s.cfg.Group, GenerationID: res.GenerationID, MemberID: res.MemberID, GroupInstanceID: m.s.cfg.InstanceID,
		ProtocolType: "consumer", ProtocolName: protocol,
	}
	if res.LeaderID == res.MemberID && len(res.Members) > 0 {
		sync.Assignments = m.assignments(res.Members)
	}
	sent := time.Now()
	code := new(codeOfSync)
	got, err := call(ctx, m.s.cfg.RebalanceTimeout+10*time.Second,
		func(ctx context.Context) (*kafka.SyncGroupResponse, error) {
			c := kafka.Client{Addr: m.s.client.Addr, Transport: code.listening(m.s.client.Transport)}
			return c.SyncGroup(ctx, sync)
		})
	if err = cmp.Or(code.err(), err); err != nil {
		return a, m.failed("sync", res.MemberID, err)
	}
	m.mu.Lock()
	m.unsynced = false
	m.mu.Unlock()
	m.alive(sent) // as of the request: the answer may have been long on its way
	a.read(m.s.cfg.IntentTopic, got.Assignment)
	return a, nil
}

func (m *member) joinGroup(ctx context.Context, protocol string) (*kafka.JoinGroupResponse, error) {
	defer time.AfterFunc(m.s.cfg.heartbeatEvery()+2*time.Second, m.sayWaiting).Stop()
	for {
		req := m.joinRequest(protocol)
		res, err := call(ctx, m.s.cfg.RebalanceTimeout+m.s.cfg.SessionTimeout+10*time.Second,
			func(ctx context.Context) (*kafka.JoinGroupResponse, error) {
				return m.s.client.JoinGroup(ctx, req)
			})
		if err == nil {
			err = res.Error
		}
		if err != nil && Code(err) != kafka.MemberIDRequired {
			return nil, m.failed("join", req.MemberID, err)
		}
		m.joined(res, err == nil)
		if err == nil {
			return res, nil
		}
	}
}

// sayWaiting says what a join waits for that takes longer than it takes members that
// live to notice. It is said of the first one only: later ones interrupt nothing.
func (m *member) sayWaiting() {
	m.mu.Lock()
	first := m.membership.Since.IsZero()
	m.mu.Unlock()
	if !first {
		return
	}
	m.s.log.WithField("at_most", max(m.s.cfg.SessionTimeout, m.s.cfg.RebalanceTimeout).String()).
		Info("waiting for the group: a member that ended uncleanly, perhaps our former self, counts until its session " +
			"timeout is over; with a group instance id a restart need not wait")
}

// joined notes who we are from now on. In a new generation the coordinator waits for
// our sync, anew for a rebalance timeout. It began later than any heartbeat that found
// the old one; to count from when we sent the join would be wrong, because that may
// be a repetition, and the first one have been answered long ago.
func (m *member) joined(res *kafka.JoinGroupResponse, in bool) {
	m.mu.Lock()
	gathering := m.gathering
	isNext := in && m.id.ID == res.MemberID && m.id.Generation != int32(res.GenerationID) && !gathering.IsZero()
	m.id.ID = res.MemberID
	m.id.Generation = int32(res.GenerationID)
	m.unsynced = in
	m.mu.Unlock()
	if isNext {
		m.s.lease.settle(gathering)
	}
}

func (m *member) joinRequest(protocol string) *kafka.JoinGroupRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejoin = false
	var owned []int
	for p, c := range m.claims {
		if !c.isLost() {
			owned = append(owned, int(p))
		}
	}
	slices.Sort(owned)
	topic := m.s.cfg.IntentTopic
	note := joinNote{Partitions: m.s.routes.partitions(topic), After: m.id.Generation}
	return &kafka.JoinGroupRequest{
		GroupID: m.id.Group, MemberID: m.id.ID, GroupInstanceID: m.id.InstanceID,
		SessionTimeout: m.s.cfg.SessionTimeout, RebalanceTimeout: m.s.cfg.RebalanceTimeout, ProtocolType: "consumer",
		Protocols: []kafka.GroupProtocol{{Name: protocol, Metadata: kafka.GroupProtocolSubscription{
			Topics: []string{topic}, OwnedPartitions: map[string][]int{topic: owned}, UserData: encodeNote(note),
		}}},
	}
}

// failed decides what an error of join or sync means, which we sent as a member.
func (m *member) failed(step, as string, err error) error {
	err = fmt.Errorf("%s group %s: %w", step, m.s.cfg.Group, err)
	switch Code(err) {
	case kafka.UnknownMemberId, kafka.IllegalGeneration:
		m.lose(err)
	case kafka.FencedInstanceID:
		m.replaced(as, err)
		return cmp.Or(m.ending(), err)
	case kafka.InvalidSessionTimeout:
		return fatalError{fmt.Errorf("the brokers refuse a session timeout of %v (group.min.session.timeout.ms, "+
			"group.max.session.timeout.ms): %w", m.s.cfg.SessionTimeout, err)}
	}
	return err
}

// assignments is what the leader of the group gives out.
func (m *member) assignments(members []kafka.JoinGroupResponseMember) []kafka.SyncGroupRequestAssignment {
	topic := m.s.cfg.IntentTopic
	n := m.s.routes.partitions(topic)
	var cs []candidate
	for _, x := range members {
		c := candidate{id: x.ID, owned: numbers[int32](x.Metadata.OwnedPartitions[topic])}
		cs = append(cs, c)
		n = max(n, decodeNote[joinNote](x.Metadata.UserData).Partitions) // the first to hear of new ones tells all
	}
	given := assign(cs, n)
	var out []kafka.SyncGroupRequestAssignment
	for _, c := range cs {
		a := assignment{parts: given[c.id], note: syncNote{Partitions: n}}
		for _, p := range c.owned {
			if !slices.Contains(a.parts, p) {
				a.note.HandOver = append(a.note.HandOver, p)
			}
		}
		out = append(out, kafka.SyncGroupRequestAssignment{MemberID: c.id, Assignment: a.write(topic)})
	}
	return out
}

// apply makes the claims what the group gave us: it starts new ones and drains
// those that are to be handed over.
func (m *member) apply(a assignment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.id.ID == "" || m.stopping {
		return // lost again meanwhile, or on our way out
	}
	m.given.Store(int32(max(a.note.Partitions, len(a.parts))))
	m.joinedLocked(true)
	clear(m.assigned)
	var gained, handed []int32
	for _, p := range a.parts {
		m.assigned[p] = true
	}
	for p, c := range m.claims {
		if !m.assigned[p] && !c.isLost() {
			handed = append(handed, p)
			c.drain()
		}
	}
	for _, p := range a.parts {
		if m.claims[p] == nil {
			gained = append(gained, p)
			m.startLocked(p)
		}
	}
	slices.Sort(handed)
	m.s.metrics.assigned.Set(float64(len(a.parts)))
	m.s.log.WithField("generation", m.id.Generation).WithField("partitions", len(a.parts)).
		WithField("gained", fmt.Sprint(gained)).WithField("handing_over", fmt.Sprint(handed)).Info("partitions assigned")
	if m.outdatedLocked(a) {
		m.wakeLocked(true)
	}
}

// outdatedLocked reports whether an assignment was made for another state than
// ours, so that joining again is up to us. The brokers give a static member that
// comes back within its session what its former life was given, and tell nobody;
// but that life may have been asked to hand partitions over, which are nobody's
// now, or not have known of partitions that were added meanwhile.
func (m *member) outdatedLocked(a assignment) bool {
	gone := func(p int32) bool { return m.claims[p] == nil && !m.assigned[p] }
	return slices.ContainsFunc(a.note.HandOver, gone) ||
		a.note.Partitions > 0 && a.note.Partitions < m.s.routes.partitions(m.s.cfg.IntentTopic)
}

// startLocked begins a claim. There is never a second one of a partition: two
// would fence each other for ever.
func (m *member) startLocked(p int32) {
	c := newClaim(m.s, m.bg, p)
	m.claims[p] = c
	m.lives.Go(func() {
		c.run(m.serve)
		m.ended(c)
	})
}

// ended is told when a claim's life is over. A partition that is still ours, such
// as one whose topic was made again, is taken over anew.
func (m *member) ended(c *claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.claims, c.partition)
	if m.stopping {
		m.checkDrainedLocked()
		return
	}
	if m.assigned[c.partition] && m.id.ID != "" {
		m.startLocked(c.partition)
		return
	}
	for p, other := range m.claims {
		if !m.assigned[p] && !other.isLost() {
			return // joins again when the last one is drained
		}
	}
	m.wakeLocked(m.id.ID != "") // so that what we let go is given to others
}

func (m *member) wakeLocked(rejoin bool) {
	m.rejoin = m.rejoin || rejoin
	select {
	case m.woken <- struct{}{}:
	default:
	}
}

func (m *member) setJoining(on bool) {
	m.mu.Lock()
	m.joining = on
	m.mu.Unlock()
}

// identity returns who we are to the group; ok is false when we are nobody.
func (m *member) identity() (id kafkawire.Member, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id, m.id.ID != "" && m.id.Generation > 0
}

// lose drops all claims: the group does not count us in any more. The lease ends
// first, so that no call or append begins while the claims learn of it.
func (m *member) lose(why error) {
	m.s.lease.end()
	m.committed(nil) // there is nothing to commit any more
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.claims) > 0 {
		m.s.log.WithError(why).WithField("partitions", len(m.claims)).Warn("lost all partitions: joining the group anew")
		m.s.metrics.lost.Add(int64(len(m.claims)))
	}
	for _, c := range m.claims {
		c.lose()
	}
	clear(m.assigned)
	m.joinedLocked(false)
	m.s.metrics.assigned.Set(0)
	m.id.ID, m.id.Generation = "", 0
	m.unsynced, m.gathering = false, time.Time{}
	m.wakeLocked(true)
}

// drainAll has all claims drained, and none started any more. drained tells when
// the last one has ended.
func (m *member) drainAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopping = true
	for _, c := range m.claims {
		c.drain()
	}
	m.checkDrainedLocked()
}

func (m *member) checkDrainedLocked() {
	if len(m.claims) > 0 || isClosed(m.drained) {
		return
	}
	close(m.drained)
}

// leave tells the group that we are gone, so that it need not wait a session
// timeout. A static member stays: it will be back.
func (m *member) leave() {
	id, _ := m.identity() // also of a generation that never came to be
	m.s.lease.end()
	m.mu.Lock()
	m.joinedLocked(false)
	m.mu.Unlock()
	if id.ID == "" || id.InstanceID != "" {
		return
	}
	_, err := call(m.bg, 5*time.Second, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, kafkawire.Leave(ctx, m.s.tr, m.s.addr, id)
	})
	if err != nil {
		m.s.log.WithError(err).Info("could not leave the group: it will notice after the session timeout")
	}
}
