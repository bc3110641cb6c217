package kafkaio_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/pipeline"
	"paylink/internal/pipeline/conformance"
)

// largest is max.message.bytes of the topics that conformance is tested with.
const largest = "20000"

// conformanceTopics are the topics' settings; the intents may be of any size.
func conformanceTopics() []devstack.Topic {
	topics := devstack.DefaultTopics(1)
	for i := range topics[1:] {
		topics[1+i].Configs["max.message.bytes"] = largest
	}
	return topics
}

func TestTheSourceKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T, f func(*testing.T)) { synctest.Test(t, f) }, func(t *testing.T) conformance.Bench {
		vn := &kfake.VirtualNetwork{}
		b, err := devstack.StartBroker(devstack.BrokerOptions{
			Brokers: 3, Topics: conformanceTopics(), Listen: vn.Listen, Dial: vn.DialContext, MinSession: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			b.Close()
			time.Sleep(time.Minute) // idle connections notice
		})
		return (&bench{
			t: t, kafka: b.Kafka(), dial: vn.DialContext, group: "paylink",
			intents: devstack.Intents, outcomes: devstack.Outcomes, dead: devstack.DeadLetters,
		}).bench()
	})
}

// A bench makes sources on a Kafka, embedded or real.
type bench struct {
	t                       *testing.T
	kafka                   devstack.Kafka
	dial                    func(ctx context.Context, network, addr string) (net.Conn, error)
	group                   string
	intents, outcomes, dead string
	turns                   string   // empty: none are lent
	net                     *network // of the member that was opened last
}

// session is the shortest that a broker allows by default.
const session = 6 * time.Second

func (b *bench) bench() conformance.Bench {
	return conformance.Bench{
		Open: b.open, Emit: b.emit, Skip: b.skip, Vanish: b.vanish, Committed: b.committed, Lose: b.lose,
		Outcomes: func() []event.Message { return b.read(b.outcomes) },
		Dead:     func() []event.Message { return b.read(b.dead) },
		Large:    50_000,
		Noise:    func(n int) []byte { return []byte(noise(n, 1)) },
	}
}

func (b *bench) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Error(err)
	}
}

func (b *bench) open() pipeline.Source {
	b.net = &network{dialer: b.dial, conns: map[net.Conn]bool{}}
	log := logrus.New()
	log.SetOutput(b.t.Output())
	source, err := kafkaio.New(kafkaio.Config{
		Connection: kafkaio.Connection{Brokers: b.kafka.Brokers, ClientID: "conformance", Dial: b.net.dial},
		Group:      b.group, IntentTopic: b.intents, OutcomeTopic: b.outcomes, DeadLetterTopic: b.dead, TurnsTopic: b.turns,
		SessionTimeout: session, RebalanceTimeout: 60 * time.Second, DrainTimeout: 35 * time.Second, LedgerWindow: 168 * time.Hour,
		Log: log, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return source
}

func (b *bench) emit(key, value string) {
	b.t.Helper()
	b.check(b.kafka.EmitTo(context.Background(), b.intents, 0, event.Message{Key: []byte(key), Value: []byte(value)}))
}

// skip has an emitter abort a transaction.
func (b *bench) skip() {
	b.t.Helper()
	b.check(b.kafka.EmitInTransaction(context.Background(), b.intents+"-emitter", kgo.TryAbort, b.intents,
		event.Message{Key: []byte("k"), Value: []byte("aborted")}, event.Message{Key: []byte("k"), Value: []byte("aborted")}))
}

// admin does something as an operator.
func (b *bench) admin(f func(context.Context, *kadm.Client) error) {
	b.t.Helper()
	c, err := b.kafka.Client()
	if err != nil {
		b.t.Error(err)
		return
	}
	defer c.Close()
	b.check(f(context.Background(), kadm.NewClient(c)))
}

func (b *bench) vanish(below int64) {
	b.t.Helper()
	b.admin(func(ctx context.Context, c *kadm.Client) error {
		var offsets kadm.Offsets
		offsets.AddOffset(b.intents, 0, below, -1)
		res, err := c.DeleteRecords(ctx, offsets)
		if err != nil {
			return err
		}
		return res.Error()
	})
}

func (b *bench) committed() (offset int64) {
	b.t.Helper()
	offset = -1
	b.admin(func(ctx context.Context, c *kadm.Client) error {
		res, err := c.FetchOffsets(ctx, b.group)
		if at, ok := res.Lookup(b.intents, 0); ok {
			offset = at.At
		}
		return err
	})
	return offset
}

func (b *bench) read(topic string) (ms []event.Message) {
	b.t.Helper()
	recs, err := b.kafka.Read(context.Background(), topic, devstack.ReadUncommitted)
	b.check(err)
	for _, r := range recs {
		ms = append(ms, r.Message)
	}
	return ms
}

// lose cuts the member off until the group has given it up.
func (b *bench) lose() {
	b.net.cut()
	time.Sleep(session + 3*time.Second)
	b.net.mend()
}
