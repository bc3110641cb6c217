package kafkaio

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"paylink/internal/event"
	"paylink/internal/kafkawire"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// Limits of an append. A batch stays below the brokers' usual message.max.bytes
// of 1 MiB; where theirs is less they say so and the batch is split.
const (
	maxBatchRecords = 1000
	maxBatchBytes   = 900 << 10
	maxRequestBytes = 16 << 20 // of all partitions, plus a batch; brokers take 100 MiB
	compressFrom    = 1 << 10  // smaller batches gain nothing
	produceTimeout  = 5 * time.Second
)

// writers appends records: one request at a time per broker, with a batch for
// each of its partitions that has something to say. Batches form while a
// request is in flight, so an idle service waits for nothing.
//
// A batch is sent again, byte for byte, until the broker gives a verdict; with
// producer id, epoch and sequence in it, it lands once.
type writers struct {
	s    *Source
	wake chan struct{}

	mu   sync.Mutex
	cond *sync.Cond // some writer stopped sending
	all  map[*writer]struct{}
	busy map[int32]bool // brokers with a request in flight
}

// A writer appends to one partition on behalf of one claim. Its fields belong to
// writers.mu.
type writer struct {
	claim  *claim
	at     place
	fenced bool // outcomes: under the claim's fence. Otherwise any producer will do

	ready     bool // there is a producer in force
	acquiring bool
	closed    bool
	sending   bool
	producer  kafkawire.Producer
	seq       int32
	queue     []entry
	flight    []entry // the batch that is being sent, and sent again
	raw       []byte  // its bytes
	attempts  int
	retryAt   time.Time
}

// An entry is one record to append.
type entry struct {
	id     payment.IntentID // empty: a dead letter
	digest event.Digest
	rec    kafkawire.Record
	done   func(error)
}

func newWriters(s *Source) *writers {
	w := &writers{s: s, wake: make(chan struct{}, 1), all: map[*writer]struct{}{}, busy: map[int32]bool{}}
	w.cond = sync.NewCond(&w.mu)
	return w
}

func (ws *writers) open(c *claim, at place, fenced bool) *writer {
	w := &writer{claim: c, at: at, fenced: fenced}
	ws.mu.Lock()
	ws.all[w] = struct{}{}
	ws.mu.Unlock()
	return w
}

// close ends writers; what they still hold is answered with ErrLost.
func (ws *writers) close(list ...*writer) {
	var left []entry
	ws.mu.Lock()
	for _, w := range list {
		w.closed = true
		delete(ws.all, w)
		left = append(append(left, w.flight...), w.queue...)
		w.flight, w.queue = nil, nil
	}
	ws.mu.Unlock()
	for _, e := range left {
		e.done(pipeline.ErrLost)
	}
}

func (ws *writers) kick() {
	select {
	case ws.wake <- struct{}{}:
	default:
	}
}

// write queues a record.
func (w *writer) write(e entry) {
	ws := w.claim.s.writers
	ws.mu.Lock()
	closed := w.closed
	if !closed {
		w.queue = append(w.queue, e)
	}
	ws.mu.Unlock()
	if closed {
		go e.done(pipeline.ErrLost)
		return
	}
	ws.kick()
}

// pause holds the writer back until resume.
func (w *writer) pause() {
	ws := w.claim.s.writers
	ws.mu.Lock()
	w.ready = false
	ws.mu.Unlock()
}

// resume goes on under a new fence, for which the ledger was read. The batch in
// flight goes back to the queue: what of it has landed is in the ledger, and is
// left out when the next batch is loaded; the rest is published anew.
func (w *writer) resume(p kafkawire.Producer) {
	ws := w.claim.s.writers
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w.sending {
		ws.cond.Wait()
	}
	select {
	case <-w.claim.trouble: // what the old fence was told is no trouble of the new one
	default:
	}
	w.queue = append(slices.Clone(w.flight), w.queue...)
	w.flight, w.raw = nil, nil
	w.producer, w.seq, w.ready, w.attempts = p, 0, true, 0
	ws.kick()
}

func (ws *writers) run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		wait, known := ws.dispatch(ctx)
		for _, e := range known {
			e.done(nil)
		}
		if wait > 0 {
			t.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-ws.wake:
		case <-t.C:
		}
	}
}

// dispatch starts a request to every idle broker that has something to append.
// It returns when to look again, 0: when woken; and what need not be appended,
// because the ledger came to hold it.
func (ws *writers) dispatch(ctx context.Context) (again time.Duration, known []entry) {
	now := time.Now()
	later := func(d time.Duration) {
		if again == 0 || d < again {
			again = d
		}
	}
	live := ws.s.lease.live()
	ws.mu.Lock()
	defer ws.mu.Unlock()
	batches, sizes := map[int32]map[place]*writer{}, map[int32]int{}
	for w := range ws.all {
		switch {
		case w.sending || len(w.flight)+len(w.queue) == 0:
			continue
		case !w.ready:
			ws.acquire(ctx, w)
			continue
		case !live || w.claim.ctx.Err() != nil: // no append without a lease
			later(20 * time.Millisecond)
			continue
		case now.Before(w.retryAt):
			later(w.retryAt.Sub(now))
			continue
		}
		node, ok := ws.s.routes.leader(w.at)
		if !ok {
			later(50 * time.Millisecond)
			continue
		}
		if ws.busy[node] || batches[node][w.at] != nil || sizes[node] > maxRequestBytes { // one batch of a partition in a request
			continue
		}
		known = append(known, w.load()...)
		if len(w.flight) == 0 {
			if len(w.queue) > 0 {
				later(time.Millisecond)
			}
			continue
		}
		if batches[node] == nil {
			batches[node] = map[place]*writer{}
		}
		batches[node][w.at] = w
		for i := range w.flight {
			sizes[node] += kafkawire.BatchSize(&w.flight[i].rec)
		}
	}
	for node, ready := range batches {
		ws.busy[node] = true
		list := make([]*writer, 0, len(ready))
		for _, w := range ready {
			w.sending = true
			list = append(list, w)
		}
		ws.s.start(ctx, func(ctx context.Context) { ws.send(ctx, node, list) })
	}
	return again, known
}

// load makes the next batch of a writer that has none in flight. It leaves out
// intents that were answered after they were called, by an owner before the
// newest fence or, where several intent partitions share an outcome partition, by
// another claim of ours; those it returns.
func (w *writer) load() (known []entry) {
	if len(w.flight) > 0 {
		return nil
	}
	size, taken := 0, 0
	w.flight, w.raw = make([]entry, 0, min(len(w.queue), maxBatchRecords)), nil
	for _, e := range w.queue[:min(len(w.queue), maxBatchRecords)] {
		if w.fenced && w.claim.ledger.look(e.id, e.digest) != pipeline.Unknown {
			known = append(known, e)
			taken++
			continue
		}
		size += kafkawire.BatchSize(&e.rec)
		if len(w.flight) > 0 && size > maxBatchBytes {
			break
		}
		w.flight = append(w.flight, e)
		taken++
	}
	w.queue = w.queue[taken:]
	return known
}

// acquire gets a producer for a writer that needs no fence; mu held.
func (ws *writers) acquire(ctx context.Context, w *writer) {
	if w.fenced || w.acquiring {
		return
	}
	w.acquiring = true
	ws.s.start(ctx, func(context.Context) {
		ctx := w.claim.ctx
		for {
			p, err := call(ctx, 5*time.Second, func(ctx context.Context) (kafkawire.Producer, error) { return ws.s.initProducer(ctx, "") })
			if err == nil {
				ws.mu.Lock()
				w.acquiring = false
				ws.mu.Unlock()
				w.resume(p)
				return
			}
			if !sleep(ctx, 100*time.Millisecond) {
				return
			}
		}
	})
}

// send sends one request and acts on the verdicts.
func (ws *writers) send(ctx context.Context, node int32, list []*writer) {
	verdicts, err := ws.produce(ctx, list)
	if err != nil || slices.ContainsFunc(list, func(w *writer) bool { return moved(verdicts[w.at].ErrorCode) }) {
		ws.s.routes.refresh(ctx)
	}
	var done []func()
	ws.mu.Lock()
	ws.busy[node] = false
	for _, w := range list {
		w.sending = false
		if w.closed {
			continue
		}
		v, answered := verdicts[w.at]
		if !answered {
			v.ErrorCode = -1
		}
		done = append(done, w.judge(kafka.Error(v.ErrorCode), err)...)
	}
	ws.cond.Broadcast()
	ws.mu.Unlock()
	for _, f := range done {
		f()
	}
	ws.kick()
}

// moved says that another broker leads the partition now.
func moved(code int16) bool {
	switch kafka.Error(code) {
	case kafka.NotLeaderForPartition, kafka.LeaderNotAvailable, kafka.UnknownTopicOrPartition, kafka.BrokerNotAvailable:
		return true
	}
	return false
}

func (ws *writers) produce(ctx context.Context, list []*writer) (map[place]produce.ResponsePartition, error) {
	req := &rawproduce.Request{Acks: -1, Timeout: int32(produceTimeout.Milliseconds() / 2)}
	topics := map[string]int{}
	for _, w := range list {
		switch standing, err := ws.encode(w); {
		case err != nil:
			return nil, err
		case !standing:
			continue
		}
		i, ok := topics[w.at.topic]
		if !ok {
			i = len(req.Topics)
			topics[w.at.topic] = i
			req.Topics = append(req.Topics, rawproduce.RequestTopic{Topic: w.at.topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rawproduce.RequestPartition{
			Partition: w.at.partition, RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(w.raw)},
		})
	}
	if len(req.Topics) == 0 {
		return nil, nil
	}
	res, err := call(ctx, produceTimeout, func(ctx context.Context) (kafka.Response, error) { return ws.s.tr.RoundTrip(ctx, ws.s.addr, req) })
	if err != nil {
		return nil, err
	}
	verdicts := map[place]produce.ResponsePartition{}
	for _, t := range res.(*produce.Response).Topics {
		for _, p := range t.Partitions {
			verdicts[place{t.Topic, p.Partition}] = p
		}
	}
	return verdicts, nil
}

// encode makes the bytes of the batch that a writer has in flight, unless it has
// them. It reports false if the writer was closed meanwhile: its claim ended, and
// its entries are not ours any more. Only the goroutine that sends a writer's
// batch touches raw.
func (ws *writers) encode(w *writer) (standing bool, err error) {
	ws.mu.Lock()
	flight, producer, seq, closed := w.flight, w.producer, w.seq, w.closed
	ws.mu.Unlock()
	if closed || w.raw != nil {
		return !closed, nil
	}
	recs, size := make([]kafkawire.Record, len(flight)), 0
	for i := range flight {
		recs[i] = flight[i].rec
		size += kafkawire.BatchSize(&recs[i])
	}
	codec := compress.None
	if size >= compressFrom {
		codec = compress.Snappy
	}
	w.raw, err = kafkawire.AppendBatch(make([]byte, 0, size), producer, seq, codec, recs)
	return true, err
}

// judge acts on the broker's verdict on the batch in flight, or on having none;
// mu held. It returns what to call once mu is free.
func (w *writer) judge(verdict kafka.Error, err error) (done []func()) {
	m := w.claim.s.metrics
	switch {
	case err != nil || verdict == -1:
		w.again(err)
	case verdict == 0, verdict == kafka.DuplicateSequenceNumber:
		m.batches.Inc()
		m.appended.Add(float64(len(w.flight)))
		return w.landed()
	case verdict == kafka.MessageSizeTooLarge, verdict == kafka.RecordListTooLarge:
		return w.split()
	case verdict == kafka.OutOfOrderSequenceNumber, verdict == kafka.UnknownProducerId,
		verdict == kafka.InvalidProducerEpoch, verdict == kafka.ProducerFenced, verdict == kafka.InvalidProducerIDMapping:
		w.broken(verdict)
	default:
		w.again(verdict)
	}
	return nil
}

func (w *writer) landed() (done []func()) {
	for _, e := range w.flight {
		if w.fenced {
			w.claim.ledger.add(e.id, e.digest, time.UnixMilli(e.rec.Millis))
		}
		done = append(done, func() { e.done(nil) })
	}
	w.seq = kafkawire.NextSequence(w.seq, len(w.flight))
	w.flight, w.raw, w.attempts = nil, nil, 0
	return done
}

// split halves a batch that the broker finds too large; nothing of it landed, so
// its sequence is free. A single record is returned to its owner.
func (w *writer) split() (done []func()) {
	if len(w.flight) == 1 {
		e := w.flight[0]
		w.flight, w.raw = nil, nil
		return []func(){func() { e.done(pipeline.ErrTooLarge) }}
	}
	half := len(w.flight) / 2
	w.queue = append(append([]entry(nil), w.flight[half:]...), w.queue...)
	w.flight, w.raw = w.flight[:half:half], nil
	return nil
}

// broken says that the producer is not in force any more. An outcome's fence is
// made again by the claim; a dead letter takes any new producer, and may then be
// repeated, which its source offset shows.
func (w *writer) broken(verdict kafka.Error) {
	w.ready = false
	if !w.fenced {
		return
	}
	select {
	case w.claim.trouble <- verdict:
	default:
	}
}

// again has the same bytes sent once more, after a short wait.
func (w *writer) again(err error) {
	w.claim.s.metrics.retries.Inc()
	w.attempts++
	w.retryAt = time.Now().Add(min(time.Second, 10*time.Millisecond<<min(w.attempts, 7)))
	if w.attempts%20 == 0 {
		w.claim.log.WithError(err).WithField("topic", w.at.topic).WithField("attempts", w.attempts).Warn("append: the brokers do not take it yet")
	}
}
