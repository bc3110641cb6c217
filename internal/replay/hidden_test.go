package replay_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
)

// open writes a record to a topic in a transaction that nobody ends: the brokers do, so
// much later.
func (b *bench) open(topic string, lasts time.Duration) {
	b.Helper()
	c, err := b.kafka.Client(kgo.TransactionalID("left open on "+topic), kgo.TransactionTimeout(lasts), kgo.DefaultProduceTopic(topic))
	b.must(err)
	b.Cleanup(c.Close)
	b.must(c.BeginTransaction())
	b.must(c.ProduceSync(b.Context(), kgo.StringRecord("left open")).FirstErr())
}

// TestUnansweredSeesWhatAnOpenTransactionHides: what an earlier run emitted, an outcome
// or a dead letter may stand behind a transaction that somebody has left open (seed
// 11000538 of the laboratory). Nothing is emitted until that is seen.
func TestUnansweredSeesWhatAnOpenTransactionHides(t *testing.T) {
	for _, tt := range []struct {
		name, topic string
		then        func(b *bench) // behind the open transaction
	}{
		{"what an earlier run emitted", devstack.Intents, func(b *bench) {
			b.must(b.kafka.EmitTo(b.Context(), devstack.Intents, 0, emitted("a", time.Now())))
		}},
		{"an outcome", devstack.Outcomes, func(b *bench) { b.settle("a", source(0, 0), time.Now()) }},
		{"a dead letter", devstack.DeadLetters, func(b *bench) { b.bury(0, emitted("a", time.Now()), source(0, 0), "undecodable") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBenchInBubble(t)
				b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 0, emitted("a", time.Now())))
				b.commit(map[int32]int64{0: 1})
				b.open(tt.topic, time.Minute)
				tt.then(b)
				var lines, waits []string
				run := b.unanswered(&lines)
				run.Waits = func(what string) { waits = append(waits, what) }
				began := time.Now()
				got, err := run.Run(t.Context(), b.spans(devstack.Intents))
				b.must(err)
				if got.Emitted != 0 || len(lines) != 0 {
					t.Errorf("%+v, %q, want that nothing is emitted", got, lines)
				}
				if took := time.Since(began); took < 30*time.Second || took > 90*time.Second {
					t.Errorf("it took %s, want as long as the transaction is open, a minute", took)
				}
				if len(waits) != 1 || !strings.Contains(waits[0], tt.topic+"/0: a transaction that began at offset ") {
					t.Errorf("it says %q, want one line about %s/0", waits, tt.topic)
				}
			})
		})
	}
}

// TestUnansweredEndsWhereATransactionHangs: one that brokers have lost track of is never
// ended, and what is behind it cannot be known.
func TestUnansweredEndsWhereATransactionHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBenchInBubble(t)
		b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 0, emitted("a", time.Now())))
		b.commit(map[int32]int64{0: 1})
		b.open(devstack.Intents, time.Hour)
		var lines []string
		got, err := b.unanswered(&lines).Run(t.Context(), b.spans(devstack.Intents))
		want := "read payment-intents/0: a transaction that began at offset 1 has been open for more than 15m30s"
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") || got.Emitted != 0 {
			t.Errorf("%+v, %v, want one line %q, and nothing emitted", got, err, want)
		}
	})
}
