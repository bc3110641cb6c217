package model

import "slices"

// A Property is what the protocol promises.
type Property string

// The properties. L1 is looked at only where no other but Once is broken.
const (
	S1     Property = "S1: at most one outcome per intent is visible"
	S2     Property = "S2: no offset is committed before the outcomes below it are durable"
	Onward Property = "a commit never moves the offset back"
	Once   Property = "an intent that the caller's ledger knows as answered is not called"
	L1     Property = "L1: without further faults every intent is answered and committed, whatever the order of steps"
)

// A Result is what an exploration found.
type Result struct {
	States int                // that can be reached
	Steps  int                // between them
	Fired  map[Action]int     // steps by action
	Broken map[Property]Trace // by a shortest way
}

// An explorer searches the states of a protocol breadth first.
type explorer struct {
	p      Protocol
	number map[State]int32
	states []State
	parent []int32
	fair   [][]int32 // where the steps lead that are no faults
	result Result
}

// Explore looks at every state that the protocol can reach, or at as many as it
// takes to break S1, S2 or the order of commits.
func Explore(p Protocol) Result {
	x := &explorer{p: p, number: map[State]int32{}, result: Result{Fired: map[Action]int{}, Broken: map[Property]Trace{}}}
	x.add(p.normal(State{}), -1)
	unsafe := false
	for at := int32(0); int(at) < len(x.states) && !unsafe; at++ {
		unsafe = x.expand(at)
	}
	x.result.States = len(x.states)
	if !unsafe {
		x.live()
	}
	return x.result
}

// add returns the number of a state, a new one if it was not seen before.
func (x *explorer) add(s State, from int32) int32 {
	n, seen := x.number[s]
	if !seen {
		n = int32(len(x.states))
		x.number[s] = n
		x.states, x.parent = append(x.states, s), append(x.parent, from)
	}
	return n
}

// expand takes every step from a state. It reports whether one breaks safety.
func (x *explorer) expand(at int32) (unsafe bool) {
	s := x.states[at]
	var fair []int32
	x.p.steps(s, func(step Step, next State) {
		to := x.add(x.p.normal(next), at)
		x.result.Steps++
		x.result.Fired[step.Action]++
		if !step.fault && to != at {
			fair = append(fair, to)
		}
		if bad := broken(&s, step, &next); bad != "" {
			unsafe = unsafe || bad != Once
			if _, known := x.result.Broken[bad]; !known {
				x.result.Broken[bad] = x.trace(bad, at, to)
			}
		}
	})
	x.fair = append(x.fair, fair)
	return unsafe
}

// broken says which property a step breaks, if any.
func broken(s *State, step Step, next *State) Property {
	switch below := uint8(1)<<next.committed - 1; {
	case next.twice != 0:
		return S1
	case below&^next.once != 0:
		return S2
	case next.committed < s.committed:
		return Onward
	case step.again:
		return Once
	}
	return ""
}

// live looks for a state from which steps that are no faults need not lead to
// done: they end elsewhere, or can go round in circles.
func (x *explorer) live() {
	sure := make([]bool, len(x.states))
	unsure := func(i int32) bool { return !sure[i] }
	for more := true; more; {
		more = false
		for i, fair := range slices.Backward(x.fair) {
			done := x.states[i].once == 1<<intents-1 && x.states[i].committed == intents
			if !sure[i] && (done || len(fair) > 0 && !slices.ContainsFunc(fair, unsure)) {
				sure[i], more = true, true
			}
		}
	}
	bad := slices.Index(sure, false)
	for i, fair := range x.fair {
		if !sure[i] && len(fair) == 0 { // where nothing goes on tells more than where something may
			bad = i
			break
		}
	}
	if bad >= 0 {
		x.result.Broken[L1] = x.trace(L1, x.parent[bad], int32(bad))
	}
}
