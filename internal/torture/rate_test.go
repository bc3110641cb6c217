//go:build integration

package torture

import (
	"testing"
	"time"

	"paylink/internal/history"
)

// TestRateHoldsWhileReplicasComeAndGo gives three replicas one merchant's rate
// to share, kills and restarts them under a backlog, and has the judge look at
// every window of the gateway's log.
func TestRateHoldsWhileReplicasComeAndGo(t *testing.T) {
	const perSecond = 20
	sc := set(t, setting{latency: 20 * time.Millisecond, env: []string{"PAYLINK_RATE=20/s", "PAYLINK_CONCURRENCY=64"}})
	sc.rates = []history.Rate{{Merchant: merchant, Calls: perSecond, Per: time.Second, Burst: len(sc.fleet.replicas), Slack: 50 * time.Millisecond}}
	sc.emitter.keys = 0
	sc.emitter.emit(form(t, 250, 1500))
	sc.fleet.start()
	sc.fleet.awaitAssignment(0, time.Minute)
	began := time.Now()
	for round := range form(t, 4, 20) {
		time.Sleep(between(sc.rng, time.Second, 2*time.Second))
		i := sc.rng.IntN(len(sc.fleet.replicas))
		if round%2 == 0 {
			sc.fleet.kill(i)
		} else {
			sc.fleet.stop(i)
		}
		sc.fleet.start(i)
	}
	v := sc.judge()
	t.Logf("%.1f calls/s of %d allowed, over %.0f s of comings and goings", float64(v.Counts.Calls)/time.Since(began).Seconds(), perSecond, time.Since(began).Seconds())
}
