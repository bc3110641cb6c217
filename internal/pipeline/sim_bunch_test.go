package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// A bunch is a history of one merchant: orders of which the gateway speaks of our
// credentials for ever, and good ones.
type bunch struct {
	*simPlan
	rand *rand.Rand
}

// newBunch begins one at a rate, in so many partitions.
func newBunch(rate pace.Rate, partitions int) bunch {
	p := drawSim(1)
	simDraw{nil, p}.peace()
	p.kind, p.faults, p.emits = simOdd, nil, nil
	p.world.partitions, p.world.merchants[0].rate = partitions, rate
	p.world.merchants = append(p.world.merchants, simMerchant{"540002", rate, "a"})
	return bunch{p, rand.New(rand.NewPCG(1, 2))}
}

// add adds so many orders of a kind.
func (b bunch) add(n int, at, every time.Duration, strange bool) {
	for i := range n {
		b.one(0, at+time.Duration(i)*every, strange)
	}
}

func (b bunch) one(merchant int, at time.Duration, strange bool) {
	i := len(b.emits)
	b.emits = append(b.emits, simEmit{at: at, part: b.rand.IntN(b.world.partitions), id: i, merchant: merchant, key: fmt.Sprint("k", i), strange: strange})
}

// waits performs it, and returns how long the good orders of a merchant waited for their
// links, sorted. One that got none is a fault.
func (b bunch) waits(t *testing.T, merchant int) (waits []time.Duration) {
	h := simulate(b.simPlan)
	answers := h.answers()
	for _, e := range h.emitted {
		switch o := answers[e.rec.id]; {
		case e.rec.strange || e.rec.dec.Intent.Merchant != b.world.merchants[merchant].id:
		case o == nil || !o.created:
			t.Errorf("order %d has no link", e.rec.id)
		default:
			waits = append(waits, o.at-e.at)
		}
	}
	slices.Sort(waits)
	return waits
}

const (
	good    = false
	strange = true
)

// TestABunchOfStrangeOrdersHoldsNobody: how long good orders wait beside them, however many
// they are and however they come. Those of another merchant wait for nothing.
func TestABunchOfStrangeOrdersHoldsNobody(t *testing.T) {
	ns := []int{2, 5, 10, 40, 200}
	for _, tt := range []struct {
		name string
		draw func(b bunch, n int)
		most [5]float64 // minutes, for each n
	}{
		{"good ones right behind", func(b bunch, n int) {
			b.add(1, 0, 0, good)
			b.add(n, time.Second, 0, strange)
			b.add(20, time.Second+1, 0, good)
		}, [5]float64{1, 1, 1.5, 2, 5}},
		{"nobody before", func(b bunch, n int) {
			b.add(n, time.Second, 0, strange)
			b.add(20, time.Second+1, 0, good)
		}, [5]float64{1, 1, 1.5, 2, 4}},
		{"in any order", func(b bunch, n int) {
			b.add(1, 0, 0, good)
			b.add(n, time.Second, 0, strange)
			b.add(20, time.Second, 0, good)
			of := b.emits[1:]
			b.rand.Shuffle(len(of), func(i, j int) { of[i].strange, of[j].strange = of[j].strange, of[i].strange })
		}, [5]float64{1, 1, 1.5, 2, 60}},
		{"good ones 10 minutes later", func(b bunch, n int) {
			b.add(n, time.Second, 0, strange)
			b.add(20, 10*time.Minute, 0, good)
		}, [5]float64{1, 1, 2, 5, 5}},
		{"good ones all the time", func(b bunch, n int) {
			b.add(300, 0, 4*time.Second, good)
			b.add(n, time.Minute, 0, strange)
		}, [5]float64{0.5, 0.5, 1, 2, 8}},
		{"good ones every 5 minutes", func(b bunch, n int) {
			b.add(12, 0, 5*time.Minute, good)
			b.add(n, time.Minute, 0, strange)
		}, [5]float64{0.5, 0.5, 1, 1, 4}},
		{"one a minute, good ones two", func(b bunch, n int) {
			b.add(n, 0, time.Minute, strange)
			b.add(2*n, 0, 30*time.Second, good)
		}, [5]float64{0.5, 0.5, 0.5, 0.5, 0.5}},
		{"one a minute, good ones every 10 minutes", func(b bunch, n int) {
			b.add(n, 0, time.Minute, strange)
			b.add(max(1, n/10), 7*time.Second, 10*time.Minute, good)
		}, [5]float64{0.5, 0.5, 0.5, 0.5, 0.5}},
		{"two bunches, good ones all the time", func(b bunch, n int) {
			b.add(300, 0, 10*time.Second, good)
			b.add(n, time.Minute, 0, strange)
			b.add(n, 30*time.Minute, 0, strange)
		}, [5]float64{0.5, 0.5, 0.5, 2, 2}},
		{"handed over meanwhile", func(b bunch, n int) {
			b.add(1, 0, 0, good)
			b.add(n, time.Second, 0, strange)
			b.add(20, time.Second+1, 0, good)
			b.add(20, 12*time.Minute, 0, good)
			b.add(1, 20*time.Minute, 0, good)
		}, [5]float64{1.5, 1.5, 1.5, 2, 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var says []string
			for i, n := range ns {
				b := newBunch(pace.Rate{Events: 1, Per: 1500 * time.Millisecond}, 1)
				if strings.HasPrefix(tt.name, "handed") {
					b.faults = []simFault{{kind: simLeave, at: 10 * time.Minute, lasts: 5 * time.Second}}
				}
				tt.draw(b, n)
				for i := range 9 {
					b.one(1, time.Duration(i)*time.Minute, good)
				}
				waits := b.waits(t, 0)
				longest := waits[len(waits)-1]
				says = append(says, fmt.Sprintf("%d: %.1f/%.1f", n, waits[len(waits)/2].Minutes(), longest.Minutes()))
				if longest.Minutes() > tt.most[i] {
					t.Errorf("beside %d one waited %v, want at most %v min", n, longest, tt.most[i])
				}
				if others := b.waits(t, 1); others[len(others)-1] > 2*time.Second {
					t.Errorf("beside %d another merchant's order waited %v", n, others[len(others)-1])
				}
			}
			t.Log("minutes, half of them and all, beside", strings.Join(says, ", "))
		})
	}
}

// TestWhoIsBehindAnOddOrderIsInNobodysWay: three orders behind each wait with it; others
// of its merchant, and of other merchants, do not.
func TestWhoIsBehindAnOddOrderIsInNobodysWay(t *testing.T) {
	paced := pace.Rate{Events: 1, Per: 1500 * time.Millisecond}
	for _, tt := range []struct {
		name         string
		rate         pace.Rate
		odd          simOddity
		n, merchants int
	}{
		{"of one merchant", paced, oddLater, 40, 1},
		{"of many", pace.Rate{}, oddDuplicate, 200, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBunch(tt.rate, 1)
			b.world.concurrency, b.world.batch, b.world.giveUp, b.world.merchants = 256, 1000, 10*time.Minute, nil
			for m := range tt.merchants + 1 {
				b.world.merchants = append(b.world.merchants, simMerchant{payment.MerchantID(fmt.Sprint(540001 + m)), tt.rate, "a"})
			}
			for i := range tt.n {
				b.one(i%tt.merchants, time.Second, good)
				b.emits[i].odd = tt.odd
			}
			simDraw{nil, b.simPlan}.follow(tt.n)
			slices.SortStableFunc(b.emits, func(x, y simEmit) int { return strings.Compare(x.key, y.key) })
			for i := range 20 {
				b.one(0, time.Minute+time.Duration(i)*5*time.Second, good)
				b.one(tt.merchants, time.Minute+time.Duration(i)*5*time.Second, good)
			}
			h := simulate(b.simPlan)
			answers := h.answers()
			for _, e := range h.emitted {
				if e.at < time.Minute {
					continue
				}
				if o := answers[e.rec.id]; o == nil || !o.created || o.at > e.at+30*time.Second {
					t.Fatalf("order %d of %s: %+v, want its link within half a minute of %v", e.rec.id, e.rec.dec.Intent.Merchant, o, e.at)
				}
			}
		})
	}
}

// TestStrangeOrdersEndLikeOthers: three of ten are, for half an hour. A hold that begins
// when the last good one is through is nothing to those that were refused alone before it.
func TestStrangeOrdersEndLikeOthers(t *testing.T) {
	b := newBunch(pace.Rate{Events: 1, Per: 1500 * time.Millisecond}, 2)
	for i := range 600 {
		b.one(0, time.Duration(i)*3*time.Second, i%10 >= 7)
	}
	h := simulate(b.simPlan)
	answers, open := h.answers(), 0
	for _, e := range h.emitted {
		if answers[e.rec.id] == nil {
			open++
		}
	}
	if open > 5 {
		t.Errorf("%d orders have no outcome, want few: the last, which nobody followed", open)
	}
}

// TestAWrongSecretIsNotHammered: 1,000 orders wait, and none is accepted for two hours. It
// is probed as ever, also where there were strange orders before: then some probes come
// at once, but no more of them.
func TestAWrongSecretIsNotHammered(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(bunch)
		most   [2]int // calls, in each hour
	}{
		"from the start":       {func(bunch) {}, [2]int{35, 30}},
		"after good orders":    {func(b bunch) { b.add(100, 0, time.Second, good) }, [2]int{35, 30}},
		"after strange orders": {func(b bunch) { b.add(1, 0, 0, good); b.add(3, 0, 0, strange); b.add(5, 0, 0, good) }, [2]int{35 + 32, 30}},
	} {
		t.Run(name, func(t *testing.T) {
			const from = 5 * time.Minute
			b := newBunch(pace.Rate{Events: 1, Per: 1500 * time.Millisecond}, 1)
			tt.before(b)
			b.add(1000, from, 0, good)
			b.faults = []simFault{{kind: simDeny, at: from, lasts: 2 * time.Hour}}
			h := simulate(b.simPlan)
			var hours [2]int
			for _, c := range h.calls {
				if i := int((c.at - from) / time.Hour); c.at >= from && i < 2 {
					hours[i]++
				}
			}
			for i, n := range hours {
				if n > tt.most[i] {
					t.Errorf("%d calls in hour %d, want at most %d", n, i, tt.most[i])
				}
			}
			for _, o := range h.outcomes {
				if !o.created && !h.parts[o.part].records[o.offset].strange {
					t.Errorf("order %d: %s at %v", o.id, o.reason, o.at)
				}
			}
			t.Log("calls by the hour", hours)
		})
	}
}
