package kafkaio

import (
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
	c := newClaim(s, t.Context(), 0)
	c.outcomes.resume(kafkawire.Producer{ID: 1})
	var told error
	c.outcomes.add(entry{rec: kafkawire.Record{Value: []byte("value")}, done: func(err error) { told = err }})
	c.outcomes.load()
	s.appenders.close(c.outcomes, c.deadLetters)
	if verdicts, err := s.appenders.produce(t.Context(), []*appender{c.outcomes}); len(verdicts) != 0 || err != nil {
		t.Errorf("produce for a closed appender: %v, %v; want no request at all", verdicts, err)
	}
	if !errors.Is(told, pipeline.ErrLost) {
		t.Errorf("the record's owner was told %v, want %v", told, pipeline.ErrLost)
	}
}
