// Package kafkaio is the Source of the pipeline on a real Kafka, by the lower
// half of kafka-go: its transport, its protocol, its client. It belongs to a
// consumer group, fences every partition it is given, reads the ledger, fetches
// intents, appends outcomes and commits offsets. It makes no topic and checks no
// setting: that is kafkaops, on the primitives of request.go, offsets.go and
// fence.go.
//
// What makes the promise hold is here, in this order for every claim:
//
//	fence   InitProducerID with the partition's transactional id, then an empty
//	        aborted transaction: its marker teaches the outcome partition's
//	        leader the new epoch, so that it refuses every older owner (fence.go)
//	ledger  the outcome partition, read up to our own marker: everything an
//	        older owner ever published is known now, nothing can be added (ledger.go)
//	append  plain idempotent batches under that epoch, the same bytes until
//	        they are acknowledged (append.go, verdict.go)
//	commit  the unbroken run of settled offsets, with generation and member id (commit.go)
//
// Membership is made by hand (member.go), because kafka-go's ConsumerGroup
// knows neither static members nor cooperative hand-over, does not beat its
// heart while a partition drains, and does not tell when it last did, which is
// what the lease rests on (lease.go).
//
// Where the fence ends: claim.go says what is done about a producer id that leader
// or coordinator forgot; outcome partitions that are added while members run end
// the member (member.ending), because outcomes of an intent partition would go
// elsewhere.
//
// # Goroutines
//
// Whoever starts a goroutine waits for it. Source.Run is in the caller's:
//
//	Source.Run        member.run; starts, and waits for:
//	  routes.watch      takes up new metadata
//	  topics.watch      looks whether a topic was made again
//	  ledgers.watch     frees the ledgers of partitions that were given away
//	  ledgers.keep      writes ledgers to disk
//	  watchEnds         asks where partitions end that are not fetched from
//	  settings.watch    reads the outcome topic's settings
//	  fetcher.run       starts, and waits for, one loop per broker that leads a
//	                    partition of ours
//	  appenders.run     starts, and waits for, one request per broker, and one
//	                    question for a producer per claim that buries
//	  member.commitLoop commits
//	  member.beat       sends heartbeats
//	  Source.proveLogins tries a login that was renewed
//	  turns.run         starts, and waits for, who says notes about lent turns, and who
//	                    hears them
//	member.run        starts, and waits for, one life per claim (claim.run), which
//	                  calls serve, and starts, and waits for, claim.keepFence
//
// At the end of its context member.run drains all claims first; the other parts
// run until that is done. One goroutine has nobody who could wait for it: what is
// appended through a claim after Run has returned is told so by its own.
//
// # Locks
//
// Each guards the fields below it. Who has one may take those to its right, never
// one to its left; ledger.reading, member.committing, shared.asking and those of gate are
// tokens, taken by who has no lock, and kept over requests; who has one of ledger.reading may
// ask through a shared. The locks of lease, troubles, topics, shared, logins, rights and turns
// are always the last:
//
//	member.mu → appenders.mu → ledger.mu
//	member.mu → claim.mu
//	fetcher.mu → claim.mu
//	member.mu, appenders.mu, fetcher.mu → routes.mu
//	member.mu → ledgers.mu → ledger.mu
package kafkaio

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/sirupsen/logrus"

	"paylink/internal/budget"
	"paylink/internal/burst"
	"paylink/internal/kafkawire"
	"paylink/internal/metric"
	"paylink/internal/pipeline"
	"paylink/internal/pulse"
)

// Config says which group, topics and times a Source has. All fields but
// InstanceID and TurnsTopic are required, unless a default is named.
type Config struct {
	Connection Connection

	Group      string
	InstanceID string // static membership: the same over restarts, unique in the group

	IntentTopic, OutcomeTopic, DeadLetterTopic string

	TurnsTopic string // carries notes about lent turns; empty: none are lent

	SessionTimeout   time.Duration // without a heartbeat for so long, a member is dead to the group
	RebalanceTimeout time.Duration // how long the group waits for a member to join again
	DrainTimeout     time.Duration // how long a partition that is handed over finishes its calls
	LedgerWindow     time.Duration // how far back answered intents are known
	LedgerDir        string        // folder that ledgers are kept in over restarts; empty: none
	LedgerIntents    int64         // how many answered intents are remembered before no further partition is taken over; 0: any number
	StartLatest      bool          // where a group without commits begins; default: the earliest record

	Log        logrus.FieldLogger
	Registerer prometheus.Registerer
	Pulse      *pulse.Pulse // is told that the loops move; nil: nobody
}

// mostRound is far more than a round of a loop takes: its requests end after ten
// seconds each.
const mostRound = 2 * time.Minute

// heartbeatEvery is a fifth of the session, three seconds at most.
func (c Config) heartbeatEvery() time.Duration { return min(c.SessionTimeout/5, 3*time.Second) }

// A Source is one member of the group. It implements pipeline.Source.
type Source struct {
	cfg    Config
	log    logrus.FieldLogger
	addr   net.Addr
	tr     *kafka.Transport
	logins *logins
	bursts *burst.Log
	rights rights

	refusedSince atomic.Pointer[time.Time] // since when no login was accepted; nil: the last one was

	client    *kafka.Client
	metrics   *metrics
	lease     lease
	troubles  *troubles
	settings  *settings
	routes    *routes
	topics    *topics
	ledgers   *ledgers
	fetcher   *fetcher
	appenders *appenders
	member    *member
	turns     *turns // nil: there is no topic for them
	budget    *budget.Budget
	unpacking chan struct{} // a token for each batch that is being unpacked
	parked    chan struct{} // a token for each of those that wait for somebody to go on
	reading   chan struct{} // a token for each answer of the ledger, or for records that are read again
	takeOvers gate
	refence   time.Duration // FenceRenewal, unless a test has no patience
	saveFrom  int64         // saveFrom, unless a test has fewer outcomes
	began     time.Time
}

// New returns a source that is not connected yet.
func New(cfg Config) (*Source, error) {
	names := []string{cfg.IntentTopic, cfg.OutcomeTopic, cfg.DeadLetterTopic}
	tr, err := cfg.Connection.Transport(names...)
	if err != nil {
		return nil, err
	}
	logins := cfg.Connection.logins()
	tr.Dial = logins.open
	s := &Source{
		cfg: cfg, log: cfg.Log, addr: cfg.Connection.Addr(), tr: tr, logins: logins,
		metrics: newMetrics(cfg.Registerer),
		lease:   lease{session: cfg.SessionTimeout, rebalance: cfg.RebalanceTimeout},
		began:   time.Now(), refence: FenceRenewal, saveFrom: saveFrom, bursts: burst.New(1),
		budget: budget.New(heldBytes, heldShare), unpacking: make(chan struct{}, mostUnpacking), parked: make(chan struct{}, mostParked),
		reading: make(chan struct{}, mostReading), takeOvers: make(gate, mostTakeOvers),
	}
	logins.told = s.loginTold
	s.client = &kafka.Client{Addr: s.addr, Transport: tr} // every call has a deadline of its own
	s.routes = &routes{
		source: s, topics: names, doubts: make(chan struct{}, 1), changed: make(chan struct{}, 1), nodes: map[TopicPartition]int32{}, counts: map[string]int{},
	}
	s.troubles = &troubles{log: s.log, all: map[troubleKey]Trouble{}}
	s.metrics.watch(s.troubles)
	s.settings = &settings{s: s}
	s.topics = &topics{s: s, asked: newShared[map[string]kafkawire.TopicID](), ids: map[string]kafkawire.TopicID{}, again: map[string]bool{}}
	s.ledgers = &ledgers{source: s, byPart: map[int32]*ledger{}, loaded: make(chan struct{}, 1)}
	s.fetcher = newFetcher(s)
	s.appenders = newAppenders(s)
	s.member = newMember(s)
	if cfg.TurnsTopic != "" {
		s.turns = newTurns(s)
	}
	cfg.Registerer.MustRegister(newLag(s), metric.NewGaugeFunc("paylink_kafka_turns_blocked", s.turns.blocked))
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
	if err := s.settings.first(ctx); err != nil {
		return err
	}
	s.ledgers.openShelf()
	defer s.ledgers.closeShelf()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	for _, part := range []func(context.Context){
		s.routes.watch, s.topics.watch, s.ledgers.watch, s.ledgers.keep, s.watchEnds, s.settings.watch, s.fetcher.run, s.appenders.run, s.member.commitLoop, s.member.beat, s.proveLogins,
	} {
		parts.Go(func() { part(background) })
	}
	if s.turns != nil {
		parts.Go(func() { s.turns.run(background) })
	}
	err := s.member.run(ctx, background, serve)
	s.ledgers.saveLast(background)
	stop()
	parts.Wait()
	s.bursts.Flush()
	return err
}

// MaxOutcome returns how many bytes the outcome topic takes as one record; 0: that is
// not known.
func (s *Source) MaxOutcome() int { return int(s.settings.maxMessage.Load()) }

// Partitions returns how many partitions of the intent topic the group gave out
// when it last gave us some, or none; 0: it has not yet. All members are told the
// same at the same time, whatever each has heard of the topic.
func (s *Source) Partitions() int { return int(s.member.given.Load()) }
