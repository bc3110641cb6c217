package kafkaio

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"paylink/internal/answered"
	"paylink/internal/event"
	"paylink/internal/kafkawire"
)

// outcomes are record sets of n outcomes in batches of 500, as they stand in
// the outcome topic.
func outcomes(b *testing.B, n int, codec compress.Compression) (sets [][]byte) {
	b.Helper()
	recs := make([]kafkawire.Record, 0, 500)
	for i := range n {
		id := fmt.Sprintf("order-%012d", i)
		sum := sha256.Sum256([]byte(id))
		recs = append(recs, kafkawire.Record{
			Millis: 1_790_000_000_000 + int64(i), Key: []byte(id),
			Value: fmt.Appendf(nil, `{"event_id":"%x","type":"payment-created","intent_id":%q,"merchant_id":"540001","order_id":%q,"amount":"1500.00","currency":"KZT","idempotency_key":"%x","payment_id":%d,"redirect_url":"https://api.freedompay.kz/pay.html?customer=%x","redirect_url_type":"need data","attempts":1,"created_at":"2026-11-23T09:00:00Z","source":{"topic":"payment-intents","partition":3,"offset":%d}}`, sum[:16], id, id, sum[16:], 1e9+i, sum, i),
			Headers: []kafkawire.Header{
				{Key: []byte("ce_specversion"), Value: []byte("1.0")}, {Key: []byte("ce_id"), Value: sum[:16]}, {Key: []byte("ce_source"), Value: []byte("paylink")},
				{Key: []byte("ce_type"), Value: []byte("paylink.payment-created.v1")}, {Key: []byte("ce_subject"), Value: []byte(id)}, {Key: []byte("ce_time"), Value: []byte("2026-11-23T09:00:00Z")},
				{Key: []byte("content-type"), Value: []byte("application/json")},
				{Key: []byte(event.HeaderIntentID), Value: []byte(id)}, {Key: []byte(event.HeaderIntentDigest), Value: fmt.Appendf(nil, "%x", sum[:16])},
			},
		})
		if len(recs) == cap(recs) {
			raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: 1}, 0, codec, recs)
			if err != nil {
				b.Fatal(err)
			}
			sets, recs = append(sets, raw[4:]), recs[:0]
		}
	}
	return sets
}

// BenchmarkLedger measures how fast ledgers take outcomes in, two at a time as
// two partitions do.
func BenchmarkLedger(b *testing.B) {
	const n = 200_000
	for _, codec := range []compress.Compression{compress.None, compress.Lz4} {
		b.Run(codec.String(), func(b *testing.B) {
			sets := outcomes(b, n, codec)
			began := time.Now()
			for b.Loop() {
				var both sync.WaitGroup
				for range 2 {
					both.Go(func() {
						l := &ledger{known: answered.New(168 * time.Hour), marked: map[int64]int16{}}
						for _, set := range sets {
							l.next = 0
							if err := l.take(set); err != nil {
								b.Error(err)
							}
						}
						if l.known.Len() != n {
							b.Errorf("%d intents known of %d", l.known.Len(), n)
						}
					})
				}
				both.Wait()
			}
			b.ReportMetric(float64(2*n*b.N)/time.Since(began).Seconds(), "outcomes/s")
		})
	}
}
