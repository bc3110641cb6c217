package kafkaio

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
)

// emptyTransaction begins a transaction on the first partition of some topics and
// aborts it. It returns the step that failed, and why. What passes by itself, a
// coordinator that moves or loads, is repeated until ctx ends.
func emptyTransaction(ctx context.Context, cl *kafka.Client, tid string, topics []string) (string, error) {
	var p *kafka.ProducerSession
	steps := []struct {
		name string
		do   func() error
	}{
		{"init producer id", func() (err error) { p, err = initProducer(ctx, cl, tid); return err }},
		{"add partitions to transaction", func() error { return addPartitions(ctx, cl, tid, p, topics) }},
		{"abort transaction", func() error { return abort(ctx, cl, tid, p) }},
	}
	for _, s := range steps {
		for {
			err := s.do()
			if err == nil {
				break
			}
			if !passes(err) || !pause(ctx, 100*time.Millisecond) {
				return s.name, err
			}
		}
	}
	return "", nil
}

func initProducer(ctx context.Context, cl *kafka.Client, tid string) (*kafka.ProducerSession, error) {
	res, err := cl.InitProducerID(ctx, &kafka.InitProducerIDRequest{
		TransactionalID: tid, TransactionTimeoutMs: 10_000, ProducerID: -1, ProducerEpoch: -1,
	})
	if err != nil {
		return nil, err
	}
	return res.Producer, res.Error
}

func addPartitions(ctx context.Context, cl *kafka.Client, tid string, p *kafka.ProducerSession, topics []string) error {
	req := &kafka.AddPartitionsToTxnRequest{
		TransactionalID: tid, ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch,
		Topics: map[string][]kafka.AddPartitionToTxn{},
	}
	for _, t := range topics {
		req.Topics[t] = []kafka.AddPartitionToTxn{{Partition: 0}}
	}
	res, err := cl.AddPartitionsToTxn(ctx, req)
	if err != nil {
		return err
	}
	var worst error
	for _, t := range topics {
		for _, r := range res.Topics[t] {
			if r.Error != nil && (worst == nil || errors.Is(worst, operationNotAttempted)) {
				worst = r.Error
			}
		}
	}
	return worst
}

func abort(ctx context.Context, cl *kafka.Client, tid string, p *kafka.ProducerSession) error {
	res, err := cl.EndTxn(ctx, &kafka.EndTxnRequest{TransactionalID: tid, ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch})
	if err != nil {
		return err
	}
	return res.Error
}

// operationNotAttempted says that another topic of the request is the trouble.
const operationNotAttempted = kafka.Error(55)

func passes(err error) bool {
	switch errorCode(err) {
	case kafka.ConcurrentTransactions, kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup:
		return true
	}
	return false
}

// errorCode returns Kafka's code in an error's chain, or 0.
func errorCode(err error) kafka.Error {
	e, _ := errors.AsType[kafka.Error](err)
	return e
}
