package gatewaysim

import (
	"sync"
	"time"
)

// saltMemory is how many salts of a merchant are remembered.
const saltMemory = 512

// visitors remembers of each merchant what no single call shows: when it came
// last, and with which salts.
type visitors struct {
	minInterval time.Duration

	mu sync.Mutex
	of map[string]*visitor
}

type visitor struct {
	last  time.Time
	salts map[string]bool
	queue []string // the salts, the oldest first
}

func newVisitors(minInterval time.Duration) *visitors {
	return &visitors{minInterval: minInterval, of: map[string]*visitor{}}
}

// greet notes a call. haste: it came too soon after the last one. stale: its
// salt was used before, so perhaps somebody sent the same bytes again.
func (vs *visitors) greet(merchant, salt string, at time.Time) (haste, stale bool) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	v := vs.of[merchant]
	if v == nil {
		v = &visitor{salts: map[string]bool{}}
		vs.of[merchant] = v
	}
	haste = !v.last.IsZero() && at.Sub(v.last) < vs.minInterval
	if at.After(v.last) {
		v.last = at
	}
	return haste, salt != "" && v.knows(salt)
}

// knows reports whether a salt was used before, and remembers it.
func (v *visitor) knows(salt string) bool {
	if v.salts[salt] {
		return true
	}
	if len(v.queue) == saltMemory {
		delete(v.salts, v.queue[0])
		v.queue = v.queue[1:]
	}
	v.salts[salt] = true
	v.queue = append(v.queue, salt)
	return false
}
