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

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
)

// forgetOffsets has the group begin anew, as an operator's reset does.
func (l *lab) forgetOffsets() {
	l.t.Helper()
	if _, err := kadm.NewClient(l.client).DeleteGroup(context.Background(), "paylink"); err != nil {
		l.t.Fatal(err)
	}
}

// serveOnce runs a member until n intents have an outcome.
func (l *lab) serveOnce(n int, change ...func(*kafkaio.Config)) *life {
	l.t.Helper()
	m := l.start("a", change...)
	l.judge(n)
	m.leave(l.t)
	return m
}

// tooOld checks that so many dead letters are there, all for being too old.
func (l *lab) tooOld(want int) {
	l.t.Helper()
	dead := l.dead()
	if len(dead) != want {
		l.t.Errorf("%d dead letters, want %d", len(dead), want)
	}
	for _, d := range dead {
		if why := string(d.Header("paylink-reason")); why != "too_old" {
			l.t.Errorf("dead letter for %q, want too_old", why)
		}
	}
}

func window(d time.Duration) func(*kafkaio.Config) {
	return func(c *kafkaio.Config) { c.LedgerWindow = d }
}

func TestAWindowThatHoldsNothing(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		l.emit(0, 40)
		l.serveOnce(40, window(time.Hour))
		time.Sleep(3 * time.Hour)
		l.forgetOffsets()
		l.emit(40, 10)
		m := l.start("b", window(time.Hour))
		l.judge(50)
		time.Sleep(10 * time.Second)
		m.leave(t)
		l.tooOld(40) // older than is known: never to the gateway
		l.calls(50, 1)
		if n := m.metric(t, "ledger_outcomes_read_total"); n != 0 {
			t.Errorf("%v outcomes read, want none", n)
		}
	})
}

func TestAWindowThatBeginsInTheMiddle(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		l.emit(0, 40)
		l.serveOnce(40, window(time.Hour))
		time.Sleep(70 * time.Minute)
		l.emit(40, 30)
		l.serveOnce(70, window(time.Hour))
		time.Sleep(20 * time.Minute)
		l.forgetOffsets()
		l.emit(70, 10)
		m := l.start("b", window(time.Hour))
		l.judge(80)
		time.Sleep(10 * time.Second)
		m.leave(t)
		l.tooOld(40)
		l.calls(80, 1)
		if n := m.metric(t, "ledger_outcomes_read_total"); n != 30 {
			t.Errorf("%v outcomes read, want the 30 of the window", n)
		}
	})
}

// Retention that is shorter than the window is a mistake; the ledger then
// reaches back to the oldest batch that is left, and no further.
func TestRetentionShorterThanTheWindowMovesTheReach(t *testing.T) {
	topics := devstack.DefaultTopics(2)
	topics[1].Configs["retention.ms"] = "3600000"
	inLabWith(t, topics, func(l *lab) {
		l.emit(0, 40)
		l.serveOnce(40)
		time.Sleep(90 * time.Minute)
		l.emit(40, 30)
		l.serveOnce(70)
		l.broker.ApplyRetention()
		l.forgetOffsets()
		l.emit(70, 10)
		m := l.start("b")
		got := l.outcomes(40)
		time.Sleep(10 * time.Second)
		m.leave(t)
		for id, n := range got {
			if n != 1 || id < "i-00040" {
				t.Errorf("%s has %d outcomes in what retention left", id, n)
			}
		}
		l.tooOld(40)
		l.calls(80, 1)
	})
}

// A ledger that is in use must not be emptied because its log moved on.
func TestRetentionPastALedgerInUseForgetsNothing(t *testing.T) {
	topics := devstack.DefaultTopics(1)
	topics[1].Configs["retention.ms"] = "60000"
	inLabWith(t, topics, func(l *lab) {
		l.adjust = func(s *kafkaio.Source) { s.RenewFenceEvery(3 * time.Minute) }
		m := l.start("a")
		l.emit(0, 40)
		l.judge(40)
		time.Sleep(2 * time.Minute)
		l.broker.ApplyRetention() // nothing is left of what was read
		time.Sleep(2 * time.Minute)
		l.emit(0, 40) // upstream repeats itself
		l.emit(40, 10)
		time.Sleep(10 * time.Second)
		if n := m.said.times("does not hold any more what was read"); n != 1 {
			t.Errorf("the loss was told %d times, want once", n)
		}
		m.leave(t)
		l.calls(50, 1)
	})
}

func TestTheOutcomeTopicIsMadeAgain(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		m := l.start("a")
		l.emit(0, 40)
		l.judge(40)
		if err := l.broker.DeleteTopic(devstack.Outcomes); err != nil {
			t.Fatal(err)
		}
		l.emit(40, 20)
		time.Sleep(5 * time.Second)
		if err := l.broker.CreateTopic(devstack.Outcomes, 2, nil); err != nil {
			t.Fatal(err)
		}
		l.outcomes(20)
		l.emit(60, 20)
		l.emit(0, 40) // known, though their outcomes are gone
		time.Sleep(10 * time.Second)
		got := l.outcomes(40)
		for id, n := range got {
			if n != 1 || id < "i-00040" {
				t.Errorf("%s has %d outcomes in the new topic", id, n)
			}
		}
		m.leave(t)
		l.calls(80, 1)
		b := l.start("b") // and the log is good for the next owner
		l.emit(80, 10)
		if got := l.outcomes(50); len(got) != 50 {
			t.Errorf("%d intents have an outcome in the new topic, want 50", len(got))
		}
		b.leave(t)
	})
}

func TestAPartitionThatComesBackIsReadOnWhereItWasLeft(t *testing.T) {
	inLab(t, 4, func(l *lab) {
		a := l.start("a")
		l.emit(0, 200)
		l.judge(200)
		visit := func() (read float64) {
			before := a.metric(t, "ledger_outcomes_read_total")
			b := l.start("b")
			time.Sleep(20 * time.Second)
			b.leave(t)
			time.Sleep(20 * time.Second)
			return a.metric(t, "ledger_outcomes_read_total") - before
		}
		if n := visit(); n < 50 || n > 150 {
			t.Errorf("%v outcomes read of the two partitions that came back, want their half of 200", n)
		}
		if n := visit(); n != 0 {
			t.Errorf("%v outcomes read when they came back again, want none: nothing was added", n)
		}
		l.emit(0, 200)
		l.emit(200, 20)
		l.judge(220)
		a.leave(t)
		l.calls(220, 1)
	})
}

// An operator who resets offsets wipes the note of the fence; the transactional
// id is still the same, so there is nothing to wait for.
func TestOffsetsResetToTheMiddleCallNobody(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.emit(0, 100)
		l.serveOnce(100)
		var offsets kadm.Offsets
		offsets.AddOffset(devstack.Intents, 0, 37, -1)
		if err := kadm.NewClient(l.client).CommitAllOffsets(context.Background(), "paylink", offsets); err != nil {
			t.Fatal(err)
		}
		b := l.start("b")
		l.emit(100, 10)
		l.judge(110)
		if n := b.metric(t, "new_producer_ids_total"); n != 0 {
			t.Errorf("%v new producer ids, want none", n)
		}
		b.leave(t)
		l.calls(110, 1)
	})
}

// Brokers let nobody but its members move the offsets of a group that lives: a
// reset under running members is refused, and whatever a tool does, no intent is
// called again.
func TestOffsetsCannotBeResetUnderRunningMembers(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		a := l.start("a")
		l.emit(0, 50)
		l.judge(50)
		var offsets kadm.Offsets
		offsets.AddOffset(devstack.Intents, 0, 0, -1)
		if err := kadm.NewClient(l.client).CommitAllOffsets(context.Background(), "paylink", offsets); !errors.Is(err, kerr.UnknownMemberID) {
			t.Errorf("reset of a live group's offsets: %v, want %v", err, kerr.UnknownMemberID)
		}
		l.emit(50, 50)
		l.judge(100)
		a.leave(t)
		l.serveOnce(100)
		l.calls(100, 1)
	})
}

// A commit that got no answer may arrive long after a later one, and put the
// offset back. It does not stay there (found by the laboratory, seed 1554).
func TestALateCommitIsCommittedOver(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		commits := 0
		a := l.start("a")
		a.net.set(func(k kmsg.Key) treatment {
			if k != kmsg.OffsetCommit {
				return treatment{}
			}
			if commits++; commits == 1 {
				return treatment{late: 10 * time.Second}
			}
			return treatment{}
		})
		time.Sleep(time.Second) // the commit that tells of the fence is on its way
		l.emit(0, 20)
		l.judge(20)
		time.Sleep(time.Minute)
		offsets, err := kadm.NewClient(l.client).FetchOffsets(context.Background(), "paylink")
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := offsets.Lookup(devstack.Intents, 0); got.At != 20 {
			t.Errorf("committed up to %d of 20 records", got.At)
		}
		a.leave(t)
	})
}

// What cannot be read of the ledger could be an answer: its partition waits, the
// others go on.
func TestACorruptLedgerStopsItsPartitionOnly(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: -1, Epoch: -1}, -1, 0, []kafkawire.Record{{Millis: time.Now().UnixMilli(), Value: []byte("value")}})
		if err != nil {
			t.Fatal(err)
		}
		l.produceRaw(devstack.Outcomes, 0, misfit(raw[4:]))
		for p := range int32(2) {
			id := fmt.Sprintf("i-%05d", p)
			if err := l.broker.Kafka().EmitTo(context.Background(), devstack.Intents, p, event.Message{Key: []byte(id), Value: []byte(intent(id))}); err != nil {
				t.Fatal(err)
			}
		}
		m := l.start("a")
		time.Sleep(time.Minute)
		l.calls(1, 1)
		if n := m.metric(t, "corrupt_batches_total"); n < 2 || n > 10 {
			t.Errorf("the corrupt batch was met %v times in a minute, want a few", n)
		}
		if err := l.broker.DeleteRecords(devstack.Outcomes, 0, 1); err != nil { // the operator's repair
			t.Fatal(err)
		}
		l.judge(2)
		m.leave(t)
		l.calls(2, 1)
	})
}

func TestALedgerIsReadWhileBrokersFail(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		l.emit(0, 300)
		l.serveOnce(300)
		l.forgetOffsets()
		b := l.start("b")
		chance := rand.New(rand.NewPCG(1, 1))
		b.net.set(func(k kmsg.Key) treatment {
			if k != kmsg.Fetch && k != kmsg.ListOffsets {
				return treatment{}
			}
			luck := chance.IntN(6)
			return treatment{refuse: luck == 0, mute: luck == 1}
		})
		l.emit(300, 10)
		l.judge(310)
		b.leave(t)
		l.calls(310, 1)
	})
}

// trouble returns the troubles of a kind that stand.
func (m *life) trouble(kind kafkaio.TroubleKind) (all []kafkaio.Trouble) {
	for _, t := range m.source.State().Troubles {
		if t.Kind == kind {
			all = append(all, t)
		}
	}
	return all
}

// What an outcome partition held that was emptied since, nobody knows: no intent from
// before is called, and it is said.
func TestNothingIsCalledThatAnEmptiedPartitionMayHaveAnswered(t *testing.T) {
	for name, empty := range map[string]func(*lab){
		"records deleted": func(l *lab) {
			end := l.broker.PartitionInfo(devstack.Outcomes, 0).HighWatermark
			if err := l.broker.DeleteRecords(devstack.Outcomes, 0, end); err != nil {
				l.t.Fatal(err)
			}
			l.forgetOffsets()
		},
		"topic made again": func(l *lab) {
			adm := kadm.NewClient(l.client)
			if _, err := adm.DeleteTopics(context.Background(), devstack.Outcomes); err != nil {
				l.t.Fatal(err)
			}
			if _, err := adm.CreateTopics(context.Background(), 1, 1, nil, devstack.Outcomes); err != nil {
				l.t.Fatal(err)
			}
			var back kadm.Offsets
			back.AddOffset(devstack.Intents, 0, 0, -1)
			for _, o := range l.committed() {
				o.At = 0
				back.Add(o)
			}
			if err := adm.CommitAllOffsets(context.Background(), "paylink", back); err != nil {
				l.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				l.emit(0, 20)
				l.serveOnce(20)
				time.Sleep(30 * time.Minute)
				empty(l)
				m := l.start("b")
				time.Sleep(time.Minute)
				l.calls(20, 1)
				l.tooOld(20)
				if got := m.trouble(kafkaio.ShortLedger); len(got) != 1 || m.metric(t, "short_ledger") != 1 {
					t.Errorf("troubles %v, want that the partition was emptied", got)
				}
				l.emit(20, 5)
				time.Sleep(5 * time.Second)
				l.calls(25, 1)
				m.leave(t)
			})
		})
	}
}

// Nor that one may have answered that is emptied while it is taken over, whatever the
// new owner has asked for by then.
func TestNothingIsCalledThatAPartitionMayHaveAnsweredThatIsEmptiedMeanwhile(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.ListOffsets, kmsg.InitProducerID, kmsg.EndTxn, kmsg.Fetch} {
		for nth := 1; nth <= 8; nth++ {
			t.Run(fmt.Sprint(key.Name(), " ", nth), func(t *testing.T) {
				inLab(t, 1, func(l *lab) {
					l.emit(0, 20)
					l.serveOnce(20)
					l.forgetOffsets()
					time.Sleep(time.Minute)
					m := l.start("b")
					var seen atomic.Int64
					m.net.set(func(k kmsg.Key) treatment {
						if k != key || seen.Add(1) != int64(nth) {
							return treatment{}
						}
						end := l.broker.PartitionInfo(devstack.Outcomes, 0).HighWatermark
						if err := l.broker.DeleteRecords(devstack.Outcomes, 0, end); err != nil {
							t.Error(err)
						}
						return treatment{}
					})
					time.Sleep(time.Minute)
					l.emit(20, 5)
					time.Sleep(time.Minute)
					l.calls(25, 1)
					m.leave(t)
				})
			})
		}
	}
}

// committed returns what the group has committed.
func (l *lab) committed() (all []kadm.Offset) {
	l.t.Helper()
	got, err := kadm.NewClient(l.client).FetchOffsets(context.Background(), "paylink")
	if err != nil {
		l.t.Fatal(err)
	}
	got.Each(func(o kadm.OffsetResponse) { all = append(all, o.Offset) })
	return all
}

// configure changes a setting of a topic.
func (l *lab) configure(topic, name, value string) {
	l.t.Helper()
	_, err := kadm.NewClient(l.client).AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Name: name, Value: &value}}, topic)
	if err != nil {
		l.t.Fatal(err)
	}
}

func TestACompactedOutcomeTopicIsRefused(t *testing.T) {
	topics := devstack.DefaultTopics(1)
	topics[1].Configs["cleanup.policy"] = "delete,compact"
	inLabWith(t, topics, func(l *lab) {
		l.emit(0, 5)
		m := l.start("a")
		if err := <-m.ended; err == nil || !strings.Contains(err.Error(), "set cleanup.policy to delete") {
			t.Errorf("member ended with %v, want how to mend it", err)
		}
		l.calls(0, 0)
	})
}

func TestSettingsThatShortenTheLedgerAreSaidWhileRunning(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start("a")
		l.emit(0, 5)
		l.judge(5)
		if got := m.source.State().Troubles; len(got) > 0 {
			t.Errorf("troubles %v before there are any", got)
		}
		l.configure(devstack.Outcomes, "retention.ms", "86400000")
		l.configure(devstack.Outcomes, "retention.bytes", "1000000")
		l.configure(devstack.Outcomes, "cleanup.policy", "compact")
		time.Sleep(time.Minute)
		if s, c := m.trouble(kafkaio.ShortLedger), m.trouble(kafkaio.Compacted); len(s) != 2 || len(c) != 1 {
			t.Errorf("troubles %v, %v; want one for each of the three settings", s, c)
		}
		if n := m.said.times("is compacted"); n != 1 {
			t.Errorf("said %d times that the topic is compacted, want once", n)
		}
		l.configure(devstack.Outcomes, "retention.ms", "-1")
		l.configure(devstack.Outcomes, "retention.bytes", "-1")
		l.configure(devstack.Outcomes, "cleanup.policy", "delete")
		time.Sleep(time.Minute)
		if got := m.source.State().Troubles; len(got) > 0 {
			t.Errorf("troubles %v after they were mended", got)
		}
		l.emit(5, 5)
		l.judge(10)
		m.leave(t)
	})
}
