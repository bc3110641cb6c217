// Package pulse notices loops that stand still: a loop says when it begins a
// round and when it waits for work, and a round that lasts too long is stuck.
package pulse

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Pulse watches loops. The zero Pulse is ready; nil watches nothing. It may be
// used concurrently.
type Pulse struct {
	mu    sync.Mutex
	epoch time.Time // of all times, so that setting the clock changes nothing
	loops map[*Loop]struct{}
}

// A Loop is one that is watched. Nil is watched by nobody.
type Loop struct {
	pulse *Pulse
	name  string
	limit time.Duration
	since atomic.Int64 // when the round began, in ns since the epoch; 0: it waits
}

// Loop watches a loop, none of whose rounds may last longer than limit. It waits
// until it is Busy. End takes it off.
func (p *Pulse) Loop(name string, limit time.Duration) *Loop {
	if p == nil {
		return nil
	}
	l := &Loop{pulse: p, name: name, limit: limit}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loops == nil {
		p.loops, p.epoch = map[*Loop]struct{}{}, time.Now()
	}
	p.loops[l] = struct{}{}
	return l
}

// Busy says that a round begins; one that lasts begins anew.
func (l *Loop) Busy() {
	if l != nil {
		l.since.Store(max(1, int64(time.Since(l.pulse.epoch))))
	}
}

// Idle says that the loop waits for work, however long.
func (l *Loop) Idle() {
	if l != nil {
		l.since.Store(0)
	}
}

// End says that the loop has ended.
func (l *Loop) End() {
	if l != nil {
		l.pulse.mu.Lock()
		defer l.pulse.mu.Unlock()
		delete(l.pulse.loops, l)
	}
}

// Stuck names the loops whose round has lasted too long, in order.
func (p *Pulse) Stuck() (names []string) {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.epoch)
	for l := range p.loops {
		if since := l.since.Load(); since != 0 && now-time.Duration(since) > l.limit {
			names = append(names, l.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
