package kafkaops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
)

// An Emission is a record to write, and the partition to write it to.
type Emission struct {
	Partition int32
	event.Message
}

// A Mark is an offset of a group, and what to note beside it.
type Mark struct {
	Group     string
	Topic     string
	Partition int32
	Committed
}

// An Emitter writes records to a topic. With a transactional id each call of Emit
// is one transaction, and an Emitter that was opened before with the same id can
// write nothing more. It is not for concurrent use.
type Emitter struct {
	admin      *admin
	topic      string
	partitions int
	txn        kafkaio.Transaction
	sequences  map[int32]int32
	broken     error // nothing more may be written
}

// What an Emitter may say.
var (
	// ErrOutFenced: somebody opened another Emitter with the same id. Nothing of the
	// call was written.
	ErrOutFenced = errors.New("another run has begun; this one ends here")

	// ErrTooLarge: the topic does not take a record. Nothing of the call was written.
	ErrTooLarge = errors.New("the topic does not take a record of this size")

	// ErrUnknown: whether the call's records were written is not known. Who opens an
	// Emitter with the same id sees whether they were.
	ErrUnknown = errors.New("the brokers do not say whether it was written")
)

// patience is how long a step waits for brokers that are away. It is less than the
// coordinator's, who aborts a transaction that stands open for longer.
const patience = kafkaio.TransactionTimeout - 2*time.Second

// OpenEmitter opens an Emitter; transactionalID may be empty: idempotent batches
// without a transaction. Once it is open, all that was written before under the id
// is either there or will never be.
func OpenEmitter(ctx context.Context, c kafkaio.Connection, topic, transactionalID string) (*Emitter, error) {
	a, err := newAdmin(c, []string{topic})
	if err != nil {
		return nil, err
	}
	e := &Emitter{admin: a, topic: topic, sequences: map[int32]int32{}}
	e.txn.ID = transactionalID
	if err := e.open(ctx); err != nil {
		a.close()
		return nil, fmt.Errorf("write to %s: %w", topic, e.named(err))
	}
	return e, nil
}

func (e *Emitter) open(ctx context.Context) error {
	md, err := e.admin.metadata(ctx, []string{e.topic})
	if err != nil {
		return err
	}
	if len(md.Topics) != 1 {
		return errors.New("the brokers do not answer for it")
	}
	if err := md.Topics[0].Error; err != nil {
		return err
	}
	e.partitions = len(md.Topics[0].Partitions)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // an older transaction may have to be ended first
	defer cancel()
	return patiently(ctx, func(ctx context.Context) (err error) {
		e.txn, err = kafkaio.OpenTransaction(ctx, e.admin.client, e.txn.ID)
		return err
	})
}

// Partitions is how many the topic has.
func (e *Emitter) Partitions() int { return e.partitions }

// Close ends its connections. What Emit has returned from is not affected.
func (e *Emitter) Close() { e.admin.close() }

// Emit writes records, those of one partition in their order, and marks with them:
// all or nothing if the Emitter has a transactional id; without one there are no
// marks, and a prefix may be written. It does not end with ctx in the middle, but
// with the brokers' patience. After an error other than ErrTooLarge the Emitter
// writes nothing more.
func (e *Emitter) Emit(ctx context.Context, records []Emission, marks ...Mark) error {
	if e.broken != nil {
		return e.broken
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := e.write(ctx, records, marks)
	if err != nil && e.txn.ID != "" {
		err = e.abort(err)
	} else if err == nil && e.txn.ID != "" {
		err = e.commit(ctx)
	}
	if err != nil {
		err = fmt.Errorf("write to %s: %w", e.topic, e.named(err))
		if !errors.Is(err, ErrTooLarge) {
			e.broken = err
		}
	}
	return err
}

// write writes everything but the end of the transaction.
func (e *Emitter) write(ctx context.Context, records []Emission, marks []Mark) error {
	var parts []int32 // in the order of their first record
	of := map[int32][]kafkawire.Record{}
	for _, r := range records {
		if of[r.Partition] == nil {
			parts = append(parts, r.Partition)
		}
		of[r.Partition] = append(of[r.Partition], wireRecord(r.Message))
	}
	if e.txn.ID != "" && len(parts) > 0 {
		var at []kafkaio.TopicPartition
		for _, p := range parts {
			at = append(at, kafkaio.TopicPartition{Topic: e.topic, Partition: p})
		}
		if err := patiently(ctx, func(ctx context.Context) error { return e.txn.AddPartitions(ctx, e.admin.client, at...) }); err != nil {
			return fmt.Errorf("add partitions to the transaction: %w", err)
		}
	}
	for _, p := range parts {
		if err := e.append(ctx, p, of[p]); err != nil {
			return err
		}
	}
	for _, m := range marks {
		if err := e.mark(ctx, m); err != nil {
			return fmt.Errorf("note it in the group %s: %w", m.Group, kafkaio.MissingRight(err, "Read", m.Topic, m.Group, e.txn.ID))
		}
	}
	return nil
}

func (e *Emitter) mark(ctx context.Context, m Mark) error {
	err := patiently(ctx, func(ctx context.Context) error { return e.txn.AddOffsets(ctx, e.admin.client, m.Group) })
	if err != nil {
		return err
	}
	at := kafkaio.TopicPartition{Topic: m.Topic, Partition: m.Partition}
	return patiently(ctx, func(ctx context.Context) error {
		return e.txn.CommitOffset(ctx, e.admin.client, m.Group, at, m.Offset, m.Note)
	})
}

// commit ends the transaction. Once it was asked for, it may have happened, whatever
// was answered.
func (e *Emitter) commit(ctx context.Context) error {
	err := patiently(ctx, func(ctx context.Context) error { return e.txn.End(ctx, e.admin.client, true) })
	switch {
	case err == nil:
		return nil
	case kafkaio.IsOutFenced(err): // also if an earlier try was heard, and its answer lost
		return fmt.Errorf("%w; %w: %w", ErrOutFenced, ErrUnknown, err)
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}

// abort ends the transaction without a trace. If the brokers are away they do so
// themselves, after kafkaio.TransactionTimeout.
func (e *Emitter) abort(why error) error {
	if kafkaio.IsOutFenced(why) {
		return fmt.Errorf("%w: %w", ErrOutFenced, why)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := patiently(ctx, func(ctx context.Context) error { return e.txn.End(ctx, e.admin.client, false) })
	if err != nil && kafkaio.Code(err) != kafka.InvalidTransactionState { // which says that none was open
		return fmt.Errorf("%v (and it could not be aborted: %w)", why, err)
	}
	return why
}

// append writes records to one partition, and sends the same bytes until there is a
// verdict: with their sequence in them they land once.
func (e *Emitter) append(ctx context.Context, p int32, recs []kafkawire.Record) error {
	for len(recs) > 0 {
		n := fit(recs)
		if err := e.batch(ctx, p, recs[:n]); err != nil {
			return err
		}
		recs = recs[n:]
	}
	return nil
}

// maxEmitBatch is what a batch may have; brokers take 1 MiB unless told otherwise. A
// larger record goes alone.
const maxEmitBatch = 900 << 10

// fit is how many of the records make a batch.
func fit(recs []kafkawire.Record) int {
	size, n := 0, 0
	for n < len(recs) && n < 1000 {
		if size += kafkawire.BatchSize(&recs[n]); n > 0 && size > maxEmitBatch {
			break
		}
		n++
	}
	return n
}

func (e *Emitter) batch(ctx context.Context, p int32, recs []kafkawire.Record) error {
	encode := kafkawire.AppendBatch
	if e.txn.ID != "" {
		encode = kafkawire.AppendTransactional
	}
	raw, err := encode(nil, e.txn.Producer, e.sequences[p], compress.Snappy, recs)
	if err != nil {
		return err
	}
	sent := 0
	err = patiently(ctx, func(ctx context.Context) error { sent++; return e.produce(ctx, p, raw) })
	switch kafkaio.Code(err) {
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge:
		if sent == 1 { // else an earlier try may have landed
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
	case kafka.DuplicateSequenceNumber: // an earlier try landed
		err = nil
	}
	if err == nil {
		e.sequences[p] = kafkawire.NextSequence(e.sequences[p], len(recs))
	}
	return err
}

func (e *Emitter) produce(ctx context.Context, p int32, raw []byte) error {
	c := e.admin.client
	msg, err := c.Transport.RoundTrip(ctx, c.Addr, &rawproduce.Request{
		TransactionalID: e.txn.ID, Acks: -1, Timeout: int32(requestWait.Milliseconds() / 2),
		Topics: []rawproduce.RequestTopic{{Topic: e.topic, Partitions: []rawproduce.RequestPartition{{
			Partition: p, RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(raw)},
		}}}},
	})
	if err != nil {
		return err
	}
	res := msg.(*produce.Response)
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return errors.New("produce: empty answer")
	}
	if code := res.Topics[0].Partitions[0].ErrorCode; code != 0 {
		return kafka.Error(code)
	}
	return nil
}

// requestWait is how long one request is waited for.
const requestWait = 4 * time.Second

// patiently repeats a request while its error may pass and ctx lasts, and returns
// its last error.
func patiently(ctx context.Context, do func(context.Context) error) error {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 300*time.Millisecond) {
		one, cancel := context.WithTimeout(ctx, requestWait)
		err := do(one)
		cancel()
		if err == nil || !mayPass(err) || !kafkaio.Sleep(ctx, wait) {
			return err
		}
	}
}

func (e *Emitter) named(err error) error {
	return kafkaio.MissingRight(err, "Write", e.topic, "", e.txn.ID)
}

// wireRecord is a record as it is written. One without a time of its own gets that
// of now.
func wireRecord(m event.Message) kafkawire.Record {
	r := kafkawire.Record{Millis: m.Time.UnixMilli(), Key: m.Key, Value: m.Value}
	if m.Time.IsZero() {
		r.Millis = time.Now().UnixMilli()
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kafkawire.Header{Key: []byte(h.Key), Value: h.Value})
	}
	return r
}

// KeyPartition is the partition that Kafka's own clients choose for a key, of so
// many: murmur2.
func KeyPartition(key []byte, partitions int) int32 {
	all := make([]int, partitions)
	for i := range all {
		all[i] = i
	}
	return int32(kafka.Murmur2Balancer{}.Balance(kafka.Message{Key: key}, all...))
}
