package kafkaio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/consumer"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/syncgroup"
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
	said, err := DescribeGroup(ctx, s.client, s.cfg.Group)
	if err != nil {
		return "", nil, err
	}
	us := s.member.name()
	for _, m := range said.Members {
		is := GroupMember{ID: m.MemberID, Us: m.MemberID == us}
		var given consumer.Assignment
		if err := protocol.Unmarshal(m.MemberAssignment, consumer.MaxVersionSupported, &given); err != nil {
			given.AssignedPartitions = nil // none yet, or of a client that says it otherwise
		}
		for _, t := range given.AssignedPartitions {
			if t.Topic == s.cfg.IntentTopic {
				is.Partitions = append(is.Partitions, t.Partitions...)
			}
		}
		slices.Sort(is.Partitions)
		members = append(members, is)
	}
	slices.SortFunc(members, func(a, b GroupMember) int { return cmp.Compare(a.ID, b.ID) })
	return said.GroupState, members, nil
}

// DescribeGroup asks the coordinator for a group. kafka-go's client would read what
// members tell each other as well, and fails at what other clients tell. A group that
// there is not is Dead to older brokers; newer ones say kafka.GroupIdNotFound.
func DescribeGroup(ctx context.Context, c *kafka.Client, group string) (*describegroups.ResponseGroup, error) {
	msg, err := call(ctx, 5*time.Second, func(ctx context.Context) (protocol.Message, error) {
		return c.Transport.RoundTrip(ctx, c.Addr, &describegroups.Request{Groups: []string{group}})
	})
	var said *describegroups.ResponseGroup
	if err == nil {
		said, err = oneGroup(msg.(*describegroups.Response))
	}
	if err != nil {
		return nil, fmt.Errorf("describe the group %s: %w", group, err)
	}
	return said, nil
}

func oneGroup(res *describegroups.Response) (*describegroups.ResponseGroup, error) {
	switch {
	case len(res.Groups) != 1:
		return nil, errors.New("empty answer")
	case res.Groups[0].ErrorCode != 0:
		return nil, kafka.Error(res.Groups[0].ErrorCode)
	}
	return &res.Groups[0], nil
}

// name is the coordinator's name of us; empty: the group does not know us.
func (m *member) name() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id.ID
}

// codeOfSync is what a coordinator says of a sync. kafka-go's client loses it: it takes
// the assignment, which an answer with an error has not, for broken.
type codeOfSync struct {
	kafka.RoundTripper
	code atomic.Int32
}

func (c *codeOfSync) listening(tr kafka.RoundTripper) *codeOfSync {
	c.RoundTripper = tr
	return c
}

// RoundTrip implements [kafka.RoundTripper].
func (c *codeOfSync) RoundTrip(ctx context.Context, addr net.Addr, req kafka.Request) (kafka.Response, error) {
	res, err := c.RoundTripper.RoundTrip(ctx, addr, req)
	if said, ok := res.(*syncgroup.Response); ok {
		c.code.Store(int32(said.ErrorCode))
	}
	return res, err
}

func (c *codeOfSync) err() error {
	if code := c.code.Load(); code != 0 {
		return kafka.Error(code)
	}
	return nil
}
