package pace

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestLimitKeepsTheBoundOverRandomHistories has members join, leave, be killed
// and come back, with clocks that differ, timers that are late and loads that
// come and go, and looks at every window between two calls. Members that lack a turn
// are lent turns by others: their calls come at any moment while the loan lasts, or
// never, also when the lender has lost its share or was killed since. A call counts as
// of the one whose turn it was.
func TestLimitKeepsTheBoundOverRandomHistories(t *testing.T) {
	histories := 150 // 6,000 held when this was written
	if testing.Short() {
		histories = 50
	}
	calls, lent := 0, 0
	for seed := range uint64(histories) {
		h := newHistory(seed)
		h.run()
		if i, j, most := h.worst(); j >= 0 {
			t.Fatalf("seed %d (%s, %d partitions, scope %d, skew %v): calls %d to %d: %d calls in %v, want at most %d\n%s",
				seed, h.rate, h.partitions, h.scope, h.skew, i, j, j-i+1, h.calls[j].at.Sub(h.calls[i].at), most, h.around(i, j))
		}
		calls += len(h.calls)
		lent += h.used
	}
	t.Logf("%d calls, %d of them by loans", calls, lent)
	if lent < 6*histories {
		t.Errorf("only %d calls by loans in %d histories: little was tried", lent, histories)
	}
	if calls < 100*histories {
		t.Errorf("only %d calls in %d histories: little was tried", calls, histories)
	}
}

type process struct {
	id      int
	limit   *Limit
	skew    time.Duration
	parts   []int32
	backlog int
	wake    time.Time
	dead    bool
}

type madeCall struct {
	at  time.Time
	who int
}

type history struct {
	rng        *rand.Rand
	rate       Rate
	scope      Scope
	partitions int
	skew       time.Duration // between any two clocks, at most
	busy       float64
	now        time.Time
	owner      []*process // by partition
	procs      []*process
	gains      []gain
	loans      []madeCall // calls to come
	lending    float64    // how readily
	used       int        // loans that were called for
	calls      []madeCall
	made       int
	asked      uint64
}

// A gain is a partition on its way to a process.
type gain struct {
	at   time.Time
	part int32
	to   *process
}

func newHistory(seed uint64) *history {
	rng := rand.New(rand.NewPCG(seed, 1))
	rates := []string{"1/1500ms", "40/s", "40/s+10", "100/m+3", "200/s", "2000/s", "1/10s", "20/s+2"}
	h := &history{
		rng: rng, partitions: []int{1, 2, 3, 6, 12, 50}[rng.IntN(6)], busy: rng.Float64(),
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	if err := h.rate.UnmarshalText([]byte(rates[rng.IntN(len(rates))])); err != nil {
		panic(err)
	}
	if rng.IntN(4) == 0 {
		h.scope, h.partitions = Partition, 1 // one partition is the merchant's; others do not matter to it
	}
	if rng.IntN(2) == 0 {
		h.skew = h.rate.Interval() / 2
	}
	h.owner = make([]*process, h.partitions)
	if rng.IntN(4) > 0 {
		h.lending = rng.Float64()
	}
	return h
}

// run plays about 300 intervals, and a change of members every 30.
func (h *history) run() {
	interval := h.rate.Interval()
	end := h.now.Add(300*interval + 2*time.Second)
	h.join()
	change := h.now.Add(h.until(20 * interval))
	load := h.now
	for h.now.Before(end) && len(h.calls) < 700 {
		next := change
		if load.Before(next) {
			next = load
		}
		for _, g := range h.gains {
			next = earlier(next, g.at)
		}
		for _, c := range h.loans {
			next = earlier(next, c.at)
		}
		for _, p := range h.procs {
			if !p.dead && p.backlog > 0 {
				next = earlier(next, p.wake)
			}
		}
		if next.After(h.now) {
			h.now = next
		}
		h.receive()
		h.useLoans()
		if !h.now.Before(change) {
			h.change()
			change = h.now.Add(h.until(60*interval) + time.Millisecond)
		}
		if !h.now.Before(load) {
			h.load()
			load = h.now.Add(h.until(6*interval) + time.Microsecond)
		}
		for _, p := range h.procs {
			if !p.dead && p.backlog > 0 && !p.wake.After(h.now) {
				h.pump(p)
			}
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (h *history) until(most time.Duration) time.Duration {
	return time.Duration(h.rng.Int64N(int64(most)))
}

func (h *history) join() {
	h.made++
	p := &process{id: h.made, limit: NewLimit("540001", h.rate, h.scope)}
	if h.skew > 0 {
		p.skew = h.until(h.skew)
	}
	h.procs = append(h.procs, p)
	h.assign()
}

// change has a member join, leave or be killed.
func (h *history) change() {
	alive := slices.DeleteFunc(slices.Clone(h.procs), func(p *process) bool { return p.dead })
	if len(alive) < 2 || len(alive) < 4 && h.rng.IntN(2) == 0 {
		h.join()
		return
	}
	p := alive[h.rng.IntN(len(alive))]
	p.dead = true // killed: it makes no call any more; the group learns it late, at the earliest at once
	for part, o := range h.owner {
		if o == p {
			h.owner[part] = nil
		}
	}
	h.gains = slices.DeleteFunc(h.gains, func(g gain) bool { return g.to == p })
	if h.rng.IntN(2) == 0 {
		h.join()
		return
	}
	h.assign()
}

// assign gives out the partitions evenly, sticking to owners: revoked at once,
// gained a while later, one by one or all at once.
func (h *history) assign() {
	var alive []*process
	for _, p := range h.procs {
		if !p.dead {
			alive = append(alive, p)
		}
	}
	h.gains = nil
	held := map[*process][]int32{}
	var free []int32
	for part, o := range h.owner {
		if o == nil {
			free = append(free, int32(part))
			continue
		}
		held[o] = append(held[o], int32(part))
	}
	slices.SortStableFunc(alive, func(a, b *process) int { return len(held[b]) - len(held[a]) })
	want := map[*process]int{}
	for i, p := range alive {
		want[p] = h.partitions / len(alive)
		if i < h.partitions%len(alive) {
			want[p]++
		}
		for len(held[p]) > want[p] {
			n := len(held[p]) - 1
			free = append(free, held[p][n])
			h.owner[held[p][n]] = nil
			held[p] = held[p][:n]
		}
		h.own(p)
	}
	when := h.now.Add(h.until(max(h.rate.Interval(), time.Millisecond)) / time.Duration(1+h.rng.IntN(1000)))
	for _, p := range alive {
		for n := len(held[p]); n < want[p]; n++ {
			h.gains = append(h.gains, gain{when, free[0], p})
			free = free[1:]
			if h.rng.IntN(3) == 0 {
				when = when.Add(h.until(30 * time.Millisecond))
			}
		}
	}
}

func (h *history) receive() {
	h.gains = slices.DeleteFunc(h.gains, func(g gain) bool {
		if g.at.After(h.now) {
			return false
		}
		h.owner[g.part] = g.to
		h.own(g.to)
		return true
	})
}

func (h *history) own(p *process) {
	var parts []int32
	for part, o := range h.owner {
		if o == p {
			parts = append(parts, int32(part))
		}
	}
	p.parts = parts
	p.limit.Own(NewShare(parts, h.partitions), h.clock(p))
	p.wake = h.now
}

func (h *history) clock(p *process) time.Time { return h.now.Add(p.skew) }

func (h *history) load() {
	for _, p := range h.procs {
		switch r := h.rng.Float64(); {
		case p.dead:
		case r < h.busy/2:
			p.backlog += 1 + h.rng.IntN(50)
		case r < h.busy:
			p.backlog++
		}
		p.wake = earlier(p.wake, h.now)
		for !p.dead && h.rng.Float64() < h.lending/2 && h.borrow(p) { // for one that we do not see
		}
	}
}

// pump is what the engine does: take what may go, wake when the next may.
func (h *history) pump(p *process) {
	for p.backlog > 0 && p.limit.Take(h.clock(p)) {
		p.backlog--
		h.calls = append(h.calls, madeCall{h.now, p.id})
	}
	for p.backlog > 0 && h.rng.Float64() < h.lending && h.borrow(p) {
		p.backlog--
	}
	next, ok := p.limit.Next(h.clock(p))
	if !ok {
		p.wake = h.now.Add(time.Hour)
		return
	}
	late := h.until(time.Millisecond)
	if h.rng.IntN(20) == 0 {
		late = h.until(3 * h.rate.Interval())
	}
	p.wake = next.Add(late - p.skew)
}

// borrow has some other member lend a turn to p.
func (h *history) borrow(p *process) bool {
	for _, i := range h.rng.Perm(len(h.procs)) {
		o := h.procs[i]
		h.asked++
		if o == p || o.dead || !o.limit.Lend(Note{From: "p", Number: h.asked}, h.clock(o)) {
			continue
		}
		if h.rng.IntN(4) == 0 {
			return true // it is lost
		}
		wait := o.limit.Loan()
		switch h.rng.IntN(3) {
		case 0:
			wait = h.until(wait)
		case 1:
			wait = h.until(wait / 10)
		}
		h.loans = append(h.loans, madeCall{h.now.Add(wait), o.id})
		return true
	}
	return false
}

func (h *history) useLoans() {
	h.loans = slices.DeleteFunc(h.loans, func(c madeCall) bool {
		if c.at.After(h.now) {
			return false
		}
		h.calls = append(h.calls, c)
		h.used++
		return true
	})
}

// worst returns a window with more calls than promised, by their numbers.
func (h *history) worst() (from, to, most int) {
	g := newGrid(h.rate, 0)
	j := time.Duration(g.slack) + h.skew
	if g.step < g.slack {
		j += time.Duration(g.slack)
	}
	for i := range h.calls {
		who := map[int]bool{}
		for k := i; k < len(h.calls); k++ {
			who[h.calls[k].who] = true
			w := h.calls[k].at.Sub(h.calls[i].at)
			extra := max(int(g.burst), len(who))
			most := int((w+j)/time.Duration(g.step)) + extra
			if w >= spare*j {
				most = min(most, int(w*time.Duration(h.rate.Events)/h.rate.Per)+extra)
			}
			if k-i+1 > most {
				return i, k, most
			}
		}
	}
	return 0, -1, 0
}

func (h *history) around(i, j int) string {
	s := ""
	for k := max(0, i-3); k <= min(j+1, i+40, len(h.calls)-1); k++ {
		s += h.calls[k].at.Format("05.000000") + " by " + string(rune('A'+h.calls[k].who-1)) + "\n"
	}
	return s
}
