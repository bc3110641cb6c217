package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

// A gateway answers by script, keeps a log of its calls, and remembers what it
// made. It watches S4, that no intent is called for twice at a time, and that
// whoever calls may: see allowed.
type gateway struct {
	shows map[payment.IntentID]int64 // payments that status tells of instead of those made
	topic *topic
	takes time.Duration // for an answer without a time of its own

	mu        sync.Mutex
	opens     map[payment.IntentID][]answer // one by one, the last one again and again
	finds     map[payment.IntentID][]answer
	otherwise func(in payment.Intent, find bool) answer // without a script; nil: a link, or what was made
	calls     []call
	first     map[payment.IntentID]payment.Intent
	made      map[payment.IntentID]int64 // payment ids
	busy      map[payment.IntentID]int
	inFlight  int
	most      int // in flight, ever
	stubborn  bool
	ended     int
}

// An answer is what the gateway does with a call.
type answer struct {
	takes time.Duration
	err   error
	makes bool // a payment, although err says something else
}

// A call is one line of the gateway's log.
type call struct {
	at       time.Time
	find     bool
	intent   payment.IntentID
	merchant payment.MerchantID
}

func newGateway(tp *topic) *gateway {
	return &gateway{
		topic: tp, opens: map[payment.IntentID][]answer{}, finds: map[payment.IntentID][]answer{},
		first: map[payment.IntentID]payment.Intent{}, made: map[payment.IntentID]int64{}, busy: map[payment.IntentID]int{},
	}
}

// Answers.
var (
	ok        = answer{}
	lost      = answer{err: &payment.GatewayError{Class: payment.InDoubt, Cause: "timeout"}}
	lostMade  = answer{err: &payment.GatewayError{Class: payment.InDoubt, Cause: "timeout"}, makes: true}
	unsent    = answer{err: &payment.GatewayError{Class: payment.NotSent, Cause: "dial"}}
	refused   = answer{err: &payment.GatewayError{Class: payment.RefusedForGood, Cause: "refused", Signed: true, Code: "340", Description: "amount too small"}}
	unsigned  = answer{err: &payment.GatewayError{Class: payment.RefusedForGood, Cause: "refused", Code: "341", Description: "says somebody"}}
	duplicate = answer{err: &payment.GatewayError{Class: payment.IsDuplicate, Cause: "duplicate", Signed: true, Code: "350"}}
	ours      = answer{err: &payment.GatewayError{Class: payment.Misconfigured, Cause: "credentials", Signed: true, Code: "9998"}}
	oursMaybe = answer{err: &payment.GatewayError{Class: payment.Misconfigured, Cause: "credentials", Code: "9998"}}
	puzzling  = answer{err: errors.New("boom")}
	notFound  = answer{err: payment.ErrNotFound}
)

// slow is an answer that takes its time.
func (a answer) slow(d time.Duration) answer { a.takes = d; return a }

func later(d time.Duration) answer {
	return answer{err: &payment.GatewayError{Class: payment.InDoubt, Cause: "http_429", Status: 429, RetryAfter: d}}
}

func (g *gateway) Open(ctx context.Context, in payment.Intent) (payment.Link, error) {
	a, err := g.answer(ctx, in, false)
	if err != nil {
		return payment.Link{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	id, had := g.made[in.ID]
	if (a.err == nil || a.makes) && !had {
		id = int64(len(g.made)) + 1<<32
		g.made[in.ID] = id
	}
	if a.err != nil {
		return payment.Link{}, a.err
	}
	return payment.Link{PaymentID: id, RedirectURL: "https://pay.example/" + string(in.ID), RedirectURLType: payment.URLNeedData}, nil
}

func (g *gateway) Find(ctx context.Context, in payment.Intent) (payment.Status, error) {
	a, err := g.answer(ctx, in, true)
	if err != nil || a.err != nil {
		return payment.Status{}, errors.Join(err, a.err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	id, had := g.made[in.ID]
	if !had {
		id = 7
	}
	if other, ok := g.shows[in.ID]; ok {
		id = other
	}
	return payment.Status{PaymentID: id, OrderID: in.OrderID, State: "new", Amount: in.Amount}, nil
}

func (g *gateway) answer(ctx context.Context, in payment.Intent, find bool) (answer, error) {
	a := g.begin(in, find)
	stop := ctx.Done()
	if g.stubborn {
		stop = nil
	}
	whole := wait(stop, a.takes)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy[in.ID]--
	g.inFlight--
	g.ended++
	if !whole {
		if a.makes {
			g.made[in.ID] = int64(len(g.made)) + 1<<32
		}
		return answer{}, &payment.GatewayError{Class: payment.InDoubt, Cause: "cancelled", Err: ctx.Err()}
	}
	return a, nil
}

func (g *gateway) begin(in payment.Intent, find bool) answer {
	g.allowed(in, find)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, call{time.Now(), find, in.ID, in.Merchant})
	if was, known := g.first[in.ID]; known && !reflect.DeepEqual(was, in) {
		g.fault("S4: the call for %s differs from the one before:\n%s", in.ID, cmp.Diff(was, in))
	} else if !known {
		g.first[in.ID] = in
	}
	if g.busy[in.ID]++; g.busy[in.ID] > 1 && !g.stubborn {
		g.fault("two calls for %s at a time", in.ID)
	}
	g.inFlight++
	g.most = max(g.most, g.inFlight)
	script := g.opens
	if find {
		script = g.finds
	}
	var a answer
	switch as := script[in.ID]; {
	case len(as) > 1:
		a, script[in.ID] = as[0], as[1:]
	case len(as) == 1:
		a = as[0]
	case g.otherwise != nil:
		a = g.otherwise(in, find)
	case find && g.made[in.ID] == 0:
		a = notFound
	}
	if a.takes == 0 {
		a.takes = g.takes
	}
	return a
}

// allowed checks that there is a partition with a record of the intent that
// has no outcome yet, and that calls for that partition may be made. A look-up may
// come after the outcome too: to see what calls in doubt have left.
func (g *gateway) allowed(in payment.Intent, lookup bool) {
	g.topic.mu.Lock()
	defer g.topic.mu.Unlock()
	met := false
	for _, p := range g.topic.parts {
		for i := range p.records {
			r := &p.records[i]
			if _, answered := p.answered[in.ID]; idOf(r) != in.ID || answered && !lookup || r.Offset < p.committed {
				continue
			}
			if p.claim != nil && p.claim.mayCall() || p.stopped.Equal(time.Now()) { // or it began at that very instant
				met = true
			}
			break
		}
	}
	if !met {
		g.topic.fault("a call for %s, of which no partition may be called for", in.ID)
	}
}

func (g *gateway) fault(format string, args ...any) {
	g.topic.mu.Lock()
	defer g.topic.mu.Unlock()
	g.topic.faults = append(g.topic.faults, fmt.Sprintf(format, args...))
}

// log returns the calls so far, as "open id" and "find id".
func (g *gateway) log() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var lines []string
	for _, c := range g.calls {
		kind := "open "
		if c.find {
			kind = "find "
		}
		lines = append(lines, kind+string(c.intent))
	}
	return lines
}

// callsOf returns the calls for which keep holds.
func (g *gateway) callsOf(keep func(call) bool) []call {
	g.mu.Lock()
	defer g.mu.Unlock()
	var cs []call
	for _, c := range g.calls {
		if keep(c) {
			cs = append(cs, c)
		}
	}
	return cs
}
