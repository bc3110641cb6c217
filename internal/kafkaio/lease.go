package kafkaio

import (
	"sync"
	"time"
)

// A lease is the right to act for our partitions: it lasts one session timeout
// from the moment the last heartbeat that the coordinator accepted was sent. The
// coordinator gives our partitions to others no sooner than one session timeout
// after it received that heartbeat, which is later.
//
// Time is read from two clocks, and the one that went further counts: Go's
// monotonic clock stands still while a machine is suspended, the wall clock does
// not. A wall clock that is set forward ends the lease too early, which costs
// one heartbeat; so does no harm.
type lease struct {
	session time.Duration

	mu   sync.Mutex
	sent time.Time // zero: no lease
}

func (l *lease) renew(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sent.After(l.sent) {
		l.sent = sent
	}
}

func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = time.Time{}
}

func (l *lease) live() bool {
	l.mu.Lock()
	sent := l.sent
	l.mu.Unlock()
	return !sent.IsZero() && elapsed(sent, time.Now()) < l.session
}

// elapsed is the time between two moments by the clock that went further.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}
