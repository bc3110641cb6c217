package kafkaops

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describegroups"

	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
)

// A GroupState is a consumer group as its coordinator describes it.
type GroupState struct {
	State     string          // Stable, Empty, PreparingRebalance, CompletingRebalance or Dead (there is none)
	Members   []string        // client ids of its members, with the host of each
	Committed map[int32]int64 // the next offset to read of each partition that has one
}

// HasMembers reports whether somebody belongs to the group, or is about to.
func (s GroupState) HasMembers() bool {
	return len(s.Members) > 0 || s.State != "Empty" && s.State != "Dead"
}

// Group describes a consumer group, and its offsets in a topic.
func (r *Reader) Group(ctx context.Context, group, topic string) (GroupState, error) {
	s := GroupState{State: "Dead", Committed: map[int32]int64{}}
	var said *describegroups.ResponseGroup
	var err error
	for t := newTries(); ; {
		if said, err = kafkaio.DescribeGroup(ctx, r.admin.client, group); err == nil || !mayPass(err) || !t.again(ctx) {
			break
		}
	}
	switch {
	case kafkaio.Code(err) == kafka.GroupIdNotFound: // newer brokers say so of a group that is new
		return s, nil
	case err != nil:
		return s, lacking("Describe", "group "+group, err)
	}
	s.State = said.GroupState
	for _, m := range said.Members {
		s.Members = append(s.Members, m.ClientID+m.ClientHost)
	}
	s.Committed, err = r.Committed(ctx, group, topic)
	return s, err
}

// Committed returns the next offset to read of each partition of a topic that the
// group has one for. It takes the right Describe on the group, and none else.
func (r *Reader) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	noted, err := r.Noted(ctx, group, topic)
	if err != nil {
		return nil, err
	}
	out := make(map[int32]int64, len(noted))
	for p, c := range noted {
		out[p] = c.Offset
	}
	return out, nil
}

// A Committed is an offset of a group, with what was noted beside it.
type Committed struct {
	Offset int64
	Note   string
}

// Noted asks for a group's offsets, with their notes, in all partitions of a topic, those that
// have one. What an open transaction may still change is waited for.
func (r *Reader) Noted(ctx context.Context, group, topic string) (map[int32]Committed, error) {
	all, err := r.partitions(ctx, Range{Topic: topic, Partition: -1})
	if err != nil {
		return nil, err
	}
	var committed map[int32]Committed
	for t := newTries(); ; {
		if committed, err = r.committedOnce(ctx, group, topic, all); err == nil || !mayPass(err) || !t.again(ctx) {
			break
		}
	}
	if err != nil {
		return nil, lacking("Describe", "group "+group, fmt.Errorf("read the offsets of the group %s: %w", group, err))
	}
	return committed, nil
}

func (r *Reader) committedOnce(ctx context.Context, group, topic string, partitions []int32) (map[int32]Committed, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c := r.admin.client
	all, err := kafkawire.StableOffsets(ctx, c.Transport, c.Addr, group, topic, partitions)
	out := map[int32]Committed{}
	switch {
	case kafkaio.Code(err) == kafka.GroupIdNotFound: // so say some of a group that is new
		return out, nil
	case err != nil:
		return nil, err
	}
	for _, o := range all {
		switch {
		case o.Err != nil:
			return nil, o.Err
		case o.Offset >= 0:
			out[o.Partition] = Committed{o.Offset, o.Metadata}
		}
	}
	return out, nil
}

// KnownSince is from when on the outcome topic holds all outcomes of each intent partition,
// as the service's group has noted: the topic alone does not show that it was made again.
// Partitions of which no loss is known are left out.
func (r *Reader) KnownSince(ctx context.Context, group, intents, outcomes string) (map[int32]time.Time, error) {
	noted, err := r.Noted(ctx, group, intents)
	if err != nil || len(noted) == 0 {
		return nil, err
	}
	c := r.admin.client
	var ids map[string]kafkawire.TopicID
	for t := newTries(); ; {
		ids, err = kafkawire.TopicIDs(ctx, c.Transport, c.Addr, outcomes)
		if err == nil || !mayPass(err) || !t.again(ctx) {
			break
		}
	}
	if err != nil && !errors.Is(err, kafkawire.ErrNoTopicIDs) {
		return nil, fmt.Errorf("read the id of the topic %s: %w", outcomes, err)
	}
	out, now := map[int32]time.Time{}, time.Now()
	for p, c := range noted {
		if since := kafkaio.KnownSince(c.Note, ids[outcomes], now); !since.IsZero() {
			out[p] = since
		}
	}
	return out, nil
}

// setOffsetsKept is the brokers' setting of how long offsets of a group without members
// are kept.
const setOffsetsKept = "offsets.retention.minutes"

// OffsetsKept is how long the brokers keep the offsets of a group without members, from
// the last commit on. One broker is asked for all. Zero: we may not see it, which takes
// the right DescribeConfigs on the cluster.
func (r *Reader) OffsetsKept(ctx context.Context) (time.Duration, error) {
	md, err := r.admin.metadata(ctx, []string{})
	if err != nil || len(md.Brokers) == 0 {
		return 0, err
	}
	id := strconv.Itoa(md.Brokers[0].ID)
	all, err := r.admin.settings(ctx, kafka.ResourceTypeBroker, id)
	if err != nil {
		return 0, fmt.Errorf("ask broker %s for %s: %w", id, setOffsetsKept, err)
	}
	return offsetsKept(all[id]), nil
}

// offsetsKept reads it; zero: it is not there.
func offsetsKept(settings map[string]string) time.Duration {
	n, err := strconv.ParseInt(settings[setOffsetsKept], 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Minute
}

// ErrMembers says that a group has members, so that its offsets cannot be set.
var ErrMembers = errors.New("the group has members")

// SetOffsets sets offsets of a group without members, all of them or none. The notes
// beside them are kafkaio.SetBackNote's: an owner sees by them that it was no owner
// who committed last.
func (r *Reader) SetOffsets(ctx context.Context, group, topic string, offsets map[int32]int64) error {
	noted, err := r.Noted(ctx, group, topic)
	if err != nil {
		return err
	}
	var list []kafka.OffsetCommit
	for p, o := range offsets {
		list = append(list, kafka.OffsetCommit{Partition: int(p), Offset: o, Metadata: kafkaio.SetBackNote(noted[p].Note)})
	}
	for t := newTries(); ; {
		if err = r.setOnce(ctx, group, topic, list); err == nil || !mayPass(err) || !t.again(ctx) {
			break
		}
	}
	switch kafkaio.Code(err) {
	case kafka.UnknownMemberId, kafka.IllegalGeneration, kafka.RebalanceInProgress:
		return fmt.Errorf("set the offsets of the group %s: %w", group, ErrMembers)
	}
	if err != nil {
		return fmt.Errorf("set the offsets of the group %s: %w", group, kafkaio.MissingRight(err, "Read", topic, group, ""))
	}
	return nil
}

func (r *Reader) setOnce(ctx context.Context, group, topic string, list []kafka.OffsetCommit) error {
	res, err := r.admin.client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: list},
	})
	if err != nil {
		return err
	}
	for _, p := range res.Topics[topic] {
		if p.Error != nil {
			return p.Error
		}
	}
	if len(res.Topics[topic]) != len(list) {
		return errors.New("empty answer")
	}
	return nil
}

// mayPass reports whether an error may pass by itself, if one asks again.
func mayPass(err error) bool {
	code := kafkaio.Code(err)
	return passes(err) || code.Temporary() || code == kafka.Unknown || code == kafkawire.UnstableOffsetCommit
}
