package history

import (
	"maps"
	"slices"
	"time"
)

// once: an outcome ends an intent's Init calls; a lookup may still ask whether
// there is more than one payment. The time of a record is in whole milliseconds,
// so a call within its millisecond is let pass.
func (j *judge) once() {
	for _, id := range slices.Sorted(maps.Keys(j.outcomes)) {
		calls := j.inits(id)
		if len(calls) == 0 || j.first[id].IsZero() {
			continue
		}
		if c := calls[len(calls)-1]; c.At.After(j.first[id].Add(time.Millisecond)) {
			j.breaks(Once, id, "%s was called at %s, after its outcome of %s", id, c.At.Format(clock), j.first[id].Format(clock))
		}
	}
}

// silences: a member calls only while it may own its partitions.
func (j *judge) silences() {
	for _, s := range j.run.Silences {
		for _, c := range j.run.Calls {
			if c.Member == s.Member && c.At.After(s.From) && c.At.Before(s.To) {
				j.breaks(Lease, c.Intent, "%s called at %s, between %s and %s: %s", s.Member, c.At.Format(clock), s.From.Format(clock), s.To.Format(clock), s.Why)
			}
		}
	}
}

// repeats: a call comes again only if a fault took away who made it.
func (j *judge) repeats() {
	if j.run.AnyRepeats {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(j.calls)) {
		calls := j.inits(id)
		for i := 1; i < len(calls); i++ {
			if !j.excused(calls[i-1], calls[i]) {
				j.breaks(Repeats, id, "%s was called again at %s, and nothing had happened to %s since %s", id, calls[i].At.Format(clock), calls[i-1].Member, calls[i-1].At.Format(clock))
			}
		}
	}
}

// excused reports whether the member of the first call had a fault before the
// second. A call may arrive a moment after the fault that ended its sender.
func (j *judge) excused(first, second Call) bool {
	const onTheWay = 250 * time.Millisecond
	return slices.ContainsFunc(j.run.Faults, func(f Fault) bool {
		return f.Member == first.Member && f.At.Add(onTheWay).After(first.At) && f.At.Before(second.At)
	})
}
