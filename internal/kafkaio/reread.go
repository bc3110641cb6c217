package kafkaio

import (
	"context"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkawire"
	"paylink/internal/pipeline"
)

// Reread implements pipeline.Claim.
func (c *claim) Reread(ctx context.Context, offsets []int64) (recs []pipeline.Record, err error) {
	for wait := 10 * time.Millisecond; len(offsets) > 0; {
		got, next, err := c.fetchOnce(ctx, offsets[0])
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case c.ctx.Err() != nil:
			return nil, pipeline.ErrLost
		case err != nil:
			c.s.metrics.fetchErrors.Inc()
			c.s.routes.refresh(ctx)
			sleep(ctx, wait)
			wait = min(2*wait, time.Second)
			continue
		}
		wait = 10 * time.Millisecond
		for _, r := range got {
			if _, ok := slices.BinarySearch(offsets, r.Offset); ok {
				recs = append(recs, r)
			}
		}
		i, _ := slices.BinarySearch(offsets, max(next, offsets[0]+1))
		offsets = offsets[i:]
	}
	return recs, nil
}

// fetchOnce fetches the records at and after an offset. Where the log begins
// later it returns none, and where it begins.
func (c *claim) fetchOnce(ctx context.Context, from int64) ([]pipeline.Record, int64, error) {
	at := place{c.s.cfg.IntentTopic, c.partition}
	node, ok := c.s.routes.leader(at)
	if !ok {
		return nil, 0, kafka.LeaderNotAvailable
	}
	res, err := call(ctx, 10*time.Second, func(ctx context.Context) (kafka.Response, error) {
		return c.s.tr.RoundTrip(ctx, c.s.addr, &kafkawire.FetchRequest{
			Node: node, ReplicaID: -1, MaxWaitTime: 100, MinBytes: 1, MaxBytes: maxRereadBytes,
			IsolationLevel: kafkawire.ReadCommitted, SessionEpoch: -1,
			Topics: []kafkawire.FetchTopic{{Topic: at.topic, Partitions: []kafkawire.FetchPartition{{
				Partition: at.partition, CurrentLeaderEpoch: -1, FetchOffset: from, LogStartOffset: -1, PartitionMaxBytes: maxRereadBytes,
			}}}},
		})
	})
	if err != nil {
		return nil, 0, err
	}
	for _, t := range res.(*kafkawire.FetchResponse).Topics {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			switch kafka.Error(p.ErrorCode) {
			case 0:
				recs, next, err := visible(from, p)
				if err == nil && next == from {
					err = kafka.RequestTimedOut // nothing yet
				}
				return recs, next, err
			case kafka.OffsetOutOfRange:
				span, err := c.s.span(ctx, at, time.Now())
				if err == nil && span.first <= from {
					err = kafka.OffsetOutOfRange
				}
				return nil, span.first, err
			}
			return nil, 0, kafka.Error(p.ErrorCode)
		}
	}
	return nil, 0, kafka.UnknownTopicOrPartition
}

// maxRereadBytes is how much is asked for at a time to find parked records: they
// are few, and mostly stand together.
const maxRereadBytes = 256 << 10
