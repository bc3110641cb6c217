// Package kafkaio is the Source of the pipeline on a real Kafka, by the lower
// half of kafka-go: its transport, its protocol, its client. It belongs to a
// consumer group, fences every partition it is given, reads the ledger, fetches
// intents, appends outcomes and commits offsets.
//
// What makes the promise hold is here, in this order for every claim:
//
//	fence   InitProducerID with the partition's transactional id, then an empty
//	        aborted transaction: its marker teaches the outcome partition's
//	        leader the new epoch, so that it refuses every older owner (fence.go)
//	ledger  the outcome partition, read up to our own marker: everything an
//	        older owner ever published is known now, nothing can be added (ledger.go)
//	append  plain idempotent batches under that epoch, the same bytes until
//	        they are acknowledged (append.go)
//	commit  the unbroken run of settled offsets, with generation and member id (commit.go)
//
// Membership is made by hand (member.go), because kafka-go's ConsumerGroup
// knows neither static members nor cooperative hand-over, does not beat its
// heart while a partition drains, and does not tell when it last did, which is
// what the lease rests on (lease.go).
//
// Where the fence ends is said in the package's claim.go: a producer id that
// the coordinator forgot, outcome partitions added while running.
package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/sirupsen/logrus"

	"paylink/internal/pipeline"
)

// Config says which group, topics and times a Source has. All fields but
// InstanceID are required, unless a default is named.
type Config struct {
	Connection Connection

	Group      string
	InstanceID string // static membership: the same over restarts, unique in the group

	IntentTopic, OutcomeTopic, DeadLetterTopic string

	SessionTimeout   time.Duration // without a heartbeat for so long, a member is dead to the group
	RebalanceTimeout time.Duration // how long the group waits for a member to join again
	DrainTimeout     time.Duration // how long a partition that is handed over finishes its calls
	LedgerWindow     time.Duration // how far back answered intents are known
	StartLatest      bool          // where a group without commits begins; default: the earliest record

	Log        logrus.FieldLogger
	Registerer prometheus.Registerer
}

// heartbeatEvery is a fifth of the session, three seconds at most.
func (c Config) heartbeatEvery() time.Duration { return min(c.SessionTimeout/5, 3*time.Second) }

// A Source is one member of the group. It implements pipeline.Source.
type Source struct {
	cfg     Config
	log     logrus.FieldLogger
	addr    net.Addr
	tr      *kafka.Transport
	client  *kafka.Client
	metrics *metrics
	lease   lease
	routes  *routes
	ledgers *ledgers
	fetcher *fetcher
	writers *writers
	member  *member
	refence time.Duration  // refenceEvery
	wg      sync.WaitGroup // every goroutine of Run
}

// New returns a source that is not connected yet.
func New(cfg Config) (*Source, error) {
	topics := []string{cfg.IntentTopic, cfg.OutcomeTopic, cfg.DeadLetterTopic}
	tr, err := cfg.Connection.Transport(topics...)
	if err != nil {
		return nil, err
	}
	s := &Source{
		cfg: cfg, log: cfg.Log, addr: cfg.Connection.Addr(), tr: tr,
		metrics: newMetrics(cfg.Registerer),
		lease:   lease{session: cfg.SessionTimeout},
		refence: refenceEvery,
	}
	s.client = &kafka.Client{Addr: s.addr, Transport: tr} // every call has a deadline of its own
	s.routes = &routes{source: s, topics: topics, nodes: map[place]int32{}, counts: map[string]int{}, changed: make(chan struct{}, 1)}
	s.ledgers = &ledgers{source: s, byPart: map[int32]*ledger{}}
	s.fetcher = newFetcher(s)
	s.writers = newWriters(s)
	s.member = newMember(s)
	return s, nil
}

// Live reports whether this process may still act for its partitions: its last
// good heartbeat is younger than the session timeout, on a clock that runs while
// the process is suspended.
func (s *Source) Live() bool { return s.lease.live() }

// Run implements pipeline.Source.
func (s *Source) Run(ctx context.Context, serve func(pipeline.Claim)) error {
	defer s.tr.CloseIdleConnections()
	if err := s.routes.awaitTopics(ctx); err != nil {
		return nil // asked to stop before the topics were there
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.start(background, s.routes.watch)
	s.start(background, s.fetcher.run)
	s.start(background, s.writers.run)
	s.start(background, s.member.commitLoop)
	s.start(background, s.member.beat)
	err := s.member.run(ctx, background, serve)
	stop()
	s.wg.Wait()
	return err
}

// start runs a part of the source until its context ends; Run waits for it.
func (s *Source) start(ctx context.Context, part func(context.Context)) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		part(ctx)
	}()
}

// transactionalID is the name under which a partition of the intent topic is
// fenced. Only one owner at a time can hold its newest epoch.
func (s *Source) transactionalID(partition int32) string {
	return fmt.Sprintf("paylink/%s/%s/%d", s.cfg.Group, s.cfg.IntentTopic, partition)
}

// call runs one request with a deadline and returns what it says.
func call[T any](ctx context.Context, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}

// sleep waits, unless the context ends first; it reports whether it waited.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// code returns the Kafka error code in an error's chain, or 0.
func code(err error) kafka.Error {
	var e kafka.Error
	if errors.As(err, &e) {
		return e
	}
	return 0
}

// Held returns the partitions in our hands, in order: for the console.
func (s *Source) Held() []int32 { return s.member.held() }

// Partitions returns how many partitions of the intent topic the group gave out
// when it last gave us some, or none; 0: it has not yet. All members are told the
// same at the same time, whatever each has heard of the topic.
func (s *Source) Partitions() int { return int(s.member.given.Load()) }
