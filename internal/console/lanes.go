package console

import (
	"cmp"
	"slices"
)

// worstLanes is how many lanes the first page shows.
const worstLanes = 8

// gravity orders lanes by what they wait for, the gravest first; others come after.
var gravity = []string{"held", "breaker open", "backing off", "busy", "paced"}

func graveness(state string) int {
	if i := slices.Index(gravity, state); i >= 0 {
		return i
	}
	return len(gravity)
}

// laneLevel is how bad it is to wait for something.
func laneLevel(state string) Level {
	switch state {
	case "held", "breaker open":
		return Bad
	case "backing off", "busy":
		return Wait
	}
	return Good
}

// Sum counts lanes by what they wait for, and names those with the gravest reason and
// the most intents.
func Sum(all []Lane) LaneSummary {
	counts, waiting := map[string]int{}, []*Lane{}
	for i := range all {
		l := &all[i]
		counts[l.State]++
		if l.Waiting() > 0 || l.Blind || laneLevel(l.State) == Bad {
			waiting = append(waiting, l)
		}
	}
	out := LaneSummary{Total: len(all)}
	for state, n := range counts {
		out.States = append(out.States, LaneState{State: state, N: n})
	}
	slices.SortFunc(out.States, func(a, b LaneState) int {
		return cmp.Or(cmp.Compare(graveness(a.State), graveness(b.State)), cmp.Compare(a.State, b.State))
	})
	slices.SortFunc(waiting, func(a, b *Lane) int {
		return cmp.Or(cmp.Compare(graveness(a.State), graveness(b.State)), cmp.Compare(b.Waiting(), a.Waiting()), cmp.Compare(a.Merchant, b.Merchant))
	})
	for _, l := range waiting[:min(worstLanes, len(waiting))] {
		out.Worst = append(out.Worst, *l)
	}
	return out
}
