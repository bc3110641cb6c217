package pipeline

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
)

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

	Log        logrus.FieldLogger
	Registerer prometheus.Registerer

	Terms func(payment.MerchantID) Terms // nil: no limits
	Hosts func() int                     // how many hosts the terms name; nil: not known
	Scope pace.Scope
	// Partitions tells how many partitions of the intent topic the group gave out,
	// of which ours are some. It is asked before calls are started, under a lock.
	// Nil: ours are all.
	Partitions func() int

	Backoff     pace.Backoff // zero: one second to a minute
	WindowCount int          // unfinished records in memory per partition; zero: 1000
	WindowBytes int          // their size, and as much again of those that a pace holds back; zero: 8 MiB
}

// An Engine settles intents. All its state belongs to mu; calls of the gateway,
// decoding and encoding happen outside of it.
type Engine struct {
	cfg     Config
	log     logrus.FieldLogger
	metrics *metrics
	skips   *bursts
	calls   sync.WaitGroup // tasks that somebody works on
	handed  chan *task     // to callers that have nothing to do

	mu       sync.Mutex
	timer    *time.Timer // nil: not running yet
	lanes    map[payment.MerchantID]*lane
	hosts    map[string]*host
	ready    laneHeap  // lanes that have a task to start, by the time they may
	waiting  taskHeap  // tasks that back off, by the time they go on
	inFlight int       // calls
	active   int       // tasks that call or publish
	busy     time.Time // since when there has been no room for a call; zero: there is
	unpaced  int       // loaded tasks that could run
	full     bool      // some desk has no room because of unpaced
	desks    map[*desk]struct{}
	expiry   int64       // when to look for parked records that have expired, unix nanoseconds; 0: there are none
	share    *pace.Share // of the slots of all merchants' limits
	total    int         // partitions of the intent topic, as share has them
	recent   recent
	started  time.Time
}

// New returns an engine that has nothing to do yet.
func New(cfg Config) *Engine {
	if cfg.Backoff == (pace.Backoff{}) {
		cfg.Backoff = pace.Backoff{Base: time.Second, Max: time.Minute}
	}
	if cfg.WindowCount == 0 {
		cfg.WindowCount = 1000
	}
	if cfg.WindowBytes == 0 {
		cfg.WindowBytes = 8 << 20
	}
	e := &Engine{
		cfg: cfg, log: cfg.Log, metrics: newMetrics(cfg.Registerer),
		lanes: map[payment.MerchantID]*lane{}, hosts: map[string]*host{}, desks: map[*desk]struct{}{}, started: time.Now(), share: pace.NewShare(nil, 1),
	}
	e.skips = &bursts{log: cfg.Log}
	e.handed = make(chan *task)
	return e
}

// Run settles what the source hands out until ctx ends and everything in flight
// is settled or given up.
func (e *Engine) Run(ctx context.Context, source Source) error {
	defer e.startTimer().Stop()
	defer e.skips.flush()
	err := source.Run(ctx, e.serve)
	e.calls.Wait()
	return err
}

// startTimer starts what pumps when only time has passed. Settings may be renewed
// at that very moment: the timer is mu's, as all of the engine's state.
func (e *Engine) startTimer() *time.Timer {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timer = time.AfterFunc(time.Hour, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.pump()
	})
	return e.timer
}

// serve settles the records of one claim until it drains or is lost.
func (e *Engine) serve(c Claim) {
	d := e.openDesk(c)
	defer e.closeDesk(d)
	for {
		e.awaitGateway(d)
		recs, next, err := c.Poll(d.ctx)
		if err != nil {
			if errors.Is(err, ErrDraining) {
				e.drain(d)
			}
			return
		}
		if !e.take(d, recs, next) {
			e.drain(d)
			return
		}
	}
}

// take decodes records and admits them, as the window has room. It reports false
// when the claim drains or is lost before all were admitted.
func (e *Engine) take(d *desk, recs []Record, next int64) bool {
	for len(recs) > 0 {
		n := min(len(recs), 100) // decoded ahead of a full window at most
		tasks := make([]*task, 0, n)
		for i := range recs[:n] {
			t, ok := e.decode(d, &recs[i])
			if !ok {
				return false
			}
			tasks = append(tasks, t)
		}
		if !e.admit(d, tasks) {
			return false
		}
		recs = recs[n:]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	d.passed(next)
	return true
}

// decode makes a task of a record. An error that is not the record's fault is
// waited out: the record is good, we cannot read it yet.
func (e *Engine) decode(d *desk, r *Record) (*task, bool) {
	t := &task{desk: d, offset: r.Offset, at: r.Time, work: &work{rec: *r}}
	if r.Key != nil {
		t.key, t.keyed = hashKey(r.Key), true
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		dec, err := e.cfg.Decoder.Decode(d.intake, r.Message)
		var dead *event.Unreadable
		switch {
		case err == nil:
			t.work.dec, t.id = dec, dec.Intent.ID
			return t, true
		case errors.As(err, &dead):
			t.work.dead = dead
			return t, true
		case d.intake.Err() != nil:
			return nil, false
		}
		e.metrics.unread.Inc()
		e.log.WithError(err).WithField("partition", d.claim.Partition()).WithField("offset", r.Offset).Warn("cannot read the record yet: the partition waits")
		select {
		case <-d.intake.Done():
			return nil, false
		case <-time.After(wait):
		}
	}
}

// pump starts every call that may start now; mu held. It is called whenever
// something changed, and sets the timer for what only time will change.
func (e *Engine) pump() {
	now := time.Now()
	if e.cfg.Partitions != nil && e.cfg.Partitions() != e.total { // added, and given to others
		e.renewShare(now)
	}
	if e.expiry != 0 && e.expiry <= now.UnixNano() {
		e.expire(now)
	}
	for len(e.waiting) > 0 && !e.waiting[0].look.After(now) {
		e.resume(heap.Pop(&e.waiting).(*task), now)
	}
	for again := true; again; again = e.releaseHosts(now) {
		for len(e.ready) > 0 && !e.ready[0].next.After(now) && e.startNext(e.ready[0], now) {
		}
	}
	switch {
	case e.mayCall():
		e.busy = time.Time{}
	case e.busy.IsZero():
		e.busy = now
	}
	e.setTimer(now)
}

// startNext does what is due in a lane: it settles a task whose time is up, or
// calls for the next one; mu held. It reports false if there is no room for calls.
func (e *Engine) startNext(l *lane, now time.Time) bool {
	for t := l.overdue(now); t != nil; t = l.overdue(now) { // all of them: any may be the next to call
		switch o := e.overdue(t, now); {
		case o == nil:
			heap.Fix(t.queue, t.index)
		case l.mustAsk(t, o):
			l.close(t)
		default:
			e.takeOut(t, now)
			e.startPublishing(t, o)
			return true
		}
	}
	if l.gone {
		t := l.head(now)
		e.takeOut(t, now)
		e.dismiss(t, now)
		return true
	}
	if l.mayCall(now).After(now) { // looked at because of a time that turned out not to be up
		e.reschedule(l, now)
		return l.next.After(now)
	}
	if !e.mayCall() {
		return false
	}
	t := l.head(now)
	e.takeOut(t, now)
	if !t.desk.claim.Live() {
		e.backOff(t, leaseWait)
		return true
	}
	if t.work.try.linked == 0 && e.known(t) { // by a fence that was renewed while it waited, or by another partition's claim
		return true
	}
	if l.limit != nil {
		l.limit.Take(now)
	}
	if t.work.try.repeats > 0 {
		l.budget.Take(now)
	}
	e.dispatch(t, l, now)
	e.reschedule(l, now)
	return true
}

// takeOut takes a task out of its lane; mu held.
func (e *Engine) takeOut(t *task, now time.Time) {
	l := t.lane
	l.remove(t)
	if l.len() == 0 && l.index >= 0 {
		heap.Remove(&e.ready, l.index)
		return
	}
	e.reschedule(l, now)
}

// mayCall reports whether there is room for one more call. Answers that are not
// durable yet count too: while nothing can be published, calling on would only
// make more calls that somebody has to repeat.
func (e *Engine) mayCall() bool {
	return e.inFlight < e.cfg.Concurrency && e.active < 2*e.cfg.Concurrency
}

func (e *Engine) setTimer(now time.Time) {
	if e.timer == nil {
		return
	}
	wake := time.Hour
	if len(e.waiting) > 0 {
		wake = min(wake, e.waiting[0].look.Sub(now))
	}
	if len(e.ready) > 0 && (e.mayCall() || e.ready[0].next.After(now)) {
		wake = min(wake, e.ready[0].next.Sub(now))
	}
	if e.expiry != 0 {
		wake = min(wake, moment(e.expiry, now).Sub(now))
	}
	e.timer.Reset(max(wake, 0))
}

// enqueue puts a task into its merchant's lane; mu held.
func (e *Engine) enqueue(t *task) {
	l := e.lane(t.work.dec.Intent.Merchant)
	l.push(t, e.cfg.GiveUpAfter)
	if l.paced() {
		t.yieldRoom()
	}
	l.schedule(time.Now())
	if l.index < 0 {
		heap.Push(&e.ready, l)
	} else {
		heap.Fix(&e.ready, l.index)
	}
}

// backOff puts a task aside for a while; mu held.
func (e *Engine) backOff(t *task, wait time.Duration) {
	now := time.Now()
	t.enter(backing)
	t.until = now.Add(wait)
	t.look = t.until
	if t.work.dead == nil {
		t.look = earlier(t.until, moment(t.due(e.cfg.GiveUpAfter), now))
	}
	heap.Push(&e.waiting, t)
}

// resume lets a task go on that backed off. However long the gateway wants it to
// wait, it is settled when its time is up; mu held.
func (e *Engine) resume(t *task, now time.Time) {
	switch {
	case t.work.dead != nil:
		e.startBurial(t, t.work.dead)
		return
	case !t.until.After(now):
		e.enqueue(t)
		return
	}
	o := e.overdue(t, now)
	switch {
	case o == nil:
		t.look = earlier(t.until, moment(t.by, now))
	case t.stand.lane.mustAsk(t, o):
		t.look = t.until
	default:
		e.startPublishing(t, o)
		return
	}
	heap.Push(&e.waiting, t)
}
