//go:build integration

package torture

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"paylink/internal/gatewaysim"
	"paylink/internal/realkafka"
)

// startCluster starts three brokers that start fast rather than run fast. A test
// without them is skipped: nobody else's brokers are hurt.
func startCluster(t *testing.T, config ...string) *realkafka.Cluster {
	t.Helper()
	startFast(t)
	return realkafka.StartCluster(t, config...)
}

func startFast(t *testing.T) {
	if os.Getenv("KAFKA_LOCAL_OPTS") == "" {
		t.Setenv("KAFKA_LOCAL_OPTS", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
	}
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
// suspended and restarted, brokers are killed and suspended, the gateway
// misbehaves in most of its ways and ignores idempotency keys, and the network
// of each replica, to the gateway, to one broker or to all, falls ill. Where
// there are only the brokers of KAFKA_BROKERS, those are let alone.
func TestTorture(t *testing.T) {
	if given := realkafka.Given(); given != nil && !realkafka.CanStart() {
		t.Log("SKIP broker killed, broker suspended: the brokers of KAFKA_BROKERS are not ours to hurt; KAFKA_HOME would have three started")
		torture(t, given, nil, 90*time.Second)
		return
	}
	c := startCluster(t)
	torture(t, c.Brokers(), c, 90*time.Second)
}

// TestTortureOnOneBroker has no other broker to go to: all of the cluster is
// killed and comes back.
func TestTortureOnOneBroker(t *testing.T) {
	startFast(t)
	c := realkafka.StartBroker(t)
	torture(t, c.Brokers(), c, 30*time.Second)
}

// torture hurts everything, for a short time unless a longer one is asked for,
// then mends everything and judges. The brokers are hurt if they are a cluster's.
func torture(t *testing.T, brokers []string, c *realkafka.Cluster, short time.Duration) {
	lasts, yes := long(t)
	if !yes {
		lasts = short
	}
	sc := set(t, setting{brokers: brokers, static: 1, network: true, latency: 50 * time.Millisecond, repeat: gatewaysim.NewPayment, env: []string{"PAYLINK_CONCURRENCY=64"}})
	sc.emitter.mixed = true
	sc.emitter.emit(200)
	sc.fleet.start()
	sc.fleet.awaitAssignment(0, time.Minute)
	stop := sc.emitter.flow(50)
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	p := &plagues{scene: sc, cluster: c, counts: map[string]int{}}
	p.rage(ctx)
	stop()
	t.Logf("%d faults in %s: %s", p.sum(), lasts, p)
	if yes && float64(p.sum()) < lasts.Minutes()*20 {
		t.Errorf("%d faults in %s, want 20 a minute", p.sum(), lasts)
	}
	sc.repeatsAllowed = true
	sc.judge()
}

// Plagues are what befalls a scene, and how often it did.
type plagues struct {
	*scene
	cluster *realkafka.Cluster // nil: brokers are let alone

	mu     sync.Mutex
	counts map[string]int
}

// rage hurts brokers, gateway, networks and replicas, each kind on its own, until
// ctx ends; then everything is well again.
func (p *plagues) rage(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	begin := func(deed func(rng *rand.Rand)) {
		rng := rand.New(rand.NewPCG(p.rng.Uint64(), 2))
		wg.Go(func() {
			for ctx.Err() == nil {
				deed(rng)
			}
		})
	}
	if p.cluster != nil {
		begin(p.hurtBroker)
	}
	begin(p.hurtGateway)
	for i := range p.fleet.replicas {
		begin(func(rng *rand.Rand) { p.hurtNetwork(rng, i) })
	}
	for ctx.Err() == nil {
		p.hurtReplica(p.rng)
	}
}

// did counts a fault.
func (p *plagues) did(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[what]++
}

func (p *plagues) sum() (n int) {
	for _, c := range p.counts {
		n += c
	}
	return n
}

// String lists the faults by kind.
func (p *plagues) String() string {
	var kinds []string
	for _, what := range slices.Sorted(maps.Keys(p.counts)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", p.counts[what], what))
	}
	return strings.Join(kinds, ", ")
}

// hurtBroker kills or suspends a broker for a while.
func (p *plagues) hurtBroker(rng *rand.Rand) {
	node, lasts := rng.IntN(len(p.cluster.Brokers()))+1, between(rng, 0, 4*time.Second)
	what, hurt, mend := "broker suspended", p.cluster.Pause, p.cluster.Resume
	if rng.IntN(2) == 0 {
		what, hurt, mend = "broker killed", p.cluster.Kill, p.cluster.Restart
	}
	if err := hurt(node); err != nil {
		p.t.Errorf("%s, node %d: %v", what, node, err)
	}
	p.did(what)
	time.Sleep(lasts)
	if err := mend(node); err != nil {
		p.t.Errorf("mend broker %d: %v", node, err)
	}
	time.Sleep(2 * time.Second) // it catches up: two of three must be in sync
}

// hurtGateway has the gateway misbehave for a while.
func (p *plagues) hurtGateway(rng *rand.Rand) {
	switch rng.IntN(4) {
	case 0:
		p.did("gateway overloaded")
		p.sim.Down(gatewaysim.Refuse503)
	case 1:
		p.did("gateway cutting connections")
		p.sim.Down(gatewaysim.Disconnect)
	default:
		p.did("gateway unkind")
		rules, err := gatewaysim.ParseRules(unkind)
		if err == nil {
			err = p.sim.Misbehave(rules...)
		}
		if err != nil {
			p.t.Errorf("misbehave: %v", err)
		}
	}
	time.Sleep(between(rng, time.Second, 3*time.Second))
	p.sim.Up()
	p.sim.Behave()
	time.Sleep(between(rng, 0, 3*time.Second))
}

// unkind is what the gateway does by chance, one call in four.
var unkind = strings.Join([]string{
	"lost-answer=0.04", "500-before=0.03", "500-after=0.03", "html=0.02", "429:1s=0.02", "cut-before=0.02",
	"unsigned-ok=0.02", "wrong-signature=0.02", "pending=0.02", "broken-xml=0.02", "slow:2s=0.02",
}, ",")

// hurtNetwork makes the network of a replica ill for a while, now and then for
// longer than its session.
func (p *plagues) hurtNetwork(rng *rand.Rand, i int) {
	time.Sleep(between(rng, 0, 6*time.Second))
	a := ailments[rng.IntN(len(ailments))]
	places := p.fleet.replicas[i].network.places()
	at := places[rng.IntN(len(places))]
	p.did("network " + a.name)
	p.fleet.ail(rng, i, a, at, between(rng, 500*time.Millisecond, session+2*time.Second))
}

// hurtReplica kills, suspends or restarts a replica.
func (p *plagues) hurtReplica(rng *rand.Rand) {
	i := rng.IntN(len(p.fleet.replicas))
	switch rng.IntN(4) {
	case 0, 1:
		p.did("replica killed")
		p.fleet.kill(i)
		p.fleet.start(i)
	case 2:
		p.did("replica suspended")
		p.fleet.suspend(i)
		time.Sleep(between(rng, 500*time.Millisecond, session+2*time.Second))
		p.fleet.resume(i)
	case 3:
		p.did("replica restarted")
		p.fleet.stop(i)
		p.fleet.start(i)
	}
	time.Sleep(between(rng, 0, 3*time.Second))
}
