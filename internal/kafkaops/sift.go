package kafkaops

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
)

// A Sieve reports whether bytes may hold what is looked for. It is called
// concurrently, with single keys, values and headers, or with many records at once.
type Sieve func([]byte) bool

// Sift is Read of those records alone whose key, value or a header the sieve lets
// through, many times faster: all others are neither copied nor taken apart. passed
// is told, concurrently, how many offsets are behind.
func (r *Reader) Sift(
	ctx context.Context, spans []Span, parallel int, let Sieve, passed func(int64), yield func(event.Place, event.Message) error,
) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, parallel))
	for _, s := range spans {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return Lacking(s.Topic, r.sift(gctx, s, sifting{s, let, yield}, passed)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// Split cuts spans into pieces of at most so many offsets, so that the records of
// one partition can be read in parallel.
func Split(spans []Span, most int64) (out []Span) {
	for _, s := range spans {
		for ; s.Records() > most; s.From += most {
			out = append(out, Span{s.Topic, s.Partition, s.From, s.From + most})
		}
		if s.Records() > 0 {
			out = append(out, s)
		}
	}
	return out
}

func (r *Reader) sift(ctx context.Context, s Span, by sifting, passed func(int64)) error {
	at := kafkaio.TopicPartition{Topic: s.Topic, Partition: s.Partition}
	for next := s.From; next < s.To; {
		after, err := r.answer(ctx, at, next, by.take)
		passed(min(after, s.To) - next)
		if err != nil {
			return fmt.Errorf("read %s/%d@%d: %w", at.Topic, at.Partition, after, err)
		}
		next = after
	}
	return nil
}

// answer has take look at one answer of the partition's leader. take returns where
// to read on; an error of its own ends it, wrapped as stop.
func (r *Reader) answer(
	ctx context.Context, at kafkaio.TopicPartition, from int64,
	take func(from int64, p *kafkawire.FetchPartitionResponse) (int64, error),
) (next int64, err error) {
	for t := newTries(); ; {
		var p *kafkawire.FetchPartitionResponse
		p, err = r.fetch(ctx, at, from)
		if err == nil {
			next, err = take(from, p)
			p.Records.Release()
			if err != nil || next > from {
				return next, err
			}
			err = kafka.RequestTimedOut // nothing came, or a large answer has to wait for another one
		}
		if kafkaio.Code(err) == kafka.OffsetOutOfRange {
			if first, _, err := r.offsets(ctx, at, nil); err == nil && first > from {
				return first, nil
			}
		}
		if errors.Is(err, kafkaio.ErrThrottled) {
			t = newTries() // it is only slow
		}
		if permanent(err) || !t.again(ctx) {
			break
		}
	}
	return from, err
}

// permanent says that asking again brings nothing else.
func permanent(err error) bool {
	switch kafkaio.Code(err) {
	case kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed:
		return true
	}
	return false
}

// sifting is how the records of a span are looked at.
type sifting struct {
	span  Span
	let   Sieve
	yield func(event.Place, event.Message) error
}

func (w sifting) take(from int64, p *kafkawire.FetchPartitionResponse) (next int64, err error) {
	filter, next := kafkawire.NewFilter(p.AbortedTransactions), from
	for {
		b, err := p.Records.Next()
		if err != nil || b == nil {
			return next, err
		}
		hidden := filter.Hides(b)
		if !hidden && b.Last >= from && w.letsBatch(b) {
			if err := w.batch(b, from); err != nil {
				return next, err
			}
		}
		next = max(next, b.Last+1)
	}
}

// letsBatch looks at all records of a batch at once.
func (w sifting) letsBatch(b *kafkawire.Batch) bool {
	buf := bodies.Get().(*[maxBody]byte)
	defer bodies.Put(buf)
	body, ok := b.Body(buf[:])
	return !ok || w.let(body)
}

// maxBody is how large a batch may be unpacked to be looked at as a whole.
const maxBody = 2 << 20

var bodies = sync.Pool{New: func() any { return new([maxBody]byte) }}

// batch looks at the records of a batch one by one.
func (w sifting) batch(b *kafkawire.Batch, from int64) error {
	return b.Records(func(r *kafkawire.Record) error {
		if r.Offset < from || r.Offset >= w.span.To || !w.lets(r) {
			return nil
		}
		return w.yield(event.Place{Topic: w.span.Topic, Partition: w.span.Partition, Offset: r.Offset}, kafkaio.MessageOf(r, b.LogTime))
	}, event.HeaderIntentID, event.HeaderIntentDigest, event.HeaderReason, event.HeaderError,
		event.HeaderSourceTopic, event.HeaderSourcePartition, event.HeaderSourceOffset)
}

func (w sifting) lets(r *kafkawire.Record) bool {
	if w.let(r.Key) || w.let(r.Value) {
		return true
	}
	for _, h := range r.Headers {
		if w.let(h.Value) {
			return true
		}
	}
	return false
}
