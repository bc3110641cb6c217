package explain_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/explain"
	"paylink/internal/facts"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
)

// BenchmarkKnownKey explains an intent whose key is known: the time is that of one
// partition. EXPLAIN_RECORDS=833333 is
// what one of twelve has of ten million intents; EXPLAIN_BROKERS names real brokers.
func BenchmarkKnownKey(b *testing.B) {
	n := 100_000
	if s := os.Getenv("EXPLAIN_RECORDS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	k := devstack.Kafka{Brokers: strings.FieldsFunc(os.Getenv("EXPLAIN_BROKERS"), func(r rune) bool { return r == ',' })}
	if len(k.Brokers) == 0 {
		broker, err := devstack.StartBroker(devstack.BrokerOptions{Topics: []devstack.Topic{}})
		if err != nil {
			b.Fatal(err)
		}
		defer broker.Close()
		k = broker.Kafka()
	}
	if err := k.CreateTopics(b.Context(), devstack.DefaultTopics(1)...); err != nil {
		b.Fatal(err)
	}
	size := fill(b, k, n)
	reader, err := kafkaops.NewReader(kafkaio.Connection{Brokers: k.Brokers}, devstack.Intents, devstack.Outcomes, devstack.DeadLetters)
	if err != nil {
		b.Fatal(err)
	}
	defer reader.Close()
	f := explain.Finder{Kafka: reader, Work: func(string, int64) (func(int64), func()) { return func(int64) {}, func() {} }, Facts: &facts.Reader{
		Topics:  facts.Topics{Intents: devstack.Intents, Outcomes: devstack.Outcomes, DeadLetters: devstack.DeadLetters},
		Intents: event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), Outcomes: outcomes.NewDecoder(nil),
	}}
	for _, id := range []string{"intent-%d", "order-%d"} {
		b.Run(id, func(b *testing.B) {
			b.SetBytes(size)
			for i := 0; b.Loop(); i++ {
				var in explain.Range
				for topic, spans := range map[string]*[]kafkaops.Span{devstack.Intents: &in.Intents, devstack.Outcomes: &in.Outcomes, devstack.DeadLetters: &in.DeadLetters} {
					if *spans, err = reader.Spans(b.Context(), kafkaops.Range{Topic: topic, Partition: -1}); err != nil {
						b.Fatal(err)
					}
				}
				found, err := f.Find(b.Context(), explain.Question{ID: fmt.Sprintf(id, 100_000+n/2+i)}, in)
				if err != nil || len(found.Stories) != 1 || found.Stories[0].State() != explain.Created || found.Thorough {
					b.Fatalf("%+v, %v; want one story", found, err)
				}
			}
			b.ReportMetric(float64(2*n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// fill publishes so many intents and their outcomes, as emitters and the service do,
// and returns the bytes of their values and keys.
func fill(b *testing.B, k devstack.Kafka, n int) (size int64) {
	b.Helper()
	plain, err := k.Client(kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		b.Fatal(err)
	}
	defer plain.Close()
	snappy, err := k.Client(kgo.ProducerBatchCompression(kgo.SnappyCompression()), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		b.Fatal(err)
	}
	defer snappy.Close()
	ctx, dec, enc, now := b.Context(), event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), event.NewEncoder(event.EncoderConfig{}), time.Now()
	put := func(c *kgo.Client, topic string, m event.Message) {
		r := &kgo.Record{Topic: topic, Key: m.Key, Value: m.Value, Timestamp: now}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			size += int64(len(h.Key) + len(h.Value))
		}
		size += int64(len(m.Key) + len(m.Value))
		c.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil && ctx.Err() == nil {
				b.Error(err)
			}
		})
	}
	for i := range n {
		no := 100_000 + i
		m := event.Message{Key: fmt.Appendf(nil, "order-%d", no), Value: fmt.Appendf(nil,
			`{"intent_id":"intent-%[1]d","order_id":"order-%[1]d","merchant_id":540001,"amount":"%d.00","currency":"KZT","description":"Top-up of account %[1]d","user_phone":"7701%07[1]d","result_url":"https://shop.example/paylink/result"}`, no, 100+i%9900)}
		d, err := dec.Decode(ctx, m)
		if err != nil {
			b.Fatal(err)
		}
		out, err := enc.Outcome(ctx, d, m.Key, event.Place{Topic: devstack.Intents, Offset: int64(i)}, payment.Created{Attempts: 1, At: now, Link: payment.Link{
			PaymentID: 5_000_000_000 + int64(i), RedirectURLType: payment.URLNeedData, RedirectURL: fmt.Sprintf("https://customer.freedompay.kz/pay.html?customer=%032x", i*7919)}})
		if err != nil {
			b.Fatal(err)
		}
		put(plain, devstack.Intents, m)
		put(snappy, devstack.Outcomes, out)
	}
	for _, c := range []*kgo.Client{plain, snappy} {
		if err := c.Flush(context.WithoutCancel(ctx)); err != nil {
			b.Fatal(err)
		}
	}
	return size
}
