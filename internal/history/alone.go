package history

import (
	"maps"
	"slices"
	"time"
)

// isOrdinary reports whether the intent of an id ought to get its link: it does not
// expire, nothing strange is about it, its content never changes, and no answer spoke
// of this order.
func (j *judge) isOrdinary(id string) bool {
	ins := j.intents[id]
	return len(ins) > 0 &&
		!slices.ContainsFunc(ins, func(in Intent) bool {
			return in.Strange != "" || in.Deleted || !in.Expires.IsZero() || j.conflicts(in)
		}) &&
		!slices.ContainsFunc(j.calls[id], func(c Call) bool { return c.Refused })
}

// alone is L2. An ordinary intent gets its link, or gives up, of which L3 judges.
// And it gets it once all is mended, as soon as its merchant's rate and what of the
// merchant was left by then justify: at half of the rate, and some time for what
// waits before it asks again.
func (j *judge) alone() {
	if !j.run.Alone {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(j.intents)) {
		os := j.outcomes[id]
		if len(os) == 0 || !j.isOrdinary(id) { // without an outcome: L1
			continue
		}
		if o := os[0]; !o.Created && o.Reason != gaveUp {
			j.breaks(L2, id, "%s is an intent like any other, and failed: %s", id, o.Reason)
			continue
		}
		if latest, ok := j.latest(id); ok && os[0].Created && j.first[id].After(latest) {
			j.breaks(L2, id, "%s had its outcome at %s, later than %s, which the rate and what else waited justify", id, j.first[id].Format(clock), latest.Format(clock))
		}
	}
}

// settling is how long it takes after all is mended until everybody asks again: the
// longest backoff, a session, a hand-over.
const settling = 90 * time.Second

// latest is by when an intent must have its outcome. What is behind a strange one of
// its key, which may wait for as long as that may, has no such time.
func (j *judge) latest(id string) (time.Time, bool) {
	in := j.intents[id][0]
	r := j.rateOf(in.Merchant)
	if r == nil || in.Seen.IsZero() || j.run.GiveUp == 0 || j.isBehindStrange(in) {
		return time.Time{}, false
	}
	from, waits := later(in.Seen, j.run.Mended), 0
	for other, calls := range j.calls {
		if ins := j.intents[other]; len(ins) == 0 || ins[0].Merchant != in.Merchant || ins[0].Seen.After(j.first[id]) {
			continue
		}
		if t := j.first[other]; t.IsZero() || t.After(from) {
			waits += len(calls)
		}
	}
	return from.Add(settling + time.Duration(float64(2*waits)/r.Calls*float64(r.Per))), true
}

func (j *judge) isBehindStrange(in Intent) bool {
	return in.Key != "" && slices.ContainsFunc(j.run.Intents, func(o Intent) bool {
		return o.At.Partition == in.At.Partition && o.At.Offset < in.At.Offset && o.Key == in.Key && !o.Hidden && o.ID != in.ID && !j.isOrdinary(o.ID)
	})
}

func (j *judge) rateOf(merchant string) *Rate {
	i := slices.IndexFunc(j.run.Rates, func(r Rate) bool { return r.Merchant == merchant })
	if i < 0 {
		return nil
	}
	return &j.run.Rates[i]
}

// memory is M1. What is measured is the whole process of the experiment; and what is
// beyond every memory must not have been held.
func (j *judge) memory() {
	if j.run.MostMemory > 0 && j.run.Memory > j.run.MostMemory {
		j.breaks(M1, "", "%d MiB were in use, at most %d may be", j.run.Memory>>20, j.run.MostMemory>>20)
	}
	for _, in := range j.run.Intents {
		if !in.Beyond {
			continue
		}
		for _, d := range j.dead[in.At] {
			if d.Reason != "too_large" {
				j.breaks(M1, "", "the record at %s fits no memory, and its dead letter at %s says %s: somebody has held it", in.At, d.At, d.Reason)
			}
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
