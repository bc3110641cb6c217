package kafkaops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkaio"
)

// turnsFor is how long notes about lent turns are kept. One is of use for seconds.
const turnsFor = time.Hour

// waits is what it means that no turns are lent.
const waits = "replicas wait for their own slots"

// turns looks whether turns can be lent. Nothing else needs its topic, so that nothing
// that is wrong with it is a failure.
func (c *checker) turns(ctx context.Context) {
	topic := c.cfg.Topics.Turns
	if topic == "" {
		return
	}
	about := "topic " + topic
	a, err := newAdmin(c.cfg.Connection, []string{topic})
	if err != nil {
		return // said of the brokers
	}
	defer a.close()
	md, err := a.metadata(ctx, []string{topic})
	if err == nil && len(md.Topics) == 1 {
		err = md.Topics[0].Error
	}
	switch {
	case errors.Is(err, kafka.UnknownTopicOrPartition):
		c.warn(about, "does not exist: "+waits, "run \"paylink topics create\", or set PAYLINK_TOPIC_TURNS to off")
		return
	case kafkaio.Code(err) == kafka.TopicAuthorizationFailed:
		c.noTurns(about, "Describe", topic)
		return
	case err != nil || len(md.Topics) != 1:
		c.warn(about, fmt.Sprintf("cannot be looked at (%v): %s meanwhile", err, waits), "look at the brokers")
		return
	}
	before := len(c.found)
	t := md.Topics[0]
	if a.unreadable(ctx, t) {
		c.noTurns(about, "Read", topic)
	}
	if c.unwritable(ctx, a, topic) {
		c.noTurns(about, "Write", topic)
	}
	if len(t.Partitions) > 1 {
		c.warn(about, fmt.Sprintf("has %d partitions, of which only the first is used", len(t.Partitions)), "one is enough")
	}
	if len(c.found) == before {
		c.ok(about, "replicas can lend each other turns")
	}
}

func (c *checker) noTurns(about, operation, topic string) {
	c.warn(about, "a right is missing: "+operation+" on topic "+topic+": "+waits,
		"grant Read and Write to the service's user (deploy/rights.md has the commands), or set PAYLINK_TOPIC_TURNS to off")
}

// unwritable tries an empty transaction, as for the other topics. What else stands in
// its way is said there.
func (c *checker) unwritable(ctx context.Context, a *admin, topic string) bool {
	f := kafkaio.Fence{
		TransactionalID: kafkaio.TransactionalIDs(c.cfg.Group, c.cfg.Topics.Intents) + "check",
		Partitions:      []kafkaio.TopicPartition{{Topic: topic}},
		Trouble: func(_ string, err error, _ time.Duration) error {
			if !passes(err) {
				return err
			}
			return nil
		},
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := f.Make(ctx, a.client)
	return kafkaio.Code(err) == kafka.TopicAuthorizationFailed
}
