package pipeline_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A lab is a topic, a gateway and members, in a bubble of virtual time.
type lab struct {
	t     *testing.T
	topic *topic
	gate  *gateway

	members []*member
}

// A member is an Engine at work on a source.
type member struct {
	*pipeline.Engine
	source  *source
	log     *logBook
	metrics *prometheus.Registry
	stop    context.CancelFunc
	ended   chan error
}

// inLab runs a test on a topic of n partitions, and judges at the end what the
// topic and the gateway watched.
func inLab(t *testing.T, n int, f func(*lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tp := newTopic(n)
		l := &lab{t: t, topic: tp, gate: newGateway(tp)}
		defer l.judge()
		f(l)
	})
}

// judge ends the members and tells what was seen broken.
func (l *lab) judge() {
	for _, m := range l.members {
		m.leave(l.t)
	}
	after(time.Minute) // callers that have nothing to do go home
	l.topic.mu.Lock()
	defer l.topic.mu.Unlock()
	for i, fault := range l.topic.faults {
		if i == 10 {
			l.t.Errorf("and %d more", len(l.topic.faults)-i)
			break
		}
		l.t.Error(fault)
	}
}

// backoff of the labs: of a known length at most.
var backoff = pace.Backoff{Base: time.Second, Max: 8 * time.Second}

// start starts a member that has no partition yet. It is stopped at the end.
func (l *lab) start(change ...func(*pipeline.Config)) *member {
	m := l.engine(change...)
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go func() { m.ended <- m.Run(ctx, m.source) }()
	l.members = append(l.members, m)
	return m
}

// engine makes a member that does not run yet.
func (l *lab) engine(change ...func(*pipeline.Config)) *member {
	book := &logBook{}
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.DebugLevel)
	log.AddHook(book)
	m := &member{source: newSource(l.topic), log: book, metrics: prometheus.NewRegistry(), ended: make(chan error, 1)}
	cfg := pipeline.Config{
		Gateway: l.gate, Decoder: event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), Encoder: event.NewEncoder(event.EncoderConfig{}),
		Group: "paylink", Topic: "payment-intents", Concurrency: 64, GiveUpAfter: time.Hour, Backoff: backoff, Log: log, Registerer: m.metrics,
	}
	for _, f := range change {
		f(&cfg)
	}
	m.Engine = pipeline.New(cfg)
	return m
}

// leave ends a member as SIGTERM does; once.
func (m *member) leave(t *testing.T) {
	t.Helper()
	m.stop()
	if err, open := <-m.ended; open {
		close(m.ended)
		if err != nil {
			t.Errorf("Run = %v", err)
		}
	}
}

// one starts one member with partition 0 in its hands.
func (l *lab) one(change ...func(*pipeline.Config)) (*member, *partition, *claim) {
	m := l.start(change...)
	return m, l.topic.parts[0], m.source.take(0)
}

// after lets time pass, and waits until nothing moves.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// settles waits until every record of the topic is settled and committed.
func (l *lab) settles(within time.Duration) {
	l.t.Helper()
	for end := time.Now().Add(within); ; after(time.Second) {
		synctest.Wait()
		var open []string
		for _, p := range l.topic.parts {
			open = append(open, p.unsettled()...)
			if c, end := p.committedOffset(), p.endOffset(); c != end && len(open) == 0 {
				open = append(open, "(committed offset)")
			}
		}
		if len(open) == 0 {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("L1: after %v %d are not settled: %.300v", within, len(open), open)
		}
	}
}

func (p *partition) endOffset() int64 {
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	return p.end
}

// created checks that an intent got its link after so many attempts.
func (l *lab) created(p *partition, id string, attempts int) {
	l.t.Helper()
	v := p.views()[payment.IntentID(id)]
	c, ok := v.Outcome.(payment.Created)
	if !ok || c.Attempts != attempts || c.RedirectURL != "https://pay.example/"+id {
		l.t.Errorf("%s: %+v; want created, after %d attempts", id, v.Outcome, attempts)
	}
}

// failed checks the outcome of an intent but for its time.
func (l *lab) failed(p *partition, id string, want payment.Failed) {
	l.t.Helper()
	v := p.views()[payment.IntentID(id)]
	f, ok := v.Outcome.(payment.Failed)
	f.At = time.Time{}
	if diff := cmp.Diff(want, f); !ok || diff != "" {
		l.t.Errorf("%s: %+v (-want +got):\n%s", id, v.Outcome, diff)
	}
}

// same compares what should be the same.
func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A logBook keeps log lines.
type logBook struct {
	mu      sync.Mutex
	entries []*logrus.Entry
}

func (*logBook) Levels() []logrus.Level { return logrus.AllLevels }

func (b *logBook) Fire(e *logrus.Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, e)
	return nil
}

// lines returns the entries whose message starts so.
func (b *logBook) lines(start string) []*logrus.Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.entries), func(e *logrus.Entry) bool { return !strings.HasPrefix(e.Message, start) })
}

// metric sums a counter or gauge over all series whose labels include these
// ("name", "value", …); of a histogram it returns the number of observations.
func (m *member) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := m.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum, met := 0.0, false
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		met = true
		for _, s := range f.GetMetric() {
			has := map[string]string{}
			for _, p := range s.GetLabel() {
				has[p.GetName()] = p.GetValue()
			}
			fits := true
			for i := 0; i < len(labels); i += 2 {
				fits = fits && has[labels[i]] == labels[i+1]
			}
			if fits {
				sum += s.GetCounter().GetValue() + s.GetGauge().GetValue() + float64(s.GetHistogram().GetSampleCount())
			}
		}
	}
	if !met && len(labels) == 0 {
		t.Errorf("no metric %s", name)
	}
	return sum
}
