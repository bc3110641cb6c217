// Package pace decides when the next call of the gateway may go: how long to
// back off, how fast a merchant may be called, when to stop calling at all. It
// is arithmetic: every function takes the time, none waits.
package pace

import "time"

// A Backoff is how waits between repeats grow.
type Backoff struct {
	Base time.Duration // the longest first wait
	Max  time.Duration // the longest wait
}

// Delay returns the wait before the given repeat, counting from zero. chance, in
// [0, 1), spreads callers over the whole step (full jitter, as in "Exponential
// Backoff And Jitter", AWS Architecture Blog 2015), so that repeats after a
// common failure do not come together.
func (b Backoff) Delay(repeat int, chance float64) time.Duration {
	step := b.Max
	if repeat < 32 && b.Base<<repeat > 0 {
		step = min(b.Base<<repeat, b.Max)
	}
	return time.Duration(chance * float64(step))
}
