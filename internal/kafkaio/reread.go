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
			Sleep(ctx, c.unreadable(err))
			continue
		case err != nil:
			c.s.metrics.fetchErrors.Inc()
			c.s.routes.refresh(ctx)
			Sleep(ctx, wait)
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
	at := TopicPartition{c.s.cfg.IntentTopic, c.partition}
	p, err := c.s.fetchFrom(ctx, at, from, maxRereadBytes, kafkawire.ReadCommitted)
	if Code(err) == kafka.OffsetOutOfRange {
		has, herr := c.s.offsetRange(ctx, at, time.Now())
		if herr == nil && has.first > from {
			return nil, has.first, nil
		}
	}
	if err != nil {
		return nil, 0, err
	}
	recs, next, err := Visible(from, p)
	if err == nil && next == from {
		err = kafka.RequestTimedOut // nothing yet
	}
	return recs, next, err
}

// maxRereadBytes is how much is asked for at a time to find parked records: they
// are few, and mostly stand together.
const maxRereadBytes = 256 << 10
