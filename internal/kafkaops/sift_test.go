package kafkaops_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkaops"
)

// TestSiftSeesWhatReadSees compares the two on plain and packed batches, committed
// and aborted transactions, and pieces of spans.
func TestSiftSeesWhatReadSees(t *testing.T) {
	b, err := devstack.StartBroker(devstack.BrokerOptions{Topics: []devstack.Topic{{Name: "in", Partitions: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	k := b.Kafka()
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.SnappyCompression(), kgo.GzipCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		c, err := k.Client(kgo.ProducerBatchCompression(codec), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		var recs []*kgo.Record
		for j := range 60 {
			recs = append(recs, &kgo.Record{Topic: "in", Partition: int32(j % 2), Key: fmt.Appendf(nil, "key-%d-%d", i, j),
				Value: fmt.Appendf(nil, "value-%d-%d %s", i, j, strings.Repeat("pad ", 30)), Headers: []kgo.RecordHeader{{Key: "h", Value: fmt.Appendf(nil, "head-%d-%d", i, j)}}})
		}
		if err := c.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		m := event.Message{Key: fmt.Appendf(nil, "txn-%d", i), Value: []byte("in a transaction")}
		if err := errors.Join(k.EmitInTransaction(t.Context(), "t", kgo.TryAbort, "in", m), k.EmitInTransaction(t.Context(), "t", kgo.TryCommit, "in", m)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := kafkaops.NewReader(kafkaio.Connection{Brokers: b.Addrs()}, "in")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	spans, err := r.Spans(t.Context(), kafkaops.Range{Topic: "in", Partition: -1, From: kafkaops.Bound{Offset: 3}})
	if err != nil {
		t.Fatal(err)
	}
	spans[0].To -= 5
	var mu sync.Mutex
	var got []string
	note := func(p event.Place, m event.Message) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprintf("%d@%05d %s %s %s %v", p.Partition, p.Offset, m.Key, m.Value, m.Header("h"), m.Time))
		return nil
	}
	if err := r.Read(t.Context(), spans, 2, note); err != nil {
		t.Fatal(err)
	}
	all := got
	slices.Sort(all)
	if len(all) < 290 {
		t.Fatalf("%d records, want more", len(all))
	}
	total := int64(0)
	for _, s := range spans {
		total += s.Records()
	}
	for _, want := range []string{"", "key-1-7", "value-3-5", "head-4-1", "txn-2", "key-9"} {
		got = nil
		var passed atomic.Int64
		sieve := func(x []byte) bool { return bytes.Contains(x, []byte(want)) }
		if err := r.Sift(t.Context(), kafkaops.Split(spans, 17), 4, sieve, func(n int64) { passed.Add(n) }, note); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		wanted := slices.DeleteFunc(slices.Clone(all), func(line string) bool { return !strings.Contains(line, want) })
		if !slices.Equal(got, wanted) {
			t.Errorf("%q: %d records, want %d:\n%s\nwant\n%s", want, len(got), len(wanted), strings.Join(got, "\n"), strings.Join(wanted, "\n"))
		}
		if passed.Load() != total {
			t.Errorf("%q: told of %d offsets, want %d", want, passed.Load(), total)
		}
	}
	stop := errors.New("stop")
	err = r.Sift(t.Context(), spans, 1, func([]byte) bool { return true }, func(int64) {}, func(event.Place, event.Message) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("Sift = %v, want the error of yield", err)
	}
}

func TestSplitLosesAndDoublesNothing(t *testing.T) {
	for n := range int64(12) {
		in := []kafkaops.Span{{Topic: "a", From: 5, To: 5 + n}, {Topic: "b", From: 9, To: 3}}
		next := int64(5)
		for _, s := range kafkaops.Split(in, 4) {
			if s.Topic != "a" || s.From != next || s.Records() < 1 || s.Records() > 4 {
				t.Errorf("%d records: %+v after %d", n, s, next)
			}
			next = s.To
		}
		if next != 5+n {
			t.Errorf("%d records: ends at %d", n, next)
		}
	}
}
