package pace

import (
	"testing"
	"time"
)

// quarters are four members of long standing, each with every fourth slot.
func quarters(t testing.TB, rate string) (members [4]*Limit) {
	for i := range members {
		members[i] = owned(t, "540001", rate, &Share{total: 4, own: []int32{int32(i)}})
	}
	return members
}

// TestALentTurnCountsAsSavedUntilItsLoanIsOver: the call may come at any moment until
// then. So a slot that begins meanwhile gives nothing, and neither does the first after
// a loan that ends when no own slot is on.
func TestALentTurnCountsAsSavedUntilItsLoanIsOver(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps int // from the start of an own slot, in halves of a slot
		want  [3]bool
	}{
		{"in an own slot", 1, [3]bool{true, true, true}},
		{"after it", 4, [3]bool{false, true, true}},
		{"as the next begins", 8, [3]bool{false, true, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := quarters(t, "1/1500ms")[0]
			l.Next(noon)
			own := time.Unix(0, l.grid.start(l.slotAfter(l.share(), l.seen)))
			round := 4 * time.Duration(l.grid.step)
			lends := own.Add(time.Duration(tt.steps)*round/8 - l.Loan()/2)
			if !l.Lend(Note{From: "b", Number: 1}, lends) {
				t.Fatal("nothing is lent, though a turn is saved")
			}
			if l.Lend(Note{From: "c", Number: 1}, lends) || l.Take(lends) {
				t.Error("the turn that is lent is used again")
			}
			for i, want := range tt.want {
				at := own.Add(time.Duration(i+1)*round + time.Millisecond)
				if next, ok := l.Next(at); !ok || next.Equal(at) != want {
					t.Errorf("own slot %d: next call %v later, want at once: %t", i+1, next.Sub(at), want)
				}
			}
			if !l.Take(own.Add(3*round + time.Millisecond)) {
				t.Error("the store is never filled again")
			}
		})
	}
}

// TestASlotThatIsOnIsUsedWithoutAForfeit, where one turn is saved: the owner of the
// slot of the moment has a turn each time its slot comes.
func TestASlotThatIsOnIsUsedWithoutAForfeit(t *testing.T) {
	for _, tt := range []struct {
		rate  string
		after float64 // slots after the start of the own one
		want  bool    // the next own slot gives a turn
	}{
		{"1/1500ms", 0.95, true}, {"1/1500ms", 1.05, false}, {"2/s+3", 0.95, false},
	} {
		l := quarters(t, tt.rate)[0]
		l.Next(noon)
		step := float64(l.grid.step)
		own := time.Unix(0, l.grid.start(l.slotAfter(l.share(), l.seen)))
		if at := own.Add(time.Duration(tt.after * step)); !l.Take(at) {
			t.Fatalf("%s: no turn is saved", tt.rate)
		}
		at := own.Add(time.Duration(4*step) + time.Millisecond)
		if got := l.Take(at); got != tt.want {
			t.Errorf("%s, used %v slots after its start: the next slot gives a turn: %t, want %t", tt.rate, tt.after, got, tt.want)
		}
	}
}

// TestWhoOwnsAllLendsNothing, nor who will own all in a moment: calls at an even pace
// must not come between those of others.
func TestWhoOwnsAllLendsNothing(t *testing.T) {
	all := owned(t, "540001", "40/s+10", everything(4))
	if all.Lend(Note{}, noon) {
		t.Error("lent by one that owns all")
	}
	l := quarters(t, "40/s+10")[0]
	l.Own(everything(4), noon)
	if l.Lend(Note{}, noon) {
		t.Error("lent by one that is about to own all")
	}
	whole := NewLimit("540001", mustRate(t, "40/s"), Partition)
	whole.Own(NewShare([]int32{0}, 4), noon)
	if whole.Lend(Note{}, noon.Add(time.Minute)) {
		t.Error("lent by one that has the whole limit")
	}
}

// TestLoansAreOverBeforeAGainedSlotBegins: at any rate.
func TestLoansAreOverBeforeAGainedSlotBegins(t *testing.T) {
	for _, rate := range []string{"1/h", "1/1500ms", "2/s", "40/s", "2000/s"} {
		g := newGrid(mustRate(t, rate), 0)
		if loan := g.loanFor(); loan <= 0 || loan > g.guard() || loan > int64(LoanFor) {
			t.Errorf("%s: a loan lasts %v, a gained slot is left alone for %v", rate, time.Duration(loan), time.Duration(g.guard()))
		}
	}
}

// TestWhoLacksATurnAsksWhoeverHadTheNewestSlots: one after another, back to one round
// ago, and not while its own slot is near.
func TestWhoLacksATurnAsksWhoeverHadTheNewestSlots(t *testing.T) {
	members := quarters(t, "1/1500ms")
	l := members[0]
	if l.Lacks(noon) {
		t.Error("a turn is saved, and yet it is lacking")
	}
	l.Take(noon)
	if !l.Lacks(noon) {
		t.Error("no turn is saved, and yet none is lacking")
	}
	newest := l.grid.slot(noon.UnixNano())
	var asked []int64
	for k, ok := l.Others(newest+9, noon); ok; k, ok = l.Others(k, noon) {
		asked = append(asked, k)
		owners := 0
		for _, m := range members {
			if m.Owns(k, noon) {
				owners++
			}
		}
		if k > newest || l.Owns(k, noon) || owners != 1 {
			t.Errorf("slot %d (newest %d, own %t) has %d owners", k, newest, l.Owns(k, noon), owners)
		}
	}
	if len(asked) != 3 {
		t.Errorf("asked for %v, want one slot of each other", asked)
	}
	l = owned(t, "540001", "1/1500ms", everything(4))
	l.Take(noon)
	if l.Lacks(noon) {
		t.Error("one that owns all asks others")
	}
}

// TestAnAskThatComesTwiceIsKnown while its loan lasts.
func TestAnAskThatComesTwiceIsKnown(t *testing.T) {
	l := quarters(t, "1/1500ms")[0]
	ask := Note{From: "b", Number: 7}
	if l.HasLent(ask, noon) || !l.Lend(ask, noon) || !l.HasLent(ask, noon) {
		t.Error("the ask is not known after its loan, or was before")
	}
	if l.HasLent(Note{From: "b", Number: 8}, noon) || l.HasLent(Note{From: "c", Number: 7}, noon) {
		t.Error("another ask is taken for it")
	}
}
