package kafkaops

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
)

// A right is what somebody may do to a resource of Kafka, in the words of
// kafka-acls.sh.
type right struct {
	operation string
	resource  string // kind and name
	why       string // what the service needs it for
}

// lacks tells of a right that is missing.
func (c *checker) lacks(r right) {
	c.fail("rights", "a right is missing: "+r.operation+" on "+r.resource+", "+r.why,
		"grant it to the service's user; deploy/rights.md has the commands")
}

// rights tries what the service must be allowed to do, but for what the fence
// shows. It changes nothing: it reads no record to its end, and the heartbeat it
// sends is of no member. It reports whether all topics may be looked at.
func (c *checker) rights(ctx context.Context, md *kafka.MetadataResponse) (visible bool) {
	visible = true
	c.have = map[string]bool{}
	before := len(c.found)
	for _, t := range md.Topics {
		c.have[t.Name] = t.Error == nil
		if errors.Is(t.Error, kafka.TopicAuthorizationFailed) {
			c.lacks(right{"Describe", "topic " + t.Name, c.uses(t.Name)})
			visible = false
		}
	}
	for _, t := range md.Topics {
		if t.Error == nil && t.Name != c.cfg.Topics.DeadLetters && c.admin.unreadable(ctx, t) {
			c.lacks(right{"Read", "topic " + t.Name, c.uses(t.Name)})
		}
	}
	if c.groupShut(ctx) {
		c.lacks(right{"Read", "group " + c.cfg.Group, "to be a member of it and to commit offsets"})
	}
	if c.idempotenceShut(ctx) {
		c.lacks(right{"IdempotentWrite", "cluster", "to write dead letters; brokers from 3.0 on are content with Write on a topic"})
	}
	if len(c.found) == before {
		c.ok("rights", "intents and outcomes may be read, the group be joined")
	}
	return visible
}

// uses says what the service needs of a topic.
func (c *checker) uses(topic string) string {
	switch topic {
	case c.cfg.Topics.Intents:
		return "to read payment intents (grant Read, which includes Describe)"
	case c.cfg.Topics.Outcomes:
		return "to read which intents are answered, and to publish answers (grant Read and Write, which include Describe)"
	}
	return "to write dead letters (grant Write, which includes Describe)"
}

// unreadable tries to fetch from a partition that has a leader.
func (a *admin) unreadable(ctx context.Context, t kafka.Topic) bool {
	i := slices.IndexFunc(t.Partitions, func(p kafka.Partition) bool { return p.Leader.Host != "" })
	if i < 0 {
		return false
	}
	p := t.Partitions[i]
	_, err := kafkaio.FetchRequest{
		Leader: int32(p.Leader.ID), Topic: t.Name, MaxBytes: 1,
		Partitions: []kafkaio.FetchFrom{{Partition: int32(p.ID), MaxBytes: 1}},
	}.FetchOne(ctx, a.client)
	return kafkaio.Code(err) == kafka.TopicAuthorizationFailed
}

// groupShut sends a heartbeat of nobody, which takes the right to be a member.
func (c *checker) groupShut(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := kafkawire.Heartbeat(ctx, c.admin.client.Transport, c.admin.client.Addr,
		kafkawire.Member{Group: c.cfg.Group, Generation: 1, ID: "paylink-check"})
	return kafkaio.Code(err) == kafka.GroupAuthorizationFailed
}

// idempotenceShut asks for a producer as dead letters have it, without a fence.
func (c *checker) idempotenceShut(ctx context.Context) bool {
	res, err := c.admin.client.InitProducerID(ctx, &kafka.InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1})
	if err == nil {
		err = res.Error
	}
	return kafkaio.Code(err) == kafka.ClusterAuthorizationFailed
}

// lacksOf tells which rights an error of a fence in some topics says are missing,
// and reports whether there are any. Brokers do not say for certain which topic
// they mean, so each is tried alone.
func (c *checker) lacksOf(ctx context.Context, err error, f kafkaio.Fence) (any bool) {
	switch kafkaio.Code(err) {
	case kafka.TransactionalIDAuthorizationFailed:
		prefix := kafkaio.TransactionalIDs(c.cfg.Group, c.cfg.Topics.Intents)
		c.lacks(right{"Write", "transactional-id prefix " + prefix, "to shut out older owners of a partition"})
		return true
	case kafka.TopicAuthorizationFailed:
		all := f.Partitions
		for _, at := range all {
			f.Partitions = []kafkaio.TopicPartition{at}
			if _, err := f.Make(ctx, c.admin.client); kafkaio.Code(err) == kafka.TopicAuthorizationFailed {
				c.lacks(right{"Write", "topic " + at.Topic, c.uses(at.Topic)})
				any = true
			}
		}
	}
	return any
}
