package bench

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
)

// A fetcher is the child that fetches a topic from its beginning to its end of now,
// all partitions side by side, and throws away what comes. No owner of a ledger can
// be faster than that.
type fetcher struct {
	Brokers    []string
	Topic      string
	Partitions int
}

// A fetched is what a fetcher has fetched.
type fetched struct {
	Bytes int64         `json:"bytes"`
	CPU   time.Duration `json:"cpu_ns"`
}

// run fetches, and says how much it was.
func (f *fetcher) run(ctx context.Context, s Streams) error {
	conn := kafkaio.Connection{Brokers: f.Brokers, ClientID: "paylink-bench"}
	tr, err := conn.Transport(f.Topic)
	if err != nil {
		return err
	}
	defer tr.CloseIdleConnections()
	c := conn.Client(tr)
	leaders, err := f.leaders(ctx, c)
	if err != nil {
		return err
	}
	var parts sync.WaitGroup
	sizes, errs := make([]int64, f.Partitions), make([]error, f.Partitions)
	for p := range f.Partitions {
		parts.Go(func() { sizes[p], errs[p] = f.partition(ctx, c, leaders[p], int32(p)) })
	}
	parts.Wait()
	if err := first(errs...); err != nil {
		return err
	}
	var got fetched
	for _, n := range sizes {
		got.Bytes += n
	}
	got.CPU, _ = processUsage()
	return answerParent(s, got, func(string) any { return got })
}

func (f *fetcher) leaders(ctx context.Context, c *kafka.Client) (map[int]int32, error) {
	md, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{f.Topic}})
	if err != nil {
		return nil, err
	}
	leaders := map[int]int32{}
	for _, t := range md.Topics {
		for _, p := range t.Partitions {
			leaders[p.ID] = int32(p.Leader.ID)
		}
	}
	return leaders, nil
}

// fetchBytes is how much is asked for at a time: as a ledger does.
const fetchBytes = 1 << 20

func (f *fetcher) partition(ctx context.Context, c *kafka.Client, leader, p int32) (size int64, err error) {
	for next := int64(0); ; {
		got, err := kafkaio.FetchRequest{
			Leader: leader, Topic: f.Topic, Partitions: []kafkaio.FetchFrom{{Partition: p, Offset: next, MaxBytes: fetchBytes}},
			MaxBytes: fetchBytes, Isolation: kafkawire.ReadUncommitted,
		}.FetchOne(ctx, c)
		if err != nil {
			return size, err
		}
		size += int64(len(got.Records.Bytes))
		next = max(next, afterLast(got.Records.Bytes))
		got.Records.Release()
		if next >= got.HighWatermark {
			return size, nil
		}
	}
}

// afterLast is the offset after the last whole batch of a record set.
func afterLast(set []byte) (next int64) {
	const head = 8 + 4 // of a batch: its first offset, and the length of what follows
	for len(set) >= head {
		n := head + int(binary.BigEndian.Uint32(set[8:]))
		if n > len(set) || n < 27 {
			break
		}
		next = int64(binary.BigEndian.Uint64(set)) + int64(binary.BigEndian.Uint32(set[23:])) + 1
		set = set[n:]
	}
	return next
}
