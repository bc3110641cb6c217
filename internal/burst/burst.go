// Package burst keeps what repeats from filling the log: the first lines of a
// burst are written, the rest is counted and told in one line at its end.
//
// Nothing is silenced for good: what comes after a burst begins another one.
package burst

import (
	"sync"
	"time"
)

// Length is how long a burst lasts.
const Length = 10 * time.Second

// A Log keeps bursts apart by their keys. It may be used concurrently.
type Log struct {
	first int

	mu     sync.Mutex
	bursts map[string]*burst
}

type burst struct {
	n    int // how often it was said
	more int // of these, that were only counted
	rest func(more int)
	end  *time.Timer
}

// New returns a Log that writes the first lines of each burst.
func New(first int) *Log { return &Log{first: first, bursts: map[string]*burst{}} }

// Say says something of a kind: by line, or, after the first of a burst, by being
// counted. At the burst's end rest tells how many were counted, if any; it is that
// of the last one. Neither may call the Log. Keys are few: words of ours and
// partitions, nothing that others choose.
func (l *Log) Say(key string, line func(), rest func(more int)) {
	l.say(key, line, func(more int) {
		if more > 0 {
			rest(more)
		}
	})
}

// Sum is Say for what is summed up in any case: sum tells of the burst at its end.
func (l *Log) Sum(key string, line, sum func()) { l.say(key, line, func(int) { sum() }) }

func (l *Log) say(key string, line func(), rest func(more int)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bursts[key]
	if b == nil {
		b = &burst{}
		l.bursts[key] = b
		b.end = time.AfterFunc(Length, func() { l.over(key, b) })
	}
	b.rest = rest
	if b.n++; b.n <= l.first {
		line()
		return
	}
	b.more++
}

// over ends a burst.
func (l *Log) over(key string, b *burst) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bursts[key] != b {
		return // flushed meanwhile
	}
	delete(l.bursts, key)
	b.rest(b.more)
}

// Flush ends all bursts now.
func (l *Log) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, b := range l.bursts {
		b.end.Stop()
		delete(l.bursts, key)
		b.rest(b.more)
	}
}
