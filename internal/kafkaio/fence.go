package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkawire"
)

// FenceRenewal is how often the fence of an owned partition is renewed: twice
// within the day after which a leader forgets a silent producer id.
const FenceRenewal = 12 * time.Hour

// transactionTimeout is how long the coordinator lets our empty transaction
// stand open if we die within it; readers of committed records wait for it.
const transactionTimeout = 10 * time.Second

// errOutFenced says that somebody fenced the partition after us.
var errOutFenced = errors.New("fenced by a newer owner")

// TransactionalIDs is how the transactional ids of a group begin, one for each
// partition of the intent topic. The right to use them is granted by this prefix.
func TransactionalIDs(group, intentTopic string) string {
	return fmt.Sprintf("paylink/%s/%s/", group, intentTopic)
}

// A Fence shuts older owners of a transactional id out of partitions. It is an
// empty transaction that is aborted. Its abort marker teaches each partition's
// leader the new epoch; from then on the leader refuses batches of every older
// epoch. The service makes one for every claim, "paylink check" to prove that it
// may.
type Fence struct {
	TransactionalID string
	Partitions      []TopicPartition

	// Trouble is told of each error that is waited out, with the step and how long
	// it has lasted. If it returns an error, the fence is given up with that.
	Trouble func(step string, err error, lasts time.Duration) error
}

// Make makes the fence and returns the producer whose batches are let in. The
// markers are written after Make has returned: read each partition until its
// marker comes by.
//
// A coordinator that moves or loads, an older transaction that still ends, a
// broker that is away: all that passes, so every error is waited out until ctx
// ends, but for the news that somebody newer has fenced.
func (f Fence) Make(ctx context.Context, c *kafka.Client) (kafkawire.Producer, error) {
	var p kafkawire.Producer
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"init producer id", func(ctx context.Context) (err error) {
			p, err = initProducer(ctx, c, f.TransactionalID)
			return err
		}},
		{"add partitions to transaction", func(ctx context.Context) error { return f.addPartitions(ctx, c, p) }},
		{"abort transaction", func(ctx context.Context) error { return f.abort(ctx, c, p) }},
	}
	for _, step := range steps {
		if err := f.patiently(ctx, step.name, step.do); err != nil {
			return p, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return p, nil
}

// patiently repeats a step until it works, ctx ends, somebody newer has fenced,
// or Trouble gives up.
func (f Fence) patiently(ctx context.Context, step string, do func(context.Context) error) error {
	began := time.Now()
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		_, err := call(ctx, 5*time.Second, func(ctx context.Context) (struct{}, error) { return struct{}{}, do(ctx) })
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case isOutFenced(Code(err)):
			return fmt.Errorf("%w: %w", errOutFenced, err)
		}
		if err := f.Trouble(step, err, time.Since(began)); err != nil {
			return err
		}
		Sleep(ctx, wait)
	}
}

func isOutFenced(code kafka.Error) bool {
	switch code {
	case kafka.InvalidProducerEpoch, kafka.ProducerFenced, kafka.InvalidProducerIDMapping, kafka.InvalidTransactionState:
		return true
	}
	return false
}

// initProducer asks for a producer; the transactional id may be empty, for a
// producer that is not fenced.
func initProducer(ctx context.Context, c *kafka.Client, transactionalID string) (kafkawire.Producer, error) {
	res, err := c.InitProducerID(ctx, &kafka.InitProducerIDRequest{
		TransactionalID: transactionalID, TransactionTimeoutMs: int(transactionTimeout.Milliseconds()),
		ProducerID: -1, ProducerEpoch: -1, // zero would mean "the producer 0 that I was"
	})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		return kafkawire.Producer{}, err
	}
	return kafkawire.Producer{ID: int64(res.Producer.ProducerID), Epoch: int16(res.Producer.ProducerEpoch)}, nil
}

// notAttempted is what a broker says of a partition that is well, when another
// one of the same request is the trouble.
const notAttempted = kafka.Error(55)

func (f Fence) addPartitions(ctx context.Context, c *kafka.Client, p kafkawire.Producer) error {
	topics := map[string][]kafka.AddPartitionToTxn{}
	for _, at := range f.Partitions {
		topics[at.Topic] = append(topics[at.Topic], kafka.AddPartitionToTxn{Partition: int(at.Partition)})
	}
	res, err := c.AddPartitionsToTxn(ctx, &kafka.AddPartitionsToTxnRequest{
		TransactionalID: f.TransactionalID, ProducerID: int(p.ID), ProducerEpoch: int(p.Epoch), Topics: topics,
	})
	if err != nil {
		return err
	}
	answers := 0
	for _, at := range f.Partitions {
		for _, r := range res.Topics[at.Topic] {
			if r.Partition != int(at.Partition) {
				continue
			}
			answers++
			if r.Error != nil && (err == nil || Code(err) == notAttempted) {
				err = r.Error
			}
		}
	}
	if err == nil && answers < len(f.Partitions) {
		err = errors.New("empty answer")
	}
	return err
}

func (f Fence) abort(ctx context.Context, c *kafka.Client, p kafkawire.Producer) error {
	res, err := c.EndTxn(ctx, &kafka.EndTxnRequest{
		TransactionalID: f.TransactionalID, ProducerID: int(p.ID), ProducerEpoch: int(p.Epoch), Committed: false,
	})
	if err == nil {
		err = res.Error
	}
	return err
}

// fence takes the partition's transactional id for this claim.
func (c *claim) fence(ctx context.Context) (kafkawire.Producer, error) {
	said := time.Duration(0)
	p, err := Fence{
		TransactionalID: TransactionalIDs(c.s.cfg.Group, c.s.cfg.IntentTopic) + label(c.partition),
		Partitions:      []TopicPartition{{c.s.cfg.OutcomeTopic, c.outcome}},
		Trouble: func(step string, err error, lasts time.Duration) error {
			err = c.s.lacks(c.s.writes(c.s.cfg.OutcomeTopic), err)
			c.s.member.noteTrouble(err)
			c.stuck("fence: "+step, err)
			if lasts < said {
				said = 0 // the next step
			}
			if lasts-said > 5*time.Second && !told(err) {
				said = lasts
				c.log.WithError(err).WithField("step", step).WithField("since", lasts.Round(time.Second).String()).
					Warn("fence: waiting for the transaction coordinator")
			}
			return nil // what is not granted now may be soon
		},
	}.Make(ctx, c.s.client)
	if err == nil {
		c.stuck("", nil)
		c.s.metrics.fences.Inc()
	}
	return p, err
}
