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

// onTheWay is how long a call may travel.
const onTheWay = 250 * time.Millisecond

// excused reports whether the member of the first call had a fault before the
// second, or was in one. A call may arrive a moment after the fault that ended its sender.
func (j *judge) excused(first, second Call) bool {
	return slices.ContainsFunc(j.run.Faults, func(f Fault) bool {
		over := f.At
		if f.Until.After(over) {
			over = f.Until
		}
		return f.Member == first.Member && over.Add(onTheWay).After(first.At) && f.At.Before(second.At)
	})
}

// expiries: nobody is asked for a link that would come too late.
func (j *judge) expiries() {
	for _, in := range j.run.Intents {
		if in.Hidden || in.Expires.IsZero() || in.ID == "" || in.At != j.intents[in.ID][0].At {
			continue
		}
		calls := j.inits(in.ID)
		if n := len(calls); n > 0 && calls[n-1].At.After(in.Expires.Add(onTheWay)) {
			j.breaks(Expiry, in.ID, "%s expired at %s, and was called at %s", in.ID, in.Expires.Format(clock), calls[n-1].At.Format(clock))
		}
	}
}

// bound: what a member asks for at once is limited.
func (j *judge) bound() {
	if j.run.Concurrency == 0 {
		return
	}
	flying := map[string][]Call{}
	for _, c := range j.run.Calls {
		now := slices.DeleteFunc(flying[c.Member], func(f Call) bool { return !f.Until.After(c.At) })
		flying[c.Member] = append(now, c)
		if n := len(flying[c.Member]); n > j.run.Concurrency && c.Until.After(c.At) {
			j.breaks(Bound, c.Intent, "%s has %d calls in flight at %s, and may have %d", c.Member, n, c.At.Format(clock), j.run.Concurrency)
		}
	}
}
