package pace

import "time"

// retryShare is the part of a member's slots that retries may use while the
// gateway fails broadly: one in ten.
const retryShare = 10

// A Budget keeps a merchant's retries from drowning the calls that are made for
// the first time, and from beating a gateway that is down already: while the
// gateway fails broadly, a retry may go once in ten intervals of this member. It
// never delays a first try; when failures are rare it delays nothing.
//
// The zero Budget is ready. It is not safe for concurrent use.
type Budget struct{ last time.Time }

// Next returns when a retry may go: now, if at once. interval is this member's
// own, Limit.Interval; failing, whether the gateway fails broadly,
// Breaker.Failing.
func (b *Budget) Next(now time.Time, interval time.Duration, failing bool) time.Time {
	if !failing {
		return now
	}
	if at := b.last.Add(retryShare * interval); at.After(now) && !b.last.After(now) {
		return at
	}
	return now
}

// Take says that a retry goes now.
func (b *Budget) Take(now time.Time) { b.last = now }
