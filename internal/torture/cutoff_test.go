//go:build integration

package torture

import (
	"math/rand/v2"
	"testing"
	"time"

	"paylink/internal/gatewaysim"
	"paylink/internal/realkafka"
)

// TestMemberCutFromItsBrokers makes zombies: a replica reaches the gateway and no
// broker, by turns refused and mute, for longer than its session, so that
// another takes over. It must stop calling when its lease ends, and not begin
// before the group has it back.
func TestMemberCutFromItsBrokers(t *testing.T) {
	sc := set(t, setting{brokers: realkafka.Start(t), replicas: 2, network: true, latency: 50 * time.Millisecond,
		repeat: gatewaysim.NewPayment, env: []string{"PAYLINK_CONCURRENCY=64"}})
	sc.emitter.emit(500)
	sc.fleet.start()
	sc.fleet.awaitAssignment(0, time.Minute)
	sc.fleet.awaitAssignment(1, time.Minute)
	stop := sc.emitter.flow(200)
	for round := range form(t, 2, 10) {
		time.Sleep(between(sc.rng, time.Second, 2*time.Second))
		zombie := sc.fleet.replicas[round%2]
		cut := time.Now()
		sc.fleet.ail(sc.rng, round%2, isolations[round%2], place{"all brokers", zombie.network.brokers}, session+between(sc.rng, 2*time.Second, 4*time.Second))
		healed := time.Now()
		rejoined, err := zombie.book.await("partitions assigned", healed, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		// A heartbeat may have been answered a moment before, and a call be on its way.
		sc.fleet.silence(round%2, cut.Add(session+500*time.Millisecond), rejoined.At, "cut from its brokers, and not a member again before")
		t.Logf("%s had no broker for %.1f s and rejoined %.0f ms after it had", zombie.name,
			healed.Sub(cut).Seconds(), float64(rejoined.At.Sub(healed).Milliseconds()))
	}
	stop()
	sc.judge()
	if sc.fleet.lost() == 0 {
		t.Error("no member lost its partitions: the test cut nobody off for long enough")
	}
}

// isolations are two ways to be alone.
var isolations = []ailment{
	{"refused", func(_ *rand.Rand, p *path) time.Duration {
		p.cut()
		return 0
	}},
	{"mute", func(_ *rand.Rand, p *path) time.Duration {
		p.poison(each(bothWays, "timeout", attributes{"timeout": 0})...)
		return 0
	}},
}

// TestNetworkFaultsOneByOne gives a replica every ailment at every place, one at
// a time, while nothing else is wrong: what is repeated then, its network is the
// reason for.
func TestNetworkFaultsOneByOne(t *testing.T) {
	sc := set(t, setting{brokers: realkafka.Start(t), replicas: 2, network: true, latency: 50 * time.Millisecond,
		repeat: gatewaysim.NewPayment, env: []string{"PAYLINK_CONCURRENCY=64"}})
	sc.fleet.start()
	sc.fleet.awaitAssignment(0, time.Minute)
	sc.fleet.awaitAssignment(1, time.Minute)
	stop := sc.emitter.flow(100)
	for range form(t, 1, 5) {
		for _, a := range ailments {
			for i, at := range sc.fleet.replicas[0].network.places() {
				time.Sleep(between(sc.rng, 0, 500*time.Millisecond))
				at.paths = sc.fleet.replicas[i%2].network.places()[i].paths
				sc.fleet.ail(sc.rng, i%2, a, at, between(sc.rng, 500*time.Millisecond, form(t, 2*time.Second, session+2*time.Second)))
			}
		}
	}
	stop()
	sc.judge()
}
