package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// A where is where a work is, as its owner must think.
type where int

const (
	inside  where = iota // the scheduler has it
	flying               // it is called for
	outside              // it came out for good, or was removed
)

// A chaos plays random events on a Scheduler, and keeps a naive account of its work.
type chaos struct {
	*testing.T
	*rand.Rand
	s           *schedule.Scheduler
	now         time.Time
	concurrency int
	publishing  int
	at          map[*schedule.Work]where
	all         []*schedule.Work
	gone        map[payment.MerchantID]bool
	log         []string
}

var merchants = []payment.MerchantID{"1", "2", "3", "4"}

// FuzzScheduler holds the Scheduler to its contract under random events:
//
//   - Next comes to an end, and Wake lies after now when it has;
//   - before Wake there is nothing to do, unless something happens;
//   - work comes out only while the scheduler has it, and so exactly once each time;
//   - what comes out does so for its reason;
//   - calls in flight are never more than the concurrency;
//   - all work comes out in the end.
func FuzzScheduler(f *testing.F) {
	for seed := range uint64(30) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		c := &chaos{
			T: t, Rand: rand.New(rand.NewPCG(seed, 1)), now: noon, concurrency: 3,
			at: map[*schedule.Work]where{}, gone: map[payment.MerchantID]bool{},
		}
		c.s = schedule.New(schedule.Config{Concurrency: 3, GiveUpAfter: giveUp, Window: 100})
		c.s.Share([]int32{0, 1}, 4, 2, c.now)
		for range 400 {
			c.event()
			c.drain()
			if t.Failed() {
				for _, line := range c.log[max(0, len(c.log)-30):] {
					t.Log(line)
				}
				return
			}
		}
		c.finish()
	})
}

func (c *chaos) note(format string, args ...any) {
	c.log = append(c.log, fmt.Sprint(c.now.Sub(noon), " ", fmt.Sprintf(format, args...)))
}

func (c *chaos) pick(in where) *schedule.Work {
	var some []*schedule.Work
	for _, w := range c.all {
		if c.at[w] == in {
			some = append(some, w)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[c.IntN(len(some))]
}

func (c *chaos) lane(m payment.MerchantID) *schedule.Lane {
	if l := c.s.Lane(m); l != nil {
		return l
	}
	return c.s.Bind(m, schedule.Terms{Endpoint: "a"}, false, c.now)
}

// newWork makes work of a record that is young, old, or of the future.
func (c *chaos) newWork(m payment.MerchantID) *schedule.Work {
	w := &schedule.Work{ID: payment.IntentID(fmt.Sprint(len(c.all))), At: c.now.Add(time.Duration(c.IntN(90)-80) * time.Minute), Owner: len(c.all), Endless: c.IntN(20) == 0}
	if c.IntN(3) == 0 {
		w.ExpiresAt = c.now.Add(time.Duration(c.IntN(100)-10) * time.Minute)
	}
	w.Own(c.lane(m))
	c.all = append(c.all, w)
	return w
}

// event has something happen.
func (c *chaos) event() {
	m := merchants[c.IntN(len(merchants))]
	switch c.IntN(16) {
	case 0, 1, 2, 3:
		w := c.newWork(m)
		class := []schedule.Class{schedule.First, schedule.First, schedule.Again, schedule.Last}[c.IntN(4)]
		c.note("queue %v of %s as %d", w.Owner, m, class)
		c.at[w] = inside
		c.s.Queue(w, class, c.now)
	case 4:
		w := c.newWork(m)
		c.note("%v of %s backs off", w.Owner, m)
		c.at[w] = inside
		c.s.BackOff(w, schedule.Again, time.Duration(c.IntN(120))*time.Minute/10, c.now)
	case 5, 6, 7, 8, 9:
		if w := c.pick(flying); w != nil {
			c.end(w)
		}
	case 10:
		if w := c.pick(inside); w != nil {
			c.note("remove %v", w.Owner)
			c.at[w] = outside
			c.s.Remove(w, c.now)
		}
	case 11:
		n := c.IntN(3) - min(1, c.publishing)
		c.publishing += n
		c.s.Publishing(n)
	case 12:
		c.concurrency = 1 + c.IntN(6)
		c.note("concurrency %d", c.concurrency)
		c.s.SetConcurrency(c.concurrency, c.now)
	case 13:
		c.bind(m)
	case 14:
		own := []int32{0, 1, 2, 3}[:c.IntN(5)]
		c.note("share %v", own)
		c.s.Share(own, 4, len(own), c.now)
	case 15:
		c.s.Mended(c.lane(m), c.now)
	}
	c.wait()
}

func (c *chaos) bind(m payment.MerchantID) {
	c.gone[m] = c.IntN(4) == 0
	t := schedule.Terms{}
	if !c.gone[m] {
		t.Endpoint = string(rune('a' + c.IntN(2)))
		t.Rate = []pace.Rate{{}, perSecond(1), perSecond(50), {Events: 1, Per: time.Minute}}[c.IntN(4)]
	}
	c.note("bind %s to %+v, gone %v", m, t, c.gone[m])
	c.s.Bind(m, t, c.gone[m], c.now)
	c.s.Rebound(c.now)
}

// end ends a call, and has its work called for again, or be done.
func (c *chaos) end(w *schedule.Work) {
	results := []schedule.Result{answered, answered, unanswered, unanswered, denied, denied, {How: schedule.Unasked}, {How: schedule.Denied, Late: true}}
	r := results[c.IntN(len(results))]
	r.LookUp = c.IntN(4) == 0
	c.note("end %v with %+v", w.Owner, r)
	c.s.End(w, r, c.now)
	switch r.How {
	case schedule.Answered:
		c.at[w] = outside
	default:
		c.at[w] = inside
		c.s.BackOff(w, schedule.Again, time.Duration(c.IntN(60))*time.Second, c.now)
	}
}

// wait lets time go by: none, a moment, until something is to be done, or long.
func (c *chaos) wait() {
	wake := c.s.Wake(c.now)
	switch c.IntN(8) {
	case 0:
		c.now = c.now.Add(time.Duration(c.IntN(10)) * time.Millisecond)
	case 1, 2:
		c.now = later(c.now, earlier(wake, c.now.Add(giveUp)))
	case 3:
		c.now = c.now.Add(time.Duration(c.IntN(1000)) * time.Second)
	}
}

// drain takes all that is to be done, and judges it.
func (c *chaos) drain() {
	most := 10*len(c.all) + 10
	for range most {
		step := c.s.Next(c.now)
		if step.Kind == schedule.Nothing {
			c.rest()
			return
		}
		c.take(step)
	}
	c.Errorf("Next does not come to an end at %v", c.now.Sub(noon))
}

func (c *chaos) take(step schedule.Step) {
	w := step.Work
	c.note("step %d of %v %s", step.Kind, w.Owner, step.Why)
	if c.at[w] != inside {
		c.Errorf("work %v came out while it was not in (%d)", w.Owner, c.at[w])
	}
	if w.IsQueued() || w.IsWaiting() {
		c.Errorf("work %v came out, and is still in", w.Owner)
	}
	gone := c.gone[w.Lane().Merchant()]
	switch step.Kind {
	case schedule.Start:
		if gone {
			c.Errorf("work %v of a merchant that is gone is started", w.Owner)
		}
		if n := c.s.InFlight(); n >= c.concurrency {
			c.Errorf("work %v is started with %d calls in flight of %d", w.Owner, n, c.concurrency)
		}
		if c.s.InFlight()+c.publishing >= 2*c.concurrency {
			c.Errorf("work %v is started while %d outcomes wait to be published", w.Owner, c.publishing)
		}
		c.start(w)
	case schedule.Overdue:
		c.judgeOverdue(w, step.Why)
		c.at[w] = outside
		if c.IntN(3) == 0 {
			c.at[w] = inside
			c.s.LookFirst(w, c.now)
		}
	case schedule.Dismiss:
		if !gone {
			c.Errorf("work %v is dismissed", w.Owner)
		}
		c.at[w] = outside
	default:
		c.Errorf("step %d", step.Kind)
	}
}

// start begins a call, or gives the work back, as one whose lease is gone.
func (c *chaos) start(w *schedule.Work) {
	if c.IntN(10) == 0 {
		c.s.BackOff(w, schedule.First, 50*time.Millisecond, c.now)
		return
	}
	c.at[w] = flying
	c.s.Begin(w, c.now)
}

func (c *chaos) judgeOverdue(w *schedule.Work, why schedule.Why) {
	expired := !w.ExpiresAt.IsZero() && !c.now.Before(w.ExpiresAt)
	old := c.now.Sub(w.At) >= giveUp
	if w.Endless || why == payment.Expired && !expired || why == payment.GaveUp && (!old || expired) {
		c.Errorf("work %v is overdue: %s; endless %v, expired %v, old %v", w.Owner, why, w.Endless, expired, old)
	}
}

// rest judges the Scheduler when there is nothing to do.
func (c *chaos) rest() {
	wake := c.s.Wake(c.now)
	if !wake.After(c.now) {
		c.Errorf("nothing to do, and Wake is %v from now", wake.Sub(c.now))
	}
	if c.IntN(10) == 0 { // just before it there is nothing to do either
		wake = earlier(wake, c.now.Add(giveUp))
		if step := c.s.Next(wake.Add(-1)); step.Kind != schedule.Nothing {
			c.Errorf("%v from now, before Wake, there is step %d of work %v", wake.Sub(c.now), step.Kind, step.Work.Owner)
		}
		c.now = wake.Add(-1)
	}
	calls := 0
	for w, at := range c.at {
		if at == flying {
			calls++
		}
		if in := w.IsQueued() || w.IsWaiting(); in != (at == inside) {
			c.Errorf("work %v: in %v, want %v", w.Owner, in, at == inside)
		}
	}
	if got := c.s.InFlight(); got != calls {
		c.Errorf("InFlight = %d, want %d", got, calls)
	}
}

// finish has all calls answered from now on, and wants everything to come out.
func (c *chaos) finish() {
	c.s.Publishing(-c.publishing)
	c.publishing = 0
	c.s.Share([]int32{0, 1, 2, 3}, 4, 4, c.now)
	for range 20 * len(c.all) {
		c.drain()
		for w := c.pick(flying); w != nil; w = c.pick(flying) {
			c.s.End(w, answered, c.now)
			c.at[w] = outside
		}
		if c.Failed() || c.pick(inside) == nil {
			return
		}
		c.drain()
		if c.pick(flying) == nil {
			c.now = c.s.Wake(c.now)
		}
	}
	c.Errorf("work %v never came out", c.pick(inside).Owner)
}
