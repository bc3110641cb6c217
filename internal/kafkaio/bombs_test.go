package kafkaio_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/event"
)

// bombs are records that are small on the wire and large unpacked, each between
// good intents in the same batch.
func (l *lab) bombs(topic string, times int) (bombs, intents int) {
	l.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(l.broker.Addrs()...), kgo.Dialer(l.vn.DialContext),
		kgo.ProducerBatchMaxBytes(256<<20), kgo.MaxBufferedBytes(1<<30), kgo.BrokerMaxWriteBytes(1<<30), kgo.ProducerLinger(50*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	headers := make([]kgo.RecordHeader, 2<<20)
	value := make([]byte, 30<<20)
	for i := range times {
		for p := range int32(3) {
			var recs []*kgo.Record
			good := func() {
				id := fmt.Sprintf("i-%05d", intents)
				intents++
				recs = append(recs, &kgo.Record{Topic: topic, Partition: p, Key: []byte(id), Value: []byte(intent(id))})
			}
			good()
			for n := range 8 {
				recs = append(recs, &kgo.Record{Topic: topic, Partition: p, Key: fmt.Appendf(nil, "value-%d-%d-%d", i, p, n), Value: value})
			}
			good()
			recs = append(recs, &kgo.Record{Topic: topic, Partition: p, Key: fmt.Appendf(nil, "headers-%d-%d", i, p), Value: []byte("{}"), Headers: headers})
			good()
			bombs += 9
			if err := c.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	return bombs, intents
}

// allocated says how many MiB were allocated since it was made.
func allocated() func() uint64 {
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	return func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return (m.TotalAlloc - before.TotalAlloc) >> 20
	}
}

// They are in the time of the world: decoders of the embedded broker outlive a bubble.

// The records that fit no budget get their dead letters by reference; those beside
// them get their links; and everything that was counted is given back.
func TestBombsAreBuriedByReference(t *testing.T) {
	if testing.Short() {
		t.Skip("it packs gigabytes")
	}
	labWith(t, devstack.DefaultTopics(3), func(l *lab) {
		bombs, intents := l.bombs(devstack.Intents, bombsEach)
		took := allocated()
		m := l.start("a")
		l.judge(intents)
		buried := l.deadLetters(bombs)
		for key, d := range buried {
			size := string(header(d, event.HeaderSourceSize))
			if string(header(d, event.HeaderReason)) != "too_large" || string(header(d, event.HeaderByReference)) != "true" ||
				size == "" || d.Value != nil || len(d.Headers) > 40 {
				t.Fatalf("dead letter of %s: value %.10q, headers %v", key, d.Value, d.Headers)
			}
		}
		if n := m.source.Held(); n != 0 {
			t.Errorf("%d bytes are held after all is settled", n)
		}
		mib := took()
		t.Logf("%d bombs that unpack to %d MiB, %d intents: %d MiB were allocated, in all", bombs, bombs*8/9*30+bombs/9*4, intents, mib)
		if mib > 512 {
			t.Error("want less than 512 MiB")
		}
		m.leave(t)
		if n := m.source.Held(); n != 0 {
			t.Errorf("%d bytes are held after the member has left", n)
		}
	})
}

// A bomb among the outcomes kills nobody, and hides nobody's outcome.
func TestBombsInTheLedger(t *testing.T) {
	if testing.Short() {
		t.Skip("it packs gigabytes")
	}
	labWith(t, devstack.DefaultTopics(3), func(l *lab) {
		l.emit(0, 30)
		l.serveOnce(30)
		l.bombs(devstack.Outcomes, (bombsEach+4)/5)
		took := allocated()
		l.emit(0, 30) // once more
		l.emit(30, 30)
		m := l.start("a")
		for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			if n, _ := l.gate.counts(); n >= 60 {
				break
			}
		}
		m.leave(t)
		l.calls(60, 1)
		if mib := took(); mib > 256 {
			t.Errorf("%d MiB were allocated, in all", mib)
		}
	})
}

// What a claim holds that is lost in the middle is given back.
func TestALostClaimGivesBackItsBytes(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		l.gate.answersAfter(time.Hour)
		l.emit(0, 3000)
		m := l.start("a")
		time.Sleep(5 * time.Second)
		if m.source.Held() == 0 {
			t.Error("nothing is held while intents wait")
		}
		m.net.cut()
		m.stop()
		<-m.ended // what was called is given up
		if n := m.source.Held(); n != 0 {
			t.Errorf("%d bytes are held after all claims were lost", n)
		}
	})
}

func header(r *kgo.Record, name string) []byte {
	if r == nil {
		return nil
	}
	for _, h := range r.Headers {
		if h.Key == name {
			return h.Value
		}
	}
	return nil
}

// deadLetters waits for n dead letters, and returns them by key.
func (l *lab) deadLetters(n int) map[string]*kgo.Record {
	l.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(l.broker.Addrs()...), kgo.Dialer(l.vn.DialContext), kgo.ConsumeTopics(devstack.DeadLetters), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	got := map[string]*kgo.Record{}
	for len(got) < n && ctx.Err() == nil {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got[string(r.Key)] = r })
	}
	if len(got) != n {
		l.t.Errorf("%d dead letters, want %d", len(got), n)
	}
	return got
}
