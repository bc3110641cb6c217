package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkawire"
)

// transactionTimeout is how long the coordinator lets our empty transaction
// stand open if we die within it; readers of committed records wait for it.
const transactionTimeout = 10 * time.Second

// errOutFenced says that somebody fenced the partition after us.
var errOutFenced = errors.New("fenced by a newer owner")

// fence takes the partition's transactional id for us: it gets a producer with
// a new epoch and leaves an abort marker in the outcome partition, from which on
// the leader refuses batches of every older epoch. The marker is written after
// fence has returned: read the ledger until it comes by.
//
// Trouble that passes is waited out until ctx ends.
func (c *claim) fence(ctx context.Context) (kafkawire.Producer, error) {
	tid := c.s.transactionalID(c.partition)
	var p kafkawire.Producer
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"init producer id", func(ctx context.Context) (err error) {
			p, err = c.s.initProducer(ctx, tid)
			return err
		}},
		{"add partition to transaction", func(ctx context.Context) error { return c.addPartition(ctx, tid, p) }},
		{"abort transaction", func(ctx context.Context) error { return c.s.abortTxn(ctx, tid, p) }},
	}
	for _, step := range steps {
		if err := c.patiently(ctx, step.name, step.do); err != nil {
			return p, err
		}
	}
	c.s.metrics.fences.Inc()
	return p, nil
}

// patiently repeats a step of the fence until it works, ctx ends, or somebody
// newer has fenced.
func (c *claim) patiently(ctx context.Context, name string, do func(context.Context) error) error {
	began, said := time.Now(), time.Now()
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		_, err := call(ctx, 5*time.Second, func(ctx context.Context) (struct{}, error) { return struct{}{}, do(ctx) })
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case code(err) == kafka.InvalidProducerEpoch, code(err) == kafka.ProducerFenced, code(err) == kafka.InvalidProducerIDMapping, code(err) == kafka.InvalidTransactionState:
			return fmt.Errorf("%s: %w: %w", name, errOutFenced, err)
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			c.log.WithError(err).WithField("step", name).WithField("since", time.Since(began).Round(time.Second).String()).Warn("fence: waiting for the transaction coordinator")
		}
		sleep(ctx, wait)
	}
}

// initProducer asks for a producer; tid may be empty for one that is not fenced.
func (s *Source) initProducer(ctx context.Context, tid string) (kafkawire.Producer, error) {
	res, err := s.client.InitProducerID(ctx, &kafka.InitProducerIDRequest{
		TransactionalID: tid, TransactionTimeoutMs: int(transactionTimeout.Milliseconds()),
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

func (c *claim) addPartition(ctx context.Context, tid string, p kafkawire.Producer) error {
	topic := c.s.cfg.OutcomeTopic
	res, err := c.s.client.AddPartitionsToTxn(ctx, &kafka.AddPartitionsToTxnRequest{
		TransactionalID: tid, ProducerID: int(p.ID), ProducerEpoch: int(p.Epoch),
		Topics: map[string][]kafka.AddPartitionToTxn{topic: {{Partition: int(c.outcome)}}},
	})
	if err != nil {
		return err
	}
	for _, r := range res.Topics[topic] {
		if r.Error != nil {
			return r.Error
		}
	}
	if len(res.Topics[topic]) == 0 {
		return errors.New("empty answer")
	}
	return nil
}

func (s *Source) abortTxn(ctx context.Context, tid string, p kafkawire.Producer) error {
	res, err := s.client.EndTxn(ctx, &kafka.EndTxnRequest{
		TransactionalID: tid, ProducerID: int(p.ID), ProducerEpoch: int(p.Epoch), Committed: false,
	})
	if err == nil {
		err = res.Error
	}
	return err
}
