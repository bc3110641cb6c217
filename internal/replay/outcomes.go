package replay

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"paylink/internal/event"
	"paylink/internal/kafkaops"
)

// Outcomes publishes outcomes again, on another topic: same key, value and
// headers, and HeaderReplayedAt. The records of a partition keep their order.
type Outcomes struct {
	Archive
	Emit *kafkaops.Emitter // nil: a dry run

	// Done is told, after each batch that the brokers have, where to go on.
	Done func([]event.Place) error

	partitions int // of the outcome topic
}

// A ReplayedPartition is what became of one partition's outcomes.
type ReplayedPartition struct {
	Kind      string `json:"kind"` // partition
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`   // exclusive
	Next      int64  `json:"next"` // where to go on; To when all is done
	Outcomes  int64  `json:"outcomes"`
	Foreign   int64  `json:"foreign"` // records that are no outcomes of ours: left out
	Refused   int64  `json:"refused"` // too large for us, or for the topic: left out
	DryRun    bool   `json:"dry_run"`
}

// Run replays spans, one of each partition of the topic, one after the other. The rows tell how far it came, also
// beside an error.
func (o *Outcomes) Run(ctx context.Context, spans []kafkaops.Span) ([]ReplayedPartition, error) {
	o.partitions = len(spans)
	rows := make([]ReplayedPartition, len(spans))
	for i, s := range spans {
		rows[i] = ReplayedPartition{Kind: "partition", Partition: s.Partition, From: s.From, To: s.To, Next: s.From, DryRun: o.Emit == nil}
	}
	for i, s := range spans {
		if err := o.span(ctx, s, rows, &rows[i]); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

func (o *Outcomes) span(ctx context.Context, s kafkaops.Span, rows []ReplayedPartition, row *ReplayedPartition) error {
	batches, held := map[int32]*batch[int64]{}, 0 // by the partition that they go to
	write := func(offsets []int64, records []kafkaops.Emission) error {
		if o.Emit != nil {
			if err := o.Emit.Emit(ctx, records); err != nil {
				return err
			}
		}
		row.Outcomes += int64(len(offsets))
		return nil
	}
	flush := func(next int64) error {
		for _, p := range slices.Sorted(maps.Keys(batches)) {
			if err := batches[p].send(write, func(int64) error { row.Refused++; return nil }); err != nil {
				return err
			}
		}
		clear(batches)
		held, row.Next = 0, next
		if o.Emit == nil || o.Done == nil {
			return nil
		}
		return o.Done(NextOf(s.Topic, rows))
	}
	err := o.Kafka.Read(ctx, []kafkaops.Span{s}, 1, func(at event.Place, m event.Message) error {
		o.progress(1)
		wanted, err := o.is(ctx, at, m, row)
		if err != nil || !wanted {
			return err
		}
		m.Headers = withHeader(m.Headers, HeaderReplayedAt, o.Now.UTC().Format(time.RFC3339))
		e := kafkaops.Emission{Partition: o.partition(at.Partition, m.Key), Message: m}
		if b := batches[e.Partition]; held >= mostRecords || b != nil && !b.takes(e, mostRecords) {
			if err := flush(at.Offset); err != nil {
				return err
			}
		}
		if batches[e.Partition] == nil {
			batches[e.Partition] = &batch[int64]{}
		}
		held++
		batches[e.Partition].add(at.Offset, e)
		return nil
	})
	if err != nil {
		return err
	}
	return flush(s.To)
}

// is reports whether a record is an outcome that the filters let through. Without a
// filter no value is read.
func (o *Outcomes) is(ctx context.Context, at event.Place, m event.Message, row *ReplayedPartition) (bool, error) {
	switch {
	case m.TooLarge != 0:
		row.Refused++
		return false, nil
	case len(m.Header(event.HeaderIntentID)) == 0:
		row.Foreign++
		return false, nil
	case o.Wants == nil:
		return true, nil
	}
	f, err := o.Facts.Of(ctx, at, m)
	switch {
	case isUnreadable(err):
		row.Foreign++
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the outcome %s/%d@%d: %w", at.Topic, at.Partition, at.Offset, err)
	}
	return o.wants(f), nil
}

// partition keeps a record where it was, so that the order holds within it; a topic
// with another number of partitions gets it by its key.
func (o *Outcomes) partition(was int32, key []byte) int32 {
	if o.Emit == nil {
		return was
	}
	n := o.Emit.Partitions()
	if n == o.partitions || key == nil {
		return was % int32(n)
	}
	return kafkaops.KeyPartition(key, n)
}

// NextOf is where each partition's replay would go on.
func NextOf(topic string, rows []ReplayedPartition) []event.Place {
	offsets := map[int32]int64{}
	for _, r := range rows {
		offsets[r.Partition] = r.Next
	}
	return placesOf(topic, offsets)
}
