package kafkaops

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkaio"
)

// openAtMost is how long a transaction may stand open as brokers have it, unless told
// otherwise (transaction.max.timeout.ms), and half a minute in which they notice.
const openAtMost = 15*time.Minute + 30*time.Second

// sayOpenAfter is how long an open transaction is waited for without a word: those of
// the service end in less.
const sayOpenAfter = 5 * time.Second

// Whole fixes a range up to the end of its topic in offsets, as of now, and hides nothing:
// whatever was committed before is in the spans. A transaction that is open hides what comes after
// its first record, also of other writers, so its end is waited for. One that outlives
// openAtMost is an error. waits is told what takes long, once for a partition; nil: nobody is.
func (r *Reader) Whole(ctx context.Context, want Range, waits func(what string)) ([]Span, error) {
	var mu sync.Mutex
	say := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		if waits != nil {
			waits(what)
		}
	}
	want.To = nil
	return r.fix(ctx, want, func(ctx context.Context, at kafkaio.TopicPartition) (from, to int64, err error) {
		return r.whole(ctx, at, want, say)
	})
}

func (r *Reader) whole(ctx context.Context, at kafkaio.TopicPartition, want Range, waits func(what string)) (from, to int64, err error) {
	ends, err := r.ask(ctx, at, kafka.ReadUncommitted, kafka.LastOffsetOf(int(at.Partition)))
	if err != nil {
		return 0, 0, err
	}
	to = ends.LastOffset
	said := false
	for began := time.Now(); ; {
		from, stable, err := r.bounds(ctx, at, want)
		if err != nil || stable >= to {
			return from, to, err
		}
		open := time.Since(began)
		if open > openAtMost {
			return 0, 0, fmt.Errorf("a transaction that began at offset %d has been open for more than %s, and nobody can see what comes "+
				"after it: abort it (kafka-transactions.sh find-hanging, abort), and run this again", stable, openAtMost)
		}
		if open > sayOpenAfter && !said {
			said = true
			waits(fmt.Sprintf("%s: a transaction that began at offset %d is open, and hides what comes after it: waiting for its end", at, stable))
		}
		if !kafkaio.Sleep(ctx, retryAfter) {
			return 0, 0, context.Cause(ctx)
		}
	}
}
