package reconcile_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkaops"
	"paylink/internal/reconcile"
)

// TestARangeEndsBehindWhatAnOpenTransactionHides: an outcome or a dead letter behind a
// transaction that a stranger has left open is there, and its intent is not lost. Where
// brokers do not end the transaction, nothing is judged.
func TestARangeEndsBehindWhatAnOpenTransactionHides(t *testing.T) {
	for _, tt := range []struct {
		topic string
		lasts time.Duration
		err   string
	}{
		{devstack.Outcomes, time.Minute, ""},
		{devstack.DeadLetters, time.Minute, ""},
		{devstack.Outcomes, time.Hour, "read payment-outcomes/0: a transaction that began at offset 0 has been open for more than 15m30s"},
	} {
		t.Run(tt.topic+" for "+tt.lasts.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, reader := brokerInBubble(t)
				c, err := k.Client(kgo.TransactionalID("left open"), kgo.TransactionTimeout(tt.lasts), kgo.DefaultProduceTopic(tt.topic))
				must(t, err)
				t.Cleanup(c.Close)
				must(t, c.BeginTransaction())
				must(t, c.ProduceSync(t.Context(), kgo.StringRecord("left open")).FirstErr())
				must(t, k.EmitTo(t.Context(), tt.topic, 0, event.Message{Value: []byte("{}")}))
				var waits []string
				r, err := reconcile.Fix(t.Context(), reader, reconcile.Want{
					Topics: topics, Moment: time.Now(), LedgerWindow: time.Hour, Begin: &kafkaops.Bound{At: time.Now().Add(-time.Hour)},
					Waits: func(what string) { waits = append(waits, what) },
				})
				if len(waits) != 1 || !strings.Contains(waits[0], tt.topic+"/0: a transaction that began at offset 0 is open") {
					t.Errorf("it says %q, want one line about %s/0", waits, tt.topic)
				}
				if tt.err != "" {
					if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
						t.Errorf("it ends with %v, want %q", err, tt.err)
					}
					return
				}
				must(t, err)
				spans := map[string][]kafkaops.Span{devstack.Outcomes: r.Outcomes, devstack.DeadLetters: r.DeadLetters}[tt.topic]
				if s := spans[0]; s.From != 0 || s.To < 2 {
					t.Errorf("it reads %+v, want the record at offset 1 too", s)
				}
			})
		})
	}
}

// brokerInBubble is a broker with the three topics, of one partition each, in virtual time.
func brokerInBubble(t *testing.T) (devstack.Kafka, *kafkaops.Reader) {
	vn := &kfake.VirtualNetwork{}
	t.Cleanup(func() { time.Sleep(time.Minute) }) // idle connections notice that it is over
	broker, err := devstack.StartBroker(devstack.BrokerOptions{
		Topics: devstack.DefaultTopics(1), Listen: vn.Listen, Dial: vn.DialContext, Configs: map[string]string{"transaction.max.timeout.ms": "3600000"},
	})
	must(t, err)
	t.Cleanup(broker.Close)
	k := broker.Kafka()
	reader, err := kafkaops.NewReader(kafkaio.Connection{Brokers: k.Brokers, Dial: k.Dial}, topics.Intents, topics.Outcomes, topics.DeadLetters)
	must(t, err)
	t.Cleanup(reader.Close)
	return k, reader
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
