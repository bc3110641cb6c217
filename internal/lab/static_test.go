package lab

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/pace"
)

// groupInfo is what the brokers say of a group; nil: nothing. A request that was late may
// ask when they are closed, and would wait for ever.
func (s *scene) groupInfo(group string) *kfake.GroupInfo {
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return nil
	}
	return s.brokers.GroupInfo(group)
}

// asRealCoordinator makes kfake treat a static member that comes back as Apache
// Kafka does. In a stable group a real coordinator gives it the assignment it had,
// without a rebalance, whatever its new metadata says (KIP-345); kfake only does
// so if the metadata is what it was. So it is told what it was. And
// nobody's join prolongs a rebalance whose time is up.
func (s *scene) asRealCoordinator(frame []byte) []byte {
	if len(frame) < 14 || kmsg.Key(binary.BigEndian.Uint16(frame[4:])) != kmsg.JoinGroup {
		return frame
	}
	s.awaitGathered()
	r := kbin.Reader{Src: frame[4:]}
	req := kmsg.NewPtrJoinGroupRequest()
	r.Int16()
	req.SetVersion(r.Int16())
	corr, client := r.Int32(), r.NullableString()
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if err := req.ReadFrom(r.Src); err != nil || req.InstanceID == nil {
		return frame
	}
	group := s.groupInfo(req.Group)
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.joins[*req.InstanceID]
	returns := req.MemberID == "" && old != nil && group != nil && group.State == "Stable" &&
		slices.EqualFunc(old, req.Protocols, func(a, b kmsg.JoinGroupRequestProtocol) bool { return a.Name == b.Name })
	if !returns {
		s.joins[*req.InstanceID] = req.Protocols
		return frame
	}
	req.Protocols = old
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID(*client)).AppendRequest(nil, req, corr)
}

// TestAStaticMemberThatDiesWhileItHandsOver: a third member is to get a partition
// of one of two, which dies meanwhile and is back before its session ends, so that
// nobody is told. What it was to let go must not be left to nobody.
func TestAStaticMemberThatDiesWhileItHandsOver(t *testing.T) {
	for seat := range 2 {
		for after := time.Second; after < 2*time.Second; after += 200 * time.Millisecond { // while calls end
			t.Run(fmt.Sprint(seat, " after ", after), func(t *testing.T) {
				t.Parallel()
				p := handOver(fault{at: 5*time.Second + after, what: kill, seat: seat, lasts: 100 * time.Millisecond})
				if f := experiment(t, p); f.story != "" {
					t.Errorf("%s\n%s", p, f.story)
				}
			})
		}
	}
}

// handOver is a plan in which calls are slow, and a third static member joins two
// after five seconds, for good.
func handOver(also fault) plan {
	p := plan{faults: []fault{{at: 5 * time.Second, what: join}, also}, world: world{
		brokers: 1, partitions: 4, outcomes: 4, seats: 2, static: true, merchants: []pace.Rate{{Events: 100, Per: time.Second}},
		slowest: 1800 * time.Millisecond, session: 6 * time.Second, giveUp: time.Hour, concurrency: 16,
	}}
	for i := range 80 {
		id := fmt.Sprint("i-", i)
		p.emissions = append(p.emissions, emission{
			at: time.Duration(i) * 100 * time.Millisecond, partition: int32(i % 4),
			records: []record{{id: id, key: id, amount: "10.00"}},
		})
	}
	return p
}
