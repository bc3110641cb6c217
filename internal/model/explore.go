package model

import "slices"

// A Property is what the protocol promises.
type Property string

// A Result is what an exploration found.
type Result struct {
	States int                // that can be reached
	Steps  int                // between them
	Fired  map[Action]int     // steps by action
	Broken map[Property]Trace // by a shortest way
}

// A machine is what is explored. Its states are values that can be compared.
type machine[S comparable] interface {
	start() S
	normal(S) S                                // the one state that stands for all its like
	steps(S, func(Step, S))                    // all that a state allows, and what they lead to
	broken(from *S, step Step, to *S) Property // which a step breaks, if any
	done(*S) bool                              // the end that all goes on to, whatever the order of steps
	onward() Property                          // that it does
	tell(step Step, from, to *S) string
}

// An explorer searches the states of a machine breadth first.
type explorer[S comparable] struct {
	m      machine[S]
	number map[S]int32
	states []S
	parent []int32
	fair   [][]int32 // where the steps lead that are no faults
	result Result
}

// Explore looks at every state that the protocol can reach, or at as many as it
// takes to break S1, S2 or the order of commits.
func Explore(p Protocol) Result { return explore(p) }

// explore looks at every state that a machine can reach, or at as many as it takes
// to break what is safe.
func explore[S comparable](m machine[S]) Result {
	x := &explorer[S]{m: m, number: map[S]int32{}, result: Result{Fired: map[Action]int{}, Broken: map[Property]Trace{}}}
	x.add(m.normal(m.start()), -1)
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
func (x *explorer[S]) add(s S, from int32) int32 {
	n, seen := x.number[s]
	if !seen {
		n = int32(len(x.states))
		x.number[s] = n
		x.states, x.parent = append(x.states, s), append(x.parent, from)
	}
	return n
}

// expand takes every step from a state. It reports whether one breaks safety.
func (x *explorer[S]) expand(at int32) (unsafe bool) {
	s := x.states[at]
	var fair []int32
	x.m.steps(s, func(step Step, next S) {
		to := x.add(x.m.normal(next), at)
		x.result.Steps++
		x.result.Fired[step.Action]++
		if !step.fault && to != at {
			fair = append(fair, to)
		}
		if bad := x.m.broken(&s, step, &next); bad != "" {
			unsafe = unsafe || bad != Once
			if _, known := x.result.Broken[bad]; !known {
				x.result.Broken[bad] = x.trace(bad, at, to)
			}
		}
	})
	x.fair = append(x.fair, fair)
	return unsafe
}

// live looks for a state from which steps that are no faults need not lead to
// done: they end elsewhere, or can go round in circles.
func (x *explorer[S]) live() {
	sure := make([]bool, len(x.states))
	unsure := func(i int32) bool { return !sure[i] }
	for more := true; more; {
		more = false
		for i, fair := range slices.Backward(x.fair) {
			if !sure[i] && (x.m.done(&x.states[i]) || len(fair) > 0 && !slices.ContainsFunc(fair, unsure)) {
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
		x.result.Broken[x.m.onward()] = x.trace(x.m.onward(), x.parent[bad], int32(bad))
	}
}
