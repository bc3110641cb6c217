//go:build integration

package torture

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/history"
	"paylink/internal/realkafka"
)

// TestTransactionalEmitter has intents in committed, aborted and open
// transactions on the input: only those of committed ones, and plain ones, are
// settled, and offsets are committed over all the rest.
func TestTransactionalEmitter(t *testing.T) {
	brokers := realkafka.Start(t)
	sc := set(t, setting{brokers: brokers, replicas: 2})
	sc.fleet.start()
	plain := sc.emitter
	for range 3 {
		plain.emit(50)
		sc.transaction(brokers, kgo.TryCommit)
		plain.emit(50)
		sc.transaction(brokers, kgo.TryAbort)
	}
	sc.witness.await(plain.all(), time.Minute)
	sc.witness.awaitCommits(10 * time.Second)

	// An open transaction hides what comes behind it, until it ends.
	before := len(plain.all())
	open := newTransaction(t, brokers, sc.topics.intents)
	sc.in(open, true)
	plain.emit(100)
	time.Sleep(time.Second)
	behind := plain.all()[before:]
	if n, _ := sc.witness.open(behind); n == 0 {
		t.Error("intents behind an open transaction are settled: none of them was behind it?")
	}
	if got := sc.calledOf(behind, true); got != 0 {
		t.Errorf("%d calls for intents of an open transaction, want 0", got)
	}
	if err := open.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatalf("abort: %v", err)
	}
	v := sc.judge()
	if v.Counts.Repeated > 0 {
		t.Errorf("%d calls repeated, want none", v.Counts.Repeated)
	}
}

func newTransaction(t testing.TB, brokers []string, topic string) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.TransactionalID(realkafka.Name(t, "emitter")),
		kgo.TransactionTimeout(30*time.Second), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		t.Fatalf("transactional emitter: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// transaction emits 50 intents in a transaction of their own.
func (sc *scene) transaction(brokers []string, end kgo.TransactionEndTry) {
	sc.t.Helper()
	c := newTransaction(sc.t, brokers, sc.topics.intents)
	sc.in(c, end == kgo.TryAbort)
	if err := c.EndTransaction(sc.t.Context(), end); err != nil {
		sc.t.Fatalf("end transaction: %v", err)
	}
}

// in emits 50 intents in a transaction that it begins.
func (sc *scene) in(c *kgo.Client, hidden bool) {
	sc.t.Helper()
	if err := c.BeginTransaction(); err != nil {
		sc.t.Fatalf("begin transaction: %v", err)
	}
	e := sc.emitter
	plain := e.client
	e.client = c
	for range 50 {
		e.send(sc.t.Context(), hidden)
	}
	e.flush()
	e.client = plain
}

// calledOf counts the calls of intents that are hidden, or are not.
func (sc *scene) calledOf(intents []history.Intent, hidden bool) (n int) {
	for _, in := range intents {
		if in.Hidden == hidden {
			n += len(sc.sim.CallsOf(in.ID))
		}
	}
	return n
}
