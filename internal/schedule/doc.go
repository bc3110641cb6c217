// Package schedule decides which intent is called for next, and does nothing
// else. Work comes in with its merchant and its times; a Step comes out: start
// this one, settle that one as its time is up, and when to ask again.
//
// It takes the time as an argument, and holds no lock, no goroutine, no channel,
// no clock and no logger. A Scheduler belongs to whoever calls it. What somebody
// should be told of (a merchant on hold, an endpoint that fails) it keeps as
// Changes until they are asked for.
//
// # Merchants, endpoints, backlogs
//
// A Lane is one merchant's loaded work: what must be settled soonest goes first,
// at the merchant's pace. Lanes do not wait for each other. An Endpoint is one
// gateway: its lanes share its breaker and how many calls it can take. A Backlog
// is one merchant's work in one partition: how much of it is loaded, and, of the
// rest, only where it stands in the log and by when it must be settled.
//
// # Time
//
// All times are time.Time. Moments that something waits for are made from the now
// that was passed in, so they know both clocks. Deadlines come from records, and
// know the wall clock only. A queue orders by one kind, never by both: after a
// wall clock was set back, a deadline among moments would hold up all behind it.
// What is to be waited for is made a moment first (see moment).
package schedule

import (
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// never is later than anything that is waited for.
const never = 24 * time.Hour

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// moment is when a deadline is reached, by both clocks as now has them.
func moment(deadline, now time.Time) time.Time { return now.Add(deadline.Sub(now)) }

// Terms are what the calls of a merchant are bound to. The zero Terms are those
// of a merchant that is not configured, or not any more.
type Terms struct {
	Rate     pace.Rate // all replicas together; zero: no limit
	Endpoint string    // the host of the gateway: its merchants share its fate
	Gateway  string    // its whole address: of those at one host each numbers its own payments; empty: Endpoint
}

// A Config says what a Scheduler works with.
type Config struct {
	Concurrency int           // calls in flight at most
	GiveUpAfter time.Duration // after its record's time an intent is given up
	Scope       pace.Scope
	Name        string     // ours, in notes about turns that are lent; empty: none are
	Window      int        // loaded work per partition, at most
	Merchants   func() int // how many there are; nil: those that have lanes
}

// A ChangeKind is what has changed.
type ChangeKind int

const (
	Suspected    ChangeKind = iota // the gateway refuses a merchant's credentials or set-up, so far for one intent
	DeniedAlone                    // it refuses one intent for them, and accepts others
	HoldBegan                      // it refuses all, as far as there were others to see it by, and is called less
	HoldBelieved                   // it refuses different ones
	ProbeRefused                   // it still does
	HoldEnded
	Blinded    // it refuses a merchant's look-ups for them, and accepts its Inits
	SeesAgain  // it answers them again
	Crowds     // a merchant's calls hang, and it has as many as it may: what waits is in nobody's way
	FailsAlone // most calls of a merchant are not answered, while others' of its endpoint are
	AnsweredAgain
	EndpointDown // an endpoint fails broadly
	EndpointBack // it answers again
	EndpointGone // no merchant has it any more
)

// A Change is something that somebody should be told of.
type Change struct {
	Kind     ChangeKind
	Merchant payment.MerchantID // if it is one's
	Intent   payment.IntentID   // whose Init was refused, of Suspected and DeniedAlone
	Endpoint string             // of an endpoint
	State    string             // the breaker's, of an endpoint
	Code     string             // the gateway's error code, of a hold
	Cause    string             // of a hold; else how the newest call that got no answer ended
	Wait     time.Duration      // until the next probe
	Since    time.Time          // of a hold that ended
}
