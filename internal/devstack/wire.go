package devstack

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/event"
)

// fetchWait is how long a broker may hold a fetch that has nothing to answer.
// It bounds how long closing a reader takes.
const fetchWait = 250 * time.Millisecond

func isolation(level Isolation) kgo.Opt {
	if level == ReadCommitted {
		return kgo.FetchIsolationLevel(kgo.ReadCommitted())
	}
	return kgo.FetchIsolationLevel(kgo.ReadUncommitted())
}

// reader returns a client that consumes topics without a group.
func (k Kafka) reader(level Isolation, topics []string, fromStart bool, opts ...kgo.Opt) (*kgo.Client, error) {
	start := kgo.NewOffset().AtEnd()
	if fromStart {
		start = kgo.NewOffset().AtStart()
	}
	return k.Client(append(opts,
		isolation(level),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(start),
		kgo.FetchMaxWait(fetchWait),
		kgo.MetadataMinAge(100*time.Millisecond), // a topic that is made later is found soon
	)...)
}

// poll waits for records once and hands them on. Trouble that passes by itself
// is the client's own business; a topic that does not exist yet is waited for.
func poll(ctx context.Context, c *kgo.Client, handle func(*kgo.Record) error) error {
	fetches := c.PollFetches(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, fe := range fetches.Errors() {
		if !kerr.IsRetriable(fe.Err) && !errors.Is(fe.Err, context.Canceled) {
			return fe.Err
		}
	}
	for it := fetches.RecordIter(); !it.Done(); {
		if err := handle(it.Next()); err != nil {
			return err
		}
	}
	return nil
}

// Either end of a partition, as ListOffsets asks for it: its first record, and after
// the last one that a reader may see.
const (
	begin int64 = -2
	end   int64 = -1
)

// offsets returns one end of each partition.
func (k Kafka) offsets(ctx context.Context, topic string, level Isolation, which int64) (map[int32]int64, error) {
	c, err := k.Client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for wait := 100 * time.Millisecond; ; wait *= 2 {
		offsets, err := offsetsNow(ctx, c, topic, level, which)
		if !kerr.IsRetriable(err) || wait > 10*time.Second {
			return offsets, err
		}
		select {
		case <-time.After(wait): // such as for the election of a leader
		case <-ctx.Done():
			return nil, err
		}
	}
}

func offsetsNow(ctx context.Context, c *kgo.Client, topic string, level Isolation, which int64) (map[int32]int64, error) {
	partitions, err := partitionsOf(ctx, c, topic)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.IsolationLevel = int8(level)
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	for _, p := range partitions {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = p, which
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	offsets := map[int32]int64{}
	for _, shard := range c.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, err
				}
				offsets[p.Partition] = p.Offset
			}
		}
	}
	return offsets, nil
}

func partitionsOf(ctx context.Context, c *kgo.Client, topic string) ([]int32, error) {
	req := kmsg.NewPtrMetadataRequest()
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	var ps []int32
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, err
		}
		for _, p := range t.Partitions {
			ps = append(ps, p.Partition)
		}
	}
	return ps, nil
}

func toRecords(topic string, messages []event.Message) []*kgo.Record {
	recs := make([]*kgo.Record, len(messages))
	for i, m := range messages {
		recs[i] = toRecord(topic, m)
	}
	return recs
}

func toRecord(topic string, m event.Message) *kgo.Record {
	r := &kgo.Record{Topic: topic, Key: m.Key, Value: m.Value, Timestamp: m.Time}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

func fromRecord(r *kgo.Record) Record {
	rec := Record{
		Message: event.Message{Key: r.Key, Value: r.Value, Time: r.Timestamp},
		Place:   event.Place{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset},
	}
	for _, h := range r.Headers {
		rec.Headers = append(rec.Headers, event.Header{Key: h.Key, Value: h.Value})
	}
	return rec
}
