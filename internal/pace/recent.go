package pace

import "time"

const (
	recentResults = 100
	recentTime    = 30 * time.Second
)

// Recent remembers the last 100 results of the last 30 s: many enough to judge
// by when much is called, young enough when little is. The zero Recent is empty
// and ready. It is not safe for concurrent use.
type Recent struct {
	results [recentResults]result
	next    int // where the next result goes; the oldest is there or after it
	count   int
	failed  int
}

type result struct {
	at     time.Time
	failed bool
}

// Add remembers a result.
func (r *Recent) Add(now time.Time, failed bool) {
	r.forget(now)
	if r.count == recentResults {
		r.drop()
	}
	r.results[r.next] = result{now, failed}
	r.next = (r.next + 1) % recentResults
	r.count++
	if failed {
		r.failed++
	}
}

// Count returns how many results there are, and how many of them failed.
func (r *Recent) Count(now time.Time) (failed, all int) {
	r.forget(now)
	return r.failed, r.count
}

// Lead is by how many failures outnumber successes.
func (r *Recent) Lead(now time.Time) int {
	failed, all := r.Count(now)
	return 2*failed - all
}

func (r *Recent) forget(now time.Time) {
	for r.count > 0 && now.Sub(r.results[r.oldest()].at) > recentTime {
		r.drop()
	}
}

func (r *Recent) drop() {
	if r.results[r.oldest()].failed {
		r.failed--
	}
	r.count--
}

func (r *Recent) oldest() int { return (r.next - r.count + recentResults) % recentResults }
