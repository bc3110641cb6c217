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
