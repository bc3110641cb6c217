package replay

import (
	"context"
	"fmt"
	"time"

	"paylink/internal/event"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
)

// A Target says where the service's group is to go on. One field is set.
type Target struct {
	At      time.Time       // the first record of that time or later
	Shift   *int64          // so far on, or back, from what is committed
	Offset  *int64          // this offset
	First   bool            // the oldest record
	Last    bool            // behind the newest
	Offsets map[int32]int64 // these, of a file; other partitions stay

	Partitions []int32 // only these; nil: all
}

// Intents sets the service's offsets in the intent topic, most often back.
type Intents struct {
	Archive
	Group  string
	Window time.Duration // how far back the service remembers answered intents
	GiveUp time.Duration // age at which it gives an intent up; 0: never
}

// A Move is a partition whose offset is to be set, and what that does.
type Move struct {
	Kind      string `json:"kind"` // offset
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Old       int64  `json:"old"` // -1: none was committed
	New       int64  `json:"new"`

	// Records that are read again because of it:
	Skipped int64 `json:"skipped"`  // their intents have an outcome, or come twice, and say the same
	Called  int64 `json:"called"`   // the gateway is called for them
	GivenUp int64 `json:"given_up"` // older than the give-up age: failed, at most looked up
	Invalid int64 `json:"invalid"`  // they break rules: failed, without a call
	TooOld  int64 `json:"too_old"`  // older than the ledger: dead letters
	Buried  int64 `json:"buried"`   // no intents, or conflicts: dead letters

	PassedOver int64 `json:"passed_over"` // records that are not read because of it, and whose intents have no outcome
	DryRun     bool  `json:"dry_run"`
}

// A reread is a record between the old and the new offset.
type reread struct {
	id      idKey
	content event.Digest
	move    int32
	is      fate
}

// contents are those of intents that have an outcome, or will have one by an earlier
// record; nil: not yet.
type contents map[idKey]*event.Digest

type fate uint8

const (
	plain fate = iota
	invalid
	givenUp
	tooOld
	buried
)

// Plan says what setting the offsets would do. It changes nothing. A target outside
// of the log is an error.
func (in *Intents) Plan(ctx context.Context, to Target, group kafkaops.GroupState) ([]Move, error) {
	moves, spans, err := in.moves(ctx, to, group)
	if err != nil {
		return nil, err
	}
	var records []reread
	outcome := contents{}
	for i := range spans {
		err := in.Kafka.Read(ctx, spans[i:i+1], 1, func(at event.Place, m event.Message) error {
			in.progress(1)
			r, err := in.reread(ctx, at, m)
			r.move = int32(i)
			if records = append(records, r); err == nil && r.is != buried {
				outcome[r.id] = nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(outcome) > 0 {
		if err := in.outcomes(ctx, outcome); err != nil {
			return nil, err
		}
	}
	for _, r := range records {
		moves[r.move].count(r, outcome)
	}
	return moves, nil
}

// moves finds the new offsets, and the records between them and the old ones.
func (in *Intents) moves(ctx context.Context, to Target, group kafkaops.GroupState) ([]Move, []kafkaops.Span, error) {
	topic := in.Facts.Topics.Intents
	logs, err := in.all(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	since := logs
	if !to.At.IsZero() {
		if since, err = in.Kafka.Spans(ctx, kafkaops.Range{Topic: topic, Partition: -1, From: kafkaops.Bound{At: to.At}}); err != nil {
			return nil, nil, err
		}
	}
	for p := range to.Offsets {
		if int(p) >= len(logs) {
			return nil, nil, fmt.Errorf("%s has %d partitions, and no partition %d", topic, len(logs), p)
		}
	}
	wanted := map[int32]bool{}
	for _, p := range to.Partitions {
		if wanted[p] = true; int(p) >= len(logs) {
			return nil, nil, fmt.Errorf("%s has %d partitions, and no partition %d", topic, len(logs), p)
		}
	}
	var moves []Move
	var spans []kafkaops.Span
	for i, log := range logs {
		old, ok := group.Committed[log.Partition]
		if !ok {
			old = -1
		}
		next, set := to.of(log, since[i].From, old)
		if !set || len(wanted) > 0 && !wanted[log.Partition] {
			continue
		}
		if next < log.From || next > log.To {
			return nil, nil, fmt.Errorf("%s/%d holds offsets from %d to %d, and %d is none of them", topic, log.Partition, log.From, log.To, next)
		}
		moves = append(moves, Move{Kind: "offset", Topic: topic, Partition: log.Partition, Old: old, New: next, DryRun: true})
		between := kafkaops.Span{Topic: topic, Partition: log.Partition, From: min(next, max(old, log.From)), To: min(max(next, old), log.To)}
		if old < 0 { // all from there on is read for the first time by this group
			between.From, between.To = next, log.To
		}
		spans = append(spans, between)
	}
	return moves, spans, nil
}

// of is where to go on in one partition; false: it stays.
func (t Target) of(log kafkaops.Span, since, old int64) (next int64, set bool) {
	switch {
	case t.Offsets != nil:
		next, set = t.Offsets[log.Partition]
		return next, set
	case t.Shift != nil:
		return old + *t.Shift, old >= 0
	case t.Offset != nil:
		return *t.Offset, true
	case t.First:
		return log.From, true
	case t.Last:
		return log.To, true
	}
	return since, true
}

// reread judges a record as the service will, but for its outcome.
func (in *Intents) reread(ctx context.Context, at event.Place, m event.Message) (reread, error) {
	f, err := factOf(ctx, in.Facts, at, m)
	switch {
	case isUnreadable(err):
		return reread{is: buried}, nil
	case err != nil:
		return reread{}, err
	}
	r := reread{id: keyOf(f.Intent), content: f.Digest}
	switch {
	case !f.Time.IsZero() && f.Time.Before(in.Now.Add(-in.Window)):
		r.is = tooOld
	case len(f.Violations) > 0:
		r.is = invalid
	case in.GiveUp > 0 && !f.Time.IsZero() && f.Time.Before(in.Now.Add(-in.GiveUp)):
		r.is = givenUp
	}
	return r, nil
}

// outcomes notes those that the service will find in its ledger, by the same headers.
func (in *Intents) outcomes(ctx context.Context, outcome contents) error {
	spans, err := in.Kafka.Spans(ctx, kafkaops.Range{
		Topic: in.Facts.Topics.Outcomes, Partition: -1, From: kafkaops.Bound{At: in.Now.Add(-in.Window)},
	})
	if err != nil {
		return err
	}
	return in.Kafka.Read(ctx, spans, 1, func(_ event.Place, m event.Message) error {
		in.progress(1)
		id := keyOf(payment.IntentID(m.Header(event.HeaderIntentID)))
		was, asked := outcome[id]
		if d, err := event.ParseDigest(m.Header(event.HeaderIntentDigest)); asked && was == nil && err == nil {
			outcome[id] = &d
		}
		return nil
	})
}

// count counts a record. The first of an intent is called for, further ones are
// repeats, or conflicts.
func (m *Move) count(r reread, outcome contents) {
	first := outcome[r.id]
	switch {
	case m.New > m.Old && m.Old >= 0:
		if r.is == buried || first == nil || *first != r.content {
			m.PassedOver++
		}
		return
	case r.is == buried, first != nil && *first != r.content:
		m.Buried++
		return
	case first != nil:
		m.Skipped++
		return
	case r.is == tooOld:
		m.TooOld++
		return
	case r.is == invalid:
		m.Invalid++
	case r.is == givenUp:
		m.GivenUp++
	default:
		m.Called++
	}
	outcome[r.id] = &r.content
}

// Set sets the offsets of a plan.
func (in *Intents) Set(ctx context.Context, moves []Move) error {
	offsets := map[int32]int64{}
	for _, m := range moves {
		offsets[m.Partition] = m.New
	}
	return in.Kafka.SetOffsets(ctx, in.Group, in.Facts.Topics.Intents, offsets)
}

// OldPlaces is how to undo a plan: what was committed before it.
func OldPlaces(moves []Move) []event.Place {
	var out []event.Place
	for _, m := range moves {
		if m.Old >= 0 {
			out = append(out, event.Place{Topic: m.Topic, Partition: m.Partition, Offset: m.Old})
		}
	}
	return out
}
