//go:build integration

package torture

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/gatewaysim"
	"paylink/internal/realkafka"
)

// alarm is how a claim says that its transactional id has a new producer id.
const alarm = "knew the partition's transactional id no more"

// TestForgottenTransactionalID has the coordinator forget the transactional ids,
// first between two lives of the service, then under a suspended owner with
// answers in its hands. The new producer id shuts nobody out: the next owner
// must notice, say so, and wait a session before it goes on.
func TestForgottenTransactionalID(t *testing.T) {
	const forgets = session + 3*time.Second
	c := startCluster(t, "transactional.id.expiration.ms=6000", "transaction.remove.expired.transaction.cleanup.interval.ms=500")
	sc := set(t, setting{brokers: c.Brokers(), partitions: 3, replicas: 2, latency: 200 * time.Millisecond, repeat: gatewaysim.NewPayment, env: []string{"PAYLINK_CONCURRENCY=64"}})
	sc.emitter.emit(100)
	sc.fleet.start(0)
	sc.witness.await(sc.emitter.all(), time.Minute)
	sc.witness.awaitCommits(10 * time.Second)
	sc.fleet.stop(0)
	time.Sleep(forgets + 2*time.Second)

	sc.emitter.emit(100)
	sc.fleet.start(1)
	sc.wantAlarms(1)
	sc.witness.await(sc.emitter.all(), time.Minute)

	stop := sc.emitter.flow(50)
	time.Sleep(2 * time.Second)
	sc.fleet.suspend(1)
	sc.fleet.start(0)
	time.Sleep(forgets + 2*time.Second)
	sc.fleet.resume(1)
	time.Sleep(2 * time.Second)
	stop()
	sc.judge()
}

// wantAlarms waits until a replica has noticed for every partition, and checks
// that it took none over before a session timeout had passed.
func (sc *scene) wantAlarms(i int) {
	sc.t.Helper()
	r := sc.fleet.replicas[i]
	first, err := r.book.await(alarm, r.began, time.Minute)
	if err != nil {
		sc.t.Fatalf("%s: %v", r.name, err)
	}
	taken, err := r.book.await("partition taken over", r.began, time.Minute)
	if err != nil {
		sc.t.Fatalf("%s: %v", r.name, err)
	}
	if waited := taken.At.Sub(first.At); waited < session {
		sc.t.Errorf("%s took a partition over %s after the alarm, want a session of %s at least", r.name, waited, session)
	}
	for deadline := time.Now().Add(30 * time.Second); len(r.book.find("partition taken over", r.began)) < sc.parts && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	if n := len(r.book.find(alarm, r.began)); n != sc.parts {
		sc.t.Errorf("%s gave %d alarms, want one for each of %d partitions", r.name, n, sc.parts)
	}
}

// TestEpochsUsedUp uses up the epochs of a partition's transactional id. It
// takes half a minute, so it has a long form only.
func TestEpochsUsedUp(t *testing.T) {
	if _, yes := long(t); !yes {
		t.Skip("SKIP TestEpochsUsedUp: 32766 fences take too long for the short form; TORTURE=10m runs it")
	}
	brokers := realkafka.Start(t)
	sc := set(t, setting{brokers: brokers, partitions: 1, replicas: 1})
	sc.emitter.emit(50)
	sc.fleet.start()
	sc.witness.await(sc.emitter.all(), time.Minute)
	sc.witness.awaitCommits(10 * time.Second)
	sc.fleet.stopAll()
	began := time.Now()
	n := useUpEpochs(t, brokers, "paylink/"+sc.group+"/"+sc.topics.intents+"/0")
	t.Logf("%d epochs in %.0f s", n, time.Since(began).Seconds())

	sc.emitter.emit(50)
	sc.fleet.start()
	sc.wantAlarms(0)
	sc.judge()
}

// useUpEpochs takes a transactional id again and again, until it has no epoch
// left, and returns how many it took.
func useUpEpochs(t *testing.T, brokers []string, id string) (n int) {
	t.Helper()
	const last = 1<<15 - 2 // the coordinator keeps the one above for itself
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &id, 10_000
	for {
		res, err := req.RequestWith(t.Context(), c)
		if err == nil {
			err = kerr.ErrorForCode(res.ErrorCode)
		}
		if errors.Is(err, kerr.ConcurrentTransactions) {
			continue
		}
		if err != nil {
			t.Fatalf("use up epochs of %s: %v", id, err)
		}
		if n++; res.ProducerEpoch >= last {
			return n
		}
	}
}
