package kafkaio

import (
	"context"
	"errors"
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
		case errors.Is(err, kafkawire.ErrCorrupt):
			sleep(ctx, c.unreadable(err))
			continue
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
	p, err := c.s.fetchFrom(ctx, at, from, maxRereadBytes, kafkawire.ReadCommitted)
	if code(err) == kafka.OffsetOutOfRange {
		span, serr := c.s.span(ctx, at, time.Now())
		if serr == nil && span.first > from {
			return nil, span.first, nil
		}
	}
	if err != nil {
		return nil, 0, err
	}
	recs, next, err := visible(from, p)
	if err == nil && next == from {
		err = kafka.RequestTimedOut // nothing yet
	}
	return recs, next, err
}

// maxRereadBytes is how much is asked for at a time to find parked records: they
// are few, and mostly stand together.
const maxRereadBytes = 256 << 10

// fetchFrom fetches from one partition, at its leader. An error of the partition
// is the error.
func (s *Source) fetchFrom(ctx context.Context, at place, from int64, maxBytes int32, isolation int8) (*kafkawire.FetchPartitionResponse, error) {
	node, ok := s.routes.leader(at)
	if !ok {
		s.routes.refresh(ctx)
		return nil, kafka.LeaderNotAvailable
	}
	p, err := ask{node, at, from, maxBytes, isolation}.fetch(ctx, s.client)
	if code(err) != 0 {
		s.routes.refresh(ctx)
	}
	return p, err
}

// An ask is what one fetch from one partition says.
type ask struct {
	node      int32 // the broker that leads the partition
	at        place
	from      int64
	maxBytes  int32
	isolation int8
}

// fetch fetches. An error of the partition is the error.
func (a ask) fetch(ctx context.Context, c *kafka.Client) (*kafkawire.FetchPartitionResponse, error) {
	res, err := call(ctx, 10*time.Second, func(ctx context.Context) (kafka.Response, error) {
		return c.Transport.RoundTrip(ctx, c.Addr, &kafkawire.FetchRequest{
			Node: a.node, ReplicaID: -1, MaxWaitTime: 100, MinBytes: 1, MaxBytes: a.maxBytes, IsolationLevel: a.isolation, SessionEpoch: -1,
			Topics: []kafkawire.FetchTopic{{Topic: a.at.topic, Partitions: []kafkawire.FetchPartition{{
				Partition: a.at.partition, CurrentLeaderEpoch: -1, FetchOffset: a.from, LogStartOffset: -1, PartitionMaxBytes: a.maxBytes,
			}}}},
		})
	})
	if err != nil {
		return nil, err
	}
	topics := res.(*kafkawire.FetchResponse).Topics
	if len(topics) == 0 || len(topics[0].Partitions) == 0 {
		return nil, errors.New("fetch: empty answer")
	}
	p := &topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		return nil, kafka.Error(p.ErrorCode)
	}
	return p, nil
}
