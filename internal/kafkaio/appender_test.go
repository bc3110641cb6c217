package kafkaio

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/sirupsen/logrus"

	"paylink/internal/kafkawire"
	"paylink/internal/pipeline"
)

// A claim may be lost between the choice of its batch and its encoding: then
// nothing is sent for it, and nothing panics.
func TestAClaimMayEndBeforeItsBatchIsEncoded(t *testing.T) {
	s := nowhere(t)
	c := newClaim(s, t.Context(), 0)
	c.outcomes.resume(kafkawire.Producer{ID: 1})
	var told error
	c.outcomes.add(entry{rec: kafkawire.Record{Value: []byte("value")}, done: func(err error) { told = err }})
	c.outcomes.load()
	s.appenders.close(c.outcomes, c.deadLetters)
	if said, err := s.appenders.produce(t.Context(), []*appender{c.outcomes}); len(said) != 0 || err != nil {
		t.Errorf("produce for a closed appender: %v, %v; want no request at all", said, err)
	}
	if !errors.Is(told, pipeline.ErrLost) {
		t.Errorf("the record's owner was told %v, want %v", told, pipeline.ErrLost)
	}
}

// nowhere returns a source whose brokers nobody will ever reach.
func nowhere(t *testing.T) *Source {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := New(Config{
		Connection: Connection{Brokers: []string{"127.0.0.1:1"}}, Group: "g", IntentTopic: "i", OutcomeTopic: "o", DeadLetterTopic: "d",
		SessionTimeout: time.Second, RebalanceTimeout: time.Second, DrainTimeout: time.Second, LedgerWindow: time.Hour,
		Log: log, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.member.outcomePartitions = 1
	return s
}

func TestWhatComesAfterTheClaimIsToldSoAndNotFromWithin(t *testing.T) {
	s := nowhere(t)
	c := newClaim(s, t.Context(), 0)
	s.appenders.close(c.outcomes, c.deadLetters)
	told := make(chan error, 2)
	add := func() {
		c.outcomes.add(entry{done: func(err error) {
			s.appenders.mu.Lock() // add has it
			defer s.appenders.mu.Unlock()
			told <- err
		}})
	}
	add()
	over, stop := context.WithCancel(t.Context())
	stop()
	s.appenders.run(over) // tells what came before its end
	if err := <-told; !errors.Is(err, pipeline.ErrLost) {
		t.Errorf("while the source runs: %v, want %v", err, pipeline.ErrLost)
	}
	add()
	if err := <-told; !errors.Is(err, pipeline.ErrLost) {
		t.Errorf("after the source has ended: %v, want %v", err, pipeline.ErrLost)
	}
}

// A connection that ends says nothing of why; the one that is not opened after it does.
func TestTheEndOfAConnectionIsNotTheLastWord(t *testing.T) {
	var f failing
	refused := errors.New("dial tcp 10.0.0.1:9092: connection refused")
	for _, err := range []error{io.ErrUnexpectedEOF, io.EOF, refused, errors.New("dial tcp 10.0.0.2:9092: connection refused")} {
		f.note(err)
	}
	if !errors.Is(f.cause, refused) {
		t.Errorf("the cause is %v, want the first that says something: %v", f.cause, refused)
	}
}

// Who is throttled gets answers without anything in them, and then none for a while: the
// cause is the quota, not the network.
func TestAQuotaIsNamed(t *testing.T) {
	c := &kafka.Client{Addr: kafka.TCP("127.0.0.1:1"), Transport: throttling{}}
	_, err := FetchRequest{Topic: "o", Partitions: []FetchFrom{{}}}.FetchOne(t.Context(), c)
	if !errors.Is(err, ErrThrottled) {
		t.Errorf("a fetch: %v, want %v", err, ErrThrottled)
	}
	s := nowhere(t)
	a := newClaim(s, t.Context(), 0).outcomes
	a.flight, a.sending, a.sentAt = []entry{{}}, true, time.Now()
	for _, c := range []struct {
		ms   int32
		want error
		mend string
	}{{0, errNoAnswer, "network"}, {9000, ErrThrottled, "quota"}} {
		s.appenders.throttles(c.ms)
		h := a.hindranceLocked()
		if cause, mend := h.explain(); !errors.Is(h.cause, c.want) || cause != "no_answer" || !strings.Contains(mend, c.mend) {
			t.Errorf("throttled for %d ms: %v, %s, %q; want %v", c.ms, h.cause, cause, mend, c.want)
		}
	}
	a.sending = false
	a.again(context.DeadlineExceeded, "")
	if h := a.hindranceLocked(); !errors.Is(h.cause, ErrThrottled) {
		t.Errorf("a time-out: %v, want %v", h.cause, ErrThrottled)
	}
}

// throttling answers each fetch as a broker does whose quota is used up.
type throttling struct{}

func (throttling) RoundTrip(context.Context, net.Addr, kafka.Request) (kafka.Response, error) {
	return &kafkawire.FetchResponse{ThrottleTimeMs: 9000}, nil
}
