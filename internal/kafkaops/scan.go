package kafkaops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
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
	return r.fix(ctx, want, func(ctx context.Context, at kafkaio.TopicPartition) (from, to int64, err error) {
		return r.bounds(ctx, at, want)
	})
}

// fix asks for the bounds of each partition of a range.
func (r *Reader) fix(
	ctx context.Context, want Range, bounds func(context.Context, kafkaio.TopicPartition) (from, to int64, err error),
) ([]Span, error) {
	partitions, err := r.partitions(ctx, want)
	if err != nil {
		return nil, err
	}
	spans := make([]Span, len(partitions))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, p := range partitions {
		g.Go(func() error {
			from, to, err := bounds(ctx, kafkaio.TopicPartition{Topic: want.Topic, Partition: p})
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
	return r.Each(ctx, spans, parallel, func(p event.Place, m event.Message) error { return yield(p, clone(m)) })
}

// Each is Read without copies: key, value and headers are valid only until yield
// returns.
func (r *Reader) Each(ctx context.Context, spans []Span, parallel int, yield func(event.Place, event.Message) error) error {
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
		return nil, lacking("Describe", "topic "+want.Topic, fmt.Errorf("read %s: %w", want.Topic, t.Error))
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

// span reads one span. One answer is asked for while the one before it is yielded.
func (r *Reader) span(ctx context.Context, s Span, yield func(event.Place, event.Message) error) error {
	at := kafkaio.TopicPartition{Topic: s.Topic, Partition: s.Partition}
	if s.From >= s.To {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan answer, 1)
	var fetching sync.WaitGroup
	fetching.Go(func() { r.fetchAll(ctx, at, s, answers) })
	defer func() {
		cancel()
		fetching.Wait()
		for a := range answers {
			a.release()
		}
	}()
	for a := range answers {
		err := a.each(at, s, yield)
		a.release()
		if err == nil {
			err = a.err
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// An answer is what one fetch has brought that a reader of committed records sees.
type answer struct {
	from    int64
	raw     kafkawire.Raw
	batches []*kafkawire.Batch
	err     error // comes after the batches
}

func (a *answer) release() { a.raw.Release() }

// each yields the records of the batches that lie in the span.
func (a *answer) each(at kafkaio.TopicPartition, s Span, yield func(event.Place, event.Message) error) error {
	var m event.Message
	for _, b := range a.batches {
		see := func(rec *kafkawire.Record) error {
			if rec.Offset < a.from || rec.Offset >= s.To {
				return nil
			}
			message(&m, rec, b.LogTime)
			return yield(event.Place{Topic: at.Topic, Partition: at.Partition, Offset: rec.Offset}, m)
		}
		if err := b.Readable(see, wanted...); err != nil {
			return fmt.Errorf("read %s/%d@%d: %w", at.Topic, at.Partition, b.Base, err)
		}
	}
	return nil
}

// wanted are headers that are kept even of a record that is too large to be read.
var wanted = []string{
	event.HeaderIntentID, event.HeaderIntentDigest, event.HeaderReason, event.HeaderError,
	event.HeaderSourceTopic, event.HeaderSourcePartition, event.HeaderSourceOffset,
}

// message makes m a view of a record.
func message(m *event.Message, rec *kafkawire.Record, brokerTime bool) {
	*m = event.Message{Key: rec.Key, Value: rec.Value, BrokerTime: brokerTime, TooLarge: rec.Beyond, Headers: m.Headers[:0]}
	if rec.Millis >= 0 { // -1: it has none
		m.Time = time.UnixMilli(rec.Millis)
	}
	for _, h := range rec.Headers {
		m.Headers = append(m.Headers, event.Header{Key: headerName(h.Key), Value: h.Value})
	}
}

// headerNames are those that records of ours have, so that they cost no memory.
var headerNames = func() map[string]string {
	names := map[string]string{}
	for _, name := range append(wanted, "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "content-type", "traceparent") {
		names[name] = name
	}
	return names
}()

func headerName(name []byte) string {
	if known, ok := headerNames[string(name)]; ok {
		return known
	}
	return string(name)
}

// clone copies what a message points to.
func clone(m event.Message) event.Message {
	m.Key, m.Value = bytes.Clone(m.Key), bytes.Clone(m.Value)
	if len(m.Headers) == 0 {
		m.Headers = nil
		return m
	}
	m.Headers = slices.Clone(m.Headers)
	for i := range m.Headers {
		m.Headers[i].Value = bytes.Clone(m.Headers[i].Value)
	}
	return m
}

// fetchAll fetches the span to its end, and closes answers.
func (r *Reader) fetchAll(ctx context.Context, at kafkaio.TopicPartition, s Span, answers chan<- answer) {
	defer close(answers)
	for next := s.From; next < s.To; {
		a, after := r.read(ctx, at, next)
		select {
		case answers <- a:
		case <-ctx.Done():
			a.release()
			return
		}
		if a.err != nil {
			return
		}
		next = after
	}
}

// mostPatience is how long one step of a reader is tried. A broker that was killed keeps
// the partitions that it led for nine seconds, as brokers have it; one restarts in less
// than half a minute.
const mostPatience = 30 * time.Second

// retryAfter is how long one waits between two tries.
const retryAfter = 200 * time.Millisecond

// tries are those of one step.
type tries struct{ until time.Time }

func newTries() tries { return tries{time.Now().Add(mostPatience)} }

// again waits for the next try. It reports false if that was the last one.
func (t tries) again(ctx context.Context) bool {
	return time.Now().Before(t.until) && kafkaio.Sleep(ctx, retryAfter)
}

// read returns what stands at and after an offset, and where to read on. What
// retention deletes meanwhile is gone without a word.
func (r *Reader) read(ctx context.Context, at kafkaio.TopicPartition, from int64) (a answer, next int64) {
	for t := newTries(); ; {
		var p *kafkawire.FetchPartitionResponse
		if p, a.err = r.fetch(ctx, at, from); a.err == nil {
			if a, next = open(from, p); a.err != nil || next > from {
				break
			}
			a.release()
			a.err = kafka.RequestTimedOut // nothing came
			if p.Records.Busy {
				t = newTries() // another span holds the room of large answers, and gives it back
			}
		}
		if kafkaio.Code(a.err) == kafka.OffsetOutOfRange {
			if first, _, err := r.offsets(ctx, at, nil); err == nil && first > from {
				return answer{from: first}, first
			}
		}
		if errors.Is(a.err, kafkaio.ErrThrottled) {
			t = newTries() // it is only slow
		}
		if noRight(a.err) || !t.again(ctx) {
			break
		}
	}
	if a.err != nil {
		a.err = Lacking(at.Topic, fmt.Errorf("read %s/%d@%d: %w", at.Topic, at.Partition, max(from, next), a.err))
	}
	return a, next
}

// open takes the batches of a fetch apart, and hides what must not be seen.
func open(from int64, p *kafkawire.FetchPartitionResponse) (a answer, next int64) {
	a, next = answer{from: from, raw: p.Records}, from
	if p.Records.Busy {
		return a, from
	}
	filter := kafkawire.NewFilter(p.AbortedTransactions)
	for {
		b, err := a.raw.Next()
		if err != nil || b == nil {
			a.err = err
			return a, next
		}
		if !filter.Hides(b) && b.Last >= from {
			a.batches = append(a.batches, b)
		}
		next = max(next, b.Last+1)
	}
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
		want = append(want, kafkaio.TimeOffsetOf(p, *t))
	}
	got, err := r.ask(ctx, at, kafka.ReadCommitted, want...)
	return got.FirstOffset, kafkaio.OffsetOfTime(got, got.LastOffset), err
}

// ask asks for offsets of a partition, one by one: of several, kafka-go does not tell why
// some have no answer. Leaders move, brokers restart, and the client hears of it late.
func (r *Reader) ask(
	ctx context.Context, at kafkaio.TopicPartition, level kafka.IsolationLevel, want ...kafka.OffsetRequest,
) (all kafka.PartitionOffsets, err error) {
	all.FirstOffset, all.LastOffset, all.Offsets = -1, -1, map[int64]time.Time{}
	for _, one := range want {
		var got kafka.PartitionOffsets
		for t := newTries(); ; {
			got, err = kafkaio.ListOffsets(ctx, r.admin.client, level, at.Topic, []kafka.OffsetRequest{one})
			if err == nil || !mayPass(err) || !t.again(ctx) {
				break
			}
		}
		if err != nil {
			return all, err
		}
		all.FirstOffset, all.LastOffset = max(all.FirstOffset, got.FirstOffset), max(all.LastOffset, got.LastOffset)
		maps.Copy(all.Offsets, got.Offsets)
	}
	return all, nil
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
