package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"paylink/internal/event"
	"paylink/internal/facts"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
)

// A Question is what to explain.
type Question struct {
	ID         string                // an intent's, an order's or a payment's
	Key        string                // of the intent's records; empty: the ID is tried as one
	Everywhere bool                  // look into all partitions, whatever was found in the key's
	Wants      func(facts.Fact) bool // leaves out intents; nil: none
}

// A Range is what of each topic is searched, one span per partition.
type Range struct{ Intents, Outcomes, DeadLetters []kafkaops.Span }

// A Finder finds the records of an intent.
type Finder struct {
	Kafka *kafkaops.Reader
	Facts *facts.Reader

	// Work is told of each search through so many records, and returns what is told
	// of its progress, concurrently, and of its end.
	Work func(what string, records int64) (passed func(int64), done func())
}

// Found is the answer to a Question.
type Found struct {
	Stories    []Story // by the time of their first record
	Partition  int32   // the only one that was searched; -1: all of them
	Thorough   bool    // every record was read in full
	Unreadable []string
}

// parallel is how many spans are read at a time, and piece how many offsets one of
// them has at most, so that a single partition is read in parallel, too.
const (
	parallel = 6
	piece    = 100_000
)

// Find finds all intents that the id may mean. With the key's partition it begins;
// if nothing is there it goes through all, and if nothing is there either, it reads
// every record in full.
func (f *Finder) Find(ctx context.Context, q Question, in Range) (*Found, error) {
	s := &search{Finder: f, q: q, all: in, unreadable: map[event.Place]string{}}
	if !q.Everywhere && len(in.Intents) > 0 {
		p := kafkaops.KeyPartition([]byte(cmp.Or(q.Key, q.ID)), len(in.Intents))
		found, err := s.through(ctx, fmt.Sprintf("searching partition %d", p), in.of([]int32{p}), p, false)
		if err != nil || s.stands(p) {
			return found, err
		}
	}
	found, err := s.through(ctx, "searching all partitions", in, -1, false)
	if err != nil || len(found.Stories) > 0 {
		return found, err
	}
	return s.through(ctx, "reading every record", in, -1, true)
}

// of returns the part of the range in which intents of these partitions stand, with
// their outcomes and dead letters.
func (r Range) of(partitions []int32) (out Range) {
	for _, p := range partitions {
		if int(p) < len(r.Intents) {
			out.Intents = append(out.Intents, r.Intents[p])
		}
		out.Outcomes = with(out.Outcomes, r.Outcomes, p)
		out.DeadLetters = with(out.DeadLetters, r.DeadLetters, p)
	}
	return out
}

// with adds the span that belongs to a partition of intents.
func with(out, all []kafkaops.Span, p int32) []kafkaops.Span {
	if len(all) == 0 || slices.Contains(out, all[int(p)%len(all)]) {
		return out
	}
	return append(out, all[int(p)%len(all)])
}

// stands reports whether something that was found stands in a partition of intents.
func (s *search) stands(p int32) bool {
	for _, f := range s.facts {
		if f.Kind == facts.Emitted && f.At.Partition == p || f.Source.Topic == s.Facts.Topics.Intents && f.Source.Partition == p {
			return true
		}
	}
	return false
}

// A search collects facts of the intents that the question means. Its lock guards
// what follows it.
type search struct {
	*Finder
	q   Question
	all Range

	mu         sync.Mutex
	facts      map[event.Place]facts.Fact
	by         map[payment.IntentID]IDKind // the intents that are meant
	unreadable map[event.Place]string
}

// through searches a part of the range.
func (s *search) through(ctx context.Context, what string, in Range, partition int32, thorough bool) (*Found, error) {
	s.facts, s.by = map[event.Place]facts.Fact{}, map[payment.IntentID]IDKind{}
	if err := s.collect(ctx, what, in, thorough); err != nil {
		return nil, err
	}
	missed, err := s.sources(ctx, in)
	if err != nil {
		return nil, err
	}
	if len(missed) > 0 && !thorough { // the sieve does not see this emitter's ids
		thorough = true
		if err := s.collect(ctx, "reading every record of the partition", s.all.of(missed), true); err != nil {
			return nil, err
		}
	}
	return &Found{Stories: s.stories(), Partition: partition, Thorough: thorough, Unreadable: s.notRead()}, nil
}

// collect goes through intents and outcomes, once more for the intents that it has
// met, and then through the dead letters.
func (s *search) collect(ctx context.Context, what string, in Range, thorough bool) error {
	var asked needles
	asked.of(s.q.ID)
	if id, ok := s.q.payment(); ok {
		asked.number(id)
	}
	if err := s.sift(ctx, what, slices.Concat(in.Intents, in.Outcomes), asked, thorough); err != nil {
		return err
	}
	if err := s.again(ctx, thorough); err != nil {
		return err
	}
	for _, f := range s.facts {
		if f.Kind == facts.Emitted {
			asked.add(strconv.AppendInt(nil, f.At.Offset, 10)) // as a dead letter's header names its source
		}
	}
	for id := range s.by {
		asked.of(string(id))
	}
	return s.sift(ctx, "searching the dead letters", in.DeadLetters, asked, thorough)
}

// again looks for intents by their own ids, where they were found by another one. It
// leaves the outcomes out if each has one that was found by its order: a second one
// with another order would be beyond what the service ever does.
func (s *search) again(ctx context.Context, thorough bool) error {
	var ids needles
	partitions := map[int32]bool{}
	for _, f := range s.facts {
		if string(f.Intent) == s.q.ID {
			continue
		}
		ids.of(string(f.Intent))
		if f.Kind == facts.Emitted {
			partitions[f.At.Partition] = true
		} else if f.Source.Topic == s.Facts.Topics.Intents {
			partitions[f.Source.Partition] = true
		}
	}
	if len(ids) == 0 {
		return nil
	}
	in := s.all.of(slices.Sorted(maps.Keys(partitions)))
	if s.answered() {
		in.Outcomes = nil
	}
	return s.sift(ctx, "searching for the intent", slices.Concat(in.Intents, in.Outcomes), ids, thorough)
}

// answered reports whether each intent has an outcome, and none was found by its
// payment alone.
func (s *search) answered() bool {
	has := map[payment.IntentID]bool{}
	for _, f := range s.facts {
		has[f.Intent] = has[f.Intent] || f.Kind == facts.Created || f.Kind == facts.Failed
	}
	for id, by := range s.by {
		if !has[id] || by&ByPayment != 0 {
			return false
		}
	}
	return true
}

// sift goes through spans, and takes what is meant.
func (s *search) sift(ctx context.Context, what string, spans []kafkaops.Span, n needles, thorough bool) error {
	records := int64(0)
	for _, sp := range spans {
		records += sp.Records()
	}
	if records == 0 {
		return nil
	}
	let := n.sieve()
	if thorough {
		let = everything
	}
	passed, done := s.Work(what, records)
	defer done()
	return s.Kafka.Sift(ctx, kafkaops.Split(spans, piece), parallel, let, passed, func(at event.Place, m event.Message) error {
		return s.take(ctx, at, m, thorough)
	})
}

// take reads a record, and keeps it if it is meant.
func (s *search) take(ctx context.Context, at event.Place, m event.Message, thorough bool) error {
	f, err := s.read(ctx, at, m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	by := s.q.means(f, m)
	if of, ours := s.facts[f.Source]; ours && f.Intent == "" {
		f.Intent = of.Intent
	}
	if by == 0 && (f.Intent == "" || s.by[f.Intent] == 0) {
		if f.Intent == "" && f.Kind == facts.Emitted && !thorough {
			s.unreadable[at] = f.Text
		}
		return nil
	}
	if f.Intent == "" && f.Kind == facts.Emitted { // it has a story only if it is buried
		s.unreadable[at] = f.Text
		return nil
	}
	if s.q.Wants == nil || s.q.Wants(f) {
		s.facts[at] = f
		s.by[f.Intent] |= by
	}
	return nil
}

// read makes a fact of a record. Of a damaged one it is what the headers say: an
// outcome's are enough to know whose it is, an intent without an id is nobody's.
func (s *search) read(ctx context.Context, at event.Place, m event.Message) (facts.Fact, error) {
	f, err := s.Facts.Of(ctx, at, m)
	if err == nil {
		return f, nil
	}
	f.Text = err.Error()
	if bad, ok := errors.AsType[*event.Unreadable](err); ok {
		f.Text = bad.Error()
	} else if at.Topic != s.Facts.Topics.Outcomes {
		return f, fmt.Errorf("read %s: %w", spot(at), err)
	}
	switch {
	case m.TooLarge != 0:
		f.Text = "the record is too large to be looked at"
	case at.Topic == s.Facts.Topics.Outcomes:
		f.Intent = payment.IntentID(m.Header(event.HeaderIntentID))
		if d, err := event.ParseDigest(m.Header(event.HeaderIntentDigest)); err == nil {
			f.Digest = d
		}
		if string(m.Header("ce_type")) == event.CETypeFailed {
			f.Kind = facts.Failed
		}
	}
	return f, nil
}

// means says how the id that was asked for leads to a fact; 0: it does not.
func (q *Question) means(f facts.Fact, m event.Message) (by IDKind) {
	if string(f.Intent) == q.ID {
		by |= ByIntent
	}
	if f.OrderID == q.ID {
		by |= ByOrder
	}
	if id, ok := q.payment(); ok && f.PaymentID == id {
		by |= ByPayment
	}
	if f.Intent == "" && string(m.Key) == cmp.Or(q.Key, q.ID) {
		by |= ByKey
	}
	return by
}

// payment is the id as that of a payment.
func (q *Question) payment() (id int64, ok bool) {
	id, err := strconv.ParseInt(q.ID, 10, 64)
	return id, err == nil && id > 0 && strconv.FormatInt(id, 10) == q.ID
}

// sources reads the records that outcomes and dead letters name as theirs, where
// they were not found. It returns the partitions in which they should have been.
func (s *search) sources(ctx context.Context, in Range) (missed []int32, err error) {
	for _, at := range s.unseen() {
		if int(at.Partition) >= len(s.all.Intents) || at.Offset >= s.all.Intents[at.Partition].To {
			continue
		}
		one := kafkaops.Span{Topic: at.Topic, Partition: at.Partition, From: at.Offset, To: at.Offset + 1}
		err := s.Kafka.Sift(ctx, []kafkaops.Span{one}, 1, everything, func(int64) {}, func(at event.Place, m event.Message) error {
			return s.take(ctx, at, m, true)
		})
		if err != nil {
			return nil, err
		}
		if _, found := s.facts[at]; found && covers(in.Intents, at) && !slices.Contains(missed, at.Partition) {
			missed = append(missed, at.Partition)
		}
	}
	return missed, nil
}

// unseen are the places of records that others name, and that were not found.
func (s *search) unseen() (all []event.Place) {
	for _, f := range s.facts {
		_, seen := s.facts[f.Source]
		if _, bad := s.unreadable[f.Source]; !seen && !bad && f.Source.Topic == s.Facts.Topics.Intents && !slices.Contains(all, f.Source) {
			all = append(all, f.Source)
		}
	}
	return all
}

func covers(spans []kafkaops.Span, at event.Place) bool {
	return slices.ContainsFunc(spans, func(s kafkaops.Span) bool {
		return s.Topic == at.Topic && s.Partition == at.Partition && s.From <= at.Offset && at.Offset < s.To
	})
}

// stories puts the facts together.
func (s *search) stories() []Story {
	byID := map[payment.IntentID]*Story{}
	for _, f := range s.facts {
		if byID[f.Intent] == nil {
			byID[f.Intent] = &Story{Intent: f.Intent, By: s.by[f.Intent]}
		}
		byID[f.Intent].facts = append(byID[f.Intent].facts, f)
	}
	var all []Story
	for _, st := range byID {
		st.sort()
		all = append(all, *st)
	}
	slices.SortFunc(all, func(a, b Story) int {
		return cmp.Or(a.facts[0].Time.Compare(b.facts[0].Time), cmp.Compare(a.Intent, b.Intent))
	})
	return all
}

// notRead tells of records that could be about the intent and could not be read,
// but for those that a dead letter tells of.
func (s *search) notRead() (all []string) {
	for _, f := range s.facts {
		delete(s.unreadable, f.Source)
	}
	for at, why := range s.unreadable {
		all = append(all, spot(at)+": "+why)
	}
	slices.Sort(all)
	return all
}
