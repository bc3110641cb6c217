package history

import (
	"maps"
	"slices"
	"time"
)

// one is S1.
func (j *judge) one() {
	for level, outcomes := range map[string][]Outcome{"uncommitted": j.run.Outcomes, "committed": j.run.Committed} {
		seen := map[string]int{}
		for _, o := range outcomes {
			seen[o.Intent]++
		}
		for _, id := range slices.Sorted(maps.Keys(seen)) {
			if seen[id] > 1 {
				j.breaks(S1, id, "%s has %d outcomes, read %s", id, seen[id], level)
			}
		}
	}
}

// commits is S2.
func (j *judge) commits() {
	byPart := map[int32][]Intent{}
	for _, in := range j.run.Intents {
		byPart[in.At.Partition] = append(byPart[in.At.Partition], in)
	}
	checked := map[int32]int64{} // every record below is known to stand where all later commits see it
	commits := slices.Clone(j.run.Commits)
	for _, c := range commits {
		p := c.Next.Partition
		for _, in := range byPart[p] {
			if in.At.Offset >= c.Next.Offset {
				break
			}
			if in.Hidden || in.Deleted || in.Passed || in.At.Offset < checked[p] {
				continue
			}
			if !j.durable(in, c) {
				j.breaks(S2, in.ID, "offset %s was committed, but the record at %s had no outcome and no dead letter then", c.Next, in.At)
			}
		}
		checked[p] = max(checked[p], c.Next.Offset)
	}
}

// durable reports whether a record was settled when a commit was seen.
func (j *judge) durable(in Intent, c Commit) bool {
	for _, d := range j.dead[in.At] {
		if end, ok := c.DeadLetters[d.At.Partition]; !ok || d.At.Offset < end {
			return true
		}
	}
	if in.ID == "" || j.conflicts(in) {
		return false
	}
	return slices.ContainsFunc(j.outcomes[in.ID], func(o Outcome) bool {
		end, ok := c.Outcomes[o.At.Partition]
		return !ok || o.At.Offset < end
	})
}

// order is S3: outcomes of a key come in the order of its intents, and an
// intent is not called before the one ahead of it has its outcome.
func (j *judge) order() {
	type lane struct {
		partition int32
		key       string
	}
	sources := map[Place]Intent{}
	for _, in := range j.run.Intents {
		sources[in.At] = in
	}
	last := map[lane]Outcome{}
	outcomes := slices.Clone(j.run.Outcomes)
	slices.SortFunc(outcomes, func(a, b Outcome) int { return a.At.Compare(b.At) })
	for _, o := range outcomes {
		if n := j.run.OutcomePartitions; n > 0 && o.At.Partition != o.Source.Partition%n {
			j.breaks(S3, o.Intent, "the outcome at %s of the intent at %s belongs into partition %d", o.At, o.Source, o.Source.Partition%n)
		}
		if len(j.dead[o.Source]) > 0 || sources[o.Source].Passed {
			continue // its end was the dead letter, or it was passed over; who answers it all the same, comes later
		}
		at := lane{o.Source.Partition, o.Key}
		before, ok := last[at]
		if ok && o.Key != "" && o.Source.Offset < before.Source.Offset {
			if j.misread(sources[o.Source], before.Intent) {
				continue // those behind it are still held against the one before
			}
			j.breaks(S3, o.Intent, "key %q: the outcome of the intent at %s stands behind that of the one at %s", o.Key, o.Source, before.Source)
		}
		last[at] = o
	}
	ahead := map[lane]Intent{}
	for _, in := range j.run.Intents {
		at := lane{in.At.Partition, in.Key}
		if in.Hidden || in.ID == "" || in.Key == "" || in.At != j.intents[in.ID][0].At {
			continue
		}
		calls, first := j.inits(in.ID), ahead[at]
		made := j.first[first.ID]
		if len(calls) > 0 && first.ID != "" && calls[0].At.Before(made) && !j.misread(first, in.ID) {
			j.breaks(S3, in.ID, "key %q: %s was called before %s, which is ahead of it, had its outcome at %s", in.Key, in.ID, first.ID, made.Format(clock))
		}
		if ahead[at] = in; in.Deleted || in.Passed || len(j.dead[in.At]) > 0 {
			ahead[at] = Intent{} // it ended without an outcome; what comes again has its own end
		}
	}
}

// misread reports whether an owner may have taken an intent for none when it served
// another one of its key: the registry denied the schema, the dead letter did not land
// before the owner lost its partition, and a later owner could read the record. What
// cannot be read holds nobody. So whoever made the first call for the other one has made
// none for this one.
func (j *judge) misread(in Intent, other string) bool {
	if !in.Schema {
		return false
	}
	calls := j.calls[other]
	if len(calls) == 0 { // who served it is not seen
		return within(j.run.Misled, j.first[other])
	}
	return within(j.run.Misled, calls[0].At) &&
		!slices.ContainsFunc(j.calls[in.ID], func(c Call) bool { return j.ofOneOwner(c, calls[0]) })
}

// ofOneOwner reports whether one member made two calls, and nothing took its partitions
// in between.
func (j *judge) ofOneOwner(a, b Call) bool {
	if b.At.Before(a.At) {
		a, b = b, a
	}
	return a.Member == b.Member && !j.takenFrom(a, b.At)
}

// sameCalls is S4.
func (j *judge) sameCalls() {
	for _, id := range slices.Sorted(maps.Keys(j.calls)) {
		calls := j.inits(id)
		for _, c := range calls {
			if c.Key == "" {
				j.breaks(S4, id, "%s was called without an idempotency key", id)
				break
			}
			if c.Key != calls[0].Key {
				j.breaks(S4, id, "%s was called under the keys %s and %s", id, calls[0].Key, c.Key)
				break
			}
			if c.Params != calls[0].Params {
				j.breaks(S4, id, "%s was called with other parameters: %s, then %s", id, calls[0].Params, c.Params)
				break
			}
		}
	}
}

// rates is S5. A bucket that leaks at the rate and is filled by every call must
// never hold more than the burst.
func (j *judge) rates() {
	for _, r := range j.run.Rates {
		if r.PerMember {
			j.windows(r)
			continue
		}
		var level float64
		var at time.Time
		perSecond := r.Calls / r.Per.Seconds()
		room := float64(r.Burst) + perSecond*r.Slack.Seconds() + 1e-6
		for _, c := range j.run.Calls {
			if c.Merchant != r.Merchant {
				continue
			}
			if !at.IsZero() {
				level = max(0, level-perSecond*c.At.Sub(at).Seconds())
			}
			at = c.At
			if level++; level > room {
				j.breaks(S5, c.Intent, "merchant %s: the call at %s is %.1f calls over %g per %s with a burst of %d", r.Merchant, c.At.Format(clock), level-room, r.Calls, r.Per, r.Burst)
				level = room // told once per excess
			}
		}
	}
}

// windows is S5 where the burst depends on who called: every window that begins
// and ends with a call is looked at, so this is for short histories.
func (j *judge) windows(r Rate) {
	calls := slices.DeleteFunc(slices.Clone(j.run.Calls), func(c Call) bool { return c.Merchant != r.Merchant })
	perSecond := r.Calls / r.Per.Seconds()
	for i := range calls {
		members := map[string]bool{}
		for k, c := range calls[i:] {
			members[c.Member] = true
			for _, l := range j.run.Loans {
				if l.backs(c, r.Loan+onTheWay+j.late(c)) {
					members[l.By] = true
				}
			}
			w := c.At.Sub(calls[i].At)
			room := perSecond*(w+r.Slack).Seconds() + float64(max(r.Burst, len(members))) + 1e-6
			if float64(k+1) > room {
				j.breaks(S5, c.Intent, "merchant %s: %d calls of %d members in the %s up to %s are %.1f over %g per %s with a burst of %d",
					r.Merchant, k+1, len(members), w, c.At.Format(clock), float64(k+1)-room, r.Calls, r.Per, r.Burst)
				return // the first excess tells enough
			}
		}
	}
}

// backs reports whether a call may have been made for the loan, which lasts so long.
func (l Loan) backs(c Call, lasts time.Duration) bool {
	return l.To == c.Member && l.Merchant == c.Merchant && !c.At.Before(l.At) && c.At.Sub(l.At) <= lasts
}

// links is S6.
func (j *judge) links() {
	for _, o := range j.run.Outcomes {
		paid := j.payments[o.Intent]
		if !o.Created {
			if len(paid) > 0 && !o.MayExist && !j.buriedElsewhere(o) {
				j.breaks(S6, o.Intent, "%s failed, and its outcome says that no payment exists; payment %d does", o.Intent, paid[0].ID)
			}
			continue
		}
		if !slices.ContainsFunc(j.calls[o.Intent], func(c Call) bool { return c.Link == o.Payment && c.Link != 0 }) {
			j.breaks(S6, o.Intent, "%s has a link of payment %d, which no signed answer gave", o.Intent, o.Payment)
			continue
		}
		if !slices.Contains(paid, Payment{o.Payment, o.Intent, o.Link}) {
			j.breaks(S6, o.Intent, "%s has the link %s of payment %d, which the gateway did not make for it", o.Intent, o.Link, o.Payment)
		}
	}
}

// buriedElsewhere reports whether all calls for the outcome's intent that gave a link were
// for another record of it, whose end is a dead letter, since the outcome topic took
// none: the owner of the outcome's record cannot know of them.
func (j *judge) buriedElsewhere(o Outcome) bool {
	return slices.ContainsFunc(j.intents[o.Intent], func(in Intent) bool { return in.At != o.Source && len(j.dead[in.At]) > 0 }) &&
		!slices.ContainsFunc(j.calls[o.Intent], func(c Call) bool { return c.Link != 0 && !j.notTaken(c) })
}

// hidden is S7.
func (j *judge) hidden() {
	for _, id := range slices.Sorted(maps.Keys(j.hiddenID)) {
		in := j.hiddenID[id]
		if _, also := j.intents[id]; also {
			continue // emitted again, visibly
		}
		if n := len(j.calls[id]); n > 0 {
			j.breaks(S7, id, "%s was never committed, and was called %d times", id, n)
		}
		if len(j.outcomes[id]) > 0 || len(j.dead[in.At]) > 0 {
			j.breaks(S7, id, "%s was never committed, and has an outcome or a dead letter", id)
		}
	}
	emitted := map[Place]bool{}
	for _, in := range j.run.Intents {
		emitted[in.At] = true
	}
	for _, d := range j.run.DeadLetters {
		if !emitted[d.Source] && len(j.run.Intents) > 0 {
			j.breaks(S7, "", "the dead letter at %s is of %s, where no record stands", d.At, d.Source)
		}
	}
}

// settled is L1; and nothing is answered that was not asked.
func (j *judge) settled() {
	for _, in := range j.run.Intents {
		buried := len(j.dead[in.At]) > 0
		switch {
		case in.Hidden:
		case buried && in.ID != "" && !j.conflicts(in) && !j.mayBeBuried(in):
			j.breaks(L1, in.ID, "the record at %s is an intent like any other, and has a dead letter", in.At)
		case buried && in.ID != "" && !j.conflicts(in) && j.wasMisled(in) && len(j.outcomes[in.ID]) == 0:
			j.breaks(L1, in.ID, "%s was buried by a mistake, and has no outcome in the end", in.ID)
		case buried, in.Deleted:
		case in.Passed && (in.ID == "" || j.conflicts(in)):
			j.verdict.Lost[in.At] = true // its dead letter nobody can make up for
		case in.ID == "":
			j.loses(in, "the record at %s is no intent and has no dead letter", in.At)
		case j.conflicts(in):
			j.loses(in, "the record at %s has the id of another intent, and no dead letter", in.At)
		case len(j.outcomes[in.ID]) == 0:
			j.loses(in, "%s has no outcome", in.ID)
		}
	}
	j.committed()
	if j.run.Committed != nil && len(j.run.Committed) < len(j.run.Outcomes) {
		j.breaks(L1, "", "readers of committed records see %d of %d outcomes", len(j.run.Committed), len(j.run.Outcomes))
	}
	for _, id := range slices.Sorted(maps.Keys(j.outcomes)) {
		if _, hidden := j.hiddenID[id]; len(j.intents[id]) == 0 && !hidden && len(j.run.Intents) > 0 {
			j.breaks(L1, id, "%s has an outcome, but nobody emitted it", id)
		}
	}
}

func (j *judge) loses(in Intent, format string, args ...any) {
	j.verdict.Lost[in.At] = true
	j.breaks(L1, in.ID, format, args...)
}

// mayBeBuried reports whether an intent like any other may have its dead letters:
// its outcome was too large for the topic, and none was published before; or it is
// from a time of which answers were deleted.
func (j *judge) mayBeBuried(in Intent) bool {
	return !slices.ContainsFunc(j.dead[in.At], func(d DeadLetter) bool {
		switch d.Reason {
		case "too_large":
			return !j.wasTight(d.Time) || !j.first[in.ID].IsZero() && !d.Time.IsZero() && j.first[in.ID].Before(d.Time)
		case "too_old":
			until := j.run.Forgotten[in.At.Partition]
			return until.IsZero() || !in.Time.IsZero() && !in.Time.Before(until)
		case unknownSchema:
			return !within(j.run.Misled, d.Time)
		}
		return true
	})
}

// whileRefused is how long after a refusal its dead letter may be made: the answer
// may have been held up.
const whileRefused = time.Minute

func (j *judge) wasTight(t time.Time) bool { return within(j.run.Tight, t) }

const unknownSchema = "unknown_schema"

// wasMisled reports whether an intent was buried because of a schema that the registry
// denied.
func (j *judge) wasMisled(in Intent) bool {
	return slices.ContainsFunc(j.dead[in.At], func(d DeadLetter) bool { return d.Reason == unknownSchema })
}

// within reports whether a record's time, which counts whole milliseconds, is of one of
// the times, or shortly after.
func within(spans []Span, t time.Time) bool {
	return slices.ContainsFunc(spans, func(s Span) bool {
		return t.IsZero() || !t.Before(s.From.Truncate(time.Millisecond)) && t.Before(s.To.Add(whileRefused))
	})
}

// committed is the end of L1: nothing is read again by the next owner.
func (j *judge) committed() {
	last := map[int32]int64{}
	for _, c := range j.run.Commits {
		last[c.Next.Partition] = c.Next.Offset
	}
	for _, p := range slices.Sorted(maps.Keys(j.run.Ends)) {
		if last[p] < j.run.Ends[p] {
			j.breaks(L1, "", "partition %d ends at %d, and is committed up to %d", p, j.run.Ends[p], last[p])
		}
	}
}
