package replay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/facts"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
	"paylink/internal/replay"
)

const group = "paylink"

// A bench is a broker with the three topics, and the archive of them.
type bench struct {
	*testing.T
	broker  *devstack.Broker
	kafka   devstack.Kafka
	archive replay.Archive
	settled map[int32][]event.Message // outcomes, to be flushed
}

func newBench(t *testing.T, partitions int32) *bench {
	t.Helper()
	return newBenchWith(t, devstack.BrokerOptions{Topics: append(devstack.DefaultTopics(partitions), devstack.Topic{Name: "copy", Partitions: partitions + 1})})
}

// newBenchInBubble is newBench of one partition for tests that wait. Brokers let a
// transaction stand open for up to an hour.
func newBenchInBubble(t *testing.T) *bench {
	t.Helper()
	vn := &kfake.VirtualNetwork{}
	t.Cleanup(func() { time.Sleep(time.Minute) }) // idle connections notice that it is over
	return newBenchWith(t, devstack.BrokerOptions{
		Topics: devstack.DefaultTopics(1), Listen: vn.Listen, Dial: vn.DialContext, Configs: map[string]string{"transaction.max.timeout.ms": "3600000"},
	})
}

func newBenchWith(t *testing.T, options devstack.BrokerOptions) *bench {
	t.Helper()
	broker, err := devstack.StartBroker(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	b := &bench{T: t, broker: broker, kafka: broker.Kafka(), settled: map[int32][]event.Message{}}
	topics := facts.Topics{Intents: devstack.Intents, Outcomes: devstack.Outcomes, DeadLetters: devstack.DeadLetters}
	reader, err := kafkaops.NewReader(b.connection(), topics.Intents, topics.Outcomes, topics.DeadLetters)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reader.Close)
	b.archive = replay.Archive{Kafka: reader, Now: time.Now(), Facts: &facts.Reader{
		Topics: topics, Intents: event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), Outcomes: outcomes.NewDecoder(nil),
	}}
	return b
}

func (b *bench) connection() kafkaio.Connection {
	return kafkaio.Connection{Brokers: b.kafka.Brokers, Dial: b.kafka.Dial}
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// emitter opens one on a topic, with an id as the verbs have it.
func (b *bench) emitter(topic, id string) *kafkaops.Emitter {
	b.Helper()
	e, err := kafkaops.OpenEmitter(b.Context(), b.connection(), topic, id)
	b.must(err)
	b.Cleanup(e.Close)
	return e
}

func (b *bench) spans(topic string) []kafkaops.Span {
	b.Helper()
	spans, err := b.archive.Kafka.Spans(b.Context(), kafkaops.Range{Topic: topic, Partition: -1})
	b.must(err)
	return spans
}

func intent(id string) []byte {
	return fmt.Appendf(nil, `{"intent_id":%q,"amount":"10.00","description":"top-up"}`, id)
}

// emitted is a record of the intent topic.
func emitted(id string, at time.Time) event.Message {
	return event.Message{Key: []byte("key-" + id), Value: intent(id), Time: at, Headers: []event.Header{{Key: "trace", Value: []byte(id)}}}
}

// bury puts a dead letter of a record, which stood at a place of the intent topic.
func (b *bench) bury(partition int32, m event.Message, from event.Place, reason event.DeadReason) {
	b.Helper()
	dead := event.DeadLetter(m, from, group, &event.Unreadable{Reason: reason, Text: "a test"}, time.Now())
	b.must(b.kafka.EmitTo(b.Context(), devstack.DeadLetters, partition, dead))
}

func source(partition int32, offset int64) event.Place {
	return event.Place{Topic: devstack.Intents, Partition: partition, Offset: offset}
}

// settle publishes an outcome for an intent that stands at a place.
func (b *bench) settle(id string, from event.Place, at time.Time) {
	b.Helper()
	b.settleMany(id, from, at)
	b.must(b.flush())
}

// settleMany is settle of many, with one flush behind them.
func (b *bench) settleMany(id string, from event.Place, at time.Time) {
	b.Helper()
	d, err := b.archive.Facts.Intents.Decode(b.Context(), event.Message{Value: intent(id)})
	b.must(err)
	o := payment.Created{Link: payment.Link{PaymentID: 77, RedirectURL: "https://pay.example/77"}, Attempts: 1, At: at}
	m, err := event.NewEncoder(event.EncoderConfig{}).Outcome(b.Context(), d, []byte("key-"+id), from, o)
	b.must(err)
	m.Time = at
	b.settled[from.Partition] = append(b.settled[from.Partition], m)
}

func (b *bench) flush() error {
	for p, list := range b.settled {
		if err := b.kafka.EmitTo(b.Context(), devstack.Outcomes, p, list...); err != nil {
			return err
		}
	}
	clear(b.settled)
	return nil
}

// read returns what a consumer of committed records sees of a topic.
func (b *bench) read(topic string) []devstack.Record {
	b.Helper()
	recs, err := b.kafka.Read(b.Context(), topic, devstack.ReadCommitted)
	b.must(err)
	return recs
}

// idsOf counts records by their intents.
func (b *bench) idsOf(topic string) map[string]int {
	b.Helper()
	out := map[string]int{}
	for _, r := range b.read(topic) {
		var in struct {
			ID string `json:"intent_id"`
		}
		_ = json.Unmarshal(r.Value, &in) // of what is no intent, none
		out[in.ID]++
	}
	return out
}

// commit commits an offset for the service's group.
func (b *bench) commit(offsets map[int32]int64) {
	b.Helper()
	b.must(b.archive.Kafka.SetOffsets(b.Context(), group, devstack.Intents, offsets))
}

// commitWith commits with a note, as the service and other tools do.
func (b *bench) commitWith(offsets map[int32]int64, note string) {
	b.Helper()
	c, err := b.kafka.Client()
	b.must(err)
	defer c.Close()
	var all kadm.Offsets
	for p, at := range offsets {
		all.Add(kadm.Offset{Topic: devstack.Intents, Partition: p, At: at, LeaderEpoch: -1, Metadata: note})
	}
	b.must(kadm.NewClient(c).CommitAllOffsets(b.Context(), group, all))
}

func (b *bench) isCommitted(want map[int32]int64) {
	b.Helper()
	state, err := b.archive.Kafka.Group(b.Context(), group, devstack.Intents)
	b.must(err)
	if diff := cmp.Diff(want, state.Committed); diff != "" {
		b.Errorf("committed (-want +got):\n%s", diff)
	}
}

func (b *bench) places(file, topic string) map[int32]int64 {
	b.Helper()
	f, err := os.Open(file)
	b.must(err)
	defer f.Close()
	places, err := replay.ReadPlaces(f, group, topic)
	b.must(err)
	return places
}

// join has another client become a member of the service's group.
func (b *bench) join() (leave func()) {
	b.Helper()
	joined := make(chan struct{})
	var once sync.Once
	c, err := b.kafka.Client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(devstack.Intents), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { once.Do(func() { close(joined) }) }))
	b.must(err)
	<-joined
	return c.Close
}

// deleteBefore deletes the records of a partition below an offset.
func (b *bench) deleteBefore(topic string, partition int32, offset int64) {
	b.Helper()
	c, err := b.kafka.Client()
	b.must(err)
	defer c.Close()
	req := kmsg.NewPtrDeleteRecordsRequest()
	rt, rp := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Partition, rp.Offset = partition, offset
	rt.Topic, rt.Partitions, req.TimeoutMillis = topic, append(rt.Partitions, rp), 5000
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(b.Context(), c)
	b.must(err)
	b.must(kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode))
}
