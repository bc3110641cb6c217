package pipeline

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// sparse is one intent every 3.2 s, in any of twelve partitions of four members, of a
// merchant that may be called once in 1.5 s.
func sparse(seed uint64, notes simNotes, faults ...simFault) *simPlan {
	d := simDraw{rand.New(rand.NewPCG(seed, 5)), &simPlan{seed: seed, kind: simSparse}}
	d.peace()
	d.world.members, d.world.partitions, d.world.notes, d.faults = 4, 12, notes, faults
	for i := range 400 {
		d.emits = append(d.emits, simEmit{at: 30*time.Second + time.Duration(i)*3200*time.Millisecond, id: i, part: d.IntN(12)})
	}
	return d.simPlan
}

// waits are how long intents waited for their first call, from the shortest on.
func (h *simHistory) waits() (out []time.Duration) {
	first := map[int]time.Duration{}
	for _, c := range h.calls {
		if at, ok := first[c.id]; !ok || c.at < at {
			first[c.id] = c.at
		}
	}
	for _, e := range h.emitted {
		out = append(out, first[e.rec.id]-e.at)
	}
	slices.Sort(out)
	return out
}

// TestASparseMerchantDoesNotWaitForIdleTurns: the figure of issue 14, with notes that
// take 10 to 20 ms, over five histories; and nobody calls too often, then, and when
// members die and come back or notes are lost.
func TestASparseMerchantDoesNotWaitForIdleTurns(t *testing.T) {
	soon := simNotes{quickest: 10 * time.Millisecond, slowest: 20 * time.Millisecond}
	measure := func(name string, notes simNotes, faults ...simFault) (p50, p90 time.Duration) {
		var all []time.Duration
		for seed := range uint64(5) {
			h := simulate(sparse(seed, notes, faults...))
			if found := judgeSim(h); len(found) > 0 {
				t.Errorf("%s, seed %d: %v", name, seed, found)
			}
			all = append(all, h.waits()...)
		}
		slices.Sort(all)
		p50, p90 = all[len(all)/2], all[len(all)*9/10]
		t.Logf("%s: wait p50 %v, p90 %v, most %v", name, p50, p90, all[len(all)-1])
		return p50, p90
	}
	if p50, p90 := measure("turns are lent", soon); p50 > 100*time.Millisecond || p90 > 500*time.Millisecond {
		t.Errorf("waits p50 %v, p90 %v; want at most 100 ms and 500 ms", p50, p90)
	}
	if _, p90 := measure("no turns are lent", simNotes{}); p90 < 2*time.Second {
		t.Errorf("without loans waits p90 is %v: they are not needed", p90)
	}
	lossy := soon
	lossy.lost, lossy.doubled = 20, 20
	measure("a fifth of the notes is lost, and a fifth doubled", lossy)
	var kills []simFault
	for i := range 60 {
		kills = append(kills, simFault{kind: []simFaultKind{simKill, simLeave, simFreeze}[i%3], at: time.Duration(30+20*i) * time.Second, lasts: 2 * time.Second, who: i % 4})
	}
	measure("a member is killed, leaves or is frozen every 20 s", soon, kills...)
}
