package lab

import (
	"fmt"
	"slices"
	"testing"

	"paylink/internal/history"
)

// mostTries bounds how long a plan is made smaller.
const mostTries = 120

// minimise makes a plan that failed smaller, as long as what is left breaks a
// rule that the whole broke: it leaves out faults, then emissions, in halves,
// quarters and so on (delta debugging). Because a plan need not fail each time
// it is performed, each part is tried several times. It returns the smallest
// finding, and how often that fails.
func minimise(t *testing.T, p plan, f finding) (small finding, tries int, again string) {
	m := &minimiser{t: t, want: f, small: f}
	faults := shrink(p.faults, func(part []fault) bool { return m.fails(plan{p.seed, p.world, m.small.plan.emissions, part}) })
	shrink(p.emissions, func(part []emission) bool { return m.fails(plan{p.seed, p.world, part, faults}) })
	failed := 0
	const times = 5
	for range times {
		if m.like(experiment(t, m.small.plan)) {
			failed++
		}
	}
	return m.small, m.tries, fmt.Sprintf("%d of %d runs", failed, times)
}

type minimiser struct {
	t     *testing.T
	want  finding
	small finding
	tries int
}

// fails reports whether a part of the plan fails like the whole, and keeps it if so.
func (m *minimiser) fails(p plan) bool {
	for range 3 {
		if m.tries++; m.tries > mostTries {
			return false
		}
		if f := experiment(m.t, p); m.like(f) {
			m.small = f
			return true
		}
	}
	return false
}

func (m *minimiser) like(f finding) bool {
	return slices.ContainsFunc(f.verdict.Violations, func(v history.Violation) bool { return len(m.want.verdict.Broken(v.Rule)) > 0 })
}

// shrink returns a part of the whole that fails and none of whose smaller parts
// does, as far as they were tried.
func shrink[T any](whole []T, fails func([]T) bool) []T {
	for size := (len(whole) + 1) / 2; size > 0 && len(whole) > 0; {
		smaller := false
		for from := 0; from < len(whole); {
			part := slices.Delete(slices.Clone(whole), from, min(from+size, len(whole)))
			if fails(part) {
				whole, smaller = part, true
				continue
			}
			from += size
		}
		if size == 1 && !smaller {
			break
		}
		size = max(1, size/2)
	}
	return whole
}

func TestShrinkFindsTheSmallestPart(t *testing.T) {
	all := make([]int, 20)
	for i := range all {
		all[i] = i
	}
	tries := 0
	got := shrink(all, func(part []int) bool {
		tries++
		return slices.Contains(part, 3) && slices.Contains(part, 17)
	})
	if !slices.Equal(got, []int{3, 17}) || tries > 60 {
		t.Errorf("shrink = %v after %d tries, want [3 17] after at most 60", got, tries)
	}
}
