package telemetry

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// A Queue is a writer that never waits for what lies behind it: a log whose
// destination stalls stops nobody. What is written is kept, up to a bound, until
// the destination takes it; beyond that bound lines are dropped, and how many is
// said as soon as it goes on. Its methods may be called concurrently.
type Queue struct {
	w     io.Writer
	bound int

	mu      sync.Mutex
	lines   [][]byte
	bytes   int // of lines
	dropped int // since it was said last
	closed  bool
	wake    chan struct{}
	ended   chan struct{}
}

// QueueBytes is how much a Queue keeps for a log.
const QueueBytes = 1 << 20

// NewQueue returns a queue of so many bytes before w. Close ends it.
func NewQueue(w io.Writer, bound int) *Queue {
	q := &Queue{w: w, bound: bound, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go q.run()
	return q
}

// Write keeps a line, or drops it. It never fails.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.bytes+len(line) > q.bound {
		q.dropped++
		return len(line), nil
	}
	q.lines = append(q.lines, append([]byte(nil), line...))
	q.bytes += len(line)
	q.wakeLocked()
	return len(line), nil
}

// Close writes what is kept, for so long at most. What is written after it is
// dropped.
func (q *Queue) Close(within time.Duration) {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		q.wakeLocked()
	}
	q.mu.Unlock()
	select {
	case <-q.ended:
	case <-time.After(within):
	}
}

func (q *Queue) wakeLocked() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run writes lines as the destination takes them. One that fails loses its line:
// there is nobody to tell.
func (q *Queue) run() {
	defer close(q.ended)
	for range q.wake {
		for {
			lines, last := q.take()
			for _, line := range lines {
				_, _ = q.w.Write(line)
			}
			if last {
				return
			}
			if len(lines) == 0 {
				break
			}
		}
	}
}

// take returns the lines that are kept, and whether there will be no more.
func (q *Queue) take() (lines [][]byte, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, q.lines, q.bytes = q.lines, nil, 0
	if q.dropped > 0 {
		lines = append(lines, fmt.Appendf(nil, "paylink: %d log lines were dropped: their destination is too slow\n", q.dropped))
		q.dropped = 0
	}
	return lines, q.closed && len(lines) == 0
}
