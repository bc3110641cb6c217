// Package reconcile joins what the three topics say of each intent, and what the
// gateway says of its order, and names what does not fit together.
//
// The join is an external sort: memory does not grow with the range. All that it
// tells is the same for the same input: ages count from a moment that is fixed
// before anything is read, and so are the offsets where reading ends. It writes to
// no topic, and holds no secret and nothing personal.
package reconcile

import (
	"context"
	"time"

	"paylink/internal/facts"
	"paylink/internal/kafkaops"
)

// A Range is what is joined, fixed in offsets.
type Range struct {
	Moment      time.Time // from which ages count
	Begin       time.Time // of the range; zero: the topics' own
	Intents     []kafkaops.Span
	Outcomes    []kafkaops.Span     // from a ledger window before the range: a repeat may have been answered there
	DeadLetters []kafkaops.Span     // likewise
	Committed   map[int32]int64     // of the service's group in the intent topic; nil: not known
	KnownSince  map[int32]time.Time // from when on outcomes of an intent partition are there, as the group has noted; not there: no loss is known
}

// Records is how many records the range has at most.
func (r *Range) Records() (n int64) {
	for _, spans := range [][]kafkaops.Span{r.Intents, r.Outcomes, r.DeadLetters} {
		for _, s := range spans {
			n += s.Records()
		}
	}
	return n
}

// A Want is a range that is not fixed yet.
type Want struct {
	Topics       facts.Topics
	Begin, End   *kafkaops.Bound // nil: the begin, or the end, of the topics
	Moment       time.Time
	LedgerWindow time.Duration
	Committed    map[int32]int64     // asked for before, or an outcome that is committed might not be seen
	KnownSince   map[int32]time.Time // likewise
	Waits        func(string)        // told of an open transaction that is waited for; nil: nobody is
}

// Fix fixes a range as of now. Outcomes and dead letters are read to the end of
// their topics: the last intents of a range are answered after it. What an open
// transaction hides there is waited for, or what it hides would count as lost.
func Fix(ctx context.Context, kafka *kafkaops.Reader, w Want) (r Range, err error) {
	r.Moment, r.Committed, r.KnownSince = w.Moment, w.Committed, w.KnownSince
	var begin, before kafkaops.Bound
	if w.Begin != nil {
		begin, before = *w.Begin, *w.Begin
	}
	if !begin.At.IsZero() {
		r.Begin, before.At = begin.At, begin.At.Add(-w.LedgerWindow)
	}
	intents := kafkaops.Range{Topic: w.Topics.Intents, Partition: -1, From: begin, To: w.End}
	var undated bool
	if r.Intents, undated, err = kafka.SpansUndated(ctx, intents); err != nil {
		return r, err
	}
	if undated { // nobody knows when they were answered
		before = kafkaops.Bound{}
	}
	if r.Outcomes, err = kafka.Whole(ctx, kafkaops.Range{Topic: w.Topics.Outcomes, Partition: -1, From: before}, w.Waits); err != nil {
		return r, err
	}
	r.DeadLetters, err = kafka.Whole(ctx, kafkaops.Range{Topic: w.Topics.DeadLetters, Partition: -1, From: before}, w.Waits)
	return r, err
}

// A Filter leaves out intents. Empty texts leave out none.
type Filter struct{ Merchant, Intent, Order string }

func (f Filter) none() bool { return f == Filter{} }

// An Archive is where the records are.
type Archive struct {
	Kafka  *kafkaops.Reader
	Facts  *facts.Reader
	Range  Range
	Filter Filter
	Dir    string      // for the sort's files
	Read   func(int64) // told of so many more records read; may be called concurrently; nil: nobody is told
	Joined func()      // called when all is read, before the first group; nil: nobody is told
}
