package kafkaio

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"syscall"
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

// BenchmarkLedger measures how fast ledgers take outcomes in, two at a time as two
// partitions do, beside what is the least that can be done: their checksums.
func BenchmarkLedger(b *testing.B) {
	const n = 200_000
	for _, codec := range []compress.Compression{compress.None, compress.Snappy, compress.Lz4} {
		sets := outcomes(b, n, codec)
		b.Run(codec.String()+"/taken in", func(b *testing.B) {
			sideBySide(b, n, func() {
				l := &ledger{known: answered.New(168 * time.Hour), marked: map[int64]int16{}}
				l.beginLoad()
				for i, set := range sets {
					l.next = 0
					if err := l.take(&kafkawire.Raw{Bytes: set}); err != nil {
						b.Error(err, i)
					}
				}
				l.known.EndLoad()
				if l.known.Len() != n {
					b.Errorf("%d intents known of %d", l.known.Len(), n)
				}
			})
		})
		b.Run(codec.String()+"/checksums", func(b *testing.B) {
			sideBySide(b, n, func() {
				for _, set := range sets {
					if _, _, err := kafkawire.NextBatch(set); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// sideBySide does something with n outcomes twice at the same time, as often as b wants.
func sideBySide(b *testing.B, n int, do func()) {
	began, before := time.Now(), cpu()
	for b.Loop() {
		var both sync.WaitGroup
		both.Go(do)
		both.Go(do)
		both.Wait()
	}
	b.ReportMetric(float64(2*n*b.N)/time.Since(began).Seconds(), "outcomes/s")
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(2*n*b.N), "cpu-ns/outcome")
}

// cpu is the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
