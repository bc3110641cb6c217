package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
)

// What a record says of itself to the lab. The service ignores these headers.
const (
	headerID       = "lab-id"
	headerContent  = "lab-content"
	headerExpires  = "lab-expires"
	headerStrange  = "lab-strange"
	headerMerchant = "lab-merchant"
	headerBomb     = "lab-bomb"
	headerSeen     = "lab-seen" // when it could be read first
)

// emit publishes an emission. What really stands on the topic, and whether it is
// visible, the history reads from there.
func (s *scene) emit(e emission) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	client := s.client
	if e.isLarge() {
		c, err := s.packing()
		if err != nil {
			s.note("not emitted: %v", err)
			return
		}
		defer c.Close()
		client = c
	}
	if e.ending != plain {
		id := fmt.Sprintf("emitter-%d-%s", e.at, e.records[0].id)
		c, err := s.brokers.Kafka().Client(kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err == nil {
			defer c.Close()
			client, err = c, c.BeginTransaction()
		}
		if err != nil {
			s.note("no transaction: %v", err)
			return
		}
	}
	if err := client.ProduceSync(ctx, s.records(e)...).FirstErr(); err != nil {
		s.note("not emitted: %v", err)
	}
	if e.ending != plain {
		time.Sleep(e.open)
		if err := client.EndTransaction(ctx, kgo.TransactionEndTry(e.ending == committed)); err != nil {
			s.note("transaction not ended: %v", err)
		}
	}
}

func (s *scene) records(e emission) (out []*kgo.Record) {
	now := time.Now()
	seen := now
	if e.ending == committed {
		seen = now.Add(e.open)
	}
	partition := min(e.partition, int32(len(s.brokers.PartitionInfos(devstack.Intents)))-1)
	for _, r := range e.records {
		k := &kgo.Record{Topic: devstack.Intents, Partition: partition, Value: s.value(r), Headers: []kgo.RecordHeader{
			{Key: headerID, Value: []byte(r.id)}, {Key: headerContent, Value: []byte(r.content())},
			{Key: headerSeen, Value: []byte(seen.UTC().Format(time.RFC3339Nano))}, {Key: headerStrange, Value: []byte(r.oddness())},
			{Key: headerMerchant, Value: []byte(merchantID(r.merchant))}, {Key: headerBomb, Value: []byte(r.bomb)},
		}}
		if r.bomb == crowded {
			k.Headers = append(k.Headers, make([]kgo.RecordHeader, 60_000)...)
		}
		if r.stamp != "" {
			k.Timestamp = r.stamp.of(now)
		}
		if r.key != "" {
			k.Key = []byte(r.key)
		}
		if at := s.expiry(r); at != "" {
			k.Headers = append(k.Headers, kgo.RecordHeader{Key: headerExpires, Value: []byte(at)})
		}
		out = append(out, k)
	}
	return out
}

// value is the record's JSON, in Confluent's wire format if it names a schema.
func (s *scene) value(r record) []byte {
	var b []byte
	if r.schema > 0 {
		b = binary.BigEndian.AppendUint32([]byte{0}, uint32(r.schema))
	}
	if r.bomb == wide {
		return append(b, make([]byte, 8<<20)...)
	}
	if r.id == "" {
		return append(append(b, "no intent"...), r.padding()...)
	}
	expires := r.padding()
	if at := s.expiry(r); at != "" {
		expires += fmt.Sprintf(`,"expires_at":%q`, at)
	}
	return fmt.Appendf(b, `{"intent_id":%q,"merchant_id":%q,"amount":%q,"description":"order %s"%s}`, r.id, merchantID(r.merchant), r.amount,
		strings.TrimSpace(r.id+" "+r.strange), expires)
}

// expiry is the record's expires_at; empty: it has none.
func (s *scene) expiry(r record) string {
	if r.expires > 0 {
		return s.began.Add(r.expires).UTC().Format(time.RFC3339Nano)
	}
	return r.until
}

// oddness says why the record's intent need not get its link; empty: it ought to.
func (r record) oddness() string {
	switch {
	case r.strange != "":
		return r.strange
	case r.amount == "-1":
		return "no amount"
	case r.until != "":
		return "expires in another age"
	}
	return ""
}

// isLarge reports whether some of its records are.
func (e emission) isLarge() bool {
	return slices.ContainsFunc(e.records, func(r record) bool { return r.bomb != "" })
}

// packing returns a client that packs what is large. Not with zstd: its decoders are
// shared by all, and must not live in a bubble.
func (s *scene) packing() (*kgo.Client, error) {
	return s.brokers.Kafka().Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.GzipCompression()),
		kgo.ProducerBatchMaxBytes(256<<20), kgo.BrokerMaxWriteBytes(300<<20), kgo.MaxBufferedBytes(300<<20), kgo.ProducerLinger(5*time.Millisecond))
}

// padding is a field that nobody knows.
func (r record) padding() string {
	if r.bomb == padded {
		return `,"padding":"` + strings.Repeat("x", 900<<10) + `"`
	}
	return ""
}
