package kafkaio

import (
	"bytes"
	"context"
	"maps"
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

// appenders appends records: one request at a time per broker, with a batch for
// each of its partitions that has something to say. Batches form while a
// request is in flight, so an idle service waits for nothing.
//
// A batch is sent again, byte for byte, until the broker gives a verdict; with
// producer id, epoch and sequence in it, it lands once. To make it anew, or to
// send the next one first, could publish an outcome twice: a request without an
// answer may have landed.
type appenders struct {
	s     *Source
	woken chan struct{}  // run should look again
	parts sync.WaitGroup // what run has started: requests, and the asking for producers

	mu   sync.Mutex
	cond *sync.Cond // some appender stopped sending
	all  map[*appender]struct{}
	busy map[int32]bool // brokers with a request in flight
	late []entry        // their claim has ended; run tells them
	over bool           // run has ended

	throttled time.Time // until when a broker gives no answers, because of a quota; zero: none has said so

	told map[TopicPartition]bool // those among the troubles that stand; of the goroutine of run
}

// An appender appends to one partition on behalf of one claim. Its fields belong
// to appenders.mu.
type appender struct {
	claim  *claim
	at     TopicPartition
	fenced bool // outcomes: under the claim's fence. Otherwise any producer will do

	ready     bool // there is a producer in force
	acquiring bool // somebody asks for one
	closed    bool // its claim has ended
	sending   bool // the batch in flight is in a request
	producer  kafkawire.Producer
	seq       int32 // of the batch in flight
	queue     []entry
	flight    []entry // the batch that is being sent, and sent again
	raw       []byte  // its bytes
	attempts  int     // of these bytes, that failed
	refusals  int     // of the batch in flight, one after another
	retryAt   time.Time
	sentAt    time.Time // when the request began that it is in, or was in last
	hindered  hindrance
	aside     aside
}

// An entry is one record to append.
type entry struct {
	id     payment.IntentID // empty: a dead letter
	digest event.Digest
	rec    kafkawire.Record
	tried  bool // it was in a batch: it may have landed
	done   func(error)
}

func newAppenders(s *Source) *appenders {
	a := &appenders{s: s, woken: make(chan struct{}, 1), all: map[*appender]struct{}{}, busy: map[int32]bool{}, told: map[TopicPartition]bool{}}
	a.cond = sync.NewCond(&a.mu)
	return a
}

func (as *appenders) open(c *claim, at TopicPartition, fenced bool) *appender {
	a := &appender{claim: c, at: at, fenced: fenced}
	as.mu.Lock()
	as.all[a] = struct{}{}
	as.mu.Unlock()
	return a
}

// close ends appenders; what they still have is answered with ErrLost.
func (as *appenders) close(list ...*appender) {
	var left []entry
	as.mu.Lock()
	for _, a := range list {
		a.closed = true
		delete(as.all, a)
		left = append(left, a.takeAll()...)
	}
	as.mu.Unlock()
	for _, e := range left {
		e.done(pipeline.ErrLost)
	}
}

func (as *appenders) wake() {
	select {
	case as.woken <- struct{}{}:
	default:
	}
}

// add queues a record. What comes after the claim has ended is told so by run,
// because add must not call done itself. Only when run has ended, too, nobody is
// left to tell it but a goroutine of its own.
func (a *appender) add(e entry) {
	as := a.claim.s.appenders
	as.mu.Lock()
	defer as.mu.Unlock()
	switch {
	case !a.closed:
		a.queue = append(a.queue, e)
	case !as.over:
		as.late = append(as.late, e)
	default:
		go e.done(pipeline.ErrLost)
	}
	as.wake()
}

// pause has nothing more sent under the fence of now, until resume.
func (a *appender) pause() {
	as := a.claim.s.appenders
	as.mu.Lock()
	a.ready = false
	as.mu.Unlock()
}

// resume goes on under a new fence, for which the ledger was read. The batch in
// flight goes back to the queue: what of it has landed is in the ledger, and is
// left out when the next batch is loaded; the rest is published anew.
func (a *appender) resume(p kafkawire.Producer) {
	as := a.claim.s.appenders
	as.mu.Lock()
	defer as.mu.Unlock()
	for a.sending { // its verdict would be taken for that on a batch of the new fence
		as.cond.Wait()
	}
	select {
	case <-a.claim.trouble: // what the old fence was told is no trouble of the new one
	default:
	}
	a.queue = append(slices.Clone(a.flight), a.queue...)
	a.flight, a.raw = nil, nil
	a.producer, a.seq, a.ready, a.attempts, a.refusals = p, 0, true, 0, 0
	a.unprobed()
	as.wake()
}

// run sends what there is to send until ctx ends, and waits for what it started.
func (as *appenders) run(ctx context.Context) {
	defer as.end()
	t := time.NewTimer(time.Hour) // dispatch says when it is needed
	defer t.Stop()
	alive := as.s.cfg.Pulse.Loop("append", mostRound)
	defer alive.End()
	for {
		alive.Busy()
		again, known := as.dispatch(ctx)
		for _, tell := range known {
			tell()
		}
		as.tellLate()
		as.tellBlocked()
		if again > 0 {
			t.Reset(again)
		}
		alive.Idle()
		select {
		case <-ctx.Done():
			return
		case <-as.woken:
		case <-t.C:
		}
	}
}

func (as *appenders) end() {
	as.parts.Wait()
	as.mu.Lock()
	as.over = true
	as.mu.Unlock()
	as.tellLate()
}

// tellLate tells who appended through a claim that had ended.
func (as *appenders) tellLate() {
	as.mu.Lock()
	late := as.late
	as.late = nil
	as.mu.Unlock()
	for _, e := range late {
		e.done(pipeline.ErrLost)
	}
}

// dispatch starts a request to every idle broker that has something to append.
// It returns when to look again, 0: when woken; and whom to tell that a record need
// not be appended, because the ledger has come to know it.
func (as *appenders) dispatch(ctx context.Context) (again time.Duration, known []func()) {
	now, live := time.Now(), as.s.lease.live()
	as.mu.Lock()
	defer as.mu.Unlock()
	requests, sizes := map[int32]map[TopicPartition]*appender{}, map[int32]int{}
	for a := range as.all {
		node, ready, wait := as.readyLocked(a, now, live)
		if wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
		// A request holds one batch of a partition: a second one would need the
		// verdict on the first, and another claim's may share the partition.
		if !ready || as.busy[node] || requests[node][a.at] != nil || sizes[node] > maxRequestBytes {
			continue
		}
		known = append(known, a.load()...)
		if len(a.flight) == 0 {
			if len(a.queue) > 0 { // all of the batch was known, and there is more
				again = time.Millisecond
			}
			continue
		}
		if requests[node] == nil {
			requests[node] = map[TopicPartition]*appender{}
		}
		requests[node][a.at] = a
		for i := range a.flight {
			sizes[node] += kafkawire.BatchSize(&a.flight[i].rec)
		}
	}
	for node, list := range requests {
		as.startLocked(ctx, node, slices.Collect(maps.Values(list)))
		if again == 0 || again > lookAgain {
			again = lookAgain
		}
	}
	return again, known
}

// readyLocked says to which broker the appender's batch may go now. If to none, it
// says when to look again, 0: when woken.
func (as *appenders) readyLocked(a *appender, now time.Time, live bool) (node int32, ready bool, again time.Duration) {
	switch {
	case a.sending:
		return 0, false, lookAgain
	case a.claim.ctx.Err() != nil: // lost: who serves it may wait for done before it lets go
		as.late = append(as.late, a.takeAll()...)
		return 0, false, 0
	case len(a.flight)+len(a.queue) == 0 && !a.aside.due(now):
		return 0, false, a.aside.in(now)
	case !a.ready:
		as.acquire(a)
		return 0, false, 0
	case !live: // no append without a lease, which may come back
		return 0, false, 20 * time.Millisecond
	case now.Before(a.retryAt):
		return 0, false, a.retryAt.Sub(now)
	}
	if node, ready = as.s.routes.leader(a.at); !ready {
		again = 50 * time.Millisecond
		a.hinderLocked(now, as.s.routes.leaderless(a.at.Topic), "")
	}
	return node, ready, again
}

// startLocked sends the batches of some appenders in one request.
func (as *appenders) startLocked(ctx context.Context, node int32, list []*appender) {
	as.busy[node] = true
	for _, a := range list {
		a.sending, a.sentAt = true, time.Now()
	}
	as.parts.Go(func() { as.send(ctx, node, list) })
}

// load makes the next batch of an appender that has none in flight. It leaves out
// intents that were answered after they were called, by an owner before the
// newest fence or, where several intent partitions share an outcome partition, by
// another claim of ours. What it returns tells their owners.
func (a *appender) load() (known []func()) {
	if len(a.flight) > 0 {
		return nil
	}
	size, taken, most := 0, 0, min(len(a.queue), maxBatchRecords)
	if a.aside.due(time.Now()) {
		a.probe()
		most = 1
	}
	a.flight, a.raw = make([]entry, 0, most), nil
	for _, e := range a.queue[:most] {
		if a.fenced {
			if is := a.claim.ledger.look(e.id, e.digest); is != pipeline.Unknown {
				known = append(known, func() { e.done(e.withheld(is)) })
				taken++
				continue
			}
		}
		size += kafkawire.BatchSize(&e.rec)
		if len(a.flight) > 0 && size > maxBatchBytes {
			break
		}
		e.tried = true
		a.flight = append(a.flight, e)
		taken++
	}
	a.queue = a.queue[taken:]
	if len(a.flight) == 0 {
		a.unprobed()
	}
	return known
}

// withheld is what the owner of a record is told that the ledger has come to know:
// nil, if it is the record itself, which landed when its acknowledgement was lost.
func (e *entry) withheld(known pipeline.Known) error {
	if e.tried && known == pipeline.Repeated {
		return nil
	}
	return pipeline.ErrAnswered
}

// acquire gets a producer for an appender that needs no fence; its caller has mu.
func (as *appenders) acquire(a *appender) {
	if a.fenced || a.acquiring {
		return
	}
	a.acquiring = true
	as.parts.Go(func() {
		ctx := a.claim.ctx // ends before that of run
		for {
			get := func(ctx context.Context) (kafkawire.Producer, error) { return initProducer(ctx, as.s.client, "") }
			p, err := call(ctx, 5*time.Second, get)
			if err == nil {
				as.mu.Lock()
				a.acquiring = false
				as.mu.Unlock()
				a.resume(p)
				return
			}
			as.s.lacks(as.s.writes(a.at.Topic), err)
			if !Sleep(ctx, 100*time.Millisecond) {
				return
			}
		}
	})
}

// send sends one request and acts on the verdicts.
func (as *appenders) send(ctx context.Context, node int32, list []*appender) {
	said, err := as.produce(ctx, list)
	if err != nil || slices.ContainsFunc(list, func(a *appender) bool { return moved(said[a.at].ErrorCode) }) {
		as.s.routes.doubt()
	}
	var done []func()
	as.mu.Lock()
	as.busy[node] = false
	for _, a := range list {
		a.sending = false
		if a.closed {
			continue
		}
		v, answered := said[a.at]
		if !answered {
			v.ErrorCode = -1
		}
		if err != nil {
			v.ErrorMessage = ""
		}
		done = append(done, a.judge(v, err)...)
	}
	as.cond.Broadcast()
	as.mu.Unlock()
	for _, f := range done {
		f()
	}
	as.wake()
}

// produce sends the batches in flight, and returns what the broker says of each.
func (as *appenders) produce(ctx context.Context, list []*appender) (verdicts, error) {
	req := &rawproduce.Request{Acks: -1, Timeout: int32(produceTimeout.Milliseconds() / 2)}
	topics := map[string]int{}
	for _, a := range list {
		switch standing, err := as.encode(a); {
		case err != nil:
			return nil, err
		case !standing:
			continue
		}
		i, ok := topics[a.at.Topic]
		if !ok {
			i = len(req.Topics)
			topics[a.at.Topic] = i
			req.Topics = append(req.Topics, rawproduce.RequestTopic{Topic: a.at.Topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rawproduce.RequestPartition{
			Partition: a.at.Partition, RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(a.raw)},
		})
	}
	if len(req.Topics) == 0 {
		return nil, nil
	}
	send := func(ctx context.Context) (kafka.Response, error) { return as.s.tr.RoundTrip(ctx, as.s.addr, req) }
	res, err := call(ctx, produceTimeout, send)
	if err != nil {
		return nil, err
	}
	all := verdicts{}
	as.throttles(res.(*produce.Response).ThrottleTimeMs)
	for _, t := range res.(*produce.Response).Topics {
		for _, p := range t.Partitions {
			all[TopicPartition{t.Topic, p.Partition}] = p
		}
	}
	return all, nil
}

// encode makes the bytes of the batch that an appender has in flight, unless it has
// them. It reports false if the appender was closed meanwhile: its claim ended, and
// its entries are not ours any more. Only the goroutine that sends an appender's
// batch touches raw.
func (as *appenders) encode(a *appender) (standing bool, err error) {
	as.mu.Lock()
	flight, producer, seq, closed := a.flight, a.producer, a.seq, a.closed
	as.mu.Unlock()
	if closed || a.raw != nil {
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
	a.raw, err = kafkawire.AppendBatch(make([]byte, 0, size), producer, seq, codec, recs)
	return true, err
}
