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
		returned := c.s.budget.Returned()
		got, next, full, err := c.fetchOnce(ctx, offsets)
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
			c.s.routes.doubt()
			Sleep(ctx, wait)
			wait = min(2*wait, time.Second)
			continue
		}
		wait = 10 * time.Millisecond
		recs = append(recs, got...)
		i, _ := slices.BinarySearch(offsets, next)
		offsets = offsets[i:]
		if full && len(recs) > 0 && len(offsets) > 0 {
			return recs, pipeline.ErrFull
		}
		if full && len(got) == 0 {
			select {
			case <-returned:
			case <-c.ctx.Done():
			case <-ctx.Done():
			}
		}
	}
	return recs, nil
}

// fetchOnce fetches those of the records at these offsets that come with the first of
// them, and says from where to go on. Where the log begins later it returns none, and
// where it begins. full says that there was no room for the next one.
func (c *claim) fetchOnce(ctx context.Context, offsets []int64) (recs []pipeline.Record, next int64, full bool, err error) {
	select {
	case c.s.reading <- struct{}{}:
		defer func() { <-c.s.reading }()
	case <-ctx.Done():
		return nil, 0, false, ctx.Err()
	}
	at, from := TopicPartition{c.s.cfg.IntentTopic, c.partition}, offsets[0]
	p, err := c.s.fetchFrom(ctx, at, from, maxRereadBytes, kafkawire.ReadCommitted)
	if Code(err) == kafka.OffsetOutOfRange {
		has, herr := c.s.ends(ctx, at)
		if herr == nil && has.first > from {
			return nil, has.first, false, nil
		}
	}
	if err != nil {
		return nil, 0, false, err
	}
	set, next, err := openSet(from, p)
	defer set.drop()
	if next == from && err == nil {
		err = kafka.RequestTimedOut // nothing yet
	}
	if len(set.batches) == 0 {
		return nil, next, false, err
	}
	set.wanted = offsets
	select {
	case c.s.unpacking <- struct{}{}:
	case <-ctx.Done():
		return nil, 0, false, ctx.Err()
	}
	recs, full = set.read(c.account)
	set.close()
	<-c.s.unpacking
	if len(set.batches) > 0 {
		next, err = set.next, nil
	}
	return recs, next, full, err
}

// maxRereadBytes is how much is asked for at a time to find the records of backlog
// entries: they are few, and mostly stand together.
const maxRereadBytes = 256 << 10
