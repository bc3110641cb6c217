package pipeline

import (
	"cmp"
	"slices"
	"time"

	"paylink/internal/payment"
)

// A State is a picture of the engine for the console.
type State struct {
	Started  time.Time
	InFlight int
	Waiting  int // tasks that back off
	Desks    []DeskState
	Lanes    []LaneState
	Recent   []RecentOutcome // newest first
}

// A DeskState is one claim.
type DeskState struct {
	Partition  int32
	Watermark  int64 // every record below it is settled; -1: none yet
	Unfinished int
	Active     int // tasks that call or publish
	Draining   bool
}

// A LaneState is one merchant.
type LaneState struct {
	Merchant payment.MerchantID
	Queued   int
	OnHold   bool
	Code     string    // why on hold
	Since    time.Time // on hold
	NextCall time.Time
}

// A RecentOutcome is an intent that was settled lately. The link is the payer's,
// handle it with care.
type RecentOutcome struct {
	At       time.Time
	Intent   payment.IntentID
	Merchant payment.MerchantID
	Outcome  payment.Outcome
	Took     time.Duration
}

// recent is a ring of the newest outcomes; it belongs to Engine.mu.
type recent struct {
	ring [50]RecentOutcome
	n    int
}

func (r *recent) add(t *task, o payment.Outcome) {
	r.ring[r.n%len(r.ring)] = RecentOutcome{At: time.Now(), Intent: t.id, Merchant: t.work.dec.Intent.Merchant, Outcome: o, Took: t.age()}
	r.n++
}

func (r *recent) list() []RecentOutcome {
	var out []RecentOutcome
	for i := r.n - 1; i >= 0 && i >= r.n-len(r.ring); i-- {
		out = append(out, r.ring[i%len(r.ring)])
	}
	return out
}

// State returns a picture of this moment.
func (e *Engine) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := State{Started: e.started, InFlight: e.inFlight, Waiting: len(e.waiting), Recent: e.recent.list()}
	for d := range e.desks {
		s.Desks = append(s.Desks, DeskState{Partition: d.claim.Partition(), Watermark: d.watermark(), Unfinished: len(d.open) + d.hidden.count, Active: d.active, Draining: d.closed})
	}
	slices.SortFunc(s.Desks, func(a, b DeskState) int { return cmp.Compare(a.Partition, b.Partition) })
	for _, l := range e.lanes {
		s.Lanes = append(s.Lanes, LaneState{Merchant: l.merchant, Queued: l.len(), OnHold: l.hold.on, Code: l.hold.code, Since: l.hold.began, NextCall: l.next})
	}
	slices.SortFunc(s.Lanes, func(a, b LaneState) int { return cmp.Compare(a.Merchant, b.Merchant) })
	return s
}
