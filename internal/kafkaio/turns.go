package kafkaio

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"paylink/internal/kafkawire"
	"paylink/internal/pace"
	"paylink/internal/pipeline"
)

// turns carries notes about lent turns over the first partition of a topic of ours.
// It implements pipeline.Turns.
//
// Nothing rests on it. What is said goes to the leader once, without a producer's
// sequence, or is dropped; what is heard is what comes to the log after we began to
// listen, and after every trouble it begins anew at the end. So the topic may be
// missing, shut to us, full of others' records or a day late: replicas then wait for
// their own slots, and one line says so.
//
// It has connections of its own. The topic is looked for once a minute while it is
// missing or we may not see it, which brokers write into their logs; the transport of
// the source would ask every second.
type turns struct {
	s      *Source
	name   string
	topic  string
	tr     *kafka.Transport
	client *kafka.Client
	said   chan pace.Note
	heard  chan pace.Note
	notes  *prometheus.CounterVec

	mu    sync.Mutex
	snags map[side]*snag
	unlent
}

// An unlent is why no turns are lent, as it was told; empty: they are, or it is too
// early to tell.
type unlent struct {
	why   string
	since time.Time
}

// A side is one of the two directions of notes.
type side string

const (
	saying  side = "said"
	hearing side = "heard"
)

// A snag is what stands in a side's way.
type snag struct {
	since time.Time
	fails int
}

const (
	turnQueue = 256 // notes that wait to be written, or to be taken

	// mostHeard is what one fetch may bring: thousands of notes.
	mostHeard = 512 << 10

	turnWait    = time.Second            // how long a broker keeps a fetch that has nothing to say
	turnTimeout = 2 * time.Second        // of a request, beside that
	turnsTTL    = 5 * time.Second        // of metadata: leaders move rarely, and what is missed meanwhile is only lending
	snagQuiet   = 10 * time.Second       // how long a trouble that may pass by itself lasts until it is told
	shutPause   = time.Minute            // until the topic is tried again that is missing or shut, and up to a quarter more
	fullPause   = 100 * time.Millisecond // after more came than members have to say
)

// errNoTurnsTopic says that there is no topic.
var errNoTurnsTopic = errors.New("no such topic: create it with \"paylink topics create\"")

func newTurns(s *Source) *turns {
	t := &turns{
		s: s, topic: s.cfg.TurnsTopic, tr: s.cfg.Connection.transport(s.logins, s.cfg.TurnsTopic), notes: s.metrics.notes,
		said: make(chan pace.Note, turnQueue), heard: make(chan pace.Note, turnQueue), snags: map[side]*snag{},
	}
	t.tr.MetadataTTL = turnsTTL
	t.client = &kafka.Client{Addr: s.addr, Transport: t.tr}
	t.name = rand.Text()
	if id := s.cfg.InstanceID; id != "" {
		t.name = id[:min(len(id), 64)] + "-" + t.name
	}
	return t
}

// Turns carries notes about lent turns while Run runs; nil: there is no topic for
// them.
func (s *Source) Turns() pipeline.Turns {
	if s.turns == nil {
		return nil
	}
	return s.turns
}

// Name implements pipeline.Turns.
func (t *turns) Name() string { return t.name }

// Say implements pipeline.Turns.
func (t *turns) Say(n pace.Note) {
	select {
	case t.said <- n:
	default:
		t.count(saying, "dropped", 1)
	}
}

// Heard implements pipeline.Turns.
func (t *turns) Heard() <-chan pace.Note { return t.heard }

func (t *turns) count(of side, result string, n int) {
	t.notes.WithLabelValues(string(of), result).Add(float64(n))
}

// run carries notes until ctx ends.
func (t *turns) run(ctx context.Context) {
	defer t.tr.CloseIdleConnections()
	var sides sync.WaitGroup
	sides.Go(func() { t.say(ctx) })
	sides.Go(func() { t.hear(ctx) })
	sides.Wait()
}

// renewed has connections of an older login end.
func (t *turns) renewed() {
	if t != nil {
		t.tr.CloseIdleConnections()
	}
}

// say writes what is to be said, all that waits at a time.
func (t *turns) say(ctx context.Context) {
	alive := t.s.cfg.Pulse.Loop("turns said", mostRound)
	defer alive.End()
	for {
		alive.Idle()
		select {
		case <-ctx.Done():
			return
		case n := <-t.said:
			alive.Busy()
			if pause := t.write(ctx, n); pause > 0 {
				alive.Idle()
				Sleep(ctx, pause)
			}
		}
	}
}

// write writes a note and those that wait behind it, and says how long to rest after.
func (t *turns) write(ctx context.Context, first pace.Note) (pause time.Duration) {
	recs := t.records(first)
	if len(recs) == 0 {
		return 0
	}
	err := t.produce(ctx, recs)
	if err == nil {
		t.count(saying, "sent", len(recs))
		t.goesOn(saying)
		return 0
	}
	t.count(saying, "dropped", len(recs))
	return t.hinders(ctx, saying, err)
}

// records are the notes that are to be written and still of use.
func (t *turns) records(n pace.Note) (recs []kafkawire.Record) {
	now := time.Now()
	for more := true; more; {
		value, err := writeNote(t.s.cfg.Group, n)
		if err != nil || isLate(n, now) {
			t.count(saying, "dropped", 1)
		} else {
			recs = append(recs, kafkawire.Record{Millis: now.UnixMilli(), Key: []byte(n.Merchant), Value: value})
		}
		select {
		case n = <-t.said:
		default:
			more = false
		}
	}
	return recs
}

// nobody is the producer of plain batches, each of which is taken as often as it comes.
var nobody = kafkawire.Producer{ID: -1, Epoch: -1}

func (t *turns) produce(ctx context.Context, recs []kafkawire.Record) error {
	if _, err := t.leader(ctx); err != nil {
		return err
	}
	raw, err := kafkawire.AppendBatch(nil, nobody, -1, compress.None, recs)
	if err != nil {
		return err
	}
	req := &rawproduce.Request{Acks: 1, Timeout: int32(turnTimeout.Milliseconds() / 2), Topics: []rawproduce.RequestTopic{{
		Topic: t.topic, Partitions: []rawproduce.RequestPartition{{RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(raw)}}},
	}}}
	send := func(ctx context.Context) (kafka.Response, error) { return t.tr.RoundTrip(ctx, t.s.addr, req) }
	res, err := call(ctx, turnTimeout, send)
	if err != nil {
		return err
	}
	for _, topic := range res.(*produce.Response).Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				return need{operation: "Write", topic: t.topic}.lacks(kafka.Error(p.ErrorCode))
			}
		}
	}
	return nil
}

// leader returns the broker that leads the partition, from what the transport
// remembers.
func (t *turns) leader(ctx context.Context) (int32, error) {
	md, err := call(ctx, 5*time.Second, func(ctx context.Context) (*kafka.MetadataResponse, error) {
		return t.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{t.topic}})
	})
	switch {
	case err != nil:
		return 0, err
	case len(md.Topics) != 1 || Code(md.Topics[0].Error) == kafka.UnknownTopicOrPartition:
		return 0, errNoTurnsTopic
	case md.Topics[0].Error != nil:
		return 0, describes(t.topic).lacks(md.Topics[0].Error)
	}
	for _, p := range md.Topics[0].Partitions {
		if p.ID == 0 && p.Leader.Host != "" {
			return int32(p.Leader.ID), nil
		}
	}
	return 0, kafka.LeaderNotAvailable
}

// atEnd is where to read from at first, and after trouble: the end of now.
const atEnd = -1

// hear reads what comes.
func (t *turns) hear(ctx context.Context) {
	alive := t.s.cfg.Pulse.Loop("turns heard", mostRound)
	defer alive.End()
	for next := int64(atEnd); ctx.Err() == nil; {
		alive.Busy()
		from, pause, err := t.read(ctx, next)
		if next = from; err != nil {
			next, pause = atEnd, t.hinders(ctx, hearing, err)
		} else {
			t.goesOn(hearing)
		}
		if pause > 0 {
			alive.Idle()
			Sleep(ctx, pause)
		}
	}
}

// read reads what stands from an offset on, or waits for it, and says where to read
// on and after which pause.
func (t *turns) read(ctx context.Context, from int64) (next int64, pause time.Duration, err error) {
	leader, err := t.leader(ctx)
	if err == nil && from == atEnd {
		from, err = t.end(ctx)
	}
	if err != nil {
		return 0, 0, err
	}
	p, err := FetchRequest{
		Leader: leader, Topic: t.topic, Partitions: []FetchFrom{{Offset: from, MaxBytes: mostHeard}}, MaxBytes: mostHeard,
		Isolation: kafkawire.ReadUncommitted, Wait: turnWait, Limit: turnTimeout,
	}.FetchOne(ctx, t.client)
	if err != nil {
		return 0, 0, need{operation: "Read", topic: t.topic}.lacks(err)
	}
	defer p.Records.Release()
	// Members have no more to say than this: it is of somebody else, and what is in it
	// is not worth its time.
	if p.Records.Busy || p.Records.IsLarge() || len(p.Records.Bytes) > mostHeard/2 {
		t.count(hearing, "unreadable", 1)
		return p.HighWatermark, fullPause, nil
	}
	next, err = t.take(from, p)
	return next, 0, err
}

// end is where the log ends now.
func (t *turns) end(ctx context.Context) (int64, error) {
	at, err := call(ctx, turnTimeout, func(ctx context.Context) (kafka.PartitionOffsets, error) {
		return ListOffsets(ctx, t.client, kafka.ReadUncommitted, t.topic, []kafka.OffsetRequest{kafka.LastOffsetOf(0)})
	})
	return at.LastOffset, describes(t.topic).lacks(err)
}

// take takes the notes out of what was fetched.
func (t *turns) take(from int64, p *kafkawire.FetchPartitionResponse) (next int64, err error) {
	for next = from; ; {
		b, err := p.Records.Next()
		if err != nil || b == nil {
			return next, err
		}
		b.After(next)
		next = max(next, b.Last+1)
		switch {
		case b.Control: // check makes a transaction here, without records
		case b.Packed(): // not one of ours
			t.count(hearing, "unreadable", 1)
		default:
			err = b.Records(func(r *kafkawire.Record) error {
				if r.Offset >= from {
					t.give(r.Value)
				}
				return nil
			})
		}
		if err != nil {
			return next, err
		}
	}
}

// give gives a note to who listens, if it is for us. Our own come back too.
func (t *turns) give(value []byte) {
	group, n, err := readNote(value)
	switch {
	case err != nil:
		t.count(hearing, "unreadable", 1)
		return
	case group != t.s.cfg.Group || n.To != "" && n.To != t.name:
		t.count(hearing, "of_others", 1)
		return
	case n.From == t.name:
		return
	case isLate(n, time.Now()):
		t.count(hearing, "late", 1)
		return
	}
	select {
	case t.heard <- n:
		t.count(hearing, "taken", 1)
	default:
		t.count(hearing, "dropped", 1)
	}
}

// hinders notes what stands in a side's way, tells it once, and says how long to wait.
func (t *turns) hinders(ctx context.Context, of side, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	t.mu.Lock()
	s := t.snags[of]
	if s == nil {
		s = &snag{since: time.Now()}
		t.snags[of] = s
	}
	s.fails++
	shut := errors.Is(err, errNoTurnsTopic) || told(err)
	lasts := t.why != "" || shut || time.Since(s.since) >= snagQuiet
	tell := lasts && t.why == ""
	if tell {
		t.unlent.since = s.since
	}
	if lasts {
		t.why = strings.TrimSuffix(whyNot(err), ".")
	}
	why := t.why
	wait := pace.Backoff{Base: 100 * time.Millisecond, Max: 5 * time.Second}.Delay(s.fails-1, 1)
	t.mu.Unlock()
	if tell {
		t.s.log.WithField("topic", t.topic).Warn("no turns are lent, so replicas wait for their own slots: " + why)
	} else {
		t.s.log.WithError(err).WithField("topic", t.topic).Debug("turns are not " + string(of))
	}
	if shut {
		t.tr.CloseIdleConnections() // nor is it looked at meanwhile
		return shutPause + time.Duration(mathrand.Int64N(int64(shutPause/4)))
	}
	return wait
}

// whyNot says what to do about it, where something can be done.
func whyNot(err error) string {
	if told(err) {
		return err.Error() + "; grant it (deploy/rights.md), or set PAYLINK_TOPIC_TURNS to off"
	}
	return fmt.Sprint(err)
}

// blocked is 1 while no turns are lent though they should be.
func (t *turns) blocked() float64 {
	if t.state().why != "" {
		return 1
	}
	return 0
}

// state is why no turns are lent, and since when.
func (t *turns) state() unlent {
	if t == nil {
		return unlent{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unlent
}

// goesOn notes that a side works, and tells it if it was told that it does not.
func (t *turns) goesOn(of side) {
	t.mu.Lock()
	delete(t.snags, of)
	tell := t.why != "" && len(t.snags) == 0
	if tell {
		t.unlent = unlent{}
	}
	t.mu.Unlock()
	if tell {
		t.s.log.WithField("topic", t.topic).Info("turns can be lent")
	}
}
