package model

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// whole is the largest exploration.
var whole = sync.OnceValue(func() Result { return Explore(Protocol{}) })

func TestTheProtocolKeepsItsPromise(t *testing.T) {
	for _, c := range []struct {
		name    string
		explore func() Result
		breaks  []Property
	}{
		{"with leases", func() Result { return Explore(Protocol{Leases: true}) }, nil},
		{"whatever leases are worth", whole, []Property{Once}},
	} {
		began := time.Now()
		r := c.explore()
		t.Logf("%s: %d states, %d steps, %v", c.name, r.States, r.Steps, time.Since(began).Round(time.Millisecond))
		for _, trace := range r.Broken {
			t.Logf("\n%s", trace)
		}
		if got := slices.Collect(maps.Keys(r.Broken)); !slices.Equal(got, c.breaks) {
			t.Errorf("%s: broken %q, want %q", c.name, got, c.breaks)
		}
	}
}

// The members have leases: those do not make up for what is left out.
func TestWhatIsLeftOutBreaks(t *testing.T) {
	for _, c := range []struct {
		name   string
		p      Protocol
		breaks Property
		steps  int // of the shortest trace
	}{
		{"no fence", Protocol{NoFence: true}, S1, 13},
		{"marker not waited for", Protocol{NoMarkerWait: true}, S1, 14},
		{"ledger not read on after a new fence", Protocol{NoReread: true}, S1, 13},
		{"group not asked about a broken fence", Protocol{NoAsk: true}, L1, 2},
		{"ledger's start asked for after the fence", Protocol{LateStart: true}, L1, 5},
		{"ledger's start asked for in two requests", Protocol{TornStart: true}, S1, 19},
		{"committed before acknowledged", Protocol{EarlyCommit: true}, S2, 8},
		{"commits of any generation", Protocol{AnyCommit: true}, Onward, 20},
		{"no sequence numbers", Protocol{NoSequence: true}, S1, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.Leases = true
			r := Explore(c.p)
			for _, trace := range r.Broken {
				t.Logf("%d states\n%s", r.States, trace)
			}
			if got := len(r.Broken[c.breaks].Steps); len(r.Broken) != 1 || got != c.steps {
				t.Errorf("broken after %d steps, want %d, and one property: %s", got, c.steps, c.breaks)
			}
		})
	}
}

func ExampleExplore() {
	r := Explore(Protocol{Leases: true, NoFence: true})
	fmt.Print(r.Broken[S1])
	// Output:
	//  1. A takes the partition over, from offset 0
	//  2. A: InitProducerID gives epoch 1
	//  3. A has read its ledger, and serves
	//  4. A calls the gateway for intent 0, which answers
	//  5. A sends the outcome of intent 0, under epoch 1
	//  6. A crashes, and is started again
	//  7. A takes the partition over, from offset 0
	//  8. A: InitProducerID gives epoch 2
	//  9. A has read its ledger, and serves
	// 10. A calls the gateway for intent 0, which answers
	// 11. A sends the outcome of intent 0, under epoch 2
	// 12. the outcome of intent 0, under epoch 1, arrives and is appended
	// 13. the outcome of intent 0, under epoch 2, arrives and is appended
	// broken: S1: at most one outcome per intent is visible
}

// A model in which little can happen proves little.
func TestTheModelIsNoEmptyShell(t *testing.T) {
	r := whole()
	if r.States < 200_000 || len(r.Fired) < 20 {
		t.Errorf("%d states and %d actions, want 200,000 and 20 at least", r.States, len(r.Fired))
	}
	for action, n := range r.Fired {
		if n < 1000 {
			t.Errorf("%q happens in %d states, want 1000 at least", action, n)
		}
	}
}

// What may follow a state must be what may follow the one that stands for it, or
// the search would leave something out.
func TestANormalStateGoesWhereItsLikeGo(t *testing.T) {
	for _, p := range []Protocol{{}, {Leases: true}} {
		walks(t, p, func(s *State) bool { return s.coord < maxEpochs-2 })
	}
	for _, v := range []Lending{{}, {NoDebt: true}, {Burst: 2}, {Ahead: 1}} {
		steps := 0
		walks(t, v, func(*Moment) bool { steps++; return steps%80 > 0 })
	}
}

// walks goes from state to state by chance, as long as goOn says.
func walks[S comparable](t *testing.T, m machine[S], goOn func(*S) bool) {
	chance := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		for s := m.start(); goOn(&s); {
			got, _ := follows(m, m.normal(s))
			want, next := follows(m, s)
			if !maps.Equal(got, want) {
				t.Fatalf("%+v:\n%+v\nleads to %v, and what stands for it to\n%v", m, s, want, got)
			}
			s = next[chance.IntN(len(next))]
		}
	}
}

// A look is what an observer sees of a step.
type look[S comparable] struct {
	to     S
	broken Property
}

// follows returns what an observer sees of the steps from a state, and where
// they lead, more often by those that are no faults.
func follows[S comparable](m machine[S], s S) (seen map[look[S]]bool, next []S) {
	seen = map[look[S]]bool{}
	m.steps(s, func(step Step, to S) {
		if l := (look[S]{m.normal(to), m.broken(&s, step, &to)}); l.to != m.normal(s) || l.broken != "" {
			seen[l] = true
		}
		next = append(next, to)
		if !step.fault {
			next = append(next, to, to, to, to)
		}
	})
	return seen, next
}
