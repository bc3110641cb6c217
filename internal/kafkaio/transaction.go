package kafkaio

import (
	"context"
	"errors"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkawire"
)

// A Transaction is a transactional id in the hands of one producer. Its methods
// are one request each, for the operator's tools; the service's own transactions
// are Fence's, and always empty.
type Transaction struct {
	ID       string
	Producer kafkawire.Producer
}

// TransactionTimeout is how long the coordinator lets a transaction stand open
// whose producer is gone; readers of committed records wait for it.
const TransactionTimeout = transactionTimeout

// OpenTransaction takes a transactional id: what an older producer left open is
// aborted, and none of its requests counts any more. Without an id it returns a
// producer that can only write idempotent batches.
func OpenTransaction(ctx context.Context, c *kafka.Client, id string) (Transaction, error) {
	p, err := initProducer(ctx, c, id)
	return Transaction{ID: id, Producer: p}, err
}

// AddPartitions says which partitions will be written to.
func (t Transaction) AddPartitions(ctx context.Context, c *kafka.Client, at ...TopicPartition) error {
	return Fence{TransactionalID: t.ID, Partitions: at}.addPartitions(ctx, c, t.Producer)
}

// AddOffsets says that offsets of a group will be committed.
func (t Transaction) AddOffsets(ctx context.Context, c *kafka.Client, group string) error {
	res, err := c.AddOffsetsToTxn(ctx, &kafka.AddOffsetsToTxnRequest{
		TransactionalID: t.ID, ProducerID: int(t.Producer.ID), ProducerEpoch: int(t.Producer.Epoch), GroupID: group,
	})
	if err == nil {
		err = res.Error
	}
	return err
}

// CommitOffset commits an offset of a group with its metadata, if the transaction
// is committed. The group has no members.
func (t Transaction) CommitOffset(ctx context.Context, c *kafka.Client, group string, at TopicPartition, offset int64, metadata string) error {
	res, err := c.TxnOffsetCommit(ctx, &kafka.TxnOffsetCommitRequest{
		TransactionalID: t.ID, ProducerID: int(t.Producer.ID), ProducerEpoch: int(t.Producer.Epoch),
		GroupID: group, GenerationID: -1,
		Topics: map[string][]kafka.TxnOffsetCommit{at.Topic: {{Partition: int(at.Partition), Offset: offset, Metadata: metadata}}},
	})
	if err != nil {
		return err
	}
	if len(res.Topics[at.Topic]) != 1 {
		return errors.New("commit offsets in a transaction: empty answer")
	}
	return res.Topics[at.Topic][0].Error
}

// End commits or aborts. It may be repeated until it is answered.
func (t Transaction) End(ctx context.Context, c *kafka.Client, commit bool) error {
	res, err := c.EndTxn(ctx, &kafka.EndTxnRequest{
		TransactionalID: t.ID, ProducerID: int(t.Producer.ID), ProducerEpoch: int(t.Producer.Epoch), Committed: commit,
	})
	if err == nil {
		err = res.Error
	}
	return err
}

// IsOutFenced reports whether an error says that somebody newer has the
// transactional id.
func IsOutFenced(err error) bool { return isOutFenced(Code(err)) }

// MissingRight names the right that an error says is missing, of whoever writes
// to a topic, uses a group, and transactional ids that begin so; other errors it
// returns as they are.
func MissingRight(err error, operation, topic, group, transactionalIDs string) error {
	return need{operation: operation, topic: topic, group: group, txn: transactionalIDs}.lacks(err)
}
