package kafkaio_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/kafkaio"
)

// What brokers refuse for long is an alarm that names its cause, and ends with it.
func TestWhatBrokersRefuseForLongIsSaid(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault kfake.Fault
		kind  kafkaio.TroubleKind
		says  string
	}{
		{"records", kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: devstack.Intents, Partitions: []int32{1}, Err: kerr.KafkaStorageError}, kafkaio.InputBlocked, "Storage Error"},
		{"whole answers", kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, TopLevel: true, Err: kerr.UnknownServerError}, kafkaio.InputBlocked, "unexpected server error"},
		{"a leader", kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: devstack.Intents, Err: kerr.LeaderNotAvailable}, kafkaio.InputBlocked, "Leader Not Available"},
		{"offsets", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.OffsetMetadataTooLarge}, kafkaio.CommitBlocked, "Offset Metadata Too Large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, 2, func(l *lab) {
				m := l.start("a")
				l.emit(0, 10)
				l.judge(10)
				c.fault.Count = -1
				h := l.broker.Fault(c.fault)
				l.emit(10, 10)
				time.Sleep(10 * time.Second)
				if got := m.trouble(c.kind); len(got) > 0 {
					t.Errorf("after ten seconds, in which leaders move: %v", got)
				}
				time.Sleep(time.Minute)
				got := m.trouble(c.kind)
				if len(got) == 0 || !strings.Contains(got[0].What, c.says) || time.Since(got[0].Since) < time.Minute {
					t.Errorf("after a minute: %v, want %q", got, c.says)
				}
				h.Remove()
				l.judge(20)
				time.Sleep(15 * time.Second) // metadata
				if got := m.trouble(c.kind); len(got) > 0 {
					t.Errorf("when it is over: %v", got)
				}
				if n := m.said.times("over: "); n != len(got) {
					t.Errorf("its end was said %d times, want %d", n, len(got))
				}
				m.leave(t)
				l.calls(20, 1)
			})
		})
	}
}

// A partition that is given to us and cannot be taken over stands still: that is an alarm
// which names its cause, and ends with it.
func TestATakeOverThatFailsForLongIsSaid(t *testing.T) {
	for _, c := range []struct {
		says  string
		fault kfake.Fault
	}{
		{"committed offset: ", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress}},
		{"fence: init producer id: ", kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.InvalidTransactionTimeout}},
		{"ledger: ", kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: devstack.Outcomes, Err: kerr.KafkaStorageError}},
	} {
		t.Run(c.says, func(t *testing.T) {
			inLab(t, 2, func(l *lab) {
				c.fault.Count = -1
				h := l.broker.Fault(c.fault)
				m := l.start("a")
				time.Sleep(10 * time.Second)
				if got := m.trouble(kafkaio.TakeOverBlocked); len(got) > 0 {
					t.Errorf("after ten seconds, in which coordinators move: %v", got)
				}
				time.Sleep(time.Minute)
				got := m.trouble(kafkaio.TakeOverBlocked)
				if len(got) != 2 || !strings.Contains(got[0].What, c.says) || time.Since(got[0].Since) < time.Minute {
					t.Errorf("after a minute: %v, want two, with %q", got, c.says)
				}
				h.Remove()
				l.emit(0, 10)
				l.judge(10)
				if got := m.trouble(kafkaio.TakeOverBlocked); len(got) > 0 {
					t.Errorf("when it is over: %v", got)
				}
				if n := m.said.times("over: Partition"); n != 2 {
					t.Errorf("its end was said %d times, want 2", n)
				}
				m.leave(t)
				l.calls(10, 1)
			})
		})
	}
}

// A coordinator answers before the markers of a transaction are written. If a partition
// takes none, such as one with too few replicas in sync, nothing fails, and nothing goes on.
func TestAMarkerThatDoesNotComeIsSaid(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.broker.ControlKey(int16(kmsg.AddPartitionsToTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
			l.broker.KeepControl()
			res := r.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
			for _, topic := range r.(*kmsg.AddPartitionsToTxnRequest).Topics {
				at := kmsg.NewAddPartitionsToTxnResponseTopic()
				at.Topic = topic.Topic
				for _, p := range topic.Partitions {
					of := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
					of.Partition = p
					at.Partitions = append(at.Partitions, of)
				}
				res.Topics = append(res.Topics, at)
			}
			return res, nil, true
		})
		m := l.start("a")
		time.Sleep(10 * time.Second)
		if got := m.trouble(kafkaio.TakeOverBlocked); len(got) > 0 {
			t.Errorf("after ten seconds: %v", got)
		}
		time.Sleep(10 * time.Second)
		got := m.trouble(kafkaio.TakeOverBlocked)
		if len(got) != 1 || !strings.Contains(got[0].What, "ledger: the marker of our fence does not come") {
			t.Errorf("after twenty seconds: %v, want the cause", got)
		}
		m.leave(t)
	})
}

// Where no leader is known, it is said why: no broker that comes back helps with a topic
// that is gone, or that we may not look at.
func TestWhyNoLeaderIsKnownIsSaid(t *testing.T) {
	for _, c := range []struct {
		err               *kerr.Error
		cause, says, mend string
	}{
		{kerr.LeaderNotAvailable, "no_leader", "Leader Not Available", "Bring the brokers back"},
		{kerr.UnknownTopicOrPartition, "no_leader", "Unknown Topic", "paylink topics create"},
		{kerr.TopicAuthorizationFailed, "not_allowed", "a right is missing: Describe on topic " + devstack.Outcomes, "Grant"},
	} {
		t.Run(c.err.Message, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				m := l.start("a")
				l.emit(0, 5)
				l.judge(5)
				refused := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Outcomes, Err: kerr.NotLeaderForPartition, Count: -1})
				h := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: devstack.Outcomes, Err: c.err, Count: -1})
				l.emit(5, 5)
				time.Sleep(30 * time.Second)
				got := m.trouble(kafkaio.AppendBlocked)
				if len(got) != 1 || got[0].Cause != c.cause || !strings.Contains(got[0].What, c.says) || !strings.Contains(got[0].Mend, c.mend) {
					t.Errorf("%+v, want cause %s, %q, and %q", got, c.cause, c.says, c.mend)
				}
				refused.Remove()
				h.Remove()
				l.judge(10)
				m.leave(t)
				l.calls(10, 1)
			})
		})
	}
}

// A right that is missing has its own alarm; none says beside it that a leader is.
func TestATopicThatIsHiddenIsNotLeaderless(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start("a")
		l.emit(0, 5)
		l.judge(5)
		h := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata, kmsg.Fetch}, Topic: devstack.Intents, Err: kerr.TopicAuthorizationFailed, Count: -1})
		l.emit(5, 5)
		time.Sleep(time.Minute)
		if got := m.trouble(kafkaio.InputBlocked); len(got) > 0 {
			t.Errorf("it is said that %v", got)
		}
		if got := strings.Join(m.source.State().Missing, "; "); !strings.Contains(got, "Describe on topic "+devstack.Intents) {
			t.Errorf("missing rights: %q", got)
		}
		h.Remove()
		l.judge(10)
		m.leave(t)
		l.calls(10, 1)
	})
}

// Why a group takes nobody in is said by its name, and not with every attempt.
func TestWhyAGroupTakesNobodyInIsSaid(t *testing.T) {
	for _, c := range []struct {
		key  kmsg.Key
		err  *kerr.Error
		says string
	}{
		{kmsg.JoinGroup, kerr.GroupMaxSizeReached, "group.max.size"},
		{kmsg.JoinGroup, kerr.InconsistentGroupProtocol, "members are no paylink"},
		{kmsg.SyncGroup, kerr.RebalanceInProgress, "joining the group again"},
		{kmsg.SyncGroup, kerr.UnknownMemberID, "joining the group again"},
	} {
		t.Run(c.key.Name()+" "+c.err.Message, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				h := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{c.key}, Err: c.err, Count: -1})
				m := l.start("a")
				time.Sleep(time.Minute)
				if err := m.source.State().Membership.Trouble; !errors.Is(err, kafka.Error(c.err.Code)) {
					t.Errorf("the trouble is %v, want %v", err, c.err)
				}
				if n := m.said.times(c.says); n == 0 || n > 20 {
					t.Errorf("said %d times in a minute, want a few", n)
				}
				h.Remove()
				l.emit(0, 5)
				l.judge(5)
				m.leave(t)
				l.calls(5, 1)
			})
		})
	}
}
