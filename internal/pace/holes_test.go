package pace

import (
	"testing"
	"time"
)

// A pair shares the slots of a rate: a has the even ones, b the odd ones.
type pair struct {
	a, b *Limit
	base int64 // when an even slot begins
}

func newPair(t *testing.T, rate string) *pair {
	r := mustRate(t, rate)
	p := &pair{a: NewLimit("m", r, Group), b: NewLimit("m", r, Group)}
	p.base = p.a.grid.start(p.a.grid.slot(noon.UnixNano()) / 2 * 2)
	p.a.Own(&Share{total: 2, own: []int32{0}}, p.at(-9))
	p.b.Own(&Share{total: 2, own: []int32{1}}, p.at(-9))
	return p
}

// at is so many slots after the base.
func (p *pair) at(slots float64) time.Time {
	return time.Unix(0, p.base+int64(slots*float64(p.a.grid.step)))
}

// TestWhatAZombieForfeitsIsForfeitedAgain: b lends a turn, loses its slot to a, and
// believes to forfeit that slot, which a uses. Found by internal/model.
func TestWhatAZombieForfeitsIsForfeitedAgain(t *testing.T) {
	p := newPair(t, "1/398009950ns")
	if !p.b.Lend(Note{From: "a", Number: 1}, p.at(2)) {
		t.Fatal("b lends nothing")
	}
	calls := 1 // a's, by the loan, at its end
	p.a.Own(&Share{total: 2, own: []int32{0, 1}}, p.at(2))
	take := func(l *Limit, at float64) {
		if l.Take(p.at(at)) {
			calls++
		}
	}
	take(p.a, 2.99)
	p.a.Own(&Share{total: 2, own: []int32{1}}, p.at(2.99))
	p.b.Own(&Share{total: 2}, p.at(3)) // it hears of its loss
	p.b.Own(&Share{total: 2, own: []int32{0}}, p.at(3))
	take(p.a, 3.99)
	take(p.b, 4)
	if calls > 3 {
		t.Errorf("%d calls from slot 2.99 to 4, want one and one for each of two members at most", calls)
	}
}

// TestALoanIsOverBeforeTheStoreOfAGainerGrows: a gains what b has, which lent a turn
// right before, and has the store of the whole burst then. Found by internal/model.
func TestALoanIsOverBeforeTheStoreOfAGainerGrows(t *testing.T) {
	for _, rate := range []string{"3/s+2", "1/1500ms+2"} {
		p := newPair(t, rate)
		if !p.b.Lend(Note{From: "a", Number: 1}, p.at(1.7)) {
			t.Fatal("b lends nothing")
		}
		p.b.Own(&Share{total: 2}, p.at(1.8))
		p.a.Own(&Share{total: 2, own: []int32{0, 1}}, p.at(1.9))
		over := p.at(1.7).Add(p.b.Loan())
		if last := p.a.stages[len(p.a.stages)-1].from; last < over.Add(time.Duration(p.a.grid.step)).UnixNano() {
			t.Errorf("%s: the slot that was gained counts %v after the loan is over, want an interval at least", rate, time.Unix(0, last).Sub(over))
		}
		calls := 0
		for _, at := range []time.Time{p.at(3), p.at(3)} {
			if p.a.Take(at) {
				calls++
			}
		}
		if over.After(p.at(2.6)) && calls > 1 {
			t.Errorf("%s: %d calls, and one by a loan, within 0.4 slots: want two at most", rate, calls)
		}
	}
}
