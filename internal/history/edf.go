package history

import (
	"maps"
	"slices"
	"time"
)

// gaveUp is the reason of an outcome whose intent was given up for its age.
const gaveUp = "gave_up"

// givenUp is L3. An intent that gave up before its age, or although in the order of
// their times a call for it would have been free, gave up in vain.
//
// Replicas share a rate by partitions, unseen from here. So the schedule that it is
// held against is the worst that any sharing gives: all partitions' intents of the
// merchant are served by the one share of a single partition, a tenth slower than
// that, with as many calls for each as were made; and what that schedule serves only
// in the last fifth of its time does not count. With one partition this is sharp,
// with four it sees only what is grossly wrong.
func (j *judge) givenUp() {
	if j.run.GiveUp == 0 {
		return
	}
	byMerchant := map[string][]arrival{}
	for id, ins := range j.intents {
		if in := ins[0]; !in.Seen.IsZero() {
			byMerchant[in.Merchant] = append(byMerchant[in.Merchant], j.arrivalOf(id, in))
		}
	}
	for _, m := range slices.Sorted(maps.Keys(byMerchant)) {
		served := map[string]bool{}
		if r := j.rateOf(m); r != nil {
			each := time.Duration(float64(r.Per) / r.Calls * float64(max(1, j.run.Partitions)) * 1.1)
			served = serve(byMerchant[m], each, j.run.Possible)
		}
		for _, a := range byMerchant[m] {
			j.inVain(a, served[a.id])
		}
	}
}

func (j *judge) inVain(a arrival, served bool) {
	os := j.outcomes[a.id]
	if len(os) == 0 || os[0].Created || os[0].Reason != gaveUp {
		return
	}
	switch young := j.first[a.id].Before(a.by.Add(-time.Second)); {
	case young:
		j.breaks(L3, a.id, "%s gave up at %s, and had time until %s", a.id, j.first[a.id].Format(clock), a.by.Format(clock))
	case served && j.isOrdinary(a.id) && !j.isBehindStrange(j.intents[a.id][0]):
		j.breaks(L3, a.id, "%s gave up, though in the order of their times a call for it was free before %s", a.id, a.by.Format(clock))
	}
}

// An arrival is an intent as a schedule sees it.
type arrival struct {
	id    string
	at    time.Time // when it could be read
	by    time.Time // when its time is up
	calls int       // that it takes
}

func (j *judge) arrivalOf(id string, in Intent) arrival {
	born := in.Time
	if born.IsZero() {
		born = in.Seen
	}
	a := arrival{id: id, at: in.Seen, by: born.Add(j.run.GiveUp), calls: max(1, len(j.calls[id]))}
	if !in.Expires.IsZero() && in.Expires.Before(a.by) {
		a.by = in.Expires
	}
	return a
}

// serve serves arrivals with a call each so often, in spans in which calls are
// possible: always the one that has arrived and whose time is up first. Those whose
// time is up are not served any more. It returns which got all their calls in the
// first four fifths of their time.
func serve(all []arrival, each time.Duration, possible []Span) map[string]bool {
	waiting := slices.Clone(all)
	slices.SortFunc(waiting, func(a, b arrival) int { return a.by.Compare(b.by) })
	served := map[string]bool{}
	for _, s := range possible {
		for now := s.From.Add(each); !now.After(s.To) && len(waiting) > 0; now = now.Add(each) {
			waiting = slices.DeleteFunc(waiting, func(a arrival) bool { return !a.by.After(now) })
			i := slices.IndexFunc(waiting, func(a arrival) bool { return !a.at.After(now.Add(-each)) })
			if i < 0 {
				continue
			}
			a := &waiting[i]
			if a.calls--; a.calls > 0 {
				continue
			}
			served[a.id] = !now.After(a.by.Add(-a.by.Sub(a.at) / 5))
			waiting = slices.Delete(waiting, i, i+1)
		}
	}
	return served
}
