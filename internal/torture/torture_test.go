//go:build integration

package torture

import (
	"context"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paylink/internal/gatewaysim"
	"paylink/internal/realkafka"
)

// startCluster starts three brokers that start fast rather than run fast.
func startCluster(t *testing.T, config ...string) *realkafka.Cluster {
	t.Helper()
	if os.Getenv("KAFKA_LOCAL_OPTS") == "" {
		t.Setenv("KAFKA_LOCAL_OPTS", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
	}
	return realkafka.StartCluster(t, config...)
}

// TestLeaderKilledUnderLoad kills -9 the leader of an outcome partition, one
// after the other, and with it coordinators of group and transactions. Calls
// may be repeated only by members that the group gave up meanwhile.
func TestLeaderKilledUnderLoad(t *testing.T) {
	c := startCluster(t)
	sc := set(t, setting{brokers: c.Brokers(), replicas: 2, latency: 50 * time.Millisecond, repeat: gatewaysim.NewPayment, env: []string{"PAYLINK_CONCURRENCY=64"}})
	sc.emitter.emit(200)
	sc.fleet.start()
	sc.fleet.awaitAssignment(0, time.Minute)
	stop := sc.emitter.flow(100)
	asked := 1
	for range form(t, 1, 10) {
		time.Sleep(between(sc.rng, time.Second, 2*time.Second))
		victim, err := c.Leader(t.Context(), asked, sc.topics.outcomes, int32(sc.rng.IntN(sc.parts)))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := c.Kill(victim); err != nil {
			t.Fatal(err)
		}
		time.Sleep(between(sc.rng, 0, 3*time.Second))
		if err := c.Restart(victim); err != nil {
			t.Fatal(err)
		}
		t.Logf("broker %d was gone for %.1f s", victim, time.Since(began).Seconds())
		asked = victim%3 + 1
	}
	stop()
	sc.judge()
}

// TestTorture does everything at once on three brokers: replicas are killed,
// suspended and restarted, brokers are killed and suspended, and the gateway
// misbehaves in most of its ways and ignores idempotency keys.
func TestTorture(t *testing.T) {
	lasts, yes := long(t)
	if !yes {
		lasts = 30 * time.Second
	}
	c := startCluster(t)
	sc := set(t, setting{brokers: c.Brokers(), static: 1, latency: 50 * time.Millisecond, repeat: gatewaysim.NewPayment, env: []string{"PAYLINK_CONCURRENCY=64"}})
	sc.emitter.mixed = true
	sc.emitter.emit(200)
	sc.fleet.start()
	sc.fleet.awaitAssignment(0, time.Minute)
	stop := sc.emitter.flow(50)

	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var faults atomic.Int32
	var wg sync.WaitGroup
	brokers, gateway := rand.New(rand.NewPCG(sc.rng.Uint64(), 2)), rand.New(rand.NewPCG(sc.rng.Uint64(), 3))
	wg.Go(func() {
		until(ctx, func() {
			faults.Add(1)
			sc.hurtBroker(c, brokers.IntN(3)+1, brokers.IntN(2) == 0, between(brokers, 0, 4*time.Second))
		})
	})
	wg.Go(func() {
		until(ctx, func() {
			faults.Add(1)
			sc.hurtGateway(gateway.IntN(4), between(gateway, time.Second, 3*time.Second))
			time.Sleep(between(gateway, 0, 3*time.Second))
		})
	})
	until(ctx, func() {
		faults.Add(1)
		sc.hurtReplica(sc.rng.IntN(len(sc.fleet.replicas)), sc.rng.IntN(4), between(sc.rng, 500*time.Millisecond, session+2*time.Second))
		time.Sleep(between(sc.rng, 0, 2*time.Second))
	})
	wg.Wait()
	sc.sim.Behave()
	sc.sim.Up()
	stop()
	t.Logf("%d faults in %s", faults.Load(), lasts)
	sc.repeatsAllowed = true
	sc.judge()
}

// until repeats a deed until ctx ends.
func until(ctx context.Context, deed func()) {
	for ctx.Err() == nil {
		deed()
	}
}

// hurtBroker kills or suspends a broker for a while.
func (sc *scene) hurtBroker(c *realkafka.Cluster, node int, kill bool, lasts time.Duration) {
	hurt, mend := c.Pause, c.Resume
	if kill {
		hurt, mend = c.Kill, c.Restart
	}
	if err := hurt(node); err != nil {
		sc.t.Errorf("hurt broker %d: %v", node, err)
	}
	time.Sleep(lasts)
	if err := mend(node); err != nil {
		sc.t.Errorf("mend broker %d: %v", node, err)
	}
	time.Sleep(2 * time.Second) // it catches up: two of three must be in sync
}

// hurtGateway has the gateway misbehave for a while.
func (sc *scene) hurtGateway(how int, lasts time.Duration) {
	switch how {
	case 0:
		sc.sim.Down(gatewaysim.Refuse503)
	case 1:
		sc.sim.Down(gatewaysim.Disconnect)
	default:
		rules, err := gatewaysim.ParseRules(unkind)
		if err == nil {
			err = sc.sim.Misbehave(rules...)
		}
		if err != nil {
			sc.t.Errorf("misbehave: %v", err)
		}
	}
	time.Sleep(lasts)
	sc.sim.Up()
	sc.sim.Behave()
}

// unkind is what the gateway does by chance, one call in four.
var unkind = strings.Join([]string{
	"lost-answer=0.04", "500-before=0.03", "500-after=0.03", "html=0.02", "429:1s=0.02", "cut-before=0.02",
	"unsigned-ok=0.02", "wrong-signature=0.02", "pending=0.02", "broken-xml=0.02", "slow:2s=0.02",
}, ",")

// hurtReplica kills, suspends or restarts a replica.
func (sc *scene) hurtReplica(i, how int, lasts time.Duration) {
	switch how {
	case 0, 1:
		sc.fleet.kill(i)
	case 2:
		sc.fleet.suspend(i)
		time.Sleep(lasts)
		sc.fleet.resume(i)
		return
	case 3:
		sc.fleet.stop(i)
	}
	sc.fleet.start(i)
}
