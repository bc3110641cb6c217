package replay

import (
	"context"
	"fmt"
	"time"

	"paylink/internal/event"
	"paylink/internal/facts"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
)

// Unanswered emits intents again that were passed by without an answer: they stand
// below the committed offset, and have neither an outcome nor a dead letter. Key,
// value and headers stay, HeaderReplayedAt is added, and the record's time is new,
// or the service would find the intent too old.
//
// It needs no note of what it did. An intent that was emitted again stands at or
// above the committed offset, so that the next run takes it for one that waits; and
// an Emitter of the same id ends what an older run had open. That, and answers, may be
// hidden behind an open transaction of somebody else: its end is waited for, and if it
// does not come, the run ends, and nothing is emitted.
type Unanswered struct {
	Archive
	Group string
	Emit  *kafkaops.Emitter // nil: a dry run

	// AssumeUnanswered takes the word of who runs it for intents whose outcomes may
	// have been deleted.
	AssumeUnanswered bool

	Tell func(UnansweredLine) error // of each intent, when it is written
}

// An UnansweredLine is an intent without an answer.
type UnansweredLine struct {
	Kind      string             `json:"kind"` // emitted or skipped
	Intent    payment.IntentID   `json:"intent_id"`
	Merchant  payment.MerchantID `json:"merchant_id"`
	OrderID   string             `json:"order_id"`
	Partition int32              `json:"partition"`
	Offset    int64              `json:"offset"`
	AgeS      int64              `json:"age_s"`
	Detail    string             `json:"detail"` // why it was skipped
	DryRun    bool               `json:"dry_run"`
}

// UnansweredSums is what became of the intents of a range.
type UnansweredSums struct {
	Intents    int64 `json:"intents"`    // different ones, that the filters let through
	Answered   int64 `json:"answered"`   // have an outcome
	Waiting    int64 `json:"waiting"`    // stand at or above the committed offset too
	Buried     int64 `json:"buried"`     // records with a dead letter
	Unreadable int64 `json:"unreadable"` // records that are no intents
	Emitted    int64 `json:"emitted"`
	Skipped    int64 `json:"skipped"`
}

// What is known of an intent of the range.
type standing uint8

const (
	open     standing = iota // no answer was found yet
	answered                 // it has an outcome
	waiting                  // it is still to be read
	done                     // it was told
)

// Run looks through spans of the intent topic. A span ends the range; what waits
// behind it is looked at too.
func (u *Unanswered) Run(ctx context.Context, spans []kafkaops.Span) (UnansweredSums, error) {
	var sums UnansweredSums
	topics := u.Facts.Topics
	group, err := u.Kafka.Group(ctx, u.Group, topics.Intents)
	if err != nil {
		return sums, err
	}
	noted, err := u.Kafka.KnownSince(ctx, u.Group, topics.Intents, topics.Outcomes)
	if err != nil {
		return sums, err
	}
	below := make([]kafkaops.Span, len(spans)) // what the service has passed
	for i, s := range spans {
		s.To = max(s.From, min(s.To, group.Committed[s.Partition]))
		below[i] = s
	}
	ids, err := u.collect(ctx, below, &sums)
	if err != nil || len(ids) == 0 {
		return sums, err
	}
	if err := u.waiting(ctx, group.Committed, ids); err != nil {
		return sums, err
	}
	kept, err := u.answered(ctx, ids)
	if err != nil {
		return sums, err
	}
	since := func(partition int32) time.Time {
		known := kept[int(partition)%len(kept)]
		if n := noted[partition]; n.After(known) {
			known = n
		}
		return known
	}
	sums.Intents = int64(len(ids))
	for _, is := range ids {
		switch is {
		case answered:
			sums.Answered++
		case waiting:
			sums.Waiting++
		}
	}
	if sums.Answered+sums.Waiting == sums.Intents {
		return sums, nil
	}
	buried, err := u.buried(ctx)
	if err != nil {
		return sums, err
	}
	r := round{Unanswered: u, ids: ids, since: since, buried: buried, sums: &sums}
	err = r.emit(ctx, below)
	return sums, err
}

// intents calls yield with the intents of spans, and counts the rest.
func (u *Unanswered) intents(
	ctx context.Context, spans []kafkaops.Span, unreadable *int64, yield func(facts.Fact, event.Message) error,
) error {
	return u.Kafka.Read(ctx, spans, 1, func(at event.Place, m event.Message) error {
		u.progress(1)
		f, err := factOf(ctx, u.Facts, at, m)
		switch {
		case isUnreadable(err):
			*unreadable++
			return nil
		case err != nil:
			return err
		}
		return yield(f, m)
	})
}

// factOf is what a record of the intent topic says; one that is too large to be read
// is unreadable too.
func factOf(ctx context.Context, r *facts.Reader, at event.Place, m event.Message) (facts.Fact, error) {
	if m.TooLarge != 0 {
		return facts.Fact{}, event.BeyondBudget(m.TooLarge)
	}
	f, err := r.Of(ctx, at, m)
	if err != nil && !isUnreadable(err) {
		err = fmt.Errorf("read the intent %s/%d@%d: %w", at.Topic, at.Partition, at.Offset, err)
	}
	return f, err
}

// collect lists the intents that were passed.
func (u *Unanswered) collect(ctx context.Context, below []kafkaops.Span, sums *UnansweredSums) (map[idKey]standing, error) {
	ids := map[idKey]standing{}
	err := u.intents(ctx, below, &sums.Unreadable, func(f facts.Fact, _ event.Message) error {
		if u.wants(f) {
			ids[keyOf(f.Intent)] = open
		}
		return nil
	})
	return ids, err
}

// waiting marks those that stand at or above the committed offset too.
func (u *Unanswered) waiting(ctx context.Context, committed map[int32]int64, ids map[idKey]standing) error {
	spans, err := u.whole(ctx, u.Facts.Topics.Intents)
	if err != nil {
		return err
	}
	for i := range spans {
		spans[i].From = max(spans[i].From, committed[spans[i].Partition])
	}
	var unreadable int64
	return u.intents(ctx, spans, &unreadable, func(f facts.Fact, _ event.Message) error {
		if _, asked := ids[keyOf(f.Intent)]; asked {
			ids[keyOf(f.Intent)] = waiting
		}
		return nil
	})
}

// answered marks those with an outcome. It returns from when on each outcome
// partition holds all outcomes; zero: it holds every one that there ever was.
func (u *Unanswered) answered(ctx context.Context, ids map[idKey]standing) ([]time.Time, error) {
	spans, err := u.whole(ctx, u.Facts.Topics.Outcomes)
	if err != nil {
		return nil, err
	}
	since, seen := make([]time.Time, len(spans)), make([]bool, len(spans))
	for i, s := range spans {
		if s.From > 0 { // what was before is gone
			since[i] = u.Now
		}
	}
	err = u.Kafka.Read(ctx, spans, 1, func(at event.Place, m event.Message) error {
		u.progress(1)
		if p := at.Partition; !seen[p] {
			if seen[p] = true; !since[p].IsZero() && !m.Time.IsZero() {
				since[p] = m.Time
			}
		}
		if id := m.Header(event.HeaderIntentID); len(id) > 0 {
			if _, asked := ids[keyOf(payment.IntentID(id))]; asked {
				ids[keyOf(payment.IntentID(id))] = answered
			}
		}
		return nil
	})
	return since, err
}

// buried lists which records have dead letters.
func (u *Unanswered) buried(ctx context.Context) (map[event.Place]bool, error) {
	spans, err := u.whole(ctx, u.Facts.Topics.DeadLetters)
	if err != nil {
		return nil, err
	}
	out := map[event.Place]bool{}
	err = u.Kafka.Read(ctx, spans, 1, func(_ event.Place, m event.Message) error {
		u.progress(1)
		if from, ok := event.BuriedFrom(m); ok {
			out[from] = true
		}
		return nil
	})
	return out, err
}

// A round is what a run knows of the intents of its range, and what it emits of them.
type round struct {
	*Unanswered
	ids    map[idKey]standing
	since  func(partition int32) time.Time // from when on it has the outcomes of an intent partition; zero: all
	buried map[event.Place]bool
	sums   *UnansweredSums
	batch  batch[UnansweredLine]
}

// emit emits the first record of each intent that is still open.
func (r *round) emit(ctx context.Context, below []kafkaops.Span) error {
	var unreadable int64 // counted before
	err := r.intents(ctx, below, &unreadable, func(f facts.Fact, m event.Message) error { return r.record(ctx, f, m) })
	if err != nil {
		return err
	}
	return r.flush(ctx)
}

// record puts a record into the batch, or tells why it is not emitted.
func (r *round) record(ctx context.Context, f facts.Fact, m event.Message) error {
	key := keyOf(f.Intent)
	if is, asked := r.ids[key]; !asked || is != open {
		return nil
	}
	if r.buried[f.At] {
		r.sums.Buried++
		return nil
	}
	r.ids[key] = done
	line := r.line(f)
	known := r.since(f.At.Partition)
	if !r.AssumeUnanswered && !known.IsZero() && (f.Time.Before(known) || f.Time.After(r.Now)) { // a time to come tells no age
		return r.skip(line, "its outcome may have been deleted: the outcome topic does not reach back to it")
	}
	m.Time = time.Time{}
	m.Headers = withHeader(m.Headers, HeaderReplayedAt, r.Now.UTC().Format(time.RFC3339))
	e := kafkaops.Emission{Partition: f.At.Partition, Message: m}
	if !r.batch.takes(e, mostRecords) {
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	r.batch.add(line, e)
	return nil
}

// line is what is told of an intent that is emitted.
func (r *round) line(f facts.Fact) UnansweredLine {
	l := UnansweredLine{
		Kind: "emitted", Intent: f.Intent, Merchant: f.Merchant, OrderID: f.OrderID,
		Partition: f.At.Partition, Offset: f.At.Offset, DryRun: r.Emit == nil,
	}
	if !f.Time.IsZero() {
		l.AgeS = int64(r.Now.Sub(f.Time).Seconds())
	}
	return l
}

// skip tells of an intent that is not emitted.
func (r *round) skip(l UnansweredLine, why string) error {
	r.sums.Skipped++
	l.Kind, l.Detail = "skipped", why
	return r.Tell(l)
}

// flush emits what is in the batch.
func (r *round) flush(ctx context.Context) error {
	write := func(lines []UnansweredLine, records []kafkaops.Emission) error { return r.write(ctx, lines, records) }
	err := r.batch.send(write, func(l UnansweredLine) error { return r.skip(l, kafkaops.ErrTooLarge.Error()) })
	r.batch = batch[UnansweredLine]{}
	return err
}

func (r *round) write(ctx context.Context, lines []UnansweredLine, records []kafkaops.Emission) error {
	if r.Emit != nil {
		if err := r.Emit.Emit(ctx, records); err != nil {
			return err
		}
	}
	for _, l := range lines {
		r.sums.Emitted++
		if err := r.Tell(l); err != nil {
			return err
		}
	}
	return nil
}
