package kafkaio

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
