package pipeline

import (
	"slices"
	"testing"
	"time"

	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
)

// goodSim is a history by hand that breaks no rule: two intents of one key, each
// called for, published and committed.
func goodSim() *simHistory {
	in := func(id string) event.Decoded { return event.Decoded{Intent: payment.Intent{ID: payment.IntentID(id)}} }
	p := &simPartition{committed: 2, records: []*simRecord{
		{Record: Record{Offset: 0, Message: event.Message{Time: simStart}}, id: 0, key: "a", dec: in("i0"), due: simStart.Add(time.Minute)},
		{Record: Record{Offset: 1, Message: event.Message{Time: simStart}}, id: 1, key: "a", dec: in("i1"), due: simStart.Add(time.Minute)},
	}}
	s := time.Second
	return &simHistory{
		plan: &simPlan{kind: simCrowd, world: simWorld{giveUp: time.Minute, partitions: 1, merchants: []simMerchant{{"1", pace.Rate{Events: 1, Per: s}, "a"}}}},
		ids:  2, parts: []*simPartition{p}, emitted: []simEmitted{{0, 0, p.records[0]}, {0, 0, p.records[1]}},
		calls: []simCall{
			{at: 1 * s, ended: 2 * s, id: 0, offset: 0, merchant: "1", key: "k0", verified: true, paid: 1, told: true, epoch: 1, member: 1, due: p.records[0].due},
			{at: 4 * s, ended: 5 * s, id: 1, offset: 1, merchant: "1", key: "k1", verified: true, paid: 2, told: true, epoch: 1, member: 1, due: p.records[1].due},
		},
		outcomes: []simOutcome{
			{at: 3 * s, id: 0, offset: 0, created: true, payment: 1, epoch: 1, member: 1},
			{at: 6 * s, id: 1, offset: 1, created: true, payment: 2, epoch: 1, member: 1},
		},
		commits:  []simCommit{{4 * s, 0, 1}, {7 * s, 0, 2}},
		payments: []int64{1, 2},
	}
}

func TestAGoodSimulatedHistoryBreaksNoRule(t *testing.T) {
	if found := judgeSim(goodSim()); len(found) > 0 {
		t.Error(found)
	}
	if found := judgeL2(goodSim(), goodSim()); len(found) > 0 {
		t.Error(found)
	}
}

// TestEverySimulatedRuleIsFoundBroken: a history by hand for each.
func TestEverySimulatedRuleIsFoundBroken(t *testing.T) {
	gaveUp := func(h *simHistory, at time.Duration) {
		o := &h.outcomes[1]
		o.created, o.reason, o.at, o.mayExist = false, payment.GaveUp, at, true
		o.wall = simStart.Add(at)
		h.commits[1].at = at
		h.calls = h.calls[:1]
	}
	for _, c := range []struct {
		name, rule string
		spoil      func(*simHistory)
	}{
		{"two outcomes", "S1", func(h *simHistory) { h.outcomes = append(h.outcomes, h.outcomes[1]) }},
		{"committed too early", "S2", func(h *simHistory) { h.commits[1].at = 5 * time.Second }},
		{"called for before its key is free", "S3", func(h *simHistory) { h.calls[1].at = 2 * time.Second }},
		{"published before its key is free", "S3", func(h *simHistory) { h.outcomes[0].at = 7 * time.Second }},
		{"another key", "S4", func(h *simHistory) { h.calls[1].id = 0; h.calls[1].offset = 0; h.calls[1].key = "k9" }},
		{"other parameters", "S4", func(h *simHistory) { h.calls = append(h.calls, h.calls[1]); h.calls[2].digest[0] = 1 }},
		{"too fast", "S5", func(h *simHistory) {
			for i := range 3 {
				c := h.calls[1]
				c.at += time.Duration(i+1) * 300 * time.Millisecond
				h.calls = append(h.calls, c)
			}
		}},
		{"too fast by a loan", "S5", func(h *simHistory) {
			h.loans = []simLoan{{3900 * time.Millisecond, "2", "1", "1", false}}
			c := h.calls[1]
			c.at, c.lentBy = 4100*time.Millisecond, "2"
			h.calls = append(h.calls, c, c)
		}},
		{"a loan used twice", "loans", func(h *simHistory) {
			h.loans = []simLoan{{900 * time.Millisecond, "2", "1", "1", false}}
			h.calls[0].lentBy, h.calls[1].lentBy, h.calls[1].at = "2", "2", 1100*time.Millisecond
		}},
		{"a loan used late", "loans", func(h *simHistory) {
			h.loans = []simLoan{{at: 4*time.Second - pace.LoanFor - 1, by: "2", to: "1", merchant: "1"}}
			h.calls[1].lentBy = "2"
		}},
		{"a link from nowhere", "S6", func(h *simHistory) { h.calls[1].verified = false }},
		{"another payment's link", "S6", func(h *simHistory) { h.outcomes[1].payment = 9 }},
		{"a payment denied", "S6", func(h *simHistory) { h.outcomes[1].created, h.outcomes[1].reason = false, payment.Refused }},
		{"doubt forgotten", "S6", func(h *simHistory) {
			h.outcomes[1].created, h.outcomes[1].reason, h.payments[1] = false, payment.Refused, 0
			h.calls[1].doubt, h.calls[1].verified = true, false
		}},
		{"not settled", "L1", func(h *simHistory) { h.outcomes = h.outcomes[:1] }},
		{"not committed", "L1", func(h *simHistory) { h.parts[0].committed = 1 }},
		{"given up early", "L3", func(h *simHistory) { gaveUp(h, 59*time.Second) }},
		{"given up while calls were free", "L3", func(h *simHistory) { gaveUp(h, 61*time.Second) }},
		{"given up, and overtaken", "L3", func(h *simHistory) {
			gaveUp(h, 61*time.Second)
			for i := range 60 {
				h.calls = append(h.calls, simCall{at: time.Duration(i) * time.Second, id: 0, key: "k0", due: simStart.Add(time.Hour)})
			}
		}},
		{"called for after its outcome", "once", func(h *simHistory) {
			h.calls = append(h.calls, h.calls[1])
			h.calls[2].at, h.calls[2].began = 9*time.Second, 8*time.Second
		}},
		{"called for after its own outcome", "once", func(h *simHistory) {
			h.calls = append(h.calls, h.calls[1])
			h.calls[2].at, h.calls[2].began = 9*time.Second, 0
		}},
		{"called for after it expired", "expiry", func(h *simHistory) { h.calls[1].expired = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := goodSim()
			c.spoil(h)
			found := judgeSim(h)
			if !slices.ContainsFunc(found, func(b simBreach) bool { return b.rule == c.rule }) {
				t.Errorf("found %v, want %s", found, c.rule)
			}
		})
	}
	for name, spoil := range map[string]func(*simHistory){
		"another fate":     func(h *simHistory) { h.outcomes[1].created, h.outcomes[1].reason = false, payment.GaveUp },
		"a long wait more": func(h *simHistory) { h.outcomes[1].at += time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			h := goodSim()
			spoil(h)
			if found := judgeL2(h, goodSim()); len(found) == 0 {
				t.Error("found nothing, want L2")
			}
		})
	}
}

// TestSmallestSimulatedPlan: a plan that fails is made as small as it can be.
func TestSmallestSimulatedPlan(t *testing.T) {
	all := make([]int, 20)
	for i := range all {
		all[i] = i
	}
	got := shrinkSim(all, func(part []int) bool { return slices.Contains(part, 3) && slices.Contains(part, 17) })
	if !slices.Equal(got, []int{3, 17}) {
		t.Errorf("shrinkSim = %v, want [3 17]", got)
	}
}

// What the simulator found, as stories.

// TestWhoComesAfterAStrangeOrderIsCalledForAtOnce: one order alone is refused for our
// credentials for five minutes, with longer and longer waits. The next order does not
// wait for that one's next turn. (Seed 2790 of an early simulator.)
func TestWhoComesAfterAStrangeOrderIsCalledForAtOnce(t *testing.T) {
	p := drawSim(1)
	simDraw{nil, p}.peace()
	p.kind, p.faults = simOdd, nil
	p.emits = []simEmit{{id: 0}, {at: 10 * time.Second, id: 1, strange: true}, {at: 5 * time.Minute, id: 2}}
	h := simulate(p)
	if found := judgeSim(h); len(found) > 0 {
		t.Error(found)
	}
	if o := h.answers()[2]; o == nil || !o.created || o.at > 5*time.Minute+5*time.Second {
		t.Errorf("%+v, want created within 5 s", o)
	}
}

// TestAClockThatIsSetRightDoesNotLengthenLives: an intent came while the member's
// clock was two hours slow, and expired when that was set right. (Seed 983.)
func TestAClockThatIsSetRightDoesNotLengthenLives(t *testing.T) {
	p := drawSim(1)
	simDraw{nil, p}.peace()
	p.kind, p.world.clocks = simStorm, true
	p.emits = []simEmit{{at: 11 * time.Second, id: 0}, {at: 11020 * time.Millisecond, id: 1, expires: 11500 * time.Millisecond}}
	p.faults = []simFault{{kind: simClock, at: time.Millisecond, lasts: 11200 * time.Millisecond, by: -2 * time.Hour}}
	h := simulate(p)
	if found := judgeSim(h); len(found) > 0 {
		t.Error(found)
	}
	if o := h.answers()[1]; o == nil || o.reason != payment.Expired {
		t.Errorf("%+v, want expired", o)
	}
}
