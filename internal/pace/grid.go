package pace

import (
	"hash/fnv"
	"math"
	"time"
)

// What a Limit allows for, because timers and clocks are not exact.
const (
	// spare is the part of the rate that is left unused: slots are 1/spare longer
	// than the interval of the rate.
	spare = 200

	// leastSlack is how late a timer may fire at no loss, at any rate.
	leastSlack = 5 * time.Millisecond
	mostSlack  = 100 * time.Millisecond

	// leastGuard is how far the clocks of two members may differ at high rates;
	// at low ones it is an interval.
	leastGuard = 50 * time.Millisecond

	// setBack is how far a clock may go back and only be waited for.
	setBack = time.Second
)

// A grid is wall-clock time cut into slots. All in nanoseconds, times since
// the Unix epoch.
type grid struct {
	step   int64 // length of a slot; 0: no limit
	offset int64 // start of slot 0
	burst  int64
	slack  int64 // how late a slot is used and still counts as on time
}

// newGrid cuts time for a merchant. Merchants of the same rate get slots that
// start at different times, so that they do not call all at once.
func newGrid(r Rate, merchant uint64) grid {
	if r.Events <= 0 || r.Per <= 0 {
		return grid{}
	}
	events, per := int64(r.Events), int64(r.Per)
	g := grid{burst: int64(max(r.Burst, 1))}
	g.step = (per*(spare+1) + events*spare - 1) / (events * spare)
	g.offset = int64(merchant % uint64(g.step))
	g.slack = min(max(g.step/50, int64(leastSlack)), int64(mostSlack))
	return g
}

func (g *grid) slot(t int64) int64     { return (t - g.offset) / g.step }
func (g *grid) start(slot int64) int64 { return g.offset + slot*g.step }

// firstFrom returns the first slot that does not start before t.
func (g *grid) firstFrom(t int64) int64 { return (t - g.offset + g.step - 1) / g.step }

// interval is how long a member that lost a slot may still count on it.
func (g *grid) interval() int64 {
	if g.step == 0 {
		return 0
	}
	return max(g.step, int64(leastGuard))
}

// guard is how long a gained slot is left alone.
func (g *grid) guard() int64 {
	if g.burst > 1 {
		return g.interval() + g.loanFor()
	}
	return g.interval()
}

// leeway is how far a member's own calls may run ahead of an even pace.
func (g *grid) leeway() int64 {
	if g.burst-1 > (math.MaxInt64/2)/g.step {
		return math.MaxInt64 / 2
	}
	return (g.burst-1)*g.step + g.slack
}

// fresh is for how long after its start a slot is used without a forfeit: as long as it
// is on, if no more than one turn is saved; else at its start.
func (g *grid) fresh() int64 {
	if g.burst == 1 && g.slack < g.step {
		return g.step
	}
	return g.slack
}

// merchantHash is the same in every process.
func merchantHash(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd // FNV's low bits alone are poor for ids that differ in the last digit
	return x ^ x>>33
}
