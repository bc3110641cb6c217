package pipeline

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"paylink/internal/partition"
	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// A State is a picture of the engine for the console.
type State struct {
	Started    time.Time
	InFlight   int // calls
	BackingOff int // tasks
	Partitions []PartitionState
	Lanes      []Lane
	Gateways   []Gateway
	Recent     []RecentOutcome // newest first
	Dead       []RecentDead    // newest first
	Counts     Counts
}

// A Gateway is one gateway host that merchants have.
type Gateway = schedule.EndpointView

// Counts are what happened since the start.
type Counts struct {
	Settled  []Count // by outcome and reason
	Skipped  []Count // by kind
	Dead     []Count // dead letters, by reason
	Calls    []Count // of the gateway, by kind and result
	Turns    []Count // that members lend each other, by event
	Repeats  uint64
	Second   uint64 // payments beside the one whose link is published
	Shared   uint64 // answers with a payment that another intent's link has
	Vanished uint64 // intents that retention deleted while they waited
	MayExist uint64 // outcomes that failed, though a payment may exist
}

// A PartitionState is one claim.
type PartitionState struct {
	Partition  int32
	Watermark  int64 // every record below it is settled; -1: none yet
	Unfinished int
	Active     int // tasks that call or publish
	Draining   bool
	Full       bool // not read on: as many intents wait for their merchants' turns as may
}

// A Wait says why an intent, or a lane, does not go on right now.
type Wait = schedule.Wait

// A Lane is one merchant.
type Lane struct {
	Merchant   payment.MerchantID `json:"merchant_id"`
	Gateway    string             `json:"gateway,omitempty"`
	Queued     int                `json:"queued"`
	BackingOff int                `json:"backing_off"`
	Backlog    int                `json:"backlog"`
	Rate       string             `json:"rate,omitempty"`
	Wait

	OnHold    bool      `json:"-"`
	Code      string    `json:"-"` // why on hold
	HeldSince time.Time `json:"-"`
	Blind     bool      `json:"look_ups_refused,omitempty"` // though not its Inits
	NextCall  time.Time `json:"-"`                          // when it is looked at next
}

// An IntentWait is one record that is not settled.
type IntentWait struct {
	ID        payment.IntentID   `json:"intent_id"`
	Order     string             `json:"order_id,omitempty"` // if the record is loaded
	Merchant  payment.MerchantID `json:"merchant_id,omitempty"`
	Partition int32              `json:"partition"`
	Offset    int64              `json:"offset"`
	Wait
}

// A RecentOutcome is an intent that was settled lately. The link is the payer's,
// handle it with care.
type RecentOutcome struct {
	At        time.Time
	Intent    payment.IntentID
	Order     string
	Merchant  payment.MerchantID
	Partition int32
	Offset    int64
	Outcome   payment.Outcome
	Took      time.Duration
}

// A RecentDead is a record that was sent to the dead letters lately.
type RecentDead struct {
	At        time.Time
	Intent    payment.IntentID // empty: it names none that can be read
	Merchant  payment.MerchantID
	Partition int32
	Offset    int64
	Reason    string
}

// recent is a ring of the newest of a kind. Several goroutines may use it.
type recent[T any] struct {
	mu   sync.Mutex
	ring [50]T
	n    int
}

func (r *recent[T]) add(o T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.n%len(r.ring)] = o
	r.n++
}

func (r *recent[T]) list() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []T
	for i := r.n - 1; i >= 0 && i >= r.n-len(r.ring); i-- {
		out = append(out, r.ring[i%len(r.ring)])
	}
	return out
}

// State returns a picture of this moment.
func (e *Engine) State() State {
	s := State{Started: e.started, Recent: e.recent.list(), Dead: e.dead.list(), Counts: e.Counts()}
	e.mu.Lock()
	defer e.mu.Unlock()
	s.InFlight, s.BackingOff = e.core.sched.InFlight(), e.core.sched.BackingOff()
	s.Partitions, s.Lanes, s.Gateways = e.core.partitions(), e.core.lanes(time.Now()), e.core.sched.Endpoints()
	return s
}

// Counts returns what happened since the start.
func (e *Engine) Counts() Counts {
	m := e.metrics
	return Counts{
		Settled: m.intents.counts(), Skipped: m.skipped.counts(), Dead: m.dead.counts(), Calls: m.calls.counts(), Turns: m.turns.counts(),
		Repeats: m.repeats.total(), Second: m.second.total(), Shared: m.shared.total(), Vanished: m.vanished.total(),
		MayExist: e.mayExist.Load(),
	}
}

// Lanes returns why each merchant's intents wait, by merchant.
func (e *Engine) Lanes() []Lane {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.core.lanes(time.Now())
}

// Held returns the merchants on hold, in order.
func (e *Engine) Held() (who []payment.MerchantID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for l := range e.core.sched.Lanes() {
		if l.IsHeld() {
			who = append(who, l.Merchant())
		}
	}
	slices.Sort(who)
	return who
}

// Find returns the unsettled records of an intent id, and why they wait; loaded ones
// are found by their order's id, too.
func (e *Engine) Find(id payment.IntentID) []IntentWait {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.core.find(id, time.Now())
}

func (c *core) partitions() (out []PartitionState) {
	for _, w := range c.workers {
		out = append(out, PartitionState{
			Partition: w.claim.Partition(), Watermark: w.part.Watermark(), Unfinished: w.part.Unfinished(),
			Active: w.active, Draining: w.closed, Full: c.isFull(w),
		})
	}
	slices.SortFunc(out, func(a, b PartitionState) int { return cmp.Compare(a.Partition, b.Partition) })
	return out
}

func (c *core) lanes(now time.Time) []Lane {
	backlog := map[*schedule.Lane]int{}
	for _, w := range c.workers {
		for _, b := range w.ordered {
			backlog[b.Lane] += b.Len()
		}
	}
	out := []Lane{}
	for l, v := range c.sched.Views(sinceOf, now) {
		v = explained(v)
		out = append(out, Lane{
			Merchant: v.Merchant, Gateway: v.Endpoint, Queued: v.Queued, BackingOff: v.BackingOff, Backlog: backlog[l], Rate: v.Rate,
			Wait: v.Wait, OnHold: v.OnHold, Code: v.Code, HeldSince: v.HeldSince, Blind: v.Blind, NextCall: v.NextCall,
		})
	}
	slices.SortFunc(out, func(a, b Lane) int { return cmp.Compare(a.Merchant, b.Merchant) })
	return out
}

// view is what there is to see of a lane, with what is known of the intent that is
// next.
func (c *core) view(l *schedule.Lane, now time.Time) schedule.View {
	return explained(c.sched.View(l, sinceOf, now))
}

// sinceOf is since when a task's work stands where it stands.
func sinceOf(w *schedule.Work) time.Time { return w.Owner.(*task).since }

// explained adds what is known of the intent that is next.
func explained(v schedule.View) schedule.View {
	if v.Next != nil {
		t := v.Next.Owner.(*task)
		v.Wait.Attempts = t.try.Calls
		if v.Wait.State == backingOff.String() && t.try.Last != nil {
			v.Wait.LastError = t.try.Last.Kind()
		}
	}
	return v
}

func (c *core) find(id payment.IntentID, now time.Time) (out []IntentWait) {
	hash := partition.HashOf([]byte(id))
	for _, w := range c.workers {
		at := IntentWait{ID: id, Partition: w.claim.Partition()}
		w.part.Loaded(func(r *partition.Record) {
			t := r.Owner.(*task)
			if in := t.dec.Intent; r.ID != "" && (r.ID == id || in.OrderID == string(id)) {
				out = append(out, IntentWait{ID: r.ID, Order: in.OrderID, Merchant: in.Merchant, Partition: at.Partition, Offset: r.Offset, Wait: c.wait(t, now)})
			}
		})
		for _, b := range w.ordered {
			b.Each(func(e schedule.Entry) {
				if e.ID == hash {
					at.Merchant, at.Offset = b.Lane.Merchant(), w.part.Offset(e.Slot)
					at.Wait = Wait{State: "in the backlog behind its merchant's pace", Since: e.Since()}
					c.reckon(&at.Wait, b.Lane, e, now)
					out = append(out, at)
				}
			})
		}
		w.part.EachBehindKey(func(e partition.Entry) {
			if e.ID == hash {
				at.Merchant, at.Offset = e.Merchant, w.part.Offset(e.Slot)
				at.Wait = Wait{State: "in the backlog behind its key", Since: e.Since()}
				out = append(out, at)
			}
		})
	}
	return out
}

// reckon says when a record in a backlog is likely to go on: after all that must
// be settled before it.
func (c *core) reckon(w *Wait, l *schedule.Lane, e schedule.Entry, now time.Time) {
	ahead := 0
	for _, other := range c.workers {
		if b := other.backlogs[l]; b != nil {
			b.Each(func(x schedule.Entry) {
				if x.Before(e) {
					ahead++
				}
			})
		}
	}
	v := c.view(l, now)
	w.Until, w.LastError = c.sched.Reckon(v, l, ahead), v.Wait.LastError
}

// wait says what a task waits for.
func (c *core) wait(t *task, now time.Time) Wait {
	w := Wait{State: t.stage.String(), Since: t.since, Attempts: t.try.Calls}
	if last := t.try.Last; last != nil {
		w.LastError = last.Kind()
		if t.try.IsDenied() {
			w.LastError += ": " + last.Code // as its lane says it
		}
	}
	switch {
	case t.stage == calling && !t.try.IsLookUp():
		w.Attempts++ // the one that is being made
	case t.stage == backingOff && t.work.Lane() != nil && t.work.Lane().IsHeld() && t.try.IsDenied():
		w.State, w.Until = "held", t.work.Until()
	case t.stage == backingOff:
		w.Until = t.work.Until()
	case t.stage == behind && t.worker.closed:
		w.State = "handed over"
	case t.stage == queued:
		v := c.view(t.work.Lane(), now)
		w.State, w.Until, w.Asks = v.Wait.State, v.Wait.Until, v.Wait.Asks
		if w.LastError == "" {
			w.LastError = v.Wait.LastError
		}
	}
	return w
}
