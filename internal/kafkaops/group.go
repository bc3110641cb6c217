package kafkaops

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkaio"
)

// A GroupState is a consumer group as its coordinator describes it.
type GroupState struct {
	State     string          // Stable, Empty, PreparingRebalance, CompletingRebalance or Dead (there is none)
	Members   []string        // client ids of its members, with the host of each
	Committed map[int32]int64 // the next offset to read of each partition that has one
}

// Group describes a consumer group, and its offsets in a topic.
func (r *Reader) Group(ctx context.Context, group, topic string) (GroupState, error) {
	var s GroupState
	res, err := r.admin.client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err == nil && len(res.Groups) != 1 {
		err = errors.New("empty answer")
	}
	if err == nil {
		err = res.Groups[0].Error
	}
	if err != nil {
		return s, fmt.Errorf("describe the group %s: %w", group, err)
	}
	s.State = res.Groups[0].GroupState
	for _, m := range res.Groups[0].Members {
		s.Members = append(s.Members, m.ClientID+m.ClientHost)
	}
	s.Committed, err = r.committed(ctx, group, topic)
	return s, err
}

// committed asks for the offsets of all partitions of a topic.
func (r *Reader) committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	all, err := r.partitions(ctx, Range{Topic: topic, Partition: -1})
	if err != nil {
		return nil, err
	}
	want := make([]int, len(all))
	for i, p := range all {
		want[i] = int(p)
	}
	var res *kafka.OffsetFetchResponse
	for range maxScanFails {
		res, err = r.admin.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: want}})
		if err == nil {
			err = res.Error
		}
		if err == nil || !kafkaio.Code(err).Temporary() || !kafkaio.Sleep(ctx, retryAfter) {
			break
		}
	}
	if kafkaio.Code(err) == kafka.GroupIdNotFound {
		return map[int32]int64{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the offsets of the group %s: %w", group, err)
	}
	out := map[int32]int64{}
	for _, p := range res.Topics[topic] {
		if p.Error != nil {
			return nil, fmt.Errorf("read the offset of the group %s in %s/%d: %w", group, topic, p.Partition, p.Error)
		}
		if p.CommittedOffset >= 0 {
			out[int32(p.Partition)] = p.CommittedOffset
		}
	}
	return out, nil
}
