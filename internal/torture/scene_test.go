//go:build integration

package torture

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"paylink/internal/gatewaysim"
	"paylink/internal/history"
	"paylink/internal/payment"
	"paylink/internal/realkafka"
)

// A scene is everything a test needs: topics of its own, a gateway, a fleet, an
// emitter and a witness.
type scene struct {
	t       testing.TB
	rng     *rand.Rand
	sim     *gatewaysim.Gateway
	topics  topics
	group   string
	parts   int
	fleet   *fleet
	emitter *emitter
	witness *witness

	rates          []history.Rate
	bombed         int  // intents that were emitted beside bombs
	repeatsAllowed bool // the gateway gave answers after which calls are repeated
}

// A setting is how a scene is set.
type setting struct {
	brokers    []string
	partitions int           // 0: 6
	replicas   int           // 0: 3
	static     int           // so many of them are static members
	network    bool          // there are proxies between replicas and the rest
	latency    time.Duration // of the gateway
	repeat     gatewaysim.Repeat
	env        []string
}

// set makes a scene. No replica is started.
func set(t *testing.T, s setting) *scene {
	t.Helper()
	if s.partitions == 0 {
		s.partitions = 6
	}
	if s.replicas == 0 {
		s.replicas = 3
	}
	if s.brokers == nil {
		s.brokers = realkafka.Start(t)
	}
	rng := chance(t)
	sc := &scene{t: t, rng: rng, parts: s.partitions, group: realkafka.Name(t, "group"), topics: topics{
		intents:  realkafka.Topic(t, s.brokers, "intents", s.partitions),
		outcomes: realkafka.Topic(t, s.brokers, "outcomes", s.partitions),
		dead:     realkafka.Topic(t, s.brokers, "dead", s.partitions),
		turns:    realkafka.Topic(t, s.brokers, "turns", 1),
	}}
	sc.sim = gatewaysim.New(gatewaysim.Config{
		Merchants: map[string]payment.Secret{merchant: secret}, PublicURL: "https://pay.example", Seed: rng.Uint64(),
		Latency: gatewaysim.Between(s.latency, s.latency), Repeat: s.repeat,
	})
	sc.emitter = newEmitter(t, s.brokers, sc.topics.intents, rng)
	sc.witness = newWitness(t, s.brokers, sc.topics, sc.group)
	sc.fleet = newFleet(t, sc.sim, s.replicas, s.static, append(sc.service(s.brokers, sc.group), s.env...)...)
	if s.network {
		sc.fleet.wire(s.brokers)
	}
	sc.witness.name, sc.witness.ask = sc.fleet.nameOf, sc.fleet.views
	return sc
}

// settle waits until everything that was emitted is settled and committed, and
// stops the fleet.
func (sc *scene) settle() {
	sc.t.Helper()
	began := time.Now()
	if !sc.witness.await(sc.emitter.all(), 90*time.Second) {
		sc.fleet.dump()
	}
	took := time.Since(began)
	sc.witness.awaitCommits(10 * time.Second)
	sc.fleet.stopAll()
	sc.t.Logf("all settled %.1f s after the last fault", took.Seconds())
}

// history collects the run.
func (sc *scene) history() history.Run {
	sc.t.Helper()
	r := history.Run{Intents: sc.emitter.all(), Faults: sc.fleet.allFaults(), Silences: sc.fleet.silences, OutcomePartitions: int32(sc.parts), AnyRepeats: sc.repeatsAllowed, Rates: sc.rates}
	var err error
	if r.Outcomes, r.Committed, r.DeadLetters, err = sc.witness.read(); err != nil {
		sc.t.Fatalf("read the topics: %v", err)
	}
	last, err := sc.witness.commitsNow(sc.t.Context())
	if err != nil {
		sc.t.Fatalf("read the commits: %v", err)
	}
	sc.witness.mu.Lock()
	r.Commits = append(append(r.Commits, sc.witness.commits...), last...)
	sc.witness.mu.Unlock()
	for _, c := range sc.sim.Calls() {
		call := history.Call{At: c.At, Intent: c.OrderID, Merchant: c.Merchant, Member: sc.fleet.member(c.Host),
			Lookup: c.Script != "init_payment.php", Key: c.IdempotencyKey, Params: c.Params}
		if c.Answer == "ok" {
			call.Link = c.Payment
		}
		if len(c.Violations) > 0 {
			sc.t.Errorf("call %d of %s breaks rules of the gateway: %v", c.N, c.OrderID, c.Violations)
		}
		r.Calls = append(r.Calls, call)
	}
	for _, p := range sc.sim.Payments() {
		r.Payments = append(r.Payments, history.Payment{ID: p.ID, Intent: p.OrderID, Link: p.RedirectURL})
	}
	return r
}

// judge ends the scene: it holds the history against every rule.
func (sc *scene) judge() history.Verdict {
	sc.t.Helper()
	sc.settle()
	run := sc.history()
	v := history.Judge(run)
	if s := v.String(); s != "" {
		sc.t.Errorf("the promise is broken:\n%s", s)
	}
	for _, line := range sc.fleet.panics() {
		sc.t.Errorf("not a line of the logger: %s", line)
	}
	buried := map[history.Place]bool{}
	for _, d := range run.DeadLetters {
		buried[d.Source] = true
	}
	sc.t.Logf("%s; %d records are in dead letters; %d times partitions were lost without a hand-over", v.Counts, len(buried), sc.fleet.lost())
	return v
}

// service is what a service of a group is told about Kafka.
func (sc *scene) service(brokers []string, group string) []string {
	return []string{
		"PAYLINK_KAFKA_BROKERS=" + strings.Join(brokers, ","), "PAYLINK_KAFKA_GROUP=" + group, "PAYLINK_TOPIC_INTENTS=" + sc.topics.intents,
		"PAYLINK_TOPIC_OUTCOMES=" + sc.topics.outcomes, "PAYLINK_TOPIC_DEAD_LETTERS=" + sc.topics.dead, "PAYLINK_TOPIC_TURNS=" + sc.topics.turns,
	}
}
