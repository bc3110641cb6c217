package kafkaops

import (
	"context"
	"sync/atomic"
	"time"

	"paylink/internal/event"
	"paylink/internal/kafkaio"
)

// firstTime is the oldest that a record may say to be of. What says to be older has no
// time, or one in seconds: those of our days are of January 1970, as milliseconds.
var firstTime = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)

// lookBack is how many offsets before a range are looked at for a record: control
// records and aborted ones stand between.
const lookBack = 4

// SpansUndated is Spans of a range that begins at a time, with the records that have no
// time of their own, whenever they were written: brokers never find these. If one stands
// right before the range in a partition, nobody knows how many more there are; the range
// begins with the partition's oldest record then, and any is true.
func (r *Reader) SpansUndated(ctx context.Context, want Range) (spans []Span, any bool, err error) {
	var found atomic.Bool
	spans, err = r.fix(ctx, want, func(ctx context.Context, at kafkaio.TopicPartition) (from, to int64, err error) {
		from, to, err = r.bounds(ctx, at, want)
		if err != nil || want.From.At.IsZero() || want.From.At.After(time.Now()) {
			return from, to, err
		}
		first, last, err := r.offsets(ctx, at, nil)
		if err != nil {
			return 0, 0, err
		}
		is, err := r.isUndated(ctx, at, first, min(from, last))
		if is {
			found.Store(true)
			from = first
		}
		return from, to, err
	})
	return spans, found.Load(), err
}

// isUndated reports whether the record right before an offset has no time.
func (r *Reader) isUndated(ctx context.Context, at kafkaio.TopicPartition, first, before int64) (is bool, err error) {
	found := false
	for back := before - 1; !found && err == nil && back >= max(first, before-lookBack); back-- {
		one := Span{Topic: at.Topic, Partition: at.Partition, From: back, To: back + 1}
		err = r.span(ctx, one, func(_ event.Place, m event.Message) error {
			is, found = m.Time.Before(firstTime), true
			return nil
		})
	}
	return is, err
}
