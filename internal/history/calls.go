package history

import (
	"maps"
	"slices"
	"time"
)

// once: an outcome ends an intent's Init calls; a look-up may still ask whether
// there is more than one payment. The time of a record is in whole milliseconds,
// so a call within its millisecond is let pass; and so is one that may have been
// made before and was held up on its way.
func (j *judge) once() {
	for _, id := range slices.Sorted(maps.Keys(j.outcomes)) {
		calls := j.inits(id)
		if len(calls) == 0 || j.first[id].IsZero() {
			continue
		}
		end := j.first[id].Add(time.Millisecond)
		for _, c := range calls {
			if c.At.After(end) && c.At.After(end.Add(j.late(c))) {
				j.breaks(Once, id, "%s was called at %s, after its outcome of %s", id, c.At.Format(clock), j.first[id].Format(clock))
				break
			}
		}
	}
}

// onTheWay is how long a call may take to arrive when nothing holds it up.
const onTheWay = 250 * time.Millisecond

// late returns by how much later a call may have arrived than it was made: not
// at all, unless the network of its member was ill.
func (j *judge) late(c Call) (most time.Duration) {
	for _, f := range j.run.Faults {
		if f.Late > 0 && f.Member == c.Member && c.At.After(f.At) && c.At.Before(f.Until.Add(onTheWay)) {
			most = max(most, f.Late+onTheWay)
		}
	}
	return most
}

// silences: a member calls only while it may own its partitions.
func (j *judge) silences() {
	for _, s := range j.run.Silences {
		for _, c := range j.run.Calls {
			if c.Member == s.Member && c.At.After(s.From.Add(j.late(c))) && c.At.Before(s.To) {
				j.breaks(Lease, c.Intent, "%s called at %s, between %s and %s: %s", s.Member, c.At.Format(clock), s.From.Format(clock), s.To.Format(clock), s.Why)
			}
		}
	}
}

// repeats: a call comes again only if a fault took away who made it, or the outcome
// topic did not take what it said.
func (j *judge) repeats() {
	if j.run.AnyRepeats {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(j.calls)) {
		if ins := j.intents[id]; len(ins) > 0 && (ins[0].Strange != "" || j.buried(ins)) {
			continue // the gateway said something that is not the last word, or its first record got a dead letter
		}
		calls := j.inits(id)
		for i := 1; i < len(calls); i++ {
			if !j.excused(calls[i-1], calls[i]) {
				j.breaks(Repeats, id, "%s was called again at %s, and nothing had happened to %s since %s", id, calls[i].At.Format(clock), calls[i-1].Member, calls[i-1].At.Format(clock))
			}
		}
	}
}

// buried reports whether any of the records has a dead letter.
func (j *judge) buried(ins []Intent) bool {
	return slices.ContainsFunc(ins, func(in Intent) bool { return len(j.dead[in.At]) > 0 })
}

// excused reports whether the second call had to be made although there was the
// first, in order of arrival: the order in which they were made may be the other.
func (j *judge) excused(first, second Call) bool {
	if j.takenFrom(first, second.At) || j.notTaken(first) || j.leapt(first, second) {
		return true
	}
	made := second
	made.At = second.At.Add(-j.late(second))
	return made.At.Before(first.At) && j.takenFrom(made, first.At)
}

// takenFrom reports whether the member of a call had a fault between it and a
// later time. A call may arrive a moment after the fault that ended its sender,
// or after the one that held it up.
func (j *judge) takenFrom(c Call, before time.Time) bool {
	return slices.ContainsFunc(j.run.Faults, func(f Fault) bool {
		end := f.At
		if f.Until.After(end) {
			end = f.Until
		}
		return f.Member == c.Member && end.Add(onTheWay).After(c.At) && f.At.Before(before)
	})
}

// leapt reports whether a clock was set forward with a call in flight, and its member
// ended before it had a lease again. It cannot tell that from a suspension in which a
// rebalance ended without it, so it does not publish the answer; and who is stopped joins
// no more. One that has called since had its lease again, and published what it knew.
func (j *judge) leapt(first, second Call) bool {
	return second.Member != first.Member && slices.ContainsFunc(j.run.Leaps, func(f Fault) bool {
		return f.Member == first.Member && !f.At.Before(first.At) && f.At.Before(first.Until.Add(onTheWay)) &&
			!slices.ContainsFunc(j.run.Calls, func(c Call) bool {
				return c.Member == first.Member && c.At.After(f.At.Add(onTheWay))
			})
	})
}

// notTaken reports whether the outcome topic took no outcome when a call was answered.
// If the dead letters take none either, and its member ends, the next owner has to ask
// again.
func (j *judge) notTaken(c Call) bool {
	return slices.ContainsFunc(j.run.Tight, func(s Span) bool {
		return c.Until.After(s.From.Add(-onTheWay)) && c.Until.Before(s.To.Add(onTheWay))
	})
}

// expiries: nobody is asked for a link that would come too late. Of an intent that
// came several times the first record counts, unless it was buried: then any may.
func (j *judge) expiries() {
	for _, in := range j.run.Intents {
		if in.Hidden || in.Expires.IsZero() || in.ID == "" || in.At != j.intents[in.ID][0].At {
			continue
		}
		all := j.intents[in.ID]
		if len(j.dead[in.At]) > 0 && slices.ContainsFunc(all, func(o Intent) bool { return o.Expires.IsZero() || o.Expires.After(in.Expires) }) {
			continue
		}
		calls := j.inits(in.ID)
		if n := len(calls); n > 0 && calls[n-1].At.After(in.Expires.Add(onTheWay+j.late(calls[n-1]))) {
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
