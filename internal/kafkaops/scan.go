package kafkaops

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
	"paylink/internal/pipeline"
)

// A Bound is a place in every partition: an offset or, if At is set, that of the
// first record of that time or later.
type Bound struct {
	Offset int64
	At     time.Time
}

// A Range is records of one topic.
type Range struct {
	Topic     string
	Partition int32  // -1: all of them
	From      Bound  // zero: the oldest record that there is
	To        *Bound // exclusive; nil: what there is now
}

// A Span is the records of one partition from an offset up to another, exclusive.
type Span struct {
	Topic     string
	Partition int32
	From, To  int64
}

// Records is how many offsets the span has; some may hold no visible record.
func (s Span) Records() int64 { return max(0, s.To-s.From) }

// A Reader reads ranges of records as a consumer of isolation level
// read_committed sees them: none of an aborted or open transaction, no control
// record. It joins no group and commits nothing. It may be used concurrently.
type Reader struct {
	admin   *admin
	mu      sync.Mutex
	leaders map[kafkaio.TopicPartition]int32 // as the last metadata had them
}

// NewReader returns a Reader of the given topics.
func NewReader(c kafkaio.Connection, topics ...string) (*Reader, error) {
	a, err := newAdmin(c, topics)
	if err != nil {
		return nil, err
	}
	return &Reader{admin: a, leaders: map[kafkaio.TopicPartition]int32{}}, nil
}

// Close ends its connections.
func (r *Reader) Close() { r.admin.close() }

// Scan calls yield with every record of a range. Partitions come one after the
// other, each in its order. An error of yield ends it and is returned.
func Scan(ctx context.Context, c kafkaio.Connection, r Range, yield func(event.Place, event.Message) error) error {
	reader, err := NewReader(c, r.Topic)
	if err != nil {
		return err
	}
	defer reader.Close()
	spans, err := reader.Spans(ctx, r)
	if err != nil {
		return err
	}
	return reader.Read(ctx, spans, 1, yield)
}

// Spans fixes a range in offsets, as of now: one span per partition, in order.
// It ends at the last stable offset: what is behind it may still be aborted.
func (r *Reader) Spans(ctx context.Context, want Range) ([]Span, error) {
	partitions, err := r.partitions(ctx, want)
	if err != nil {
		return nil, err
	}
	spans := make([]Span, len(partitions))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, p := range partitions {
		g.Go(func() error {
			from, to, err := r.bounds(ctx, kafkaio.TopicPartition{Topic: want.Topic, Partition: p}, want)
			if err != nil {
				return fmt.Errorf("read %s/%d: %w", want.Topic, p, err)
			}
			spans[i] = Span{want.Topic, p, from, max(from, to)}
			return nil
		})
	}
	return spans, g.Wait()
}

// Read calls yield with every record of the spans, so many spans at a time: each
// in its order, and yield concurrently for different ones. An error of yield ends
// it and is returned.
func (r *Reader) Read(ctx context.Context, spans []Span, parallel int, yield func(event.Place, event.Message) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, parallel))
	for _, s := range spans {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return r.span(gctx, s, yield) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// partitions lists those of the range.
func (r *Reader) partitions(ctx context.Context, want Range) ([]int32, error) {
	md, err := r.admin.metadata(ctx, []string{want.Topic})
	if err != nil {
		return nil, err
	}
	if len(md.Topics) != 1 {
		return nil, fmt.Errorf("read %s: the brokers do not answer for it", want.Topic)
	}
	t := md.Topics[0]
	switch {
	case t.Error != nil:
		return nil, fmt.Errorf("read %s: %w", want.Topic, t.Error)
	case want.Partition >= int32(len(t.Partitions)):
		return nil, fmt.Errorf("read %s: it has %d partitions, and no partition %d", want.Topic, len(t.Partitions),
			want.Partition)
	case want.Partition >= 0:
		return []int32{want.Partition}, nil
	}
	all := make([]int32, len(t.Partitions))
	for i := range all {
		all[i] = int32(i)
	}
	return all, nil
}

// span reads one span.
func (r *Reader) span(ctx context.Context, s Span, yield func(event.Place, event.Message) error) error {
	at := kafkaio.TopicPartition{Topic: s.Topic, Partition: s.Partition}
	for next := s.From; next < s.To; {
		recs, after, err := r.read(ctx, at, next)
		for _, rec := range recs {
			if rec.Offset >= s.To {
				break
			}
			if err := yield(event.Place{Topic: at.Topic, Partition: at.Partition, Offset: rec.Offset}, rec.Message); err != nil {
				return err
			}
		}
		if err != nil {
			return fmt.Errorf("read %s/%d@%d: %w", at.Topic, at.Partition, after, err)
		}
		next = after
	}
	return nil
}

// maxScanFails bounds how often one fetch is tried: leaders move, but not for ever.
const maxScanFails = 25

// retryAfter is how long one waits between two tries.
const retryAfter = 200 * time.Millisecond

// read returns the records at and after an offset, and where to read on. What
// retention deletes meanwhile is gone without a word.
func (r *Reader) read(
	ctx context.Context, at kafkaio.TopicPartition, from int64,
) (recs []pipeline.Record, next int64, err error) {
	for range maxScanFails {
		var p *kafkawire.FetchPartitionResponse
		p, err = r.fetch(ctx, at, from)
		if err == nil {
			if recs, next, err = kafkaio.Visible(from, p); err != nil || next > from {
				return recs, next, err
			}
			err = kafka.RequestTimedOut // nothing came
		}
		if kafkaio.Code(err) == kafka.OffsetOutOfRange {
			if first, _, err := r.offsets(ctx, at, nil); err == nil && first > from {
				return nil, first, nil
			}
		}
		if !kafkaio.Sleep(ctx, retryAfter) {
			break
		}
	}
	return nil, from, err
}

// bounds returns where the range begins and ends in a partition as of now.
func (r *Reader) bounds(ctx context.Context, at kafkaio.TopicPartition, want Range) (from, to int64, err error) {
	first, last, err := r.offsets(ctx, at, nil)
	if err != nil {
		return 0, 0, err
	}
	if from, err = r.offset(ctx, at, want.From); err != nil || want.To == nil {
		return max(first, from), last, err
	}
	to, err = r.offset(ctx, at, *want.To)
	return max(first, from), min(last, to), err
}

func (r *Reader) offset(ctx context.Context, at kafkaio.TopicPartition, b Bound) (int64, error) {
	if b.At.IsZero() {
		return b.Offset, nil
	}
	_, since, err := r.offsets(ctx, at, &b.At)
	return since, err
}

// offsets asks for a partition's first and last stable offset; with a time, for the
// first offset of that time or later in the place of the last.
func (r *Reader) offsets(ctx context.Context, at kafkaio.TopicPartition, t *time.Time) (first, last int64, err error) {
	p := int(at.Partition)
	want := []kafka.OffsetRequest{kafka.FirstOffsetOf(p), kafka.LastOffsetOf(p)}
	if t != nil {
		want = append(want, kafka.TimeOffsetOf(p, *t))
	}
	got, err := kafkaio.ListOffsets(ctx, r.admin.client, kafka.ReadCommitted, at.Topic, want)
	return got.FirstOffset, kafkaio.OffsetOfTime(got, got.LastOffset), err
}

// fetch asks the partition's leader, who is looked up anew after an error.
func (r *Reader) fetch(
	ctx context.Context, at kafkaio.TopicPartition, from int64,
) (*kafkawire.FetchPartitionResponse, error) {
	leader, err := r.leader(ctx, at)
	if err != nil {
		return nil, err
	}
	res, err := kafkaio.FetchRequest{
		Leader: leader, Topic: at.Topic, Isolation: kafkawire.ReadCommitted, MaxBytes: maxScanBytes,
		Partitions: []kafkaio.FetchFrom{{Partition: at.Partition, Offset: from, MaxBytes: maxScanBytes}},
	}.FetchOne(ctx, r.admin.client)
	if err != nil {
		r.mu.Lock()
		delete(r.leaders, at)
		r.mu.Unlock()
	}
	return res, err
}

func (r *Reader) leader(ctx context.Context, at kafkaio.TopicPartition) (int32, error) {
	r.mu.Lock()
	leader, ok := r.leaders[at]
	r.mu.Unlock()
	if ok {
		return leader, nil
	}
	md, err := r.admin.metadata(ctx, []string{at.Topic})
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range md.Topics {
		for _, p := range t.Partitions {
			if p.Leader.Host != "" {
				r.leaders[kafkaio.TopicPartition{Topic: t.Name, Partition: int32(p.ID)}] = int32(p.Leader.ID)
			}
		}
	}
	if leader, ok = r.leaders[at]; !ok {
		return 0, kafka.LeaderNotAvailable
	}
	return leader, nil
}

// maxScanBytes is how much is asked for at a time.
const maxScanBytes = 1 << 20
