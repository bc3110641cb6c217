package pace

import "time"

// A State is what a Breaker lets through.
type State int

const (
	Closed  State = iota // every call
	Open                 // one probe from time to time
	Closing              // more and more, until it is closed
)

var stateNames = [...]string{"closed", "open", "closing"}

// String returns the state in one word.
func (s State) String() string { return stateNames[s] }

// What a Breaker goes by.
const (
	breakLead = 8 // more failures than successes, among the recent results, open it
	relapse   = 4 // so many while it is closing open it again

	firstProbe = time.Second
	mostProbe  = 2 * time.Second // so that a gateway that is back is noticed, and the rate is back within 5 s

	rampStep  = 250 * time.Millisecond // what is let through doubles
	rampFirst = 4                      // calls in the first step
	rampSteps = 10
)

// A Breaker stops calling a gateway that fails broadly, finds out by single
// probes whether it works again, and then lets more and more through, so that
// nobody stampedes. There is one per gateway host.
//
// It opens when among the last 100 results of the last 30 s, failures outnumber
// successes by 8: eight failures in a row when little is called, a good half of
// all when much is. A gateway that loses one call in five does not open it, one
// that loses three in ten hardly ever.
//
// The first probe goes after a second, the following after two each, answered
// or not: a gateway that swallows calls would otherwise be noticed a whole
// timeout late. One probe that works closes it in ten steps of 250 ms, of 4, 8,
// 16 … calls; so any rate is back in 2.5 s, and 200/s after one. Being noticed
// may take 2 s: 4.5 s in all. That bounds the probes to one in two seconds,
// which is less than a tenth of all calls from 5/s on; below that a gateway that
// is down does not mind.
//
// The zero Breaker is closed, and ready. It is not safe for concurrent use.
type Breaker struct {
	state   State
	since   time.Time // of the state; closed again: since it began to close
	probeAt time.Time // when the next probe may go
	passed  int       // calls let through since it is closing
	recent  Recent
}

// Allow reports whether a call may go now, and counts it as going if so.
// Otherwise next is when to ask again.
func (b *Breaker) Allow(now time.Time) (ok bool, next time.Time) {
	if next = b.Next(now); next.After(now) {
		return false, next
	}
	switch b.state {
	case Open:
		b.probeAt = now.Add(mostProbe)
	case Closing:
		b.passed++
	}
	return true, now
}

// Next returns when a call may go: now, if at once. It counts nothing.
func (b *Breaker) Next(now time.Time) time.Time {
	switch b.State(now) {
	case Open:
		if b.probeAt.After(now) {
			return b.probeAt
		}
	case Closing:
		return b.ramp(now)
	}
	return now
}

// Done tells how a call ended that began at the given time, which is the time it
// was allowed. failed means that the gateway failed: no answer, or none to rely
// on. Refusals and duplicates are answers; so are credential errors, but say
// nothing of them here unless it is open.
// Results of calls from before the state of now, or before it began to close,
// change nothing: what times out half a minute after the gateway is back is no news.
func (b *Breaker) Done(began, now time.Time, failed bool) {
	if began.Before(b.since) {
		return
	}
	state := b.State(now)
	b.recent.Add(now, failed)
	switch {
	case state == Open && !failed:
		b.enter(Closing, now)
	case state == Closed && b.recent.Lead(now) >= breakLead,
		state == Closing && b.recent.Lead(now) >= relapse:
		b.enter(Open, now)
	}
}

// Failing reports whether the gateway fails broadly, open or not: at least one
// in four of the recent calls, and at least eight. Retries have a Budget then.
func (b *Breaker) Failing(now time.Time) bool {
	failed, all := b.recent.Count(now)
	return b.State(now) == Open || failed >= breakLead && 4*failed >= all
}

// State returns the state.
func (b *Breaker) State(now time.Time) State {
	if b.state == Closing && now.Sub(b.since) >= rampSteps*rampStep {
		b.state = Closed
	}
	return b.state
}

// Since returns when the state began, of one that closed when it began to; zero: always
// been so.
func (b *Breaker) Since() time.Time { return b.since }

func (b *Breaker) enter(s State, now time.Time) {
	b.state, b.since, b.recent = s, now, Recent{}
	b.passed, b.probeAt = 0, now.Add(firstProbe)
}

// ramp lets 4 calls through in the first step, 8 in the second, and so on; what a
// step leaves over, the next may use.
func (b *Breaker) ramp(now time.Time) time.Time {
	step := int(now.Sub(b.since) / rampStep)
	if b.passed < rampFirst*(2<<step-1) {
		return now
	}
	return b.since.Add(time.Duration(step+1) * rampStep)
}
