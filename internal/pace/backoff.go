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

// HoldProbes is how a merchant on hold is probed, with no jitter (chance 1):
// after 10, 20, 40 and 80 s, and then every 2 minutes. That is 3 calls in the first
// minute, beside those that were in flight when the hold began.
func HoldProbes() Backoff { return Backoff{Base: 10 * time.Second, Max: 2 * time.Minute} }
