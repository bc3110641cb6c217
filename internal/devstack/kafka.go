package devstack

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"

	"paylink/internal/event"
)

// Kafka is how tests and tools reach a cluster, embedded or real. Its methods
// may be called concurrently; each opens and closes connections of its own.
type Kafka struct {
	Brokers []string
	Dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil: the usual network
	TLS     *tls.Config                                                          // nil: plain text
	SASL    sasl.Mechanism                                                       // nil: nobody asks who we are
}

// A Record is a record with its place in the log.
type Record struct {
	event.Message
	event.Place
}

// An Isolation is what a reader wants to see of transactions. It has no effect
// on outcomes, which are written without one: that is what tests of it check.
type Isolation int

// The two isolation levels.
const (
	ReadUncommitted Isolation = iota
	ReadCommitted
)

// Client returns a client with the settings and more options.
func (k Kafka) Client(opts ...kgo.Opt) (*kgo.Client, error) {
	all := []kgo.Opt{kgo.SeedBrokers(k.Brokers...), kgo.ClientID("paylink-dev")}
	if k.Dial != nil {
		all = append(all, kgo.Dialer(k.Dial))
	}
	if k.TLS != nil {
		all = append(all, kgo.DialTLSConfig(k.TLS))
	}
	if k.SASL != nil {
		all = append(all, kgo.SASL(k.SASL))
	}
	return kgo.NewClient(append(all, opts...)...)
}

// Emit publishes messages in order, each to the partition of its key as Java's
// clients choose it, and returns when all in-sync replicas have them.
func (k Kafka) Emit(ctx context.Context, topic string, messages ...event.Message) error {
	return k.produce(ctx, toRecords(topic, messages))
}

// EmitTo publishes messages in order to one partition.
func (k Kafka) EmitTo(ctx context.Context, topic string, partition int32, messages ...event.Message) error {
	recs := toRecords(topic, messages)
	for _, r := range recs {
		r.Partition = partition
	}
	return k.produce(ctx, recs, kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// EmitInTransaction publishes messages in one transaction and ends it, by a
// commit or an abort.
func (k Kafka) EmitInTransaction(ctx context.Context, id string, end kgo.TransactionEndTry, topic string, messages ...event.Message) error {
	c, err := k.Client(kgo.TransactionalID(id))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	if err := c.ProduceSync(ctx, toRecords(topic, messages)...).FirstErr(); err != nil {
		return err
	}
	return c.EndTransaction(ctx, end)
}

func (k Kafka) produce(ctx context.Context, recs []*kgo.Record, opts ...kgo.Opt) error {
	c, err := k.Client(append(opts, kgo.ProducerLinger(0))...)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.ProduceSync(ctx, recs...).FirstErr()
}

// Read returns everything that a topic holds now, in the order of partitions
// and offsets, without control records.
func (k Kafka) Read(ctx context.Context, topic string, level Isolation) ([]Record, error) {
	begins, err := k.offsets(ctx, topic, level, begin)
	if err != nil {
		return nil, fmt.Errorf("find beginning of %s: %w", topic, err)
	}
	ends, err := k.offsets(ctx, topic, level, end)
	if err != nil {
		return nil, fmt.Errorf("find end of %s: %w", topic, err)
	}
	var recs []Record
	left := map[int32]bool{}
	for p, end := range ends {
		if end > begins[p] {
			left[p] = true
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	// Control records are kept: an end may be right after one.
	c, err := k.reader(level, []string{topic}, true, kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for len(left) > 0 {
		err := poll(ctx, c, func(r *kgo.Record) error {
			if r.Offset < ends[r.Partition] && !r.Attrs.IsControl() {
				recs = append(recs, fromRecord(r))
			}
			if r.Offset >= ends[r.Partition]-1 {
				delete(left, r.Partition)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(recs, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return recs, nil
}

// ReadBoth reads a topic as consumers of either isolation level see it.
func (k Kafka) ReadBoth(ctx context.Context, topic string) (uncommitted, committed []Record, err error) {
	if uncommitted, err = k.Read(ctx, topic, ReadUncommitted); err != nil {
		return nil, nil, err
	}
	committed, err = k.Read(ctx, topic, ReadCommitted)
	return uncommitted, committed, err
}

// ReadN waits until a topic has n records and returns the first n that came by.
func (k Kafka) ReadN(ctx context.Context, topic string, level Isolation, n int) ([]Record, error) {
	var recs []Record
	if n == 0 {
		return nil, nil
	}
	err := k.Follow(ctx, Tail{Topics: []string{topic}, FromBeginning: true, Isolation: level}, func(r Record) error {
		if recs = append(recs, r); len(recs) == n {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return recs, nil
	}
	return recs, fmt.Errorf("read %s: got %d of %d records: %w", topic, len(recs), n, err)
}

var errEnough = errors.New("enough")

// A Tail says what to follow.
type Tail struct {
	Topics        []string
	FromBeginning bool // otherwise only what is published from now on
	Isolation     Isolation
	Ready         func() // if not nil: called once before the first wait, when nothing published from now on can be missed
}

// Follow calls handle for every record of the topics, in the order of each
// partition, until handle fails or ctx ends, and returns that error.
func (k Kafka) Follow(ctx context.Context, t Tail, handle func(Record) error) error {
	c, err := k.tail(ctx, t)
	if err != nil {
		return err
	}
	defer c.Close()
	if t.Ready != nil {
		t.Ready()
	}
	for {
		if err := poll(ctx, c, func(r *kgo.Record) error { return handle(fromRecord(r)) }); err != nil {
			return err
		}
	}
}

// tail returns a reader that stands at its start. The ends are asked for now and
// not by the first fetch, so that "from now on" means what it says.
func (k Kafka) tail(ctx context.Context, t Tail) (*kgo.Client, error) {
	if t.FromBeginning {
		return k.reader(t.Isolation, t.Topics, true)
	}
	starts := map[string]map[int32]kgo.Offset{}
	for _, topic := range t.Topics {
		ends, err := k.offsets(ctx, topic, ReadUncommitted, end)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return k.reader(t.Isolation, t.Topics, true) // everything in it is yet to come
		}
		if err != nil {
			return nil, fmt.Errorf("find end of %s: %w", topic, err)
		}
		starts[topic] = map[int32]kgo.Offset{}
		for p, end := range ends {
			starts[topic][p] = kgo.NewOffset().At(end)
		}
	}
	return k.Client(isolation(t.Isolation), kgo.ConsumePartitions(starts), kgo.FetchMaxWait(fetchWait))
}

// CreateTopics makes topics. One that exists already is left as it is.
func (k Kafka) CreateTopics(ctx context.Context, topics ...Topic) error {
	c, err := k.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	for _, t := range topics {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.Name, t.Partitions, -1
		for name, value := range t.Configs {
			rc := kmsg.NewCreateTopicsRequestTopicConfig()
			rc.Name, rc.Value = name, kmsg.StringPtr(value)
			rt.Configs = append(rt.Configs, rc)
		}
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", t.Topic, err)
		}
	}
	return nil
}

// DeleteTopics deletes topics with all their records.
func (k Kafka) DeleteTopics(ctx context.Context, names ...string) error {
	c, err := k.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 30_000
	req.TopicNames = names
	for _, name := range names {
		rt := kmsg.NewDeleteTopicsRequestTopic()
		rt.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return fmt.Errorf("delete topics: %w", err)
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("delete topic %s: %w", *t.Topic, err)
		}
	}
	return nil
}
