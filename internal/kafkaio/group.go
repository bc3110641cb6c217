package kafkaio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

// A GroupMember is one member of the group, as the coordinator describes it.
type GroupMember struct {
	ID         string // the coordinator's name of it
	Us         bool
	Partitions []int32 // of the intent topic that it was given, in order
}

// Group asks the coordinator for the state of the group, in Kafka's word, and for its
// members, by name. The right to read with the group suffices.
func (s *Source) Group(ctx context.Context) (state string, members []GroupMember, err error) {
	res, err := call(ctx, 5*time.Second, func(ctx context.Context) (*kafka.DescribeGroupsResponse, error) {
		return s.client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{s.cfg.Group}})
	})
	if err == nil && len(res.Groups) != 1 {
		err = errors.New("empty answer")
	}
	if err == nil {
		err = res.Groups[0].Error
	}
	if err != nil {
		return "", nil, fmt.Errorf("describe the group %s: %w", s.cfg.Group, err)
	}
	us := s.member.name()
	for _, m := range res.Groups[0].Members {
		is := GroupMember{ID: m.MemberID, Us: m.MemberID == us}
		for _, t := range m.MemberAssignments.Topics {
			for _, p := range t.Partitions {
				if t.Topic == s.cfg.IntentTopic {
					is.Partitions = append(is.Partitions, int32(p))
				}
			}
		}
		slices.Sort(is.Partitions)
		members = append(members, is)
	}
	slices.SortFunc(members, func(a, b GroupMember) int { return cmp.Compare(a.ID, b.ID) })
	return res.Groups[0].GroupState, members, nil
}

// name is the coordinator's name of us; empty: the group does not know us.
func (m *member) name() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id.ID
}
