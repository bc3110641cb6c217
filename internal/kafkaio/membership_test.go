package kafkaio_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/kafkaio"
)

// Members come, leave, die and rise again, coordinators and leaders move.
func TestStorms(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inLab(t, 6, func(l *lab) { l.storm(seed) })
		})
	}
}

func (l *lab) storm(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	l.gate.took = func(n int) time.Duration { return time.Duration(50+n%7*100) * time.Millisecond }
	members, died := map[string]*life{}, 0
	for i := range 40 {
		name := fmt.Sprint("m", r.IntN(4))
		switch m := members[name]; {
		case m == nil:
			members[name] = l.start(name)
		case r.IntN(3) == 0: // suspended, or cut off, for longer than its session
			m.net.cut()
			died++
			time.AfterFunc(time.Duration(3+r.IntN(15))*time.Second, m.net.mend)
		case r.IntN(2) == 0:
			m.net.mend()
			m.leave(l.t)
			delete(members, name)
		}
		switch r.IntN(6) {
		case 0:
			l.broker.RehashCoordinators()
		case 1:
			l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Outcomes, Err: kerr.RequestTimedOut, Count: 3})
		case 2:
			l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetCommit}, Group: "paylink", Err: kerr.CoordinatorLoadInProgress, Count: 2})
		}
		l.emit(i*20, 20)
		time.Sleep(time.Duration(r.IntN(2500)) * time.Millisecond)
	}
	members["last"] = l.start("last")
	time.Sleep(20 * time.Second) // the cut ones are back
	l.judge(800)
	for _, m := range members {
		m.leave(l.t)
	}
	if calls, _ := l.gate.counts(); calls > 800+died*64 {
		l.t.Errorf("%d calls of 800 intents with %d deaths of 64 calls in flight", calls, died)
	}
}

func TestJoinsAndLeavesRepeatNoCall(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		l.gate.answersAfter(700 * time.Millisecond)
		a := l.start("a")
		var guest *life
		for i := range 20 {
			l.emit(i*20, 20)
			if i%2 == 0 {
				guest = l.start(fmt.Sprint("guest", i))
			} else {
				guest.leave(t)
			}
			time.Sleep(1500 * time.Millisecond)
		}
		l.judge(400)
		a.leave(t)
		l.calls(400, 1)
	})
}

// A member may be asked to stop while it joins again and another one is slow to:
// it finishes its calls all the same, and nobody repeats them.
func TestAStopDuringAJoinRepeatsNoCall(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		l.gate.answersAfter(12 * time.Second)
		a, b := l.start("a"), l.start("b")
		time.Sleep(15 * time.Second)
		l.emit(0, 60)
		time.Sleep(time.Second)
		b.net.set(func(k kmsg.Key) treatment {
			if k == kmsg.JoinGroup {
				return treatment{late: 5 * time.Second}
			}
			return treatment{}
		})
		c := l.start("c")
		time.Sleep(2500 * time.Millisecond) // the join of a stands open
		a.stop()
		time.Sleep(time.Second)
		b.net.set(nil)
		if n := a.metric(t, "partitions_lost_total"); n != 0 {
			t.Errorf("%v partitions were lost by a member that was asked to stop", n)
		}
		a.leave(t)
		l.judge(60)
		b.leave(t)
		c.leave(t)
		l.calls(60, 1)
	})
}

// Calls may take longer than a session: the heart beats on while they end.
func TestALongDrainRepeatsNoCall(t *testing.T) {
	inLab(t, 4, func(l *lab) {
		l.gate.answersAfter(20 * time.Second)
		a := l.start("a")
		l.emit(0, 40)
		time.Sleep(time.Second)
		b := l.start("b") // half is handed over
		time.Sleep(25 * time.Second)
		l.emit(40, 40)
		time.Sleep(time.Second)
		a.leave(t) // and then the rest
		l.judge(80)
		b.leave(t)
		l.calls(80, 1)
	})
}

func TestALeaverIsNotWaitedFor(t *testing.T) {
	for _, c := range []struct {
		name string
		stay time.Duration
	}{{"settled", 10 * time.Second}, {"just joining", 10 * time.Millisecond}} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, 4, func(l *lab) {
				b := l.start("b")
				time.Sleep(10 * time.Second)
				a := l.start("a")
				time.Sleep(c.stay)
				a.leave(t)
				time.Sleep(3 * time.Second) // two heartbeats, half a session
				if n := len(b.source.Owned()); n != 4 {
					t.Errorf("%d partitions owned 3s after the other left, want all 4", n)
				}
				began := time.Now()
				l.emit(0, 20)
				l.judge(20)
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("20 intents took %v, want them at once", took)
				}
				b.leave(t)
			})
		})
	}
}

func TestCoordinatorsMoveAllTheTime(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		a, b := l.start("a"), l.start("b")
		for i := range 30 {
			l.broker.RehashCoordinators()
			l.emit(i*10, 10)
			time.Sleep(500 * time.Millisecond)
		}
		l.judge(300)
		a.leave(t)
		b.leave(t)
		l.calls(300, 1)
	})
}

// Its way to the gateway is good, and its heart does not reach the group: it
// must stop calling before the group can have given its partitions away.
func TestWithoutHeartbeatsNobodyIsCalled(t *testing.T) {
	inLab(t, 4, func(l *lab) {
		l.gate.answersAfter(300 * time.Millisecond)
		a := l.start("a")
		l.emit(0, 40)
		l.judge(40)
		cut := time.Now()
		a.net.refuse(kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup)
		for i := range 40 { // work all the while
			l.emit(40+i*10, 10)
			time.Sleep(500 * time.Millisecond)
		}
		if n := l.gate.callsSince("a", cut); n == 0 {
			t.Error("no call within the lease: the test shows nothing")
		}
		if n := l.gate.callsSince("a", cut.Add(6*time.Second)); n != 0 {
			t.Errorf("%d calls after the lease of 6s", n)
		}
		b := l.start("b")
		l.judge(440)
		a.net.set(nil)
		back := time.Now()
		time.Sleep(20 * time.Second)
		l.emit(440, 100)
		l.judge(540)
		if l.gate.callsSince("a", back) == 0 {
			t.Error("no call after it joined again")
		}
		a.leave(t)
		b.leave(t)
	})
}

func TestJoiningOutlastsTheCoordinator(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.FindCoordinator, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch, kmsg.Heartbeat} {
		for _, err := range []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration} {
			if key == kmsg.FindCoordinator && err != kerr.CoordinatorNotAvailable {
				continue
			}
			t.Run(key.Name()+" "+err.Message, func(t *testing.T) {
				inLab(t, 2, func(l *lab) {
					h := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Group: "paylink", Err: err, Count: 4})
					l.emit(0, 20)
					m := l.start("a")
					time.Sleep(20 * time.Second)
					l.emit(20, 20)
					l.judge(40)
					if h.Hits() != 4 {
						t.Errorf("%d of 4 faults met", h.Hits())
					}
					m.leave(t)
					l.calls(40, 1)
				})
			})
		}
	}
}

func TestAJoinWithoutAnAnswerIsTriedAgain(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		l.emit(0, 20)
		n := 0
		m := l.start("a")
		m.net.set(func(k kmsg.Key) treatment {
			if k != kmsg.JoinGroup && k != kmsg.SyncGroup {
				return treatment{}
			}
			n++
			return treatment{mute: n <= 5}
		})
		l.judge(20)
		m.leave(t)
		l.calls(20, 1)
	})
}

// Members that count outcome partitions otherwise, or are no paylink at all,
// are not let in; nothing happens until they are gone.
func TestStrangersInTheGroupAreWaitedOut(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		c, err := l.broker.Kafka().Client(kgo.ConsumerGroup("paylink"), kgo.ConsumeTopics(devstack.Intents), kgo.DisableAutoCommit(), kgo.Balancers(kgo.RangeBalancer()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.broker.WaitGroupStable(context.Background(), "paylink", 1); err != nil {
			t.Fatal(err)
		}
		l.emit(0, 20)
		m := l.start("a")
		time.Sleep(20 * time.Second)
		if calls, _ := l.gate.counts(); calls != 0 || m.said.times("number of outcome partitions") == 0 {
			t.Errorf("%d calls, told %d times; want none, and told", calls, m.said.times("number of outcome partitions"))
		}
		c.Close()
		l.judge(20)
		m.leave(t)
		l.calls(20, 1)
	})
}

func TestASecondProcessWithOurInstanceIDEndsUs(t *testing.T) {
	inLab(t, 4, func(l *lab) {
		as := func(c *kafkaio.Config) { c.InstanceID = "pod-0" }
		l.gate.answersAfter(time.Second)
		older := l.start("older", as)
		l.emit(0, 40)
		time.Sleep(2500 * time.Millisecond)
		newer := l.start("newer", as)
		err := <-older.ended
		if !errors.Is(err, kafka.FencedInstanceID) || !strings.Contains(err.Error(), `"pod-0"`) {
			t.Errorf("the older one ended with %v, want it to name the instance id", err)
		}
		l.emit(40, 40)
		l.judge(80)
		select {
		case err := <-newer.ended:
			t.Errorf("the newer one ended with %v", err)
		default:
		}
		newer.leave(t)
	})
}

// A join that the network held up for longer than we waited for it takes our
// instance id from ourselves when it arrives: that must not end us.
func TestALateJoinOfOursDoesNotEndUs(t *testing.T) {
	inLab(t, 4, func(l *lab) {
		joins := 0
		l.emit(0, 40)
		m := l.start("a", func(c *kafkaio.Config) { c.InstanceID = "pod-0" })
		m.net.set(func(k kmsg.Key) treatment {
			if k != kmsg.JoinGroup {
				return treatment{}
			}
			if joins++; joins == 1 {
				return treatment{late: 80 * time.Second} // we wait for 76
			}
			return treatment{}
		})
		l.judge(40)
		time.Sleep(30 * time.Second) // the late one has arrived
		l.emit(40, 40)
		l.judge(80)
		if n := m.metric(t, "partitions_lost_total"); n == 0 {
			t.Error("the late join took nothing from us: the test does not test what it says")
		}
		m.leave(t)
	})
}

// TestOneReplacementThatIsToldTwiceDoesNotEndUs: a new coordinator that knows our former
// self refuses both what is on its way, the heartbeat and the join.
func TestOneReplacementThatIsToldTwiceDoesNotEndUs(t *testing.T) {
	inLab(t, 4, func(l *lab) {
		l.emit(0, 40)
		m := l.start("a", func(c *kafkaio.Config) { c.InstanceID = "pod-0" })
		l.judge(40)
		var joins atomic.Bool
		isOurs := func(r kmsg.Request) bool {
			switch r := r.(type) {
			case *kmsg.HeartbeatRequest:
				return joins.Load() && r.InstanceID != nil
			case *kmsg.JoinGroupRequest:
				return r.InstanceID != nil
			}
			return false
		}
		fenced := func(k kmsg.Key) *kfake.FaultHandle {
			return l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{k}, Err: kerr.FencedInstanceID, TopLevel: true, Count: 1, When: isOurs})
		}
		beat, join := fenced(kmsg.Heartbeat), fenced(kmsg.JoinGroup)
		m.net.set(func(k kmsg.Key) treatment {
			if k != kmsg.JoinGroup || joins.Swap(true) {
				return treatment{}
			}
			return treatment{late: 5 * time.Second}
		})
		b := l.start("b")
		time.Sleep(30 * time.Second)
		if beat.Hits() != 1 || join.Hits() != 1 {
			t.Errorf("%d heartbeats and %d joins were told of it, want one each", beat.Hits(), join.Hits())
		}
		select {
		case err := <-m.ended:
			t.Errorf("it ended with %v", err)
			b.leave(t)
			return
		default:
		}
		l.emit(40, 40)
		l.judge(80)
		leaveAll(t, m, b)
	})
}

func TestADrainThatTakesTooLongIsCutShort(t *testing.T) {
	inLab(t, 4, func(l *lab) {
		l.gate.took = func(n int) time.Duration {
			if n <= 8 {
				return time.Hour
			}
			return 50 * time.Millisecond
		}
		short := func(c *kafkaio.Config) { c.DrainTimeout = 5 * time.Second }
		a := l.start("a", short)
		time.Sleep(time.Second)
		l.emit(0, 8)
		time.Sleep(time.Second)
		l.emit(8, 40)
		time.Sleep(time.Second)
		b := l.start("b", short) // half of a's partitions are to be handed over
		time.Sleep(15 * time.Second)
		if n := len(b.source.Owned()); n != 2 {
			t.Errorf("b owns %d partitions 15s after it came, want 2: the drain timeout is 5s", n)
		}
		began := time.Now()
		a.leave(t)
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("leaving took %v with a drain timeout of 5s", took)
		}
		l.judge(48)
		b.leave(t)
		l.calls(56, 2)
	})
}

func TestLeavingIsBoundedWhateverHappens(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(l *lab)  // the member starts
		after  func(m *life) // a second later
		within time.Duration
	}{
		{"nothing is wrong", nil, nil, time.Second},
		{"topics are missing", func(l *lab) { l.broker.DeleteTopic(devstack.DeadLetters) }, nil, time.Second},
		{"joining", func(l *lab) {
			l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: "paylink", Err: kerr.CoordinatorLoadInProgress, Count: -1})
		}, nil, 6 * time.Second},
		{"waiting for other members to join", func(l *lab) {
			c, err := l.broker.Kafka().Client() // a member that never comes back
			if err != nil {
				l.t.Fatal(err)
			}
			defer c.Close()
			l.joinAndSleep(c)
		}, nil, 6 * time.Second},
		{"fencing", func(l *lab) {
			l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.ConcurrentTransactions, Count: -1})
		}, nil, 6 * time.Second},
		{"reading the ledger", func(l *lab) {
			l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: devstack.Outcomes, Err: kerr.NotLeaderForPartition, Count: -1})
		}, nil, 6 * time.Second},
		{"brokers are down", nil, func(m *life) { m.net.cut() }, 16 * time.Second},
		{"outcomes cannot be published", func(l *lab) {
			l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Outcomes, Err: kerr.NotEnoughReplicas, Count: -1})
		}, nil, 16 * time.Second},
		{"offsets cannot be committed", func(l *lab) {
			l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorNotAvailable, Count: -1})
		}, nil, 16 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, 2, func(l *lab) {
				l.emit(0, 10)
				if c.before != nil {
					c.before(l)
				}
				m := l.start("a", func(c *kafkaio.Config) { c.DrainTimeout = 5 * time.Second })
				time.Sleep(time.Second)
				if c.after != nil {
					c.after(m)
					time.Sleep(time.Second)
				}
				began := time.Now()
				m.leave(t)
				if took := time.Since(began); took > c.within {
					t.Errorf("leaving took %v, want %v at most", took, c.within)
				}
			})
		})
	}
}

// joinAndSleep leaves a member in the group that never answers a rebalance.
func (l *lab) joinAndSleep(c *kgo.Client) {
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = "paylink", "consumer", 300_000, 300_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "paylink-sticky-2", Metadata: []byte{0, 1, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}}}
	for range 2 { // the first answer gives the member id
		res, err := c.Request(context.Background(), join)
		if err != nil {
			l.t.Fatal(err)
		}
		join.MemberID = res.(*kmsg.JoinGroupResponse).MemberID
	}
}

// A member whose join is lost, or answered late, is dropped at the rebalance's end
// without a word, although its heart beats until then: no call of its own may begin
// once another has its partitions.
func TestNoCallAfterARebalanceThatEndedWithoutUs(t *testing.T) {
	for _, c := range []struct {
		name  string
		treat func(sinceBegan time.Duration, k kmsg.Key) treatment
	}{
		{"join lost", func(since time.Duration, k kmsg.Key) treatment {
			return treatment{refuse: k == kmsg.Heartbeat && since > 59500*time.Millisecond, late: late(k == kmsg.JoinGroup)}
		}},
		{"sync lost", func(since time.Duration, k kmsg.Key) treatment {
			return treatment{refuse: k == kmsg.Heartbeat && since > 59500*time.Millisecond, late: late(k == kmsg.SyncGroup)}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, 2, func(l *lab) {
				l.gate.answersAfter(20 * time.Millisecond)
				a := l.start("a")
				l.emit(0, 20)
				l.judge(20)
				began := time.Now()
				a.net.set(func(k kmsg.Key) treatment { return c.treat(time.Since(began), k) })
				b := l.start("b")
				for n := 20; time.Since(began) < 72*time.Second; n++ {
					l.emit(n, 1)
					time.Sleep(50 * time.Millisecond)
				}
				l.gate.mu.Lock()
				var taken time.Time // when b first called
				beside, kept := 0, 0
				for _, call := range l.gate.log {
					switch {
					case call.by == "b" && taken.IsZero():
						taken = call.at
					case call.by == "a" && !taken.IsZero():
						beside++
					case call.by == "a" && call.at.Sub(began) > 50*time.Second:
						kept++
					}
				}
				l.gate.mu.Unlock()
				if taken.IsZero() || beside > 0 || kept == 0 {
					t.Errorf("%d calls beside the new owner, whose first came at %v; want none. %d calls late in the rebalance, want some",
						beside, taken.Sub(began), kept)
				}
				a.net.set(nil)
				a.leave(t)
				b.leave(t)
				time.Sleep(2 * time.Hour) // for what is late on its way
			})
		})
	}
}

func late(is bool) time.Duration {
	if is {
		return time.Hour
	}
	return 0
}

// After an unclean end the group waits for the dead member's session, and so do we.
func TestWaitingForAFormerSelfIsSaid(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		a := l.start("a")
		l.emit(0, 5)
		l.judge(5)
		if n := a.said.times("waiting for the group"); n != 0 {
			t.Errorf("said %d times with nobody to wait for", n)
		}
		l.kill("a", a)
		b := l.start("b")
		time.Sleep(5 * time.Second)
		if n := b.said.times("waiting for the group: a member that ended uncleanly"); n != 1 {
			t.Errorf("said %d times what is waited for, want once", n)
		}
		l.emit(5, 5)
		l.judge(10)
		b.leave(t)
	})
}
