package kafkaops

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
	"paylink/internal/pipeline"
)

// A Bound is a place in every partition: an offset or, if At is set, that of the
// first record of that time or later.
type Bound struct {
	Offset int64
	At     time.Time
}

// A Range is records of one topic.
type Range struct {
	Topic     string
	Partition int32  // -1: all of them
	From      Bound  // zero: the oldest record that there is
	To        *Bound // exclusive; nil: what there is now
}

// Scan calls yield with every record of a range that a consumer of isolation
// level read_committed sees: none of an aborted or open transaction, no control
// record. Partitions come one after the other, each in its order. It joins no
// group and commits nothing. An error of yield ends it and is returned.
func Scan(ctx context.Context, c kafkaio.Connection, r Range, yield func(event.Place, event.Message) error) error {
	s, err := newScanner(c, r)
	if err != nil {
		return err
	}
	defer s.admin.close()
	partitions, err := s.partitions(ctx)
	if err != nil {
		return err
	}
	for _, p := range partitions {
		if err := s.scan(ctx, p, yield); err != nil {
			return err
		}
	}
	return nil
}

type scanner struct {
	admin *admin
	r     Range
}

func newScanner(c kafkaio.Connection, r Range) (*scanner, error) {
	a, err := newAdmin(c, []string{r.Topic})
	return &scanner{a, r}, err
}

// partitions lists those of the range.
func (s *scanner) partitions(ctx context.Context) ([]int32, error) {
	md, err := s.admin.metadata(ctx, []string{s.r.Topic})
	if err != nil {
		return nil, err
	}
	if len(md.Topics) != 1 {
		return nil, fmt.Errorf("read %s: the brokers do not answer for it", s.r.Topic)
	}
	t := md.Topics[0]
	switch {
	case t.Error != nil:
		return nil, fmt.Errorf("read %s: %w", s.r.Topic, t.Error)
	case s.r.Partition >= int32(len(t.Partitions)):
		return nil, fmt.Errorf("read %s: it has %d partitions, and no partition %d", s.r.Topic, len(t.Partitions),
			s.r.Partition)
	case s.r.Partition >= 0:
		return []int32{s.r.Partition}, nil
	}
	all := make([]int32, len(t.Partitions))
	for i := range all {
		all[i] = int32(i)
	}
	return all, nil
}

// scan reads one partition.
func (s *scanner) scan(ctx context.Context, partition int32, yield func(event.Place, event.Message) error) error {
	at := kafkaio.TopicPartition{Topic: s.r.Topic, Partition: partition}
	next, end, err := s.bounds(ctx, at)
	if err != nil {
		return fmt.Errorf("read %s/%d: %w", at.Topic, at.Partition, err)
	}
	for next < end {
		recs, after, err := s.read(ctx, at, next)
		for _, r := range recs {
			if r.Offset >= end {
				break
			}
			if err := yield(event.Place{Topic: at.Topic, Partition: at.Partition, Offset: r.Offset}, r.Message); err != nil {
				return err
			}
		}
		if err != nil {
			return fmt.Errorf("read %s/%d@%d: %w", at.Topic, at.Partition, after, err)
		}
		next = after
	}
	return nil
}

// maxScanFails bounds how often one fetch is tried: leaders move, but not for ever.
const maxScanFails = 25

// read returns the records at and after an offset, and where to read on. What
// retention deletes meanwhile is gone without a word.
func (s *scanner) read(
	ctx context.Context, at kafkaio.TopicPartition, from int64,
) (recs []pipeline.Record, next int64, err error) {
	for range maxScanFails {
		var p *kafkawire.FetchPartitionResponse
		p, err = s.fetch(ctx, at, from)
		if err == nil {
			if recs, next, err = kafkaio.Visible(from, p); err != nil || next > from {
				return recs, next, err
			}
			err = kafka.RequestTimedOut // nothing came
		}
		if kafkaio.Code(err) == kafka.OffsetOutOfRange {
			if first, _, err := s.offsets(ctx, at, nil); err == nil && first > from {
				return nil, first, nil
			}
		}
		if !kafkaio.Sleep(ctx, 200*time.Millisecond) {
			break
		}
	}
	return nil, from, err
}

// bounds returns where the range begins and ends in a partition as of now. It
// ends at the last stable offset: what is behind it may still be aborted.
func (s *scanner) bounds(ctx context.Context, at kafkaio.TopicPartition) (from, to int64, err error) {
	first, last, err := s.offsets(ctx, at, nil)
	if err != nil {
		return 0, 0, err
	}
	if from, err = s.offset(ctx, at, s.r.From); err != nil || s.r.To == nil {
		return max(first, from), last, err
	}
	to, err = s.offset(ctx, at, *s.r.To)
	return max(first, from), min(last, to), err
}

func (s *scanner) offset(ctx context.Context, at kafkaio.TopicPartition, b Bound) (int64, error) {
	if b.At.IsZero() {
		return b.Offset, nil
	}
	_, since, err := s.offsets(ctx, at, &b.At)
	return since, err
}

// offsets asks for a partition's first and last stable offset; with a time, for the
// first offset of that time or later in the place of the last.
func (s *scanner) offsets(ctx context.Context, at kafkaio.TopicPartition, t *time.Time) (first, last int64, err error) {
	p := int(at.Partition)
	want := []kafka.OffsetRequest{kafka.FirstOffsetOf(p), kafka.LastOffsetOf(p)}
	if t != nil {
		want = append(want, kafka.TimeOffsetOf(p, *t))
	}
	got, err := kafkaio.ListOffsets(ctx, s.admin.client, kafka.ReadCommitted, at.Topic, want)
	return got.FirstOffset, kafkaio.OffsetOfTime(got, got.LastOffset), err
}

// fetch asks the leader of the moment.
func (s *scanner) fetch(
	ctx context.Context, at kafkaio.TopicPartition, from int64,
) (*kafkawire.FetchPartitionResponse, error) {
	md, err := s.admin.metadata(ctx, []string{at.Topic})
	if err != nil {
		return nil, err
	}
	for _, t := range md.Topics {
		for _, p := range t.Partitions {
			if p.ID == int(at.Partition) && p.Leader.Host != "" {
				return kafkaio.FetchRequest{
					Leader: int32(p.Leader.ID), Topic: at.Topic, Isolation: kafkawire.ReadCommitted, MaxBytes: maxScanBytes,
					Partitions: []kafkaio.FetchFrom{{Partition: at.Partition, Offset: from, MaxBytes: maxScanBytes}},
				}.FetchOne(ctx, s.admin.client)
			}
		}
	}
	return nil, kafka.LeaderNotAvailable
}

// maxScanBytes is how much is asked for at a time.
const maxScanBytes = 1 << 20
