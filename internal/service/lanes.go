package service

import (
	"cmp"
	"fmt"
	"slices"

	"paylink/internal/console"
	"paylink/internal/kafkaio"
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
		State: l.State, Since: l.Since, Until: l.Until, Attempts: l.Attempts, LastError: l.LastError, Blind: l.Blind, Asks: l.Asks,
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

// lending says how this replica and others lend each other turns, if there is a topic
// for them, and how many lately.
func lending(on bool, k kafkaio.State, lately map[[2]string]uint64) console.Lending {
	says := console.Lending{Level: console.Good}
	n := func(event string) uint64 { return sum(lately, event) }
	switch asked, lent := n("asked"), n("lent"); {
	case !on:
		says.Text = "No turns are lent, as the settings ask: replicas wait for their own slots."
	case k.Unlent != "":
		says = console.Lending{Level: console.Wait, Text: unlent(k), Since: k.UnlentSince}
	case asked+lent == 0:
		says.Text = fmt.Sprintf("Turns: none was asked of other replicas in the last %s, nor lent to them.", short(newly))
	default:
		says.Text = fmt.Sprintf("Turns: in the last %s this replica asked others for %d, borrowed %d and lent %d.", short(newly), asked, n("borrowed"), lent)
	}
	return says
}

// unlent says why no turns are lent, though they could be; nothing but waits depends
// on it.
func unlent(k kafkaio.State) string {
	if k.Unlent == "" {
		return ""
	}
	return "No turns are lent, so replicas wait for their own slots: " + k.Unlent
}
