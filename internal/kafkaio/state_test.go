package kafkaio_test

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/kafkaio"
)

// inState waits until so many partitions of a member are in a state.
func (m *life) inState(t *testing.T, want kafkaio.PartitionState, n int) {
	t.Helper()
	var is kafkaio.State
	for range 60_000 {
		is = m.source.State()
		got := 0
		for _, p := range is.Partitions {
			if p.State == want {
				got++
			}
		}
		if got == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("after a minute the partitions are %+v, want %d %v", is.Partitions, n, want)
}

func TestStateFollowsAPartitionThroughItsLife(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		l.emit(0, 20)
		coordinator := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorLoadInProgress, Count: -1})
		leader := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: devstack.Outcomes, Err: kerr.NotLeaderForPartition, Count: -1})
		l.adjust = func(s *kafkaio.Source) { // before it runs
			if is := s.State(); is.Membership.Joined || is.Membership.Live || len(is.Partitions) != 0 {
				t.Errorf("at the start: %+v, want no member", is)
			}
		}
		m := l.start("a")
		l.adjust = nil
		m.inState(t, kafkaio.Fencing, 2)
		coordinator.Remove()
		m.inState(t, kafkaio.Loading, 2)
		leader.Remove()
		m.inState(t, kafkaio.Running, 2)
		l.judge(20)
		time.Sleep(time.Second)
		for _, p := range m.source.State().Partitions {
			end := l.broker.PartitionInfo(devstack.Intents, p.Number).HighWatermark
			want := kafkaio.Partition{Number: p.Number, Assigned: true, State: kafkaio.Running, Committed: end, Fetched: end, End: end}
			if p != want || p.Lag() != 0 {
				t.Errorf("when all is settled: %+v, want %+v", p, want)
			}
		}
		if n := m.source.State().Counters.RecordsAppended; n != 20 {
			t.Errorf("%d records appended, want 20", n)
		}
		l.gate.answersAfter(10 * time.Second)
		l.emit(20, 20)
		time.Sleep(time.Second)
		b := l.start("b")
		m.inState(t, kafkaio.Draining, 1)
		for _, p := range m.source.State().Partitions {
			if p.Assigned != (p.State == kafkaio.Running) {
				t.Errorf("during the hand-over: %+v, want one assigned and one not", p)
			}
		}
		b.inState(t, kafkaio.Running, 1)
		if n := len(m.source.State().Partitions); n != 1 {
			t.Errorf("%d partitions after the hand-over, want 1", n)
		}
		m.leave(t)
		b.leave(t)
	})
}

// Whoever asks early must not be told that all is well because nothing is there yet.
func TestNoStateOfAStartLooksLoadedBeforeItIs(t *testing.T) {
	inLab(t, 12, func(l *lab) {
		m := l.start("a")
		loaded := func(is kafkaio.State) bool {
			return is.Membership.Live && is.Membership.Joined && !slices.ContainsFunc(is.Partitions, func(p kafkaio.Partition) bool {
				return p.Assigned && p.State != kafkaio.Running
			})
		}
		for range 60_000 {
			if is := m.source.State(); loaded(is) {
				if len(is.Partitions) != 12 {
					t.Errorf("loaded with %d partitions, want 12", len(is.Partitions))
				}
				m.leave(t)
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Error("not loaded after a minute")
		m.leave(t)
	})
}

func TestStateTellsTheGroupAndItsTrouble(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		m := l.start("a")
		m.inState(t, kafkaio.Running, 2)
		joined := m.source.State().Membership
		if !joined.Joined || !joined.Live || joined.Since.IsZero() {
			t.Errorf("as a member: %+v", joined)
		}
		m.net.refuse(kmsg.Heartbeat, kmsg.JoinGroup)
		time.Sleep(10 * time.Second) // more than a session
		if n := m.said.times("the group counts us in again"); n != 0 {
			t.Errorf("without heartbeats its end was said %d times", n)
		}
		is := m.source.State().Membership
		if is.Live || is.Trouble == nil || time.Since(is.TroubleAt) > 5*time.Second {
			t.Errorf("without heartbeats: %+v, want no lease, and the trouble of now", is)
		}
		m.net.set(nil)
		time.Sleep(20 * time.Second)
		if is := m.source.State().Membership; !is.Joined || !is.Live || !is.Since.After(joined.Since) {
			t.Errorf("as a member again: %+v, want it since a later time than %v", is, joined.Since)
		}
		if n := m.said.times("the group counts us in again"); n != 1 {
			t.Errorf("the end of the silence was said %d times, want once", n)
		}
		m.leave(t)
		if is := m.source.State(); is.Membership.Live || len(is.Partitions) != 0 {
			t.Errorf("at the end: %+v, want no member", is)
		}
	})
}
