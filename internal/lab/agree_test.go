package lab

import (
	"math"
	"slices"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/history"
	"paylink/internal/reconcile"
)

// A report is what the verbs ought to say, in lines. See findingLine, countsLine and
// differenceLine.
type report struct{ verify, reconcile []string }

// What is left of a history: what readers of committed records find on the topics now,
// and at the gateway.
type left struct {
	begins    map[int32]int64 // of the intents: what is below is deleted
	committed map[int32]int64
	hidden    map[history.Place]string // ids of records that were never committed
	intents   map[string][]history.Intent
	garbage   []history.Intent // records that are no intents
	outcomes  map[string][]history.Outcome
	dead      map[history.Place]int       // dead letters by the record that they are of
	reach     map[int32]time.Time         // by partition of the intents: from when on all outcomes are left; none: all are
	times     map[history.Place]time.Time // that records of the intents have
	forged    map[history.Place]string    // the merchants that a stranger's outcomes name
	payments  map[string]int64            // the newest by order: the one that a look-up finds
}

// leftOf takes from a history what was deleted.
func (s *scene) leftOf(h history.Run) *left {
	l := &left{
		begins: map[int32]int64{}, committed: map[int32]int64{}, hidden: map[history.Place]string{}, intents: map[string][]history.Intent{},
		outcomes: map[string][]history.Outcome{}, dead: map[history.Place]int{}, payments: map[string]int64{},
	}
	for _, p := range s.brokers.PartitionInfos(devstack.Intents) {
		l.begins[p.Partition] = s.beginOf(p.Partition)
	}
	if info := s.brokers.GroupInfo(group); info != nil {
		for p, c := range info.Commits[devstack.Intents] {
			l.committed[p] = c.Offset
		}
	}
	for _, in := range h.Intents {
		switch {
		case !l.holds(in.At):
		case in.Hidden:
			l.hidden[in.At] = in.ID
		case in.ID == "":
			l.garbage = append(l.garbage, in)
		default:
			l.intents[in.ID] = append(l.intents[in.ID], in)
		}
	}
	for _, o := range h.Outcomes {
		if o.At.Offset >= s.trimmed[o.At.Partition] {
			l.outcomes[o.Intent] = append(l.outcomes[o.Intent], o)
		}
	}
	l.times, l.forged, l.reach = s.times, s.forged, s.reach(h.Outcomes)
	for _, d := range h.DeadLetters {
		if l.holds(d.Source) {
			l.dead[d.Source]++
		}
	}
	for _, p := range s.sim.Payments() {
		l.payments[p.OrderID] = p.ID
	}
	return l
}

// beginOf is the oldest offset that a partition of the intents still has.
func (s *scene) beginOf(p int32) int64 {
	if info := s.brokers.PartitionInfo(devstack.Intents, p); info != nil {
		return info.LogStartOffset
	}
	return 0
}

// reach is from when on all outcomes of partitions are left: the time of the oldest.
func (s *scene) reach(outcomes []history.Outcome) map[int32]time.Time {
	since := map[int32]time.Time{}
	for p := range s.plan.world.partitions + 8 {
		from, ok := s.trimmed[p%s.plan.world.outcomes]
		if !ok {
			continue
		}
		since[p] = time.Now()
		oldest := int64(math.MaxInt64)
		for _, o := range outcomes {
			if o.At.Partition == p%s.plan.world.outcomes && o.At.Offset >= from && o.At.Offset < oldest {
				since[p], oldest = o.Time, o.At.Offset
			}
		}
	}
	return since
}

// isBeyondReach reports whether a record's outcome may have been deleted. A time that is to
// come tells no age.
func (l *left) isBeyondReach(at history.Place) bool {
	since, deleted := l.reach[at.Partition]
	return deleted && (l.times[at].Before(since) || l.times[at].After(time.Now()))
}

// holds reports whether a record of the intent topic is not deleted.
func (l *left) holds(at history.Place) bool { return at.Offset >= l.begins[at.Partition] }

// A matter is all that is left of one intent, or of one record that is none.
type matter struct {
	id       string
	intents  []history.Intent
	outcomes []history.Outcome // in the order of their places
	dead     int
	lost     []history.Place // records without an answer
	beyond   bool            // one has none, nothing is lost or waiting: its outcome may have been deleted
	waiting  bool            // one has none, and nothing is lost: it was not committed
	orphans  []history.Outcome
	others   []history.Outcome // that name another merchant than the record that they answer
}

// matters are those of which something is left on the intent topic, or in other topics
// of a part of it that is not deleted.
func (l *left) matters(v history.Verdict) (all []*matter) {
	byID := map[string]*matter{}
	of := func(id string) *matter {
		if byID[id] == nil {
			byID[id] = &matter{id: id, outcomes: l.outcomes[id]}
			all = append(all, byID[id])
		}
		return byID[id]
	}
	for id, ins := range l.intents {
		of(id).intents = ins
	}
	for id, os := range l.outcomes {
		for _, o := range os {
			if l.holds(o.Source) {
				of(id)
			}
		}
	}
	for at, id := range l.hidden {
		if n := l.dead[at]; n > 0 && id != "" {
			of(id).dead += n
		}
	}
	for _, in := range l.garbage {
		all = append(all, &matter{intents: []history.Intent{in}})
	}
	for _, m := range all {
		l.settle(m, v)
	}
	return all
}

// settle finds what is wrong with a matter. The judge says what is lost; where outcomes
// were deleted, so is what they answered.
func (l *left) settle(m *matter, v history.Verdict) {
	for _, in := range m.intents {
		n := l.dead[in.At]
		m.dead += n
		switch {
		case n > 0, !v.Lost[in.At] && len(m.outcomes) > 0:
		case in.At.Offset < l.committed[in.At.Partition] && l.isBeyondReach(in.At):
			m.beyond = true
		case in.At.Offset < l.committed[in.At.Partition]:
			m.lost = append(m.lost, in.At)
		case len(m.outcomes) == 0:
			m.waiting = true
		}
	}
	m.waiting = m.waiting && len(m.lost) == 0
	m.beyond = m.beyond && len(m.lost) == 0 && !m.waiting
	slices.SortFunc(m.outcomes, func(a, b history.Outcome) int { return a.At.Compare(b.At) })
	for _, o := range m.outcomes {
		i := slices.IndexFunc(m.intents, func(in history.Intent) bool { return in.At == o.Source })
		if i < 0 && l.holds(o.Source) {
			m.orphans = append(m.orphans, o)
		}
		if by := l.forged[o.At]; i >= 0 && by != "" && m.intents[i].Merchant != by {
			m.others = append(m.others, o)
		}
	}
}

// report is what the verbs ought to say.
func (l *left) report(v history.Verdict) (r report) {
	var sum reconcile.Verified
	for _, m := range l.matters(v) {
		r.verify = append(r.verify, m.findings()...)
		r.reconcile = append(r.reconcile, m.difference(l.payments[m.id]))
		m.count(&sum)
	}
	for _, n := range l.dead {
		sum.DeadLetters += n
	}
	r.verify = append(r.verify, countsLine(sum))
	return r
}

// findings are those of verify.
func (m *matter) findings() (lines []string) {
	for i, o := range m.outcomes {
		if i > 0 {
			lines = append(lines, findingLine(reconcile.FoundSecond, m.id, o.At))
		}
	}
	for _, o := range m.orphans {
		lines = append(lines, findingLine(reconcile.FoundOrphan, m.id, o.At))
	}
	for _, o := range m.others {
		lines = append(lines, findingLine(reconcile.FoundOther, m.id, o.At))
	}
	if len(m.lost) > 0 {
		lines = append(lines, findingLine(reconcile.FoundLost, m.id, m.lost[0]))
	}
	return lines
}

func (m *matter) count(sum *reconcile.Verified) {
	sum.Records += len(m.intents)
	switch {
	case m.id == "":
		sum.Unreadable++
	case len(m.intents) > 0:
		sum.Intents++
	}
	for _, o := range m.outcomes {
		sum.Outcomes++
		if o.Created {
			sum.Created++
		} else {
			sum.Failed++
		}
	}
	if m.waiting {
		sum.Waiting++
	}
	if m.beyond {
		sum.BeyondReach++
	}
}

// difference is what reconcile ought to say, if the gateway has this payment of the
// order. An intent without an outcome is never too young: see doc.go.
func (m *matter) difference(gateway int64) string {
	var link int64
	if len(m.outcomes) > 0 {
		link = m.outcomes[0].Payment
	}
	class, asked := m.class(gateway)
	if !asked {
		gateway = 0
	}
	return differenceLine(class.String(), m.id, link, gateway)
}

// class is reconcile's; asked says that the gateway has a say in it.
func (m *matter) class(gateway int64) (c reconcile.Class, asked bool) {
	switch {
	case len(m.outcomes) > 1:
		return reconcile.SecondOutcome, false
	case len(m.orphans) > 0:
		return reconcile.OutcomeWithoutIntent, false
	case m.dead > 0:
		return reconcile.HasDeadLetter, false
	case len(m.outcomes) == 0 && gateway != 0:
		return reconcile.NoOutcomeButExists, true
	case len(m.outcomes) == 0:
		return reconcile.NoOutcome, true
	}
	switch o := m.outcomes[0]; {
	case o.Created && gateway == 0:
		return reconcile.NotAtGateway, true
	case o.Created && gateway != o.Payment:
		return reconcile.OtherPayment, true
	case !o.Created && gateway != 0:
		return reconcile.FailedButExists, true
	}
	if len(m.others) > 0 {
		return reconcile.OtherMerchant, true
	}
	return reconcile.Matched, true
}
