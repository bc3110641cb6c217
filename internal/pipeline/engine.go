package pipeline

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"paylink/internal/burst"
	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pulse"
	"paylink/internal/schedule"
)

// Terms are what the calls of a merchant are bound to.
type Terms = schedule.Terms

// Config says what an Engine works with. All fields but the last group are
// required.
type Config struct {
	Gateway payment.Gateway
	Decoder *event.Decoder
	Encoder *event.Encoder

	Group       string // consumer group, for dead letters
	Topic       string // of the intents
	Concurrency int    // calls in flight at most
	GiveUpAfter time.Duration
	CallTimeout time.Duration // after a hand-over, calls of the owner before can be at the gateway for so long

	Log        logrus.FieldLogger
	Registerer prometheus.Registerer
	Pulse      *pulse.Pulse // is told that the engine moves; nil: nobody
	Tracing    Tracing      // zero: none

	Terms     func(payment.MerchantID) Terms // nil: no limits
	Endpoints func() []string                // those that the terms name, each once, in order; nil: not known
	Scope     pace.Scope
	// Partitions tells how many partitions of the intent topic the group gave out,
	// of which ours are some. It is asked before calls are started, and must answer
	// from memory. Nil: ours are all.
	Partitions func() int
	// Turns carries notes to the other members, by which turns are lent. Nil: none are.
	Turns Turns

	// MaxOutcome is how many bytes the outcome topic takes as one record; zero: not
	// known. Nil: whatever comes.
	MaxOutcome func() int

	Backoff     pace.Backoff // zero: one second to a minute
	WindowCount int          // unfinished records in memory per partition; zero: 1000
	WindowBytes int          // their size, and as much again of those that a pace holds back; zero: 8 MiB
	MostBacklog int          // records that wait without being loaded, of all partitions; zero: mostBacklog
}

// terms returns the terms of a merchant.
func (c *Config) terms(m payment.MerchantID) Terms {
	if c.Terms == nil {
		return Terms{}
	}
	return c.Terms(m)
}

// An Engine settles intents. It is a thin loop around its core: it takes the lock,
// asks the core, lets go of the lock, and does what the core has decided.
//
// # Goroutines
//
// Run waits for all of them: the tick, which pumps when only time has passed;
// callers, publications, burials and readings, which it counts. serve runs in a
// goroutine of the source, and waits for the one that minds its claim. The table
// of all goroutines, and the order of locks, are in internal/README.md.
//
// # Locks
//
// mu guards the core and the timer. Under it nothing is called but the core, and
// through it the claim's answers from memory. The locks of metrics, recent,
// dead, skips and bursts are never taken together with it.
type Engine struct {
	cfg     Config
	log     logrus.FieldLogger
	metrics *metrics
	bursts  *burst.Log
	settled *burst.Log // lines of settled intents
	skips   skips
	recent  recent[RecentOutcome]
	dead    recent[RecentDead]
	started time.Time

	beatEvery time.Duration // between two signs of life, at most
	mostRound time.Duration // far more than a round takes, which is microseconds

	work    sync.WaitGroup // what the core has decided and somebody does
	callers sync.WaitGroup // goroutines that make calls
	handed  chan *task     // to callers that have nothing to do
	over    chan struct{}  // closed when there will be no more calls

	decoding chan struct{} // a token while a large value is decoded
	mayExist atomic.Uint64 // outcomes that failed, though a payment may exist

	mu    sync.Mutex
	core  core
	timer *time.Timer // fires when only time has passed
}

// New returns an engine that has nothing to do yet.
func New(cfg Config) *Engine {
	if cfg.Backoff == (pace.Backoff{}) {
		cfg.Backoff = pace.Backoff{Base: time.Second, Max: time.Minute}
	}
	if cfg.WindowCount == 0 {
		cfg.WindowCount = 1000
	}
	if cfg.MostBacklog == 0 {
		cfg.MostBacklog = mostBacklog
	}
	if cfg.WindowBytes == 0 {
		cfg.WindowBytes = 8 << 20
	}
	e := &Engine{
		cfg: cfg, log: cfg.Log, metrics: newMetrics(cfg.Registerer), bursts: burst.New(firstLines), settled: burst.New(settledLines), skips: skips{log: cfg.Log, bursts: burst.New(1)},
		started: time.Now(), handed: make(chan *task), over: make(chan struct{}), decoding: make(chan struct{}, 1), timer: time.NewTimer(time.Hour),
		beatEvery: 10 * time.Second, mostRound: time.Minute,
	}
	e.core = newCore(&e.cfg, rand.Float64)
	e.knowEndpoints()
	cfg.Registerer.MustRegister(newTeller(e))
	return e
}

// Run settles what the source hands out until ctx ends and everything in flight
// is settled or given up. It can be called once.
func (e *Engine) Run(ctx context.Context, source Source) error {
	stop, ticking := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ticking)
		e.tick(stop)
	}()
	err := source.Run(ctx, e.serve)
	// In this order: the tick may give work, and work may give calls.
	close(stop)
	<-ticking
	e.work.Wait()
	close(e.over)
	e.callers.Wait()
	e.bursts.Flush()
	e.settled.Flush()
	e.skips.bursts.Flush()
	return err
}

// tick pumps when only time has passed, when another member has said something, and now
// and then to show that it can.
func (e *Engine) tick(stop <-chan struct{}) {
	defer e.timer.Stop()
	alive := e.cfg.Pulse.Loop("engine", e.mostRound)
	defer alive.End()
	beat := time.NewTicker(e.beatEvery)
	defer beat.Stop()
	var heard <-chan pace.Note
	if e.cfg.Turns != nil {
		heard = e.cfg.Turns.Heard()
	}
	for {
		event := func(*core, time.Time) {}
		select {
		case <-stop:
			return
		case <-e.timer.C:
		case <-beat.C: // nobody may hold the lock for ever
		case n, ok := <-heard:
			if !ok {
				heard = nil
			}
			event = func(c *core, now time.Time) { c.hear(n, now) }
		}
		alive.Busy()
		e.do(event)
		alive.Idle()
	}
}

// do tells the core of an event, and does what it has decided.
func (e *Engine) do(event func(c *core, now time.Time)) { e.perform(e.decide(event), nil) }

// decide tells the core of an event, and returns what there is to do.
func (e *Engine) decide(event func(c *core, now time.Time)) *todo {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	event(&e.core, now)
	e.core.pump(now)
	e.timer.Reset(max(1, e.core.wake(now).Sub(now))) // not 0: see kafkaio.Sleep
	d := e.core.take()
	// Counted while the lock is held, so that Run cannot see none left between the
	// decision and its doing.
	e.work.Add(d.goroutines())
	return d
}

// perform does what the core has decided, and gives the todo back. What has to wait is
// done in goroutines of their own, but for the publication of own, which the caller does
// itself.
func (e *Engine) perform(d *todo, own *task) {
	for _, t := range d.calls {
		e.metrics.inFlight.Inc()
		select {
		case e.handed <- t:
		default:
			e.callers.Go(func() { e.caller(t) })
		}
	}
	var mine publication
	for _, p := range d.publish {
		if p.task == own {
			mine = p
			continue
		}
		go func() {
			defer e.work.Done()
			e.publish(p)
		}()
	}
	for _, b := range d.bury {
		go func() {
			defer e.work.Done()
			e.bury(b)
		}()
	}
	for _, r := range d.reads {
		go func() {
			defer e.work.Done()
			e.readAgain(r)
		}()
	}
	for _, c := range d.commits {
		c.claim.Commit(c.next)
	}
	for _, n := range d.notes {
		e.cfg.Turns.Say(n)
	}
	e.metrics.lending(d.turns)
	for _, w := range d.idle {
		tell(w.idle)
	}
	e.report(d)
	d.release()
	if mine.task != nil {
		e.publish(mine)
		e.work.Done()
	}
}

// Renew has all merchants' terms asked for again: call it when the merchants'
// settings have changed. It ends the holds of those that are mended. The others
// have nothing new to try with, so they are probed as before. What waits of a
// merchant that is not configured any more is settled.
func (e *Engine) Renew(mended func(payment.MerchantID) bool) {
	e.knowEndpoints()
	e.do(func(c *core, now time.Time) {
		c.renew(mended, now)
	})
}

// knowEndpoints has a series of each endpoint, before one fails.
func (e *Engine) knowEndpoints() {
	if e.cfg.Endpoints != nil {
		e.metrics.down.know(e.cfg.Endpoints())
	}
}

// SetConcurrency changes how many calls may be in flight.
func (e *Engine) SetConcurrency(n int) {
	e.do(func(c *core, now time.Time) {
		c.cfg.Concurrency = n
		c.sched.SetConcurrency(n, now)
	})
}

// sorted returns offsets as they rise.
func sorted(offsets []int64) []int64 { return slices.Sorted(slices.Values(offsets)) }
