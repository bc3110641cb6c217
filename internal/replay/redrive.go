package replay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"paylink/internal/event"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
)

// HeaderCycles counts how often a record was redriven. The service keeps it when
// the record dies again.
const HeaderCycles = event.HeaderRedriveCycles

// Redrive puts dead letters back on the intent topic, as they were: key, value and
// headers, in their partition, with HeaderCycles counted up and a new time. Each is
// driven once, however the run ends, and whoever else runs it: notes say which were.
type Redrive struct {
	Archive
	Group     string
	Reasons   []string // only these; nil: all
	MaxCycles int
	Edit      *Editor    // nil: values stay as they are
	Rate      rate.Limit // records a second
	Emit      *kafkaops.Emitter
	Tell      func(RedriveLine) error // of each dead letter, once its record is written

	// Oldest is the time before which nobody can tell whether an intent was answered:
	// that of the ledger. What is older stays, unless who runs it takes it upon
	// himself. Zero: he does.
	Oldest time.Time

	// NotesSince is the time before which notes may be forgotten. What was buried earlier
	// stays, unless a note of it is still there. Zero: notes are kept.
	NotesSince time.Time

	notes *notes
}

// A RedriveLine is what became of a dead letter.
type RedriveLine struct {
	Kind      string           `json:"kind"`   // redriven, parked or skipped
	Reason    string           `json:"reason"` // of the dead letter
	Partition int32            `json:"partition"`
	Offset    int64            `json:"offset"`
	Cycles    int              `json:"cycles"` // with this one
	Intent    payment.IntentID `json:"intent_id"`
	Detail    string           `json:"detail"` // why it stays
	DryRun    bool             `json:"dry_run"`
}

// The kinds of a RedriveLine.
const (
	Redriven = "redriven"
	Parked   = "parked"  // driven too often: it stays for good
	Skipped  = "skipped" // it stays, and may be driven later
)

// RedriveSums counts lines by kind, and what needs none.
type RedriveSums struct {
	Redriven int64 `json:"redriven"`
	Parked   int64 `json:"parked"`
	Skipped  int64 `json:"skipped"`
	Already  int64 `json:"already"` // driven before
}

// A driven is a dead letter on its way.
type driven struct {
	line RedriveLine
	bits *bits
}

// Run redrives spans of dead letters, one after the other. The sums tell how far it
// came, also beside an error.
func (r *Redrive) Run(ctx context.Context, spans []kafkaops.Span) (RedriveSums, error) {
	var sums RedriveSums
	topic := r.Facts.Topics.DeadLetters
	r.notes = newNotes(r.Kafka, r.Group, topic)
	limit := rate.NewLimiter(r.Rate, r.most())
	for _, s := range spans {
		d := drive{Redrive: r, span: s, limit: limit, sums: &sums}
		if err := d.run(ctx); err != nil {
			return sums, err
		}
	}
	return sums, nil
}

// most is how many go in one transaction: no more than a second's.
func (r *Redrive) most() int {
	if r.Rate >= mostRecords {
		return mostRecords
	}
	return max(1, int(math.Ceil(float64(r.Rate))))
}

// A drive is one span of dead letters on its way.
type drive struct {
	*Redrive
	span  kafkaops.Span
	limit *rate.Limiter
	sums  *RedriveSums
	batch batch[driven] // all of one block
}

func (d *drive) run(ctx context.Context) error {
	err := d.Kafka.Read(ctx, []kafkaops.Span{d.span}, 1, func(at event.Place, m event.Message) error {
		d.progress(1)
		return d.letter(ctx, at, m)
	})
	if err != nil {
		return err
	}
	return d.flush(ctx)
}

// letter puts a dead letter into the batch, or tells why it stays.
func (d *drive) letter(ctx context.Context, at event.Place, m event.Message) error {
	line, e, err := d.decide(ctx, at, m)
	if err != nil || line.Kind == "" {
		return err
	}
	noted, err := d.notes.of(ctx, at.Partition, at.Offset)
	if err != nil {
		return err
	}
	if noted.has(at.Offset) {
		d.sums.Already++
		return nil
	}
	switch {
	case line.Kind == Redriven && m.Time.Before(d.NotesSince):
		line = line.stays(Skipped, "whether it was driven before is not known: brokers have forgotten such notes since")
	case line.Kind == Redriven && d.Edit != nil:
		if line, err = d.edit(ctx, line, e); err != nil {
			return err
		}
	}
	if line.Kind != Redriven {
		if err := d.flush(ctx); err != nil { // lines come in the order of offsets
			return err
		}
		return d.say(line)
	}
	if !d.takes(noted, *e) {
		if err := d.flush(ctx); err != nil {
			return err
		}
	}
	d.batch.add(driven{line, noted}, *e)
	return nil
}

// takes reports whether the batch has room for one more record, of a block.
func (d *drive) takes(block *bits, e kafkaops.Emission) bool {
	return d.batch.takes(e, d.most()) && (len(d.batch.items) == 0 || d.batch.items[0].bits == block)
}

// flush drives what is in the batch.
func (d *drive) flush(ctx context.Context) error {
	write := func(items []driven, records []kafkaops.Emission) error { return d.write(ctx, items, records) }
	err := d.batch.send(write, func(is driven) error {
		return d.say(is.line.stays(Skipped, kafkaops.ErrTooLarge.Error()))
	})
	d.batch = batch[driven]{}
	return err
}

// write drives records of one block, and notes it.
func (d *drive) write(ctx context.Context, items []driven, records []kafkaops.Emission) error {
	if d.Emit != nil {
		if err := d.limit.WaitN(ctx, len(records)); err != nil {
			return err
		}
		offsets := make([]int64, len(items))
		for i, is := range items {
			offsets[i] = is.line.Offset
		}
		noted := items[0].bits
		after := noted.with(offsets)
		err := d.Emit.Emit(ctx, records, kafkaops.Mark{
			Group: RedriveGroup(d.Group, offsets[0]/blockSize), Topic: d.span.Topic, Partition: d.span.Partition, Committed: after.committed(),
		})
		if err != nil {
			return err
		}
		*noted = *after
	}
	for _, is := range items {
		if err := d.say(is.line); err != nil {
			return err
		}
	}
	return nil
}

// say counts a line, and tells of it.
func (d *drive) say(l RedriveLine) error {
	switch l.Kind {
	case Redriven:
		d.sums.Redriven++
	case Parked:
		d.sums.Parked++
	default:
		d.sums.Skipped++
	}
	return d.Tell(l)
}

// stays is the line of a dead letter that is not driven.
func (l RedriveLine) stays(kind, why string) RedriveLine {
	if l.Kind == Redriven {
		l.Cycles--
	}
	l.Kind, l.Detail = kind, why
	return l
}

// decide says what to do with a dead letter, and what to write if it is driven. A
// line without a kind: it is not asked for.
func (r *Redrive) decide(ctx context.Context, at event.Place, m event.Message) (line RedriveLine, e *kafkaops.Emission, err error) {
	reason := string(m.Header(event.HeaderReason))
	if len(r.Reasons) > 0 && !slices.Contains(r.Reasons, reason) {
		return line, nil, nil
	}
	line = RedriveLine{Reason: reason, Partition: at.Partition, Offset: at.Offset, DryRun: r.Emit == nil}
	skip := func(why string) (RedriveLine, *kafkaops.Emission, error) { return line.stays(Skipped, why), nil, nil }
	from, ours := event.BuriedFrom(m)
	switch {
	case m.TooLarge != 0:
		return skip("it is too large to be read")
	case !ours:
		return skip("it has no headers of a dead letter of paylink")
	case from.Topic != r.Facts.Topics.Intents:
		return skip("it comes from another topic")
	}
	record := event.Unburied(m)
	if string(m.Header(event.HeaderByReference)) == "true" {
		original, why, err := r.original(ctx, from, m)
		if err != nil {
			return line, nil, err
		}
		if why != "" {
			return skip(why)
		}
		record = original
	}
	f, err := factOf(ctx, r.Facts, from, record)
	switch {
	case err != nil && !isUnreadable(err):
		return line, nil, err
	case err == nil:
		line.Intent = f.Intent
	}
	if r.Wants != nil && (err != nil || !r.Wants(f)) {
		return RedriveLine{}, nil, nil
	}
	line.Cycles = cyclesOf(record)
	switch {
	case line.Cycles >= r.MaxCycles:
		return line.stays(Parked, fmt.Sprintf("it was driven %d times", line.Cycles)), nil, nil
	case !r.Oldest.IsZero() && reason == string(event.TooOld):
		return skip("whether it was answered is not known: the ledger did not reach back to it")
	case !r.Oldest.IsZero() && bornAt(m).Before(r.Oldest):
		return skip("whether it was answered is not known: it is older than the ledger window")
	}
	line.Kind = Redriven
	line.Cycles++
	record.Headers, record.Time = withHeader(record.Headers, HeaderCycles, strconv.Itoa(line.Cycles)), time.Time{}
	return line, &kafkaops.Emission{Partition: r.partition(from.Partition, record.Key), Message: record}, nil
}

// partition is where the record was, so that the ledger of that partition knows what
// is known of it. Where there is no such partition any more, it is that of the key.
func (r *Redrive) partition(was int32, key []byte) int32 {
	switch {
	case r.Emit == nil || int(was) < r.Emit.Partitions():
		return was
	case key == nil:
		return was % int32(r.Emit.Partitions())
	}
	return kafkaops.KeyPartition(key, r.Emit.Partitions())
}

// original reads the record that a dead letter refers to, or says why it cannot be.
func (r *Redrive) original(ctx context.Context, from event.Place, dead event.Message) (record event.Message, why string, err error) {
	span := kafkaops.Span{Topic: from.Topic, Partition: from.Partition, From: from.Offset, To: from.Offset + 1}
	logs, err := r.all(ctx, from.Topic)
	if err != nil {
		return record, "", err
	}
	if int(from.Partition) >= len(logs) || from.Offset < logs[from.Partition].From || from.Offset >= logs[from.Partition].To {
		return record, "its original is gone from the topic", nil
	}
	found := false
	err = r.Kafka.Read(ctx, []kafkaops.Span{span}, 1, func(_ event.Place, m event.Message) error {
		record, found = m, true
		return nil
	})
	stamp, _ := time.Parse(time.RFC3339Nano, string(dead.Header(event.HeaderSourceTimestamp)))
	switch {
	case err != nil:
		return record, "", err
	case !found:
		return record, "its original is gone from the topic", nil
	case stamp.UnixMilli() != record.Time.UnixMilli():
		return record, "another record stands now where its original was", nil
	case record.TooLarge != 0:
		return record, "its original is too large to be read", nil
	}
	return event.Unburied(record), "", nil
}

// edit has the command edit a record. What comes out must be an intent that keeps
// the rules, and the same intent, if one could be read before.
func (r *Redrive) edit(ctx context.Context, line RedriveLine, e *kafkaops.Emission) (RedriveLine, error) {
	edited, err := r.Edit.Edit(ctx, e.Value)
	if why, ok := errors.AsType[*EditError](err); ok {
		return line.stays(Skipped, why.Error()), nil
	}
	if err != nil {
		return line, err
	}
	e.Value = edited
	f, err := factOf(ctx, r.Facts, event.Place{Topic: r.Facts.Topics.Intents, Partition: e.Partition}, e.Message)
	switch unreadable, is := errors.AsType[*event.Unreadable](err); {
	case is:
		return line.stays(Skipped, "what the command prints is no intent: "+string(unreadable.Reason)), nil
	case err != nil:
		return line, err
	case line.Intent != "" && f.Intent != line.Intent:
		return line.stays(Skipped, "the command changes the intent id"), nil
	case len(f.Violations) > 0:
		return line.stays(Skipped, "what the command prints breaks a rule: "+f.Violations[0].Field), nil
	}
	line.Intent = f.Intent
	return line, nil
}

// cyclesOf is how often a record was redriven.
func cyclesOf(m event.Message) int {
	n, err := strconv.Atoi(string(m.Header(HeaderCycles)))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// bornAt is when the original of a dead letter was emitted, or else when it was
// buried.
func bornAt(m event.Message) time.Time {
	if at, err := time.Parse(time.RFC3339Nano, string(m.Header(event.HeaderSourceTimestamp))); err == nil && at.Before(m.Time) {
		return at
	}
	return m.Time
}
