package kafkaio

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
)

// An offsetRange is what a partition has: its records are those from first to
// before last, and those from since on are younger than the time asked for.
type offsetRange struct{ first, since, last int64 }

// ends asks where the records of a partition begin and end, whatever their times.
func (s *Source) ends(ctx context.Context, at TopicPartition) (offsetRange, error) {
	p := int(at.Partition)
	got, err := s.offsets(ctx, at.Topic, kafka.FirstOffsetOf(p), kafka.LastOffsetOf(p))
	return offsetRange{first: got.FirstOffset, since: got.LastOffset, last: got.LastOffset}, err
}

// offsetRange asks for the offsets of a partition, in this order: the end first, as
// "nothing younger" means since = last, and what is appended meanwhile is then behind
// it; the beginning last, as what is deleted meanwhile would else be taken to be there,
// and to be older. In one request kafka-go would ask all at once, in no order.
func (s *Source) offsetRange(ctx context.Context, at TopicPartition, t time.Time) (offsetRange, error) {
	p := int(at.Partition)
	end, err := s.offsets(ctx, at.Topic, kafka.LastOffsetOf(p))
	if err != nil {
		return offsetRange{}, err
	}
	younger, err := s.offsets(ctx, at.Topic, TimeOffsetOf(p, t))
	if err != nil {
		return offsetRange{}, err
	}
	begin, err := s.offsets(ctx, at.Topic, kafka.FirstOffsetOf(p))
	if err != nil {
		return offsetRange{}, err
	}
	first := begin.FirstOffset
	last := max(end.LastOffset, first)
	return offsetRange{first: first, since: max(min(OffsetOfTime(younger, last), last), first), last: last}, nil
}

// offsets asks for offsets of one partition.
func (s *Source) offsets(
	ctx context.Context, topic string, which ...kafka.OffsetRequest,
) (kafka.PartitionOffsets, error) {
	return call(ctx, 5*time.Second, func(ctx context.Context) (kafka.PartitionOffsets, error) {
		return ListOffsets(ctx, s.client, kafka.ReadUncommitted, topic, which)
	})
}

// ListOffsets asks for offsets of one partition. With read committed, the last
// one is the last stable one.
func ListOffsets(
	ctx context.Context, c *kafka.Client, level kafka.IsolationLevel, topic string, which []kafka.OffsetRequest,
) (kafka.PartitionOffsets, error) {
	res, err := c.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		IsolationLevel: level, Topics: map[string][]kafka.OffsetRequest{topic: which},
	})
	if err != nil {
		return kafka.PartitionOffsets{}, err
	}
	if len(res.Topics[topic]) != 1 {
		return kafka.PartitionOffsets{}, errors.New("list offsets: empty answer")
	}
	return res.Topics[topic][0], res.Topics[topic][0].Error
}

// TimeOffsetOf asks for the first record of a time or later. kafka-go's own counts in
// nanoseconds, which end in 2262; and below 0 brokers take a time for a word.
func TimeOffsetOf(partition int, t time.Time) kafka.OffsetRequest {
	return kafka.OffsetRequest{Partition: partition, Timestamp: max(0, t.UnixMilli())}
}

// OffsetOfTime returns the offset that was found for the time that was asked
// for; otherwise, if there is nothing so young.
func OffsetOfTime(got kafka.PartitionOffsets, otherwise int64) int64 {
	for offset := range got.Offsets {
		if offset >= 0 { // -1: nothing
			return offset
		}
	}
	return otherwise
}
