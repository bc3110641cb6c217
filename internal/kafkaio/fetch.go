package kafkaio

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/event"
	"paylink/internal/kafkawire"
	"paylink/internal/pipeline"
)

// What is fetched ahead per partition: enough for a round trip, and no more. A
// fetch may go over it once.
const (
	maxAheadRecords = 250
	maxAheadBytes   = 128 << 10
	maxFetchBytes   = 8 << 20 // of all partitions of one broker
	maxFetchWait    = 100 * time.Millisecond
)

// input is what was fetched of a claim's partition and not polled yet; guarded
// by claim.mu.
type input struct {
	next     int64 // offset to fetch from
	polled   int64 // next, as of the last poll
	buf      []pipeline.Record
	bytes    int
	fetching bool // a fetch is under way; another broker's loop must not start one
	retryAt  time.Time
	ready    chan struct{}
}

// Poll implements pipeline.Claim.
func (c *claim) Poll(ctx context.Context) ([]pipeline.Record, int64, error) {
	for {
		switch {
		case c.ctx.Err() != nil:
			return nil, 0, pipeline.ErrLost
		case c.isDraining():
			return nil, 0, pipeline.ErrDraining
		}
		if recs, next, ok := c.takeInput(); ok {
			c.s.fetcher.kick()
			return recs, next, nil
		}
		select {
		case <-c.input.ready:
		case <-c.draining:
		case <-c.ctx.Done():
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

func (c *claim) takeInput() ([]pipeline.Record, int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := &c.input
	if len(in.buf) == 0 && in.next == in.polled {
		return nil, 0, false
	}
	recs := in.buf
	in.buf, in.bytes, in.polled = nil, 0, in.next
	return recs, in.next, true
}

// wants marks the claim as being fetched, if it has room, and says from where.
func (c *claim) wants(now time.Time) (from int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := &c.input
	if in.fetching || c.isDraining() || len(in.buf) >= maxAheadRecords || in.bytes >= maxAheadBytes || now.Before(in.retryAt) {
		return 0, false
	}
	in.fetching = true
	return in.next, true
}

// fetched takes the records of a fetch, or a wait before the next one.
func (c *claim) fetched(recs []pipeline.Record, next int64, wait time.Duration) {
	c.mu.Lock()
	in := &c.input
	in.fetching = false
	for i := range recs {
		in.bytes += len(recs[i].Key) + len(recs[i].Value)
	}
	in.buf = append(in.buf, recs...)
	in.next = max(in.next, next)
	if wait > 0 {
		in.retryAt = time.Now().Add(wait)
	}
	c.mu.Unlock()
	select {
	case c.input.ready <- struct{}{}:
	default:
	}
}

// A fetcher reads the claims' partitions, by one loop per broker.
type fetcher struct {
	s *Source

	mu      sync.Mutex
	claims  map[*claim]struct{}
	loops   map[int32]bool
	changed chan struct{} // closed and replaced when there may be more to do
}

func newFetcher(s *Source) *fetcher {
	return &fetcher{s: s, claims: map[*claim]struct{}{}, loops: map[int32]bool{}, changed: make(chan struct{})}
}

func (f *fetcher) add(c *claim) {
	f.mu.Lock()
	f.claims[c] = struct{}{}
	f.mu.Unlock()
	f.kick()
}

func (f *fetcher) remove(c *claim) {
	f.mu.Lock()
	delete(f.claims, c)
	f.mu.Unlock()
}

func (f *fetcher) kick() {
	f.mu.Lock()
	close(f.changed)
	f.changed = make(chan struct{})
	f.mu.Unlock()
}

// run sees to it that every broker that leads a claimed partition has a loop.
func (f *fetcher) run(ctx context.Context) {
	for {
		f.mu.Lock()
		for c := range f.claims {
			if node, ok := f.leader(c); ok && !f.loops[node] {
				f.loops[node] = true
				f.s.start(ctx, func(ctx context.Context) { f.loop(ctx, node) })
			}
		}
		changed := f.changed
		f.mu.Unlock()
		if !f.wait(ctx, changed, routesEvery) {
			return
		}
	}
}

func (f *fetcher) leader(c *claim) (int32, bool) {
	return f.s.routes.leader(place{f.s.cfg.IntentTopic, c.partition})
}

func (f *fetcher) wait(ctx context.Context, changed <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-changed:
	case <-t.C:
	}
	return true
}

func (f *fetcher) loop(ctx context.Context, node int32) {
	fails := 0
	for ctx.Err() == nil {
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		asked := f.ask(node)
		if len(asked) == 0 {
			f.wait(ctx, changed, 50*time.Millisecond)
			continue
		}
		if err := f.fetch(ctx, node, asked); err != nil {
			fails++
			f.s.metrics.fetchErrors.Inc()
			f.s.routes.refresh(ctx)
			sleep(ctx, min(time.Second, 20*time.Millisecond<<min(fails, 6)))
			continue
		}
		fails = 0
	}
}

// ask returns the claims that this broker should be asked for, with offsets.
func (f *fetcher) ask(node int32) map[int32]*asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, out := time.Now(), map[int32]*asked{}
	for c := range f.claims {
		if n, ok := f.leader(c); !ok || n != node {
			continue
		}
		if from, ok := c.wants(now); ok {
			out[c.partition] = &asked{claim: c, from: from}
		}
	}
	return out
}

type asked struct {
	claim *claim
	from  int64
}

func (f *fetcher) fetch(ctx context.Context, node int32, want map[int32]*asked) error {
	topic := kafkawire.FetchTopic{Topic: f.s.cfg.IntentTopic}
	for p, a := range want {
		topic.Partitions = append(topic.Partitions, kafkawire.FetchPartition{
			Partition: p, CurrentLeaderEpoch: -1, FetchOffset: a.from, LogStartOffset: -1, PartitionMaxBytes: maxAheadBytes,
		})
	}
	res, err := call(ctx, maxFetchWait+10*time.Second, func(ctx context.Context) (kafka.Response, error) {
		return f.s.tr.RoundTrip(ctx, f.s.addr, &kafkawire.FetchRequest{
			Node: node, ReplicaID: -1, MaxWaitTime: int32(maxFetchWait.Milliseconds()), MinBytes: 1, MaxBytes: maxFetchBytes,
			IsolationLevel: kafkawire.ReadCommitted, SessionEpoch: -1, Topics: []kafkawire.FetchTopic{topic},
		})
	})
	if err == nil {
		for _, t := range res.(*kafkawire.FetchResponse).Topics {
			for i := range t.Partitions {
				if a := want[t.Partitions[i].Partition]; a != nil {
					f.take(ctx, a, &t.Partitions[i])
					delete(want, a.claim.partition)
				}
			}
		}
	}
	for _, a := range want {
		a.claim.fetched(nil, 0, 0)
	}
	return err
}

// take gives a claim what was fetched for it.
func (f *fetcher) take(ctx context.Context, a *asked, res *kafkawire.FetchPartitionResponse) {
	c := a.claim
	switch err := kafka.Error(res.ErrorCode); err {
	case 0:
	case kafka.OffsetOutOfRange:
		f.outOfRange(ctx, c, a.from)
		return
	default: // not leader, unknown partition, …: the next metadata tells
		f.s.metrics.fetchErrors.Inc()
		if err == kafka.TopicAuthorizationFailed {
			c.log.WithError(err).Error("not allowed to read the intents: grant Read on the topic")
			c.fetched(nil, 0, 5*time.Second)
			return
		}
		c.log.WithError(err).Debug("fetch")
		f.s.routes.refresh(ctx)
		c.fetched(nil, 0, 50*time.Millisecond)
		return
	}
	recs, next, err := visible(a.from, res)
	wait := time.Duration(0)
	if err != nil {
		wait = c.unreadable(err)
	}
	c.fetched(recs, next, wait)
	f.s.metrics.lag.WithLabelValues(label(c.partition)).Set(float64(max(0, res.HighWatermark-next)))
}

// unreadable is loud about records that cannot be read, and says when to look
// again.
func (c *claim) unreadable(err error) time.Duration {
	c.s.metrics.corrupt.Inc()
	c.log.WithError(err).Error("the partition stops here: its records cannot be read, and skipping them would lose intents; repair or delete the batch")
	return 10 * time.Second
}

// outOfRange goes on where the log holds no record to read on from. What is in
// flight is finished in any case: those intents are called already.
func (f *fetcher) outOfRange(ctx context.Context, c *claim, from int64) {
	has, err := f.s.span(ctx, place{f.s.cfg.IntentTopic, c.partition}, time.Now())
	l := c.log.WithField("offset", from).WithField("first", has.first).WithField("last", has.last)
	switch {
	case err != nil || from >= has.first && from <= has.last: // as of now it does
		c.fetched(nil, 0, time.Second)
	case from < has.first:
		f.s.metrics.lostRecords.Add(float64(has.first - from))
		l.Error("the topic's retention overtook us: intents were deleted before they were read; going on with the oldest that is left")
		c.fetched(nil, has.first, 0)
	default:
		l.Error("the topic ends before the offset to read on from (was it deleted and made again?): taking the partition over anew")
		c.fetched(nil, 0, time.Second)
		c.drain()
	}
}

// visible returns the records of a fetched set that a read-committed consumer
// may see, from an offset on, and the offset to go on from. With an error, they
// are those before the trouble.
func visible(from int64, res *kafkawire.FetchPartitionResponse) (recs []pipeline.Record, next int64, err error) {
	filter, set, next := kafkawire.NewFilter(res.AbortedTransactions), res.Records.Bytes, from
	for {
		b, rest, err := kafkawire.NextBatch(set)
		if err != nil {
			return recs, next, err
		}
		if b == nil {
			return recs, next, nil
		}
		set = rest
		if filter.Hides(b) || b.Last < from {
			next = max(next, b.Last+1)
			continue
		}
		n := len(recs)
		err = b.Records(func(r *kafkawire.Record) error {
			if r.Offset >= from {
				recs = append(recs, record(r, b.LogTime))
			}
			return nil
		})
		if err != nil {
			return recs[:n], next, err
		}
		next = b.Last + 1
	}
}

// record copies r, so that one waiting record does not keep a whole fetch in memory.
func record(r *kafkawire.Record, brokerTime bool) pipeline.Record {
	out := pipeline.Record{Offset: r.Offset, Message: event.Message{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), BrokerTime: brokerTime}}
	if r.Millis >= 0 { // -1: it has none
		out.Time = time.UnixMilli(r.Millis)
	}
	if len(r.Headers) > 0 {
		out.Headers = make([]event.Header, len(r.Headers))
		for i, h := range r.Headers {
			out.Headers[i] = event.Header{Key: string(h.Key), Value: bytes.Clone(h.Value)}
		}
	}
	return out
}
