package service

import (
	"cmp"
	"slices"

	"paylink/internal/console"
	"paylink/internal/pipeline"
)

// lanes answers why merchants wait.
func (s *service) lanes() []console.Lane { return lanesOf(s.engine.Lanes()) }

func lanesOf(all []pipeline.Lane) []console.Lane {
	out := make([]console.Lane, 0, len(all))
	for _, l := range all {
		out = append(out, laneOf(l))
	}
	return out
}

func laneOf(l pipeline.Lane) console.Lane {
	return console.Lane{
		Merchant: string(l.Merchant), Gateway: l.Gateway, Queued: l.Queued, BackingOff: l.BackingOff, Backlog: l.Backlog, Rate: l.Rate,
		State: l.State, Since: l.Since, Until: l.Until, Attempts: l.Attempts, LastError: l.LastError, Blind: l.Blind,
	}
}

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

// summary counts the lanes by what they wait for, and names those with the gravest
// reason and the most intents.
func summary(all []pipeline.Lane) console.LaneSummary {
	counts, waiting := map[string]int{}, []console.Lane{}
	for _, l := range all {
		counts[l.State]++
		if is := laneOf(l); is.Waiting() > 0 || l.OnHold || l.Blind {
			waiting = append(waiting, is)
		}
	}
	out := console.LaneSummary{Total: len(all)}
	for state, n := range counts {
		out.States = append(out.States, console.LaneState{State: state, N: n})
	}
	slices.SortFunc(out.States, func(a, b console.LaneState) int {
		return cmp.Or(cmp.Compare(graveness(a.State), graveness(b.State)), cmp.Compare(a.State, b.State))
	})
	slices.SortStableFunc(waiting, func(a, b console.Lane) int {
		return cmp.Or(cmp.Compare(graveness(a.State), graveness(b.State)), cmp.Compare(b.Waiting(), a.Waiting()))
	})
	out.Worst = waiting[:min(worstLanes, len(waiting))]
	return out
}

// gateways are the hosts, by name.
func gateways(e pipeline.State) []console.Gateway {
	merchants := map[string]int{}
	for _, l := range e.Lanes {
		merchants[l.Gateway]++
	}
	out := []console.Gateway{}
	for _, g := range e.Gateways {
		is := console.Gateway{Name: g.Name, Down: g.Down, Merchants: merchants[g.Name]}
		if g.Down {
			is.Since, is.LastError = g.Since, g.LastError // an error of a gateway that works is old
		}
		out = append(out, is)
	}
	slices.SortFunc(out, func(a, b console.Gateway) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
