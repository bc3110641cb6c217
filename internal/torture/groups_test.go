//go:build integration

package torture

import (
	"strings"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/realkafka"
)

// TestTwoGroupsShareAnOutcomeTopic runs two services of different groups from
// the same intents into the same outcome topic, which the settings advise
// against. The promise is each group's own: neither stalls the other, and no
// intent has two outcomes of one group. What one group answered the other finds
// in its ledger and lets be, unless both were at it at once.
func TestTwoGroupsShareAnOutcomeTopic(t *testing.T) {
	brokers := realkafka.Start(t)
	sc := set(t, setting{brokers: brokers, replicas: 1, latency: 20 * time.Millisecond})
	other := realkafka.Name(t, "other")
	second := newFleet(t, sc.sim, 1, 0, sc.service(brokers, other)...)
	watch := newWitness(t, brokers, sc.topics, other)
	sc.fleet.start()
	second.start()
	stop := sc.emitter.flow(200)
	time.Sleep(8 * time.Second)
	stop()
	sc.witness.await(sc.emitter.all(), 30*time.Second)
	for _, w := range []*witness{sc.witness, watch} {
		w.awaitCommits(30 * time.Second)
	}
	sc.fleet.stopAll()
	second.stopAll()

	recs, err := devstack.Kafka{Brokers: brokers}.Read(t.Context(), sc.topics.outcomes, devstack.ReadUncommitted)
	if err != nil {
		t.Fatal(err)
	}
	byGroup, both := map[string]int{}, map[string]int{}
	for _, r := range recs {
		id, source := string(r.Header(event.HeaderIntentID)), string(r.Header("ce_source"))
		if byGroup[source+" "+id]++; byGroup[source+" "+id] > 1 {
			t.Errorf("%s has %d outcomes of %s", id, byGroup[source+" "+id], source)
		}
		both[id]++
	}
	twice := 0
	for _, n := range both {
		if n > 1 {
			twice++
		}
	}
	t.Logf("%d intents, %d outcomes; %d intents were answered by both groups", len(sc.emitter.all()), len(recs), twice)
	for _, f := range []*fleet{sc.fleet, second} {
		for _, l := range f.replicas[0].book.find("", time.Time{}) {
			if strings.Contains(l.Level, "error") {
				t.Errorf("an alarm, though nothing is wrong: %s", l.raw)
			}
		}
	}
}
