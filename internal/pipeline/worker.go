package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"paylink/internal/event"
	"paylink/internal/partition"
	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// A worker works on the records of one claim: its goroutine polls, decodes and
// admits them. All below the channels belongs to the core.
type worker struct {
	claim  Claim
	ctx    context.Context // ends when the claim is lost, or the worker is done
	intake context.Context // ends when nothing more is to be taken in: before ctx, if the claim drains
	room   chan struct{}   // told when there may be room for a record
	idle   chan struct{}   // told when active falls to zero while closed

	opened    time.Time
	newest    time.Time // of the records taken so far
	dated     bool      // from datedFrom on, times of records before say that answered intents are known
	datedFrom int64
	part      *partition.Partition
	backlogs  map[*schedule.Lane]*schedule.Backlog
	ordered   []*schedule.Backlog // all of them, in the order they were made
	swept     int                 // how many were left when it was looked which are used
	active    int                 // tasks that call or publish
	closed    bool                // drains, or is lost: nothing starts
	gone      bool                // the claim has ended
	settled   bool                // noted in the todo: its committed offset may rise
	vanished  bool                // it owes for records that retention deleted
	owed      map[string]int64    // amounts taken and not answered, in hundredths, by currency
	ages      ages

	unpublished map[payment.IntentID]bool // called for, and their outcomes were too large
	doubtful    bool                      // there are more of them than are remembered

	front *task // read, and there is no room for it; nil: there is
}

// newWorker returns a worker whose claim has just begun.
func newWorker(claim Claim, cfg *Config) *worker {
	return &worker{
		claim: claim, room: make(chan struct{}, 1), idle: make(chan struct{}, 1),
		part:     partition.New(partition.Limit{}),
		backlogs: map[*schedule.Lane]*schedule.Backlog{}, owed: map[string]int64{}, unpublished: map[payment.IntentID]bool{},
	}
}

// backlog returns a merchant's backlog.
func (w *worker) backlog(l *schedule.Lane) *schedule.Backlog {
	b := w.backlogs[l]
	if b == nil {
		w.sweep()
		b = schedule.NewBacklog(l)
		w.backlogs[l] = b
		w.ordered = append(w.ordered, b)
	}
	return b
}

// fewBacklogs is up to how many backlogs are kept, used or not.
const fewBacklogs = 64

// sweep lets go of backlogs that are not used, once half of all may be: each merchant
// may have one in each partition, and most have work in few of them.
func (w *worker) sweep() {
	if len(w.ordered) < max(fewBacklogs, 2*w.swept) {
		return
	}
	w.ordered = slices.DeleteFunc(w.ordered, func(b *schedule.Backlog) bool {
		idle := b.IsIdle()
		if idle {
			delete(w.backlogs, b.Lane)
		}
		return idle
	})
	w.swept = len(w.ordered)
}

// roomOf is what the partition has for what waits for something other than room.
func (w *worker) roomOf() schedule.Room {
	bytes, used, merchants := w.part.Patience()
	return schedule.Room{Bytes: bytes, Used: used, Merchants: merchants}
}

// serve settles the records of one claim until it drains or is lost.
func (e *Engine) serve(claim Claim) {
	w, release := e.openWorker(claim)
	defer release()
	for {
		e.awaitGateway(w)
		recs, next, err := claim.Poll(w.ctx)
		if err != nil {
			if errors.Is(err, ErrDraining) {
				e.drain(w)
			}
			return
		}
		if !e.admitAll(w, recs, next) {
			e.drain(w)
			return
		}
	}
}

// openWorker begins to work on a claim; release ends that. A goroutine minds how the
// claim ends; release waits for it.
func (e *Engine) openWorker(claim Claim) (w *worker, release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	intake, shut := context.WithCancel(ctx)
	w = newWorker(claim, &e.cfg)
	w.ctx, w.intake = ctx, intake
	minded := make(chan struct{})
	go func() {
		defer close(minded)
		select {
		case <-claim.Draining():
		case <-claim.Lost():
		case <-ctx.Done():
		}
		shut()
		select {
		case <-claim.Lost():
		case <-ctx.Done():
		}
		cancel()
	}()
	e.do(func(c *core, now time.Time) { c.open(w, now) })
	return w, func() {
		e.do(func(c *core, now time.Time) { c.close(w, now) })
		cancel()
		<-minded
	}
}

// admitAll decodes records and admits them, as the window has room. It reports
// false when the claim drains or is lost before all were admitted.
func (e *Engine) admitAll(w *worker, recs []Record, next int64) bool {
	for len(recs) > 0 {
		n := min(len(recs), 100) // decoded ahead of a full window at most
		tasks := make([]*task, 0, n)
		for _, r := range recs[:n] {
			t, ok := e.decode(w, r)
			if !ok {
				return false
			}
			tasks = append(tasks, t)
		}
		if !e.admit(w, tasks) {
			return false
		}
		recs = recs[n:]
	}
	e.do(func(c *core, now time.Time) {
		w.part.Passed(next)
		c.mark(w)
	})
	return true
}

// admit takes tasks as there is room. It reports false when the claim ends first.
func (e *Engine) admit(w *worker, tasks []*task) bool {
	for full, said := false, false; ; {
		e.do(func(c *core, now time.Time) {
			for len(tasks) > 0 && c.arrive(tasks[0], now) {
				c.takeTurns(now)
				tasks = tasks[1:]
			}
			w.front = nil
			if len(tasks) > 0 {
				w.front = tasks[0]
			}
			full = c.isFull(w)
		})
		if len(tasks) == 0 {
			return true
		}
		if full && !said {
			said = true
			e.often(logrus.WarnLevel, "the partition is not read on: as many intents wait for their merchants' turns as may", "", w.claim.Partition(),
				func() logrus.Fields {
					return logrus.Fields{"partition": w.claim.Partition(), "offset": tasks[0].rec.Offset}
				})
		}
		select {
		case <-w.room:
		case <-w.intake.Done():
			return false
		}
	}
}

// decode makes a task of a record. An error that is not the record's fault is
// waited out: the record is good, we cannot read it yet.
func (e *Engine) decode(w *worker, r Record) (*task, bool) {
	t := newTask(w, r)
	t.trail = e.trail(t)
	defer t.trail.read()
	if r.TooLarge != 0 {
		t.unreadable(event.BeyondBudget(r.TooLarge))
		return t, true
	}
	done, ok := e.mayDecode(w, len(r.Value))
	if !ok {
		return nil, false
	}
	defer done()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		dec, err := e.cfg.Decoder.Decode(w.intake, r.Message)
		var dead *event.Unreadable
		switch {
		case err == nil:
			t.decoded(dec)
			e.fit(t)
			t.slim()
			return t, true
		case errors.As(err, &dead):
			t.unreadable(dead)
			return t, true
		case w.intake.Err() != nil:
			return nil, false
		}
		e.metrics.unread.inc()
		e.often(logrus.WarnLevel, "cannot read the record yet: the partition waits", "", w.claim.Partition(), func() logrus.Fields {
			return logrus.Fields{logrus.ErrorKey: err, "partition": w.claim.Partition(), "offset": r.Offset}
		})
		select {
		case <-w.intake.Done():
			return nil, false
		case <-time.After(wait):
		}
	}
}

// largeValue is from how many bytes on values are decoded one at a time: what decoding
// takes for a while is a multiple of them.
const largeValue = 64 << 10

// mayDecode waits until a value of so many bytes may be decoded. It reports false when
// the claim ends before.
func (e *Engine) mayDecode(w *worker, bytes int) (done func(), ok bool) {
	if bytes < largeValue {
		return func() {}, true
	}
	select {
	case e.decoding <- struct{}{}:
		return func() { <-e.decoding }, true
	case <-w.intake.Done():
		return nil, false
	}
}

// drain starts nothing more and waits until what is in flight is settled, or the
// claim is lost. What it settled is committed before it returns: whoever finished
// the last task may not have come to that yet.
func (e *Engine) drain(w *worker) {
	var active int
	e.do(func(c *core, now time.Time) {
		c.shut(w, now)
		active = w.active
	})
	if active > 0 {
		select {
		case <-w.idle:
		case <-w.ctx.Done():
		}
	}
	e.do(func(c *core, now time.Time) { c.mark(w) })
}

const (
	// downLook is how often to look whether a gateway is back that could be called.
	downLook = 200 * time.Millisecond

	// mostDown is how long to wait for that before something is read all the same, where
	// there are several merchants: what comes may be of one that is answered, while those
	// at hand alone are not.
	mostDown = 2 * time.Second
)

// awaitGateway returns once some gateway can be called, or some may have to be, or the
// claim ends.
func (e *Engine) awaitGateway(w *worker) {
	one := e.cfg.Merchants != nil && e.cfg.Merchants() == 1
	for until := time.Now().Add(mostDown); e.isDown() && (one || time.Now().Before(until)); {
		select {
		case <-w.intake.Done():
			return
		case <-time.After(downLook):
		}
	}
}

// isDown reports whether no gateway at all can be called: then little is fetched
// either.
func (e *Engine) isDown() bool {
	if e.cfg.Endpoints == nil {
		return false
	}
	all := len(e.cfg.Endpoints())
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.core.sched.IsDown(all, time.Now())
}

// readAgain reads records of a backlog again. If its claim ends, nobody needs them
// here any more.
func (e *Engine) readAgain(r reading) {
	w := r.worker
	for more := true; more; {
		recs, err := w.claim.Reread(w.ctx, sorted(r.offsets))
		if more = errors.Is(err, ErrFull); err != nil && !more {
			return
		}
		byOffset := make(map[int64]*task, len(recs))
		for _, rec := range recs {
			t, ok := e.decode(w, rec)
			if !ok {
				return
			}
			byOffset[rec.Offset] = t
		}
		part := r
		if more {
			part, r = r.cut(recs[len(recs)-1].Offset)
		}
		e.do(func(c *core, now time.Time) { c.reread(part, byOffset, now) })
	}
}
