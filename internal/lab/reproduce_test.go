package lab

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"paylink/internal/history"
)

// TestReproduction measures how often a seed gives the same history again:
// LAB_REPRODUCE is how many seeds are performed, five times each.
func TestReproduction(t *testing.T) {
	v := os.Getenv("LAB_REPRODUCE")
	if v == "" {
		t.Skip("a measurement: LAB_REPRODUCE=100")
	}
	const times = 5
	seeds, fates, calls := number(t, v), 0, 0
	for seed := uint64(1); seed <= seeds; seed++ {
		first := perform(t, draw(seed), nil).history
		for range times - 1 {
			again := perform(t, draw(seed), nil).history
			if fate(again) == fate(first) {
				fates++
			}
			if exactly(again) == exactly(first) {
				calls++
			}
		}
	}
	all := float64(seeds*(times-1)) / 100
	t.Logf("of %d repeats %.0f %% gave every intent the same kind of outcome after as many calls, and %.0f %% the same calls in the same order at the same times",
		seeds*(times-1), float64(fates)/all, float64(calls)/all)
}

// fate tells of each intent what came of it, and after how many calls.
func fate(h history.Run) string {
	of := map[string]string{}
	for _, o := range h.Outcomes {
		of[o.Intent] += fmt.Sprint(" ", o.Created)
	}
	for _, c := range h.Calls {
		if !c.Lookup {
			of[c.Intent] += "+"
		}
	}
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(of)) {
		fmt.Fprintln(&b, id, of[id])
	}
	return b.String()
}

// exactly tells all calls, to the millisecond.
func exactly(h history.Run) string {
	var b strings.Builder
	for _, c := range h.Calls {
		fmt.Fprintln(&b, c.At.UnixMilli(), c.Intent, c.Member, c.Lookup)
	}
	return b.String()
}
