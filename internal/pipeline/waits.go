package pipeline

import (
	"cmp"
	"slices"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// A Wait says why an intent, or a lane, does not go on right now.
type Wait struct {
	// State is one of: paced, backing off, behind its key, held, breaker open, busy
	// (as many calls are in flight as there may be), calling, publishing, parked
	// behind its merchant's pace or its key, handed over, free.
	State string `json:"state"`

	Since time.Time `json:"since,omitzero"`

	// Until is when it goes on, or when that is tried, if it is known. Of a parked
	// record it is reckoned by the merchant's pace.
	Until time.Time `json:"until,omitzero"`

	Attempts  int    `json:"attempts,omitempty"`   // of the intent; of a lane: of the one that is next
	LastError string `json:"last_error,omitempty"` // class and cause
}

// A LaneWait is one merchant's.
type LaneWait struct {
	Merchant payment.MerchantID `json:"merchant_id"`
	Gateway  string             `json:"gateway,omitempty"`
	Queued   int                `json:"queued"`
	BackOff  int                `json:"backing_off"`
	Parked   int                `json:"parked"`
	Rate     string             `json:"rate,omitempty"`
	Wait
}

// An IntentWait is one record that is not settled.
type IntentWait struct {
	ID        payment.IntentID   `json:"intent_id"`
	Merchant  payment.MerchantID `json:"merchant_id,omitempty"`
	Partition int32              `json:"partition"`
	Offset    int64              `json:"offset"`
	Wait
}

// Lanes returns why each merchant's intents wait, by merchant.
func (e *Engine) Lanes() []LaneWait {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, parked := time.Now(), map[*lane]int{}
	for d := range e.desks {
		for _, s := range d.stands {
			parked[s.lane] += s.waiting()
		}
	}
	out := make([]LaneWait, 0, len(e.lanes))
	for _, l := range e.lanes {
		w := LaneWait{Merchant: l.merchant, Gateway: l.host.name, Queued: l.len(), BackOff: l.backing, Parked: parked[l], Wait: e.laneWait(l, now)}
		if l.limit != nil {
			w.Rate = l.limit.Rate().String()
		}
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b LaneWait) int { return cmp.Compare(a.Merchant, b.Merchant) })
	return out
}

// laneWait says what a lane waits for; mu held.
func (e *Engine) laneWait(l *lane, now time.Time) Wait {
	w := Wait{State: "free", LastError: l.lastErr}
	at, _ := l.paceAt(now)
	next := l.head(now)
	if next != nil {
		w.Attempts = next.work.try.told().Attempts
	}
	switch {
	case l.hold.on:
		w.State, w.Since, w.Until, w.LastError = "held", l.hold.began, l.hold.probeAt, payment.Misconfigured.String()+": "+l.hold.code
	case l.host.breaker.State(now) == pace.Open:
		w.State, w.Since, w.Until, w.LastError = "breaker open", l.host.breaker.Since(), l.host.breaker.Next(now), l.host.last
	case next == nil && l.backing > 0:
		return e.soonest(l).wait(now)
	case next == nil, l.gone:
	case l.limit != nil && at.IsZero(): // no partition is ours long enough yet
		w.State, w.Since = "paced", next.since
	case at.After(now):
		w.State, w.Since, w.Until = "paced", later(l.called, next.since), at
	case l.blocked:
		w.State, w.Since = "busy", l.blockedAt
	case !e.busy.IsZero():
		w.State, w.Since = "busy", later(e.busy, next.since)
	}
	return w
}

// soonest is the task of a lane that backs off for the shortest; mu held.
func (e *Engine) soonest(l *lane) (first *task) {
	for _, t := range e.waiting {
		if t.stand != nil && t.stand.lane == l && (first == nil || t.until.Before(first.until)) {
			first = t
		}
	}
	return first
}

// Find returns the unsettled records of an intent id, and why they wait.
func (e *Engine) Find(id payment.IntentID) []IntentWait {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, hash := time.Now(), hashKey([]byte(id))
	var out []IntentWait
	for d := range e.desks {
		for _, t := range d.open {
			if t.id == id {
				out = append(out, IntentWait{ID: id, Merchant: t.work.dec.Intent.Merchant, Partition: d.claim.Partition(), Offset: t.offset, Wait: t.wait(now)})
			}
		}
		d.eachParked(func(p parked, why string) {
			if p.id == hash {
				w := IntentWait{ID: id, Partition: d.claim.Partition(), Offset: d.hidden.offset(p.slot), Wait: Wait{State: "parked " + why, Since: e.started.Add(time.Duration(p.since) * time.Second)}}
				if p.stand >= 0 {
					w.Merchant = d.stands[p.stand].lane.merchant
				}
				if why == behindPace && p.stand >= 0 {
					e.reckon(&w.Wait, d.stands[p.stand].lane, p, now)
				}
				out = append(out, w)
			}
		})
	}
	return out
}

// reckon says when a record that is parked behind its lane is likely to go on:
// after all that must be settled before it; mu held.
func (e *Engine) reckon(w *Wait, l *lane, p parked, now time.Time) {
	lw := e.laneWait(l, now)
	w.Until, w.LastError = lw.Until, lw.LastError
	if l.limit == nil || lw.State != "paced" || lw.Until.IsZero() {
		return
	}
	ahead := l.len()
	for d := range e.desks {
		d.eachParked(func(q parked, why string) {
			if why == behindPace && q.stand >= 0 && d.stands[q.stand].lane == l && q.before(p) {
				ahead++
			}
		})
	}
	w.Until = w.Until.Add(time.Duration(ahead) * l.limit.Interval())
}

// What a record may be parked behind.
const (
	behindPace = "behind its merchant's pace"
	behindKey  = "behind its key"
)

func (d *desk) eachParked(f func(p parked, why string)) {
	for _, s := range d.stands {
		for _, h := range []parkedHeap{s.parked, s.hasty} {
			for _, p := range h {
				f(p, behindPace)
			}
		}
	}
	for _, c := range d.chains {
		for _, p := range c.parked {
			f(p, behindKey)
		}
	}
}

// wait says what a task waits for. What a call is being made with belongs to the
// caller: of that, what was told when it began.
func (t *task) wait(now time.Time) Wait {
	if t.stage.active() {
		w := t.told
		w.State, w.Since = t.stage.String(), t.since
		return w
	}
	w := t.work.try.told()
	w.State, w.Since = t.stage.String(), t.since
	switch {
	case t.stage == backing:
		w.Until = t.until
	case t.stage == behind && t.desk.closed:
		w.State = "handed over"
	case t.lane != nil:
		lw := t.desk.engine.laneWait(t.lane, now)
		w.State, w.Until = lw.State, lw.Until
		if w.LastError == "" {
			w.LastError = lw.LastError
		}
	}
	return w
}

// told is what may be told of a try.
func (tr *try) told() Wait {
	w := Wait{Attempts: tr.calls}
	if tr.last != nil {
		w.LastError = errorClass(tr.last)
	}
	return w
}

func errorClass(ge *payment.GatewayError) string { return ge.Class.String() + ": " + ge.Cause }
