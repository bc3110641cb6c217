package gatewaysim

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// A Call is one call of a script, as the log keeps it.
type Call struct {
	N              int         `json:"n"`  // 1 for the first
	At             time.Time   `json:"at"` // when it arrived
	Script         string      `json:"script"`
	Merchant       string      `json:"merchant,omitempty"`
	OrderID        string      `json:"order_id,omitempty"`
	Host           string      `json:"-"` // the address it was sent to: tells callers apart that have one each
	IdempotencyKey string      `json:"idempotency_key,omitempty"`
	Params         string      `json:"params,omitempty"` // all but salt and signature: sorted, URL-encoded, masked
	Violations     []Violation `json:"violations,omitempty"`
	Haste          bool        `json:"haste,omitempty"`      // sooner than Config.MinInterval
	Repeated       bool        `json:"repeated,omitempty"`   // the idempotency key was known
	Payment        int64       `json:"payment,omitempty"`    // what the call is about; 0: none
	Made           int64       `json:"made,omitempty"`       // the payment this call made; 0: none
	Unkindness     string      `json:"unkindness,omitempty"` // what was played, as a rule; "down" for all of the gateway
	BadMarker      string      `json:"bad_marker,omitempty"` // why a "sim:" marker of the order means nothing
	Answer         string      `json:"answer,omitempty"`     // "ok", "error 9998", "http 503", "cut", …; empty: in progress
	AnsweredAt     time.Time   `json:"answered_at,omitzero"` // just before the answer was sent
}

// Counts are the sums over all calls, also those that the log dropped.
type Counts struct {
	Calls        int            `json:"calls"`
	Init         int            `json:"init"`
	Status       int            `json:"status"`
	Made         int            `json:"made"`     // payments
	Repeated     int            `json:"repeated"` // calls with a known idempotency key
	Violating    int            `json:"violating"`
	Haste        int            `json:"haste"`
	InProgress   int            `json:"in_progress"`
	Answers      map[string]int `json:"answers"`
	Unkindnesses map[string]int `json:"unkindnesses"`
}

// A callLog keeps the calls in order of arrival.
type callLog struct {
	keep int // 0: all

	mu     sync.Mutex
	calls  []*Call
	counts Counts
}

func newCallLog(keep int) *callLog {
	return &callLog{keep: keep, counts: Counts{Answers: map[string]int{}, Unkindnesses: map[string]int{}}}
}

// arrive gives a new call its place, number and time.
func (l *callLog) arrive(script string, now func() time.Time) *Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Calls++
	l.counts.InProgress++
	switch script {
	case initScript:
		l.counts.Init++
	case statusScript:
		l.counts.Status++
	}
	c := &Call{N: l.counts.Calls, At: now(), Script: script}
	l.calls = append(l.calls, c)
	if l.keep > 0 && len(l.calls) > 2*l.keep {
		l.calls = slices.Clone(l.calls[len(l.calls)-l.keep:])
	}
	return c
}

// change lets a call's own handler write to it.
func (l *callLog) change(c *Call, f func(*Call)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(c)
}

// finish notes the answer and counts the call.
func (l *callLog) finish(c *Call, answer string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Answer, c.AnsweredAt = answer, at
	l.counts.InProgress--
	l.counts.Answers[answer]++
	if c.Unkindness != "" {
		l.counts.Unkindnesses[c.Unkindness]++
	}
	l.counts.Made += one(c.Made != 0)
	l.counts.Repeated += one(c.Repeated)
	l.counts.Violating += one(len(c.Violations) > 0)
	l.counts.Haste += one(c.Haste)
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (l *callLog) all(want func(*Call) bool) []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.calls
	if l.keep > 0 && len(kept) > l.keep {
		kept = kept[len(kept)-l.keep:]
	}
	calls := make([]Call, 0, len(kept))
	for _, c := range kept {
		if want(c) {
			calls = append(calls, *c)
		}
	}
	return calls
}

func (l *callLog) totals() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts
	c.Answers = maps.Clone(c.Answers)
	c.Unkindnesses = maps.Clone(c.Unkindnesses)
	return c
}
