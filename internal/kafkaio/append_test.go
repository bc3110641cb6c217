package kafkaio_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/kafkaio"
	"paylink/internal/pipeline"
)

// load runs one member over n intents that come over two seconds.
func (l *lab) load(n int, change func(m *life)) *life {
	l.t.Helper()
	m := l.start("a")
	if change != nil {
		change(m)
	}
	for i := range 20 {
		l.emit(i*n/20, n/20)
		time.Sleep(100 * time.Millisecond)
	}
	l.judge(n)
	l.calls(n, 1)
	return m
}

func TestEveryThirdAcknowledgementIsLost(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		var n, lost atomic.Int32
		l.load(400, func(m *life) {
			m.net.set(func(k kmsg.Key) treatment {
				if k == kmsg.Produce && n.Add(1)%3 == 0 {
					lost.Add(1)
					return treatment{mute: true}
				}
				return treatment{}
			})
		}).leave(t)
		if lost.Load() < 10 {
			t.Errorf("%d acknowledgements were lost: the test shows nothing", lost.Load())
		}
	})
}

func TestAppendsOutlastTheBrokersErrors(t *testing.T) {
	for _, err := range []*kerr.Error{
		kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, // both applied
		kerr.NotEnoughReplicas, kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.KafkaStorageError, kerr.UnknownTopicOrPartition,
	} {
		t.Run(err.Message, func(t *testing.T) {
			inLab(t, 3, func(l *lab) {
				h := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Outcomes, Err: err, Count: 10})
				m := l.load(200, nil)
				if h.Hits() != 10 || m.metric(t, "append_retries_total") == 0 {
					t.Errorf("%d of 10 faults met, %v retries", h.Hits(), m.metric(t, "append_retries_total"))
				}
				m.leave(t)
			})
		})
	}
}

// Sequence trouble says that we do not know what landed; the ledger does.
func TestSequenceTroubleIsClearedUpByANewFence(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping} {
		t.Run(err.Message, func(t *testing.T) {
			inLab(t, 3, func(l *lab) {
				l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Outcomes, Partitions: []int32{1}, Err: err, Count: 3})
				m := l.load(200, nil)
				if n := m.metric(t, "fences_broken_total"); n != 3 {
					t.Errorf("%v fences found broken, want 3", n)
				}
				m.leave(t)
			})
		})
	}
}

func TestLeadersMoveAllTheTime(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		m := l.start("a")
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for i := range int32(200) {
				for p := range int32(6) {
					for _, topic := range []string{devstack.Intents, devstack.Outcomes} {
						if err := l.broker.MoveTopicPartition(topic, p, (p+i)%3); err != nil {
							t.Error(err)
						}
					}
				}
				select {
				case <-stop:
					return
				case <-time.After(150 * time.Millisecond):
				}
			}
		}()
		for i := range 40 {
			l.emit(i*10, 10)
			time.Sleep(100 * time.Millisecond)
		}
		for m.metric(t, "records_appended_total") < 400 {
			time.Sleep(time.Second)
		}
		close(stop)
		<-stopped
		l.judge(400) // only now: this reader begins anew when a leader moves
		l.calls(400, 1)
		m.leave(t)
	})
}

// The embedded broker always has a leader, so the metadata lies about it here.
func TestALeaderlessPartitionIsWaitedFor(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		m := l.start("a")
		l.emit(0, 50)
		l.judge(50)
		refused := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Outcomes, Err: kerr.NotLeaderForPartition, Count: -1})
		h := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: devstack.Outcomes, Err: kerr.LeaderNotAvailable, Count: -1})
		l.emit(50, 50)
		time.Sleep(30 * time.Second)
		if h.Hits() == 0 {
			t.Error("nobody asked for the leader")
		}
		refused.Remove()
		h.Remove()
		l.judge(100)
		m.leave(t)
		l.calls(100, 1)
	})
}

func TestBatchesThatAreTooLargeAreSplit(t *testing.T) {
	topics := devstack.DefaultTopics(1)
	topics[1].Configs["max.message.bytes"] = "2500"
	inLabWith(t, topics, func(l *lab) {
		l.gate.took = func(n int) time.Duration { return time.Second - time.Duration(n)*time.Nanosecond } // many at once
		l.emit(0, 300)
		m := l.start("a")
		l.judge(300)
		if n := m.metric(t, "batches_appended_total"); n < 20 {
			t.Errorf("%v batches of 2500 bytes hold 300 outcomes: nothing was split", n)
		}
		m.leave(t)
		l.calls(300, 1)
	})
}

// send publishes one record of the intent topic.
func (l *lab) send(key, value string) {
	l.t.Helper()
	r := &kgo.Record{Topic: devstack.Intents, Value: []byte(value)}
	if key != "" {
		r.Key = []byte(key)
	}
	if err := l.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
}

// dead returns the dead letters.
func (l *lab) dead() []devstack.Record {
	l.t.Helper()
	recs, err := l.broker.Kafka().Read(context.Background(), devstack.DeadLetters, devstack.ReadUncommitted)
	if err != nil {
		l.t.Fatal(err)
	}
	return recs
}

// A batch landed, its acknowledgement was lost, and the repetition is refused as too
// large, by a lower limit: only the ledger tells that it landed.
func TestABatchThatLandedIsNotBuriedWhenItsRepetitionIsTooLarge(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start("a")
		l.emit(0, 5)
		l.judge(5)
		var sent atomic.Int32
		m.net.set(func(k kmsg.Key) treatment {
			return treatment{mute: k == kmsg.Produce && sent.Add(1) == 1}
		})
		h := l.broker.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Outcomes, Err: kerr.MessageTooLarge, Count: 1,
			When: func(kmsg.Request) bool { return sent.Load() == 2 },
		})
		for i := range 3 {
			l.emit(5+i, 1)
			time.Sleep(5 * time.Second)
		}
		l.judge(8)
		if dead := l.dead(); len(dead) > 0 || h.Hits() != 1 {
			t.Errorf("dead letters %v after %d refusals, want none after one", dead, h.Hits())
		}
		if n := m.said.times("settled"); n != 8 {
			t.Errorf("%d intents are logged as settled, want 8: what landed is our own", n)
		}
		if n := m.metric(t, "fences_broken_total"); n != 0 {
			t.Errorf("%v fences are counted as broken by somebody, want none", n)
		}
		m.leave(t)
		l.calls(8, 1)
	})
}

func TestAnOutcomeThatNoRecordHoldsIsBuried(t *testing.T) {
	topics := devstack.DefaultTopics(1)
	topics[1].Configs["max.message.bytes"] = "1800"
	inLabWith(t, topics, func(l *lab) {
		var meta []string
		for i := range 14 { // random, so that nothing compresses it
			meta = append(meta, fmt.Sprintf(`"k%02d":"%s"`, i, noise(100, uint64(i))))
		}
		l.flow = func(c *pipeline.Config) { c.MaxOutcome = nil } // as if the limit were lowered after the call
		l.emit(0, 10)
		l.send("large", `{"intent_id":"large","amount":"10.00","description":"x","metadata":{`+strings.Join(meta, ",")+`}}`)
		l.emit(10, 10)
		m := l.start("a")
		l.judge(20)
		if dead := l.dead(); len(dead) != 1 || string(dead[0].Header("paylink-reason")) != "too_large" {
			t.Errorf("dead letters %v, want one that is too large", dead)
		}
		m.leave(t)
		l.calls(21, 1)
	})
}

// What the outcome topic would not take is refused before a payment exists.
func TestAnIntentWhoseOutcomeWouldNotFitIsNotCalled(t *testing.T) {
	topics := devstack.DefaultTopics(1)
	topics[1].Configs["max.message.bytes"] = "5000"
	inLabWith(t, topics, func(l *lab) {
		meta := func(id string, n int) string {
			var all []string
			for i := range n {
				all = append(all, fmt.Sprintf(`"k%02d":"%s"`, i, noise(120, uint64(i))))
			}
			return `{"intent_id":"` + id + `","amount":"10.00","description":"x","metadata":{` + strings.Join(all, ",") + `}}`
		}
		l.send("k", meta("large", 16))
		l.send("k", meta("small", 2))
		l.send(noise(5000, 1), meta("key", 0))
		m := l.start("a")
		got := l.outcomes(1)
		recs, err := l.broker.Kafka().Read(context.Background(), devstack.Outcomes, devstack.ReadUncommitted)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got["k"] != 2 || !strings.Contains(string(recs[0].Value), `"field":"metadata"`) {
			t.Errorf("outcomes %v, first %s; want metadata refused, and a link", got, recs[0].Value)
		}
		if dead := l.dead(); len(dead) != 1 || string(dead[0].Header("paylink-reason")) != "too_large" {
			t.Errorf("%d dead letters, want the one with the large key", len(dead))
		}
		l.calls(1, 1)
		if got := m.trouble(kafkaio.OutcomeLimit); len(got) != 1 {
			t.Errorf("troubles %v, want that the topic's limit is low", got)
		}
		m.leave(t)
	})
}

func TestADeadLetterThatNoRecordHoldsIsBuriedByReference(t *testing.T) {
	topics := devstack.DefaultTopics(1)
	topics[2].Configs["max.message.bytes"] = "4000"
	inLabWith(t, topics, func(l *lab) {
		l.send("junk", noise(20_000, 1))
		l.emit(0, 10)
		m := l.start("a")
		l.judge(10)
		dead := l.dead()
		if len(dead) != 1 || string(dead[0].Header("paylink-by-reference")) != "true" || string(dead[0].Header("paylink-reason")) != "not_json" {
			t.Errorf("dead letters %v, want one by reference", dead)
		}
		m.leave(t)
		l.calls(10, 1)
	})
}

// noise is text that does not compress.
func noise(n int, seed uint64) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, n)
	for i := range b {
		seed = seed*6364136223846793005 + 1442695040888963407
		b[i] = letters[seed>>58]
	}
	return string(b)
}

func TestPartitionsShareRequests(t *testing.T) {
	inLab(t, 12, func(l *lab) {
		var requests, batches atomic.Int32
		l.broker.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
			l.broker.KeepControl()
			for _, topic := range r.(*kmsg.ProduceRequest).Topics {
				if topic.Topic == devstack.Outcomes {
					requests.Add(1)
					batches.Add(int32(len(topic.Partitions)))
				}
			}
			return nil, nil, false
		})
		l.load(600, nil).leave(t)
		if r, b := requests.Load(), batches.Load(); r == 0 || float64(b) < 1.5*float64(r) {
			t.Errorf("%d batches in %d requests to three brokers, want several partitions in one", b, r)
		}
	})
}

// In virtual time nothing but waiting takes time: a linger would show.
func TestAnIdleServicePublishesAtOnce(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		m := l.start("a")
		time.Sleep(10 * time.Second)
		c, err := kgo.NewClient(kgo.SeedBrokers(l.broker.Addrs()...), kgo.Dialer(l.vn.DialContext), kgo.ConsumeTopics(devstack.Outcomes))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var waits []time.Duration
		for i := range 20 {
			l.emit(i, 1)
			for n := 0; n == 0; {
				c.PollFetches(context.Background()).EachRecord(func(*kgo.Record) { n++ })
			}
			l.gate.mu.Lock()
			waits = append(waits, time.Since(l.gate.log[i].done))
			l.gate.mu.Unlock()
			time.Sleep(time.Duration(1000+37*i) * time.Millisecond)
		}
		if worst := slices.Max(waits[1:]); worst > 5*time.Millisecond { // the reader itself needs a moment for its first
			t.Errorf("an outcome was visible %v after the gateway's answer, want 5ms at most (%v)", worst, waits)
		}
		m.leave(t)
	})
}

// When Kafka takes no outcome, that is said within seconds, with the cause, and taken
// back when it is over.
func TestAnAppendThatIsBlockedIsSaid(t *testing.T) {
	for _, c := range []struct {
		cause string
		block func(*lab, *life) (mend func())
	}{
		{"not_enough_replicas", func(l *lab, m *life) func() {
			h := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Outcomes, Err: kerr.NotEnoughReplicas, Count: -1})
			return h.Remove
		}},
		{"not_allowed", func(l *lab, m *life) func() {
			h := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Outcomes, Err: kerr.TopicAuthorizationFailed, Count: -1})
			return h.Remove
		}},
		{"no_answer", func(l *lab, m *life) func() {
			m.net.set(func(k kmsg.Key) treatment { return treatment{late: late(k == kmsg.Produce)} })
			return func() { m.net.set(nil) }
		}},
	} {
		t.Run(c.cause, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				m := l.start("a")
				l.emit(0, 5)
				l.judge(5)
				mend := c.block(l, m)
				l.emit(5, 1)
				time.Sleep(time.Second)
				if got := m.trouble(kafkaio.AppendBlocked); len(got) > 0 {
					t.Errorf("after a second: %v, want patience", got)
				}
				time.Sleep(2 * time.Second)
				got := m.trouble(kafkaio.AppendBlocked)
				if len(got) != 1 || got[0].Cause != c.cause || time.Since(got[0].Since) < 2*time.Second {
					t.Errorf("after three seconds: %+v, want one of cause %s", got, c.cause)
				}
				if n := m.metric(t, "append_blocked"); n != 1 || m.said.times("Kafka takes no records of partition 0") != 1 {
					t.Errorf("append_blocked is %v, want 1, and one line in the log", n)
				}
				time.Sleep(30 * time.Second)
				mend()
				l.judge(6)
				time.Sleep(time.Second)
				if got := m.trouble(kafkaio.AppendBlocked); len(got) > 0 {
					t.Errorf("when it is over: %v", got)
				}
				m.leave(t)
				l.calls(6, 1)
				time.Sleep(2 * time.Hour) // for what is late
			})
		})
	}
}

// What a broker will never take as it is, is changed so that it can, unless it may
// have landed: then the ledger is asked.
func TestRecordsThatAreInvalidToTheBrokerAreMadeValid(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.InvalidTimestamp, kerr.InvalidRecord} {
		t.Run(err.Message, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				m := l.start("a")
				fails := func(topic string, when func() bool) {
					l.broker.Fault(kfake.Fault{
						Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: err, Count: 1, When: func(kmsg.Request) bool { return when() },
					})
				}
				always := func() bool { return true }
				fails(devstack.Outcomes, always)
				fails(devstack.DeadLetters, always)
				l.emit(0, 1)
				l.send("", "junk")
				l.judge(1)
				if dead := l.dead(); len(dead) != 1 || err == kerr.InvalidRecord && string(dead[0].Key) != devstack.Intents+"/0/1" {
					t.Errorf("dead letters %v, want one, with a key if that may have been wrong", dead)
				}
				if n := m.metric(t, "fences_total"); n != 1 {
					t.Errorf("%v fences, want one: nothing had landed", n)
				}
				var sent atomic.Int32
				m.net.set(func(k kmsg.Key) treatment { return treatment{mute: k == kmsg.Produce && sent.Add(1) == 1} })
				fails(devstack.Outcomes, func() bool { return sent.Load() == 2 })
				l.emit(1, 1)
				l.judge(2)
				time.Sleep(5 * time.Second)
				l.emit(2, 3)
				l.judge(5)
				m.leave(t)
				l.calls(5, 1)
			})
		})
	}
}
