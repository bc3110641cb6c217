package kafkaio

import (
	"sync"
	"time"
)

// A lease is the right to act for our partitions. It ends before the coordinator may
// have given them to others, which it does in two ways:
//
//   - one session timeout after the last sign of life that it accepted: the lease
//     lasts a session timeout from when we sent it, which was earlier;
//   - at the end of a rebalance that we have not joined, or not ended with a sync,
//     however well our heart beats: one rebalance timeout after it began. It began
//     after the last answer that shows a group at rest, with us in it; so the lease
//     lasts a rebalance timeout from when we asked for that answer.
//
// Time is read from two clocks, and the one that went further counts: Go's
// monotonic clock stands still while a machine is suspended, the wall clock does
// not. A wall clock that is set forward ends the lease too early, which costs one
// heartbeat, or in a rebalance one join. Who is stopped joins no more: what it has in
// hand then is called for again, with the same key.
type lease struct {
	session   time.Duration
	rebalance time.Duration

	mu      sync.Mutex
	sent    time.Time // when the newest accepted sign of life was sent; zero: no lease
	settled time.Time // when what showed a group at rest was sent: no rebalance that is under way began before
}

// renew takes in a sign of life that the coordinator accepted. A rebalance may be
// under way.
func (l *lease) renew(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sent.After(l.sent) {
		l.sent = sent
	}
}

// settle takes in a sign of life that found the group at rest, or that came before
// the end of the last rebalance.
func (l *lease) settle(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sent.After(l.sent) {
		l.sent = sent
	}
	if sent.After(l.settled) {
		l.settled = sent
	}
}

func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent, l.settled = time.Time{}, time.Time{}
}

func (l *lease) live() bool {
	l.mu.Lock()
	sent, settled := l.sent, l.settled
	l.mu.Unlock()
	now := time.Now()
	return !sent.IsZero() && elapsed(sent, now) < l.session && elapsed(settled, now) < l.rebalance
}

// elapsed is the time between two moments by the clock that went further.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}
