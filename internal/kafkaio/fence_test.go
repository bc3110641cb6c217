package kafkaio_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
)

// ask sends a request as a stranger and fails the test if it cannot.
func ask[R kmsg.Response](l *lab, req kmsg.Request) R {
	l.t.Helper()
	res, err := l.client.Request(context.Background(), req)
	if err != nil {
		l.t.Fatal(err)
	}
	return res.(R)
}

func tidOf(partition int32) string {
	return fmt.Sprintf("paylink/paylink/%s/%d", devstack.Intents, partition)
}

// openTxn begins a partition's fence as another owner would, up to the open
// transaction.
func (l *lab) openTxn(partition int32) kafkawire.Producer {
	l.t.Helper()
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis, init.ProducerID, init.ProducerEpoch = kmsg.StringPtr(tidOf(partition)), 60_000, -1, -1
	got := ask[*kmsg.InitProducerIDResponse](l, init)
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch = tidOf(partition), got.ProducerID, got.ProducerEpoch
	add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: devstack.Outcomes, Partitions: []int32{partition}}}
	ask[*kmsg.AddPartitionsToTxnResponse](l, add)
	return kafkawire.Producer{ID: got.ProducerID, Epoch: got.ProducerEpoch}
}

// fence takes a partition's claim away from whoever has it.
func (l *lab) fence(partition int32) kafkawire.Producer {
	l.t.Helper()
	p := l.openTxn(partition)
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch = tidOf(partition), p.ID, p.Epoch
	res := ask[*kmsg.EndTxnResponse](l, end)
	if res.ErrorCode != 0 {
		l.t.Fatal(kerr.ErrorForCode(res.ErrorCode))
	}
	if res.Version >= 5 { // this client ends transactions the new way (KIP-890), with one more epoch
		p = kafkawire.Producer{ID: res.ProducerID, Epoch: res.ProducerEpoch}
	}
	return p
}

// answer publishes the outcome of an intent as another owner would.
func (l *lab) answer(p kafkawire.Producer, partition int32, id string) {
	l.t.Helper()
	dec, err := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}).Decode(context.Background(), event.Message{Value: []byte(intent(id))})
	if err != nil {
		l.t.Fatal(err)
	}
	raw, err := kafkawire.AppendBatch(nil, p, 0, 0, []kafkawire.Record{{Millis: time.Now().UnixMilli(), Key: []byte(id), Value: []byte("{}"), Headers: []kafkawire.Header{
		{Key: []byte(event.HeaderIntentID), Value: []byte(id)}, {Key: []byte(event.HeaderIntentDigest), Value: []byte(dec.Digest.String())},
	}}})
	if err != nil {
		l.t.Fatal(err)
	}
	l.produceRaw(devstack.Outcomes, partition, raw[4:])
}

// produceRaw appends a batch, byte for byte.
func (l *lab) produceRaw(topic string, partition int32, batch []byte) {
	l.t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Version = -1, 1000, 8
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = partition, batch
	top := kmsg.NewProduceRequestTopic()
	top.Topic, top.TopicID, top.Partitions = topic, l.broker.TopicInfo(topic).TopicID, []kmsg.ProduceRequestTopicPartition{part}
	req.Topics = []kmsg.ProduceRequestTopic{top}
	res, err := l.client.Broker(int(l.broker.LeaderFor(topic, partition))).Request(context.Background(), req)
	if err != nil {
		l.t.Fatal(err)
	}
	if code := res.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
		l.t.Fatal(kerr.ErrorForCode(code))
	}
}

func TestAStolenClaimIsFencedAnewAndFinished(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		m := l.start("a")
		l.emit(0, 60)
		l.judge(60)
		l.gate.answersAfter(2 * time.Second)
		l.emit(60, 60)
		time.Sleep(time.Second) // all in flight
		for p := range int32(3) {
			l.fence(p)
		}
		l.judge(120)
		if n := m.metric(t, "fences_broken_total"); n != 3 {
			t.Errorf("%v fences found broken, want 3", n)
		}
		l.emit(120, 60)
		l.judge(180)
		m.leave(t)
		l.calls(180, 1)
	})
}

// TestAFenceThatStandsOpenIsBroken: a former owner's requests that begin a fence
// arrive long after it was given up, and nobody ends that transaction. What we append
// meanwhile is refused as no part of it, for as long as it is open: a minute here.
func TestAFenceThatStandsOpenIsBroken(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start("a")
		l.emit(0, 20)
		l.judge(20)
		l.gate.answersAfter(2 * time.Second)
		l.emit(20, 20)
		time.Sleep(time.Second) // all in flight
		l.openTxn(0)
		time.Sleep(10 * time.Second)
		if n := m.metric(t, "fences_broken_total"); n != 1 {
			t.Errorf("%v fences found broken, want 1", n)
		}
		m.leave(t)
		l.judge(40)
		l.calls(40, 1)
	})
}

func TestAnAnswerThatTheThiefGaveIsTheAnswer(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start("a")
		l.emit(0, 20)
		l.judge(20)
		l.gate.took = func(n int) time.Duration { return time.Duration(n-10) * time.Second } // one after the other
		l.emit(20, 10)
		time.Sleep(500 * time.Millisecond)
		thief := l.fence(0)
		l.answer(thief, 0, "i-00029") // which we call, and hear of after we fenced anew
		l.judge(30)
		m.leave(t)
		l.calls(30, 1)
	})
}

// A request may arrive long after its sender was given up, lease and all: that
// is what the fence alone is good for.
func TestAppendsFromTheGraveAreRefused(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		a := l.start("a")
		l.emit(0, 30)
		l.judge(30)
		var late atomic.Int32
		a.net.set(func(k kmsg.Key) treatment {
			switch k {
			case kmsg.Produce:
				late.Add(1)
				return treatment{late: 40 * time.Second}
			case kmsg.Heartbeat, kmsg.JoinGroup, kmsg.OffsetCommit:
				return treatment{refuse: true}
			}
			return treatment{}
		})
		l.emit(30, 30) // called by a, whose outcomes are on their way for long
		time.Sleep(2 * time.Second)
		b := l.start("b")
		l.judge(60)
		time.Sleep(time.Minute)
		a.net.set(nil)
		l.judge(60)
		if late.Load() == 0 {
			t.Error("no append came late: the test shows nothing")
		}
		a.leave(t)
		b.leave(t)
		l.calls(90, 2)
	})
}

func TestAPredecessorsOpenTransactionIsAborted(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		for p := range int32(3) {
			l.openTxn(p)
		}
		l.emit(0, 60)
		m := l.start("a")
		l.judge(60)
		m.leave(t)
		l.calls(60, 1)
	})
}

func TestTheFenceOutlastsItsCoordinator(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions} {
		for _, key := range []kmsg.Key{kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.EndTxn} {
			t.Run(err.Message+" on "+key.Name(), func(t *testing.T) {
				inLab(t, 2, func(l *lab) {
					h := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{key}, TxnID: tidOf(1), Err: err, Count: 8})
					l.emit(0, 20)
					m := l.start("a")
					l.judge(20)
					if h.Hits() != 8 {
						t.Errorf("%d of 8 faults met", h.Hits())
					}
					m.leave(t)
					l.calls(20, 1)
				})
			})
		}
	}
}

func TestTheFenceOutlastsLostAnswers(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		var n atomic.Int32
		l.emit(0, 60)
		m := l.start("a")
		m.net.set(func(k kmsg.Key) treatment {
			switch k {
			case kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.EndTxn:
				return treatment{mute: n.Add(1)%2 == 0} // done, and nobody says so
			}
			return treatment{}
		})
		l.judge(60)
		m.leave(t)
		l.calls(60, 1)
	})
}

// renameTxns makes the coordinator see other transactional ids from now on, as
// if it had forgotten the old ones: the embedded broker itself gives a forgotten
// id its old producer again.
func (l *lab) renameTxns() {
	l.broker.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		l.broker.KeepControl()
		switch r := r.(type) {
		case *kmsg.FindCoordinatorRequest:
			if r.CoordinatorType == 1 && r.CoordinatorKey != "" {
				r.CoordinatorKey += "/again"
			}
		case *kmsg.InitProducerIDRequest:
			if r.TransactionalID != nil {
				r.TransactionalID = kmsg.StringPtr(*r.TransactionalID + "/again")
			}
		case *kmsg.AddPartitionsToTxnRequest:
			r.TransactionalID += "/again"
		case *kmsg.EndTxnRequest:
			r.TransactionalID += "/again"
		}
		return nil, nil, false
	})
}

func TestANewProducerIDIsAlarmedAndWaitedFor(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a := l.start("a")
		l.emit(0, 20)
		l.judge(20)
		a.leave(t)
		if n := a.metric(t, "new_producer_ids_total"); n != 0 {
			t.Errorf("%v alarms of the first owner ever, want none", n)
		}
		l.renameTxns()
		b, began := l.start("b"), time.Now()
		l.emit(20, 20)
		l.judge(40)
		if n := b.metric(t, "new_producer_ids_total"); n != 2 {
			t.Errorf("%v alarms of two partitions", n)
		}
		if n := l.gate.callsSince("b", began); n != 20 || l.gate.log[20].at.Sub(began) < 6*time.Second {
			t.Errorf("%d calls, the first after %v; want 20, after a session of 6s", n, l.gate.log[20].at.Sub(began))
		}
		b.leave(t)
		c := l.start("c") // the id is not new any more
		l.emit(40, 20)
		l.judge(60)
		if n := c.metric(t, "new_producer_ids_total"); n != 0 {
			t.Errorf("%v alarms of the next owner, want none", n)
		}
		c.leave(t)
		l.calls(60, 1)
	})
}

func TestACrashLoopSparesEpochs(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		fences := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TxnID: tidOf(0), Count: -1, Observe: true})
		began := time.Now()
		for range 60 {
			m := l.start("a", func(c *kafkaio.Config) { c.InstanceID = "a" })
			time.Sleep(2 * time.Second)
			m.net.cut()
			m.stop()
			<-m.ended
		}
		if n, most := fences.Hits(), 6+1+int(time.Since(began)/(10*time.Second)); n > most || n < 10 {
			t.Errorf("%d fences in a crash loop of %v, want ten at least and %d at most", n, time.Since(began), most)
		}
		l.emit(0, 10)
		m := l.start("a", func(c *kafkaio.Config) { c.InstanceID = "a" })
		l.judge(10)
		m.leave(t)
	})
}

func TestTheFenceIsRenewedUnderLoad(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		l.adjust = func(s *kafkaio.Source) { s.RenewFenceEvery(time.Second) }
		m := l.start("a")
		for i := range 100 {
			l.emit(i*5, 5)
			time.Sleep(100 * time.Millisecond)
		}
		l.judge(500)
		if n := m.metric(t, "fences_total"); n < 10 {
			t.Errorf("%v fences of two partitions in ten seconds, want one a second at first", n)
		}
		if n := m.metric(t, "fences_broken_total"); n != 0 {
			t.Errorf("%v fences were found broken while only we renewed them", n)
		}
		m.leave(t)
		l.calls(500, 1)
	})
}

func TestTwoGroupsWriteToOneOutcomeTopic(t *testing.T) {
	topics := append(devstack.DefaultTopics(3), devstack.Topic{Name: "intents-2", Partitions: 3})
	inLabWith(t, topics, func(l *lab) {
		second := func(c *kafkaio.Config) { c.Group, c.IntentTopic = "paylink-2", "intents-2" }
		a := l.start("a")
		l.emit(0, 60)
		l.judge(60)
		b := l.start("b", second)
		l.emit(60, 60)
		l.emitTo("intents-2", 120, 120)
		l.judge(240)
		a.leave(t)
		a = l.start("a")
		l.emit(240, 60)
		l.judge(300)
		for _, m := range []*life{a, b} {
			if n, broken := m.metric(t, "new_producer_ids_total"), m.metric(t, "fences_broken_total"); n+broken != 0 {
				t.Errorf("%v new producer ids, %v broken fences; want none, each group has its own", n, broken)
			}
			m.leave(t)
		}
		l.calls(300, 1)
	})
}

// Several intent partitions share an outcome partition, its ledger and its log,
// each with a fence of its own.
func TestFewerOutcomePartitions(t *testing.T) {
	topics := devstack.DefaultTopics(6)
	topics[1].Partitions, topics[2].Partitions = 2, 1
	inLabWith(t, topics, func(l *lab) {
		a := l.start("a")
		l.emit(0, 100)
		l.judge(100)
		b := l.start("b")
		l.emit(100, 100)
		l.judge(200)
		a.leave(t)
		l.emit(200, 100)
		l.judge(300)
		for _, m := range []*life{a, b} {
			if n, broken := m.metric(t, "new_producer_ids_total"), m.metric(t, "fences_broken_total"); n+broken != 0 {
				t.Errorf("%v new producer ids, %v broken fences; want none", n, broken)
			}
		}
		b.leave(t)
		l.calls(300, 1)
	})
}
