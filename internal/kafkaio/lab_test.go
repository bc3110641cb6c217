package kafkaio_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A lab is an embedded broker on a virtual network, a gateway that only counts,
// and members made of the real Source and the real Engine.
type lab struct {
	t      *testing.T
	broker *devstack.Broker
	vn     *kfake.VirtualNetwork
	client *kgo.Client
	adjust func(*kafkaio.Source)  // before a member runs; nil: nothing
	flow   func(*pipeline.Config) // of members; nil: no limits
	gate   *gate
	lends  bool // members lend each other turns
}

// gate is a payment.Gateway that remembers its calls.
type gate struct {
	mu    sync.Mutex
	took  func(n int) time.Duration
	calls map[payment.IntentID]int
	n     int
	log   []called
	says  func(in payment.Intent) error // nil, or what a call fails with
	dead  map[string]bool               // members that were killed: they call nobody
}

// called is one call: by which member, and from when to when.
type called struct {
	by       string
	id       payment.IntentID
	at, done time.Time
}

// by is a member's way to the gate.
type by struct {
	*gate
	name string
}

func (b by) Open(ctx context.Context, in payment.Intent) (payment.Link, error) {
	g := b.gate
	g.mu.Lock()
	if g.dead[b.name] {
		g.mu.Unlock()
		return payment.Link{}, &payment.GatewayError{Class: payment.NotSent, Cause: "killed"}
	}
	g.n++
	n, took := g.n, g.took(g.n)
	g.calls[in.ID]++
	g.log = append(g.log, called{b.name, in.ID, time.Now(), time.Now().Add(took)})
	g.mu.Unlock()
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return payment.Link{}, ctx.Err()
	}
	g.mu.Lock()
	says := g.says
	g.mu.Unlock()
	if says != nil {
		if err := says(in); err != nil {
			return payment.Link{}, err
		}
	}
	return payment.Link{PaymentID: int64(n), RedirectURL: "https://pay.example/" + string(in.ID), RedirectURLType: payment.URLNeedData}, nil
}

func (g *gate) Find(context.Context, payment.Intent) (payment.Status, error) {
	return payment.Status{}, payment.ErrNotFound
}

func (g *gate) counts() (calls, most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.calls {
		calls += n
		most = max(most, n)
	}
	return calls, most
}

// answers sets how long calls take from now on.
func (g *gate) answersAfter(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.took = func(int) time.Duration { return d }
}

// callsSince returns a member's calls that began at or after a moment.
func (g *gate) callsSince(name string, t time.Time) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.log {
		if c.by == name && !c.at.Before(t) {
			n++
		}
	}
	return n
}

// inLab runs a test in a bubble of virtual time and virtual network.
func inLab(t *testing.T, parts int32, f func(*lab)) {
	t.Helper()
	inLabWith(t, devstack.DefaultTopics(parts), f)
}

// inLabWith is inLab with topics of its own.
func inLabWith(t *testing.T, topics []devstack.Topic, f func(*lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		labWith(t, topics, f)
		time.Sleep(time.Minute) // idle connections notice
	})
}

// labWith is a laboratory in the time of the world.
func labWith(t *testing.T, topics []devstack.Topic, f func(*lab)) {
	t.Helper()
	l := &lab{t: t, vn: &kfake.VirtualNetwork{}}
	l.gate = &gate{calls: map[payment.IntentID]int{}, took: func(int) time.Duration { return 50 * time.Millisecond }}
	b, err := devstack.StartBroker(devstack.BrokerOptions{
		Brokers: 3, Topics: topics, Listen: l.vn.Listen, Dial: l.vn.DialContext, MinSession: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.broker = b
	l.client, err = kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.Dialer(l.vn.DialContext), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	f(l)
	l.client.Close()
	b.Close()
}

// A life is one member that runs.
type life struct {
	stop   context.CancelFunc
	net    *network
	ended  chan error
	source *kafkaio.Source
	reg    *prometheus.Registry
	said   *ear
}

// An ear hears what a member logs.
type ear struct {
	mu    sync.Mutex
	lines []string
}

func (*ear) Levels() []logrus.Level { return logrus.AllLevels }

func (e *ear) Fire(entry *logrus.Entry) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, entry.Message)
	return nil
}

// times is how often a member said something.
func (e *ear) times(what string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, line := range e.lines {
		if strings.Contains(line, what) {
			n++
		}
	}
	return n
}

// metric returns the value of a member's counter or gauge, over all labels.
func (m *life) metric(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := m.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "paylink_kafka_"+name {
			continue
		}
		for _, x := range f.GetMetric() {
			sum += x.GetCounter().GetValue() + x.GetGauge().GetValue()
		}
		return sum
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func (l *lab) start(name string, change ...func(*kafkaio.Config)) *life {
	log := logrus.New()
	log.SetOutput(io.Discard)
	if testing.Verbose() {
		log.SetOutput(writer{l.t, name})
		log.SetFormatter(&logrus.TextFormatter{DisableColors: true, TimestampFormat: "15:04:05.000", FullTimestamp: true})
		log.SetLevel(logrus.DebugLevel)
	}
	n := &network{dialer: l.vn.DialContext, conns: map[net.Conn]bool{}}
	reg, said := prometheus.NewRegistry(), &ear{}
	log.AddHook(said)
	cfg := kafkaio.Config{
		Connection: kafkaio.Connection{Brokers: l.broker.Addrs(), ClientID: name, Dial: n.dial},
		Group:      "paylink", IntentTopic: devstack.Intents, OutcomeTopic: devstack.Outcomes, DeadLetterTopic: devstack.DeadLetters,
		SessionTimeout: 6 * time.Second, RebalanceTimeout: 60 * time.Second, DrainTimeout: 35 * time.Second, LedgerWindow: 168 * time.Hour,
		Log: log, Registerer: reg,
	}
	if l.lends {
		cfg.TurnsTopic = devstack.Turns
	}
	for _, f := range change {
		f(&cfg)
	}
	source, err := kafkaio.New(cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	if l.adjust != nil {
		l.adjust(source)
	}
	flow := pipeline.Config{
		Gateway: by{l.gate, name}, Decoder: event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), Encoder: event.NewEncoder(event.EncoderConfig{}),
		Group: cfg.Group, Topic: cfg.IntentTopic, Concurrency: 64, GiveUpAfter: time.Hour, Log: log, Registerer: prometheus.NewRegistry(),
		Partitions: source.Partitions, MaxOutcome: source.MaxOutcome,
	}
	if l.lends {
		flow.Turns = source.Turns()
	}
	if l.flow != nil {
		l.flow(&flow)
	}
	engine := pipeline.New(flow)
	ctx, stop := context.WithCancel(context.Background())
	m := &life{stop: stop, net: n, ended: make(chan error, 1), source: source, reg: reg, said: said}
	go func() { m.ended <- engine.Run(ctx, source) }()
	return m
}

// kill ends a member as kill -9 does: it says no more to anybody.
func (l *lab) kill(name string, m *life) {
	l.gate.mu.Lock()
	if l.gate.dead == nil {
		l.gate.dead = map[string]bool{}
	}
	l.gate.dead[name] = true
	l.gate.mu.Unlock()
	m.net.cut()
	m.stop()
	go func() { <-m.ended }()
}

// leave ends a member as SIGTERM does.
func (m *life) leave(t *testing.T) {
	t.Helper()
	m.stop()
	if err := <-m.ended; err != nil {
		t.Errorf("member ended with %v", err)
	}
}

type writer struct {
	t    *testing.T
	name string
}

func (w writer) Write(p []byte) (int, error) {
	w.t.Logf("%s %s", w.name, p)
	return len(p), nil
}

// emit publishes n intents, ids from..from+n-1, each under its own key.
func (l *lab) emit(from, n int) {
	l.t.Helper()
	l.emitTo(devstack.Intents, from, n)
}

func intent(id string) string { return `{"intent_id":"` + id + `","amount":"10.00","description":"x"}` }

func (l *lab) emitTo(topic string, from, n int) {
	l.t.Helper()
	for i := range n {
		id := fmt.Sprintf("i-%05d", from+i)
		r := &kgo.Record{Topic: topic, Key: []byte(id), Value: []byte(intent(id))}
		l.client.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				l.t.Error(err)
			}
		})
	}
	if err := l.client.Flush(context.Background()); err != nil {
		l.t.Fatal(err)
	}
}

// outcomes waits until n intents have an outcome, and returns how many outcomes
// each has.
func (l *lab) outcomes(n int) map[string]int {
	l.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(l.broker.Addrs()...), kgo.Dialer(l.vn.DialContext), kgo.ConsumeTopics(devstack.Outcomes), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	got := map[string]int{}
	for len(got) < n {
		fs := c.PollFetches(ctx)
		if errors.Is(fs.Err0(), context.DeadlineExceeded) {
			l.t.Errorf("%d intents have an outcome after ten minutes, want %d", len(got), n)
			return got
		}
		fs.EachRecord(func(r *kgo.Record) { got[string(r.Key)]++ })
	}
	quiet, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for quiet.Err() == nil {
		c.PollFetches(quiet).EachRecord(func(r *kgo.Record) { got[string(r.Key)]++ })
	}
	return got
}

// judge checks S1 and L1 for intents 0..n-1.
func (l *lab) judge(n int) {
	l.t.Helper()
	got := l.outcomes(n)
	bad := 0
	for id, times := range got {
		if times != 1 {
			if bad++; bad <= 5 {
				l.t.Errorf("%s has %d outcomes, want 1", id, times)
			}
		}
	}
	if bad > 5 {
		l.t.Errorf("and so have %d more", bad-5)
	}
	if len(got) != n {
		l.t.Errorf("%d intents have an outcome, want %d", len(got), n)
	}
}
