package kafkaio

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
)

// A span is what a partition holds: its records are those from first to before
// last, and those from since on are younger than the time asked for.
type span struct{ first, since, last int64 }

// span asks for the offsets of a partition. "Nothing younger" means since = last,
// as of now.
func (s *Source) span(ctx context.Context, at place, t time.Time) (span, error) {
	p := int(at.partition)
	res, err := call(ctx, 5*time.Second, func(ctx context.Context) (*kafka.ListOffsetsResponse, error) {
		return s.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
			at.topic: {kafka.LastOffsetOf(p), kafka.FirstOffsetOf(p), kafka.TimeOffsetOf(p, t)},
		}})
	})
	if err != nil {
		return span{}, err
	}
	if len(res.Topics[at.topic]) != 1 {
		return span{}, errors.New("list offsets: empty answer")
	}
	got := res.Topics[at.topic][0]
	if got.Error != nil {
		return span{}, got.Error
	}
	out := span{first: got.FirstOffset, since: got.LastOffset, last: got.LastOffset}
	for offset := range got.Offsets {
		if offset >= 0 {
			out.since = offset
		}
	}
	return out, nil
}
