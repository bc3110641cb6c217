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
	State     string    `json:"state"` // paced, backing off, behind its key, held, breaker open, calling, publishing, parked, handed over, free
	Since     time.Time `json:"since,omitzero"`
	Until     time.Time `json:"until,omitzero"` // when it goes on, if that is known
	Attempts  int       `json:"attempts,omitempty"`
	LastError string    `json:"last_error,omitempty"` // class and cause
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
		w := LaneWait{Merchant: l.merchant, Gateway: l.host.name, Queued: l.len(), BackOff: l.backing, Parked: parked[l], Wait: l.wait(now)}
		if l.limit != nil {
			w.Rate = l.limit.Rate().String()
		}
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b LaneWait) int { return cmp.Compare(a.Merchant, b.Merchant) })
	return out
}

// wait says what a lane waits for.
func (l *lane) wait(now time.Time) Wait {
	switch {
	case l.hold.on:
		return Wait{State: "held", Since: l.hold.since, Until: l.hold.probeAt, LastError: "misconfigured: " + l.hold.code}
	case l.host.breaker.State(now) == pace.Open:
		return Wait{State: "breaker open", Since: l.host.breaker.Since(), Until: l.host.breaker.Next(now)}
	case l.len() > 0 && l.next.After(now):
		return Wait{State: "paced", Until: l.next}
	}
	return Wait{State: "free"}
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
				out = append(out, IntentWait{ID: id, Partition: d.claim.Partition(), Offset: d.hidden.offset(p.slot), Wait: Wait{State: "parked " + why}})
			}
		})
	}
	return out
}

func (d *desk) eachParked(f func(p parked, why string)) {
	for _, s := range d.stands {
		for _, h := range []parkedHeap{s.parked, s.hasty} {
			for _, p := range h {
				f(p, "behind its merchant's pace")
			}
		}
	}
	for _, c := range d.chains {
		for _, p := range c.parked {
			f(p, "behind its key")
		}
	}
}

// wait says what a task waits for. What a call is being made with belongs to the
// caller: it is not looked at.
func (t *task) wait(now time.Time) Wait {
	if t.stage == behind && t.desk.closed {
		return Wait{State: "handed over", Since: t.since}
	}
	if t.stage == calling || t.stage == appending {
		return Wait{State: t.stage.String(), Since: t.since}
	}
	w := Wait{State: t.stage.String(), Since: t.since}
	tr := &t.work.try
	w.Attempts = tr.calls
	if tr.last != nil {
		w.LastError = tr.last.Class.String() + ": " + tr.last.Cause
	}
	switch t.stage {
	case backing:
		w.Until = t.until
	case queued:
		lw := t.lane.wait(now)
		w.State, w.Until = lw.State, lw.Until
	}
	return w
}
