package kafkaio_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
)

func TestRetentionThatPassedTheOffsetIsAlarmed(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.emit(0, 20)
		l.serveOnce(20)
		l.emit(20, 20)
		if err := l.broker.DeleteRecords(devstack.Intents, 0, 30); err != nil {
			t.Fatal(err)
		}
		m := l.start("a")
		l.judge(30)
		if lost, told := m.metric(t, "records_lost_to_retention_total"), m.said.times("retention passed the committed offset"); lost != 10 || told != 1 {
			t.Errorf("%v records lost, told %d times; want 10, told once", lost, told)
		}
		m.leave(t)
		l.calls(30, 1)
	})
}

func TestRetentionThatOvertakesAReader(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.answersAfter(5 * time.Second)
		l.emit(0, 10)
		m := l.start("a")
		time.Sleep(time.Second) // ten are called
		m.net.refuse(kmsg.Fetch)
		time.Sleep(time.Second) // the one that was under way is over
		l.emit(10, 20)
		if err := l.broker.DeleteRecords(devstack.Intents, 0, 20); err != nil {
			t.Fatal(err)
		}
		m.net.set(nil)
		l.judge(20)
		if lost, told := m.metric(t, "records_lost_to_retention_total"), m.said.times("retention overtook us"); lost != 10 || told != 1 {
			t.Errorf("%v records lost, told %d times; want 10, told once", lost, told)
		}
		m.leave(t)
		l.calls(20, 1) // those that were called have an outcome, though their records are gone
	})
}

func TestAnOffsetBeyondTheEndReadsFromTheBeginning(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.emit(0, 20)
		l.serveOnce(20)
		var offsets kadm.Offsets
		offsets.AddOffset(devstack.Intents, 0, 1000, -1)
		if err := kadm.NewClient(l.client).CommitAllOffsets(context.Background(), "paylink", offsets); err != nil {
			t.Fatal(err)
		}
		l.emit(20, 10)
		m := l.start("a")
		l.judge(30)
		if n := m.said.times("ends before the committed offset"); n != 1 {
			t.Errorf("told %d times, want once", n)
		}
		m.leave(t)
		l.calls(30, 1)
	})
}

func TestTheIntentTopicIsMadeAgain(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		m := l.start("a")
		l.emit(0, 40)
		l.judge(40)
		if err := l.broker.DeleteTopic(devstack.Intents); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if err := l.broker.CreateTopic(devstack.Intents, 2, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if err := l.broker.Kafka().Emit(context.Background(), devstack.Intents, messages(40, 20)...); err != nil { // by a client that does not know the old topic
			t.Fatal(err)
		}
		l.judge(60)
		m.leave(t)
		l.calls(60, 1)
	})
}

func TestIntentPartitionsAddedAreGivenOut(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a, b := l.start("a"), l.start("b")
		l.emit(0, 20)
		l.judge(20)
		if _, err := kadm.NewClient(l.client).UpdatePartitions(context.Background(), 5, devstack.Intents); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if n := len(a.source.Owned()) + len(b.source.Owned()); n != 5 {
			t.Errorf("%v and %v owned, want five partitions", a.source.Owned(), b.source.Owned())
		}
		l.emit(20, 80)
		l.judge(100)
		a.leave(t)
		b.leave(t)
		l.calls(100, 1)
	})
}

func TestOutcomePartitionsAddedStopTheService(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a, b := l.start("a"), l.start("b")
		l.emit(0, 20)
		l.judge(20)
		if _, err := kadm.NewClient(l.client).UpdatePartitions(context.Background(), 4, devstack.Outcomes); err != nil {
			t.Fatal(err)
		}
		for _, m := range []*life{a, b} {
			if err := <-m.ended; err == nil || !strings.Contains(err.Error(), "has 4 partitions now, had 2") {
				t.Errorf("member ended with %v, want it to name the partitions", err)
			}
		}
		c := l.start("c") // all were stopped: the new number is fine
		l.emit(20, 20)
		l.judge(40)
		c.leave(t)
		l.calls(40, 1)
	})
}

// misfit is a batch whose checksum is good and whose records are not.
func misfit(raw []byte) []byte {
	raw[61] = 0x7f // the record's length
	return kafkaio.Seal(raw)
}

// damaged is a batch that gets a wrong checksum in the log: the embedded broker
// puts its own time into a batch that asks for it, and forgets the checksum.
func damaged(raw []byte) []byte {
	raw[22] |= 0x08
	return kafkaio.Seal(raw)
}

// garbage is a batch that says that it holds two billion records, and holds none.
func garbage(codec byte, body string) func([]byte) []byte {
	return func(raw []byte) []byte {
		raw = append(raw[:61], body...)
		binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
		raw[22] |= codec
		binary.BigEndian.PutUint32(raw[23:], 1<<31-2)
		binary.BigEndian.PutUint32(raw[57:], 1<<31-1)
		return kafkaio.Seal(raw)
	}
}

// What an emitter has written that nobody can read gets one dead letter, and holds up
// nobody: neither those behind it, nor their partition. It is in the time of the world,
// as decoders of zstd outlive a bubble.
func TestABatchThatNobodyCanReadHoldsUpNobody(t *testing.T) {
	labWith(t, devstack.DefaultTopics(1), func(l *lab) {
		var want []string
		for i, c := range []struct {
			spoil  func([]byte) []byte
			reason string
		}{
			{misfit, "unknown_schema"},
			{garbage(0, "x"), "unknown_schema"},
			{garbage(1, "garbage"), "unknown_schema"},
			{garbage(2, "garbage"), "unknown_schema"},
			{garbage(3, ""), "unknown_schema"},
			{garbage(4, "garbage"), "unknown_schema"},
			{garbage(4, "\x28\xb5\x2f\xfd\x21\x07\x01\x09\x00\x00"), "unknown_schema"},                         // a dictionary
			{garbage(4, "\x50\x2a\x4d\x18\x00\x00\x00\x00\x28\xb5\x2f\xfd\x00\xa8\x09\x00\x00x"), "too_large"}, // a window
		} {
			raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: -1, Epoch: -1}, -1, 0, []kafkawire.Record{{Millis: 1, Value: []byte("value")}})
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("%d %s", l.broker.PartitionInfo(devstack.Intents, 0).HighWatermark, c.reason))
			l.produceRaw(devstack.Intents, 0, c.spoil(raw[4:]))
			l.emit(i, 1)
		}
		m := l.start("a")
		l.judge(len(want))
		var got []string
		for _, d := range l.readAll(devstack.DeadLetters, len(want)) {
			got = append(got, fmt.Sprintf("%s %s", header(d, event.HeaderSourceOffset), header(d, event.HeaderReason)))
			if string(header(d, event.HeaderByReference)) != "true" {
				t.Errorf("dead letter %v, want one by reference", d.Headers)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("dead letters (-want +got):\n%s", d)
		}
		if m.said.times("records of a batch cannot be unpacked") == 0 || m.source.Held() != 0 {
			t.Errorf("said nothing, or %d bytes are held after all is settled", m.source.Held())
		}
		m.leave(t)
		l.calls(len(want), 1)
	})
}

// readAll reads a topic's first records.
func (l *lab) readAll(topic string, n int) (all []*kgo.Record) {
	l.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(l.broker.Addrs()...), kgo.Dialer(l.vn.DialContext), kgo.ConsumeTopics(topic), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for len(all) < n && ctx.Err() == nil {
		all = append(all, c.PollFetches(ctx).Records()...)
	}
	return all
}

func TestACorruptBatchStopsItsPartitionOnly(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: -1, Epoch: -1}, -1, 0, []kafkawire.Record{{Millis: 1, Value: []byte("value")}})
		if err != nil {
			t.Fatal(err)
		}
		to := func(partition int32, from, n int) {
			for i := range n {
				id := fmt.Sprintf("i-%05d", from+i)
				if err := l.broker.Kafka().EmitTo(context.Background(), devstack.Intents, partition, event.Message{Key: []byte(id), Value: []byte(intent(id))}); err != nil {
					t.Fatal(err)
				}
			}
		}
		to(0, 0, 5)
		l.produceRaw(devstack.Intents, 0, damaged(raw[4:]))
		to(1, 5, 5)
		to(0, 10, 5)
		m := l.start("a")
		time.Sleep(time.Minute)
		l.judge(10) // before it, and beside it
		if n := m.metric(t, "corrupt_batches_total"); n < 2 || n > 10 {
			t.Errorf("the corrupt batch was met %v times in a minute, want a few", n)
		}
		if err := l.broker.DeleteRecords(devstack.Intents, 0, 6); err != nil { // the operator's repair
			t.Fatal(err)
		}
		l.judge(15)
		m.leave(t)
		l.calls(15, 1)
	})
}

func TestALargeRecordIsRead(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.emit(0, 5)
		l.send("large", `{"intent_id":"large","amount":"10.00","description":"x","unknown":"`+noise(900_000, 1)+`"}`)
		l.emit(5, 5)
		l.serveOnce(11)
		l.calls(11, 1)
	})
}

func TestTenThousandRecordsInOneBatch(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	inLab(t, 1, func(l *lab) {
		l.gate.answersAfter(time.Millisecond)
		recs := make([]kafkawire.Record, 10_000)
		for i := range recs {
			id := fmt.Sprintf("i-%05d", i)
			recs[i] = kafkawire.Record{Millis: time.Now().UnixMilli(), Key: []byte(id), Value: []byte(intent(id))}
		}
		raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: -1, Epoch: -1}, -1, 2, recs)
		if err != nil {
			t.Fatal(err)
		}
		l.produceRaw(devstack.Intents, 0, raw[4:])
		l.serveOnce(10_000)
		l.calls(10_000, 1)
	})
}

func TestEveryCodecIsRead(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		n := 0
		for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
			c, err := l.broker.Kafka().Client(kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(devstack.Intents))
			if err != nil {
				t.Fatal(err)
			}
			var recs []*kgo.Record
			for range 100 {
				id := fmt.Sprintf("i-%05d", n)
				recs = append(recs, &kgo.Record{Key: []byte(id), Value: []byte(intent(id))})
				n++
			}
			if err := c.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		l.serveOnce(n)
		l.calls(n, 1)
	})
}

func messages(from, n int) (out []event.Message) {
	for i := range n {
		id := fmt.Sprintf("i-%05d", from+i)
		out = append(out, event.Message{Key: []byte(id), Value: []byte(intent(id))})
	}
	return out
}

func TestAbortedAndOpenTransactionsAreNotRead(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		ctx, k := context.Background(), l.broker.Kafka()
		for _, end := range []struct {
			from int
			try  kgo.TransactionEndTry
		}{{1000, kgo.TryAbort}, {0, kgo.TryCommit}, {2000, kgo.TryAbort}, {10, kgo.TryCommit}} {
			if err := k.EmitInTransaction(ctx, "emitter", end.try, devstack.Intents, messages(end.from, 10)...); err != nil {
				t.Fatal(err)
			}
		}
		open, err := k.Client(kgo.TransactionalID("open"), kgo.TransactionTimeout(10*time.Minute), kgo.DefaultProduceTopic(devstack.Intents))
		if err != nil {
			t.Fatal(err)
		}
		if err := open.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, m := range messages(20, 10) {
			if err := open.ProduceSync(ctx, &kgo.Record{Key: m.Key, Value: m.Value}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		l.emit(30, 10) // behind the open transaction
		m := l.start("a")
		time.Sleep(time.Minute)
		if calls, _ := l.gate.counts(); calls != 20 {
			t.Errorf("%d calls while a transaction is open, want the 20 committed before it", calls)
		}
		if err := open.EndTransaction(ctx, kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		open.Close()
		l.judge(40)
		m.leave(t)
		l.calls(40, 1)
		for _, p := range []int32{0, 1} { // the markers at the end are passed, too
			offsets, err := kadm.NewClient(l.client).FetchOffsets(ctx, "paylink")
			end, _ := offsets.Lookup(devstack.Intents, p)
			if last := l.broker.PartitionInfo(devstack.Intents, p).HighWatermark; err != nil || end.At != last {
				t.Errorf("partition %d is committed up to %d, %v; want its end, %d", p, end.At, err, last)
			}
		}
	})
}

func TestRecordsWithoutKeys(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		for i := range 50 {
			l.send("", intent(fmt.Sprintf("i-%05d", i)))
		}
		m := l.start("a")
		time.Sleep(20 * time.Second)
		recs, err := l.broker.Kafka().Read(context.Background(), devstack.Outcomes, devstack.ReadUncommitted)
		if err != nil || len(recs) != 50 {
			t.Errorf("%d outcomes, %v; want 50", len(recs), err)
		}
		for _, r := range recs {
			if r.Key != nil {
				t.Errorf("outcome with the key %q, want none", r.Key)
			}
		}
		m.leave(t)
		l.calls(50, 1)
	})
}

func TestStartLatestPassesOver(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		l.emit(0, 20)
		latest := func(c *kafkaio.Config) { c.StartLatest = true }
		m := l.start("a", latest)
		time.Sleep(5 * time.Second)
		m.leave(t)
		l.emit(20, 20) // while nobody is there: the beginning was committed, though nothing was settled
		m = l.start("a", latest)
		l.outcomes(20)
		m.leave(t)
		l.calls(20, 1)
		if l.gate.calls["i-00000"] != 0 {
			t.Error("an intent from before the group's beginning was called")
		}
	})
}

// A transaction that hangs hides what comes after it: that is said, with its place.
func TestATransactionThatHangsIsSaid(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start("a")
		l.emit(0, 5)
		l.judge(5)
		p, err := kgo.NewClient(kgo.SeedBrokers(l.broker.Addrs()...), kgo.Dialer(l.vn.DialContext), kgo.TransactionalID("t"),
			kgo.TransactionTimeout(10*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := p.ProduceSync(context.Background(), &kgo.Record{Topic: devstack.Intents, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		l.emit(5, 3)
		time.Sleep(time.Minute)
		if got := m.trouble(kafkaio.InputBlocked); len(got) > 0 {
			t.Errorf("after a minute, as long as most transactions last: %v", got)
		}
		time.Sleep(time.Minute)
		got := m.trouble(kafkaio.InputBlocked)
		if len(got) != 1 || !strings.Contains(got[0].What, "Partition 0 of "+devstack.Intents+": a transaction that began at offset 5") ||
			m.said.times("hides what comes after it") != 1 || m.metric(t, "input_blocked") != 1 {
			t.Errorf("after two minutes: %v, want where it hangs", got)
		}
		if err := p.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		l.judge(8)
		if got := m.trouble(kafkaio.InputBlocked); len(got) > 0 {
			t.Errorf("when it is over: %v", got)
		}
		m.leave(t)
	})
}
