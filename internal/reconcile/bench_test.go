//go:build unix

package reconcile_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/facts"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
	"paylink/internal/reconcile"
)

var (
	topics = facts.Topics{Intents: devstack.Intents, Outcomes: devstack.Outcomes, DeadLetters: devstack.DeadLetters}
	begin  = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
)

// fill publishes so many intents, each with its link.
func fill(b testing.TB, k devstack.Kafka, n int) {
	b.Helper()
	c, err := k.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(20_000), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	d, e := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), event.NewEncoder(event.EncoderConfig{})
	send := func(topic string, p int32, m event.Message) {
		r := &kgo.Record{Topic: topic, Partition: p, Key: m.Key, Value: m.Value, Timestamp: m.Time}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		c.Produce(b.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	for i := range n {
		id := fmt.Sprintf("ord-2026-%08d", (i*7919)%n)
		m := event.Message{Key: []byte(id), Time: begin.Add(time.Duration(i) * time.Millisecond), Value: fmt.Appendf(nil,
			`{"intent_id":"%s","merchant_id":"540001","amount":"1500.00","currency":"KZT","description":"Mobile balance top-up","user_phone":"77001234567","result_url":"https://shop.example/paid"}`, id)}
		in, err := d.Decode(b.Context(), m)
		if err != nil {
			b.Fatal(err)
		}
		at := event.Place{Topic: topics.Intents, Partition: int32(i % 6), Offset: int64(i / 6)}
		o, err := e.Outcome(b.Context(), in, m.Key, at, payment.Created{Link: payment.Link{PaymentID: 2_200_000_000 + int64(i), RedirectURLType: payment.URLNeedData,
			RedirectURL: "https://customer.freedompay.kz/pay.html?customer=" + strings.Repeat("a", 32)}, Attempts: 1, At: begin})
		if err != nil {
			b.Fatal(err)
		}
		o.Time = m.Time
		send(topics.Intents, at.Partition, m)
		send(topics.Outcomes, at.Partition, o)
	}
	if err := c.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// archive opens the topics of a broker that holds so many intents: an embedded one,
// or that of BENCH_BROKERS, which is filled if it is empty.
func archive(b testing.TB, n int) *reconcile.Archive {
	b.Helper()
	brokers := strings.Split(os.Getenv("BENCH_BROKERS"), ",")
	if brokers[0] == "" {
		broker, err := devstack.StartBroker(devstack.BrokerOptions{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(broker.Close)
		brokers = broker.Addrs()
	}
	kafka, err := kafkaops.NewReader(kafkaio.Connection{Brokers: brokers}, topics.Intents, topics.Outcomes, topics.DeadLetters)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(kafka.Close)
	a := &reconcile.Archive{Kafka: kafka, Dir: b.TempDir(), Facts: &facts.Reader{Topics: topics,
		Intents: event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), Outcomes: outcomes.NewDecoder(nil)}}
	want := reconcile.Want{Topics: topics, Moment: begin.Add(24 * time.Hour)}
	if a.Range, err = reconcile.Fix(b.Context(), kafka, want); err == nil && a.Range.Records() == 0 {
		fill(b, devstack.Kafka{Brokers: brokers}, n)
		a.Range, err = reconcile.Fix(b.Context(), kafka, want)
	}
	if err != nil {
		b.Fatal(err)
	}
	return a
}

func benchSize(b *testing.B) int {
	if s := os.Getenv("BENCH_INTENTS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	return 100_000
}

// The figure we promise: 150,000 records/s on two cores for verify and for reconcile
// without the gateway. The embedded broker works on the same cores.

func BenchmarkParts(b *testing.B) {
	a := archive(b, benchSize(b))
	spans := append(append([]kafkaops.Span{}, a.Range.Intents...), a.Range.Outcomes...)
	each := func(yield func(event.Place, event.Message) error) func(context.Context) error {
		return func(ctx context.Context) error { return a.Kafka.Each(ctx, spans, 6, yield) }
	}
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"fetch", each(func(event.Place, event.Message) error { return nil })},
		{"fetch+decode", each(func(at event.Place, m event.Message) error {
			_, err := a.Facts.Of(b.Context(), at, m)
			return err
		})},
		{"fetch+decode+sort+merge", func(ctx context.Context) error {
			return a.Groups(ctx, func(*reconcile.Group) error { return nil })
		}},
		{"verify", func(ctx context.Context) error {
			_, err := a.Verify(ctx, func(reconcile.Finding) error { return nil })
			return err
		}},
		{"reconcile --offline", func(ctx context.Context) error {
			_, err := reconcile.Run(ctx, reconcile.Config{Archive: a, GiveUpAfter: time.Hour, Yield: func(reconcile.Difference) error { return nil }})
			return err
		}},
	} {
		b.Run(part.name, func(b *testing.B) {
			b.ReportAllocs()
			records, before := int64(0), used(b)
			for b.Loop() {
				if err := part.run(b.Context()); err != nil {
					b.Fatal(err)
				}
				records += a.Range.Records()
			}
			b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(2*float64(records)/(used(b)-before).Seconds(), "records/2-cpu-s")
		})
	}
}

// used is the processor time of this process until now. It is the honest measure on
// a machine that others work on.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
