package lab

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
)

// A gathering is a rebalance whose members are to join.
type gathering struct {
	epoch int32     // the generation that it ends
	since time.Time // when the first join came to it
}

// awaitGathered waits, for a minute at most, while the group should have gone on with
// those who are there. A real coordinator does so a rebalance timeout after the rebalance
// began. In kfake (as of 2026-09) each join begins that time anew, and it is needed even
// if all have joined: who was removed while its sync waited is taken off the number of
// those that wait in a join. Members whose joins end and begin by turns, none of them
// answered, would then never get in.
func (s *scene) awaitGathered() {
	const step = 100 * time.Millisecond
	for range time.Minute / step {
		g := s.groupInfo(group)
		if g == nil || g.State != "PreparingRebalance" || !s.isLate(g.Epoch) {
			return
		}
		time.Sleep(step)
	}
}

// isLate reports whether the time of the rebalance that ends a generation is up.
func (s *scene) isLate(epoch int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gathers.epoch != epoch || s.gathers.since.IsZero() {
		s.gathers = gathering{epoch, time.Now()}
	}
	return time.Since(s.gathers.since) >= rebalanceTimeout
}

// TestARebalanceEnds: one member sends heartbeats and never joins again, another one
// has less patience than the group. It is in all the same, when a rebalance timeout is over.
func TestARebalanceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{vn: &kfake.VirtualNetwork{}, joins: map[string][]kmsg.JoinGroupRequestProtocol{}}
		var err error
		if s.brokers, err = devstack.StartBroker(devstack.BrokerOptions{Listen: s.vn.Listen, Dial: s.vn.DialContext}); err != nil {
			t.Fatal(err)
		}
		defer s.brokers.Close()
		stays, comes := s.rawMember(), s.rawMember()
		if !stays.join(time.Second) {
			t.Fatal("the first member does not get in")
		}
		stays.ask(time.Second, &kmsg.SyncGroupRequest{Version: 3, Group: group, MemberID: stays.id, Generation: stays.generation})
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			for ; ctx.Err() == nil; time.Sleep(time.Second) {
				stays.ask(time.Second, &kmsg.HeartbeatRequest{Version: 3, Group: group, MemberID: stays.id, Generation: stays.generation})
			}
		}()
		began := time.Now()
		for time.Since(began) < 3*rebalanceTimeout && !comes.join(rebalanceTimeout*2/3) {
		}
		if took := time.Since(began); took < rebalanceTimeout || took > 3*rebalanceTimeout {
			t.Errorf("the rebalance took %v, with a rebalance timeout of %v", took, rebalanceTimeout)
		}
		stop()
		time.Sleep(2 * time.Minute) // what is idle notices
	})
}

// A rawMember speaks for itself.
type rawMember struct {
	net        *network
	addr       string
	id         string
	generation int32
}

func (s *scene) rawMember() *rawMember {
	return &rawMember{addr: s.brokers.Addrs()[0], net: &network{
		out: newGate(), dial: s.vn.DialContext, kafka: true, rewrite: s.asRealCoordinator, chance: rand.New(rand.NewPCG(1, 1)),
	}}
}

// join joins the group, unless that takes longer.
func (m *rawMember) join(patience time.Duration) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		req := &kmsg.JoinGroupRequest{
			Version: 5, Group: group, MemberID: m.id, ProtocolType: "consumer", Protocols: []kmsg.JoinGroupRequestProtocol{{Name: "any"}},
			SessionTimeoutMillis: 5000, RebalanceTimeoutMillis: int32(rebalanceTimeout.Milliseconds()),
		}
		if res, ok := m.ask(time.Until(end), req).(*kmsg.JoinGroupResponse); ok {
			m.id, m.generation = res.MemberID, res.Generation
			if res.ErrorCode == 0 {
				return true
			}
		}
	}
	return false
}

// ask asks the broker, and returns its answer; nil: none came.
func (m *rawMember) ask(patience time.Duration, req kmsg.Request) kmsg.Response {
	c, err := m.net.connect(context.Background(), "tcp", m.addr)
	if err != nil {
		return nil
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		return nil
	}
	frame, err := (&link{net: m.net}).read(c)
	res := req.ResponseKind()
	if err != nil || res.ReadFrom(frame[8:]) != nil { // after its size and number
		return nil
	}
	return res
}
