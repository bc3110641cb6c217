//go:build integration

package torture

import (
	"testing"
	"time"

	"paylink/internal/gatewaysim"
)

// TestKillNine kills a random replica every one or two seconds and starts it
// again. The gateway ignores idempotency keys, the worst there can be: whatever
// it makes twice, one link is published.
func TestKillNine(t *testing.T) {
	sc := set(t, setting{static: 1, latency: 50 * time.Millisecond, repeat: gatewaysim.NewPayment, env: []string{"PAYLINK_CONCURRENCY=64"}})
	sc.emitter.mixed = true
	sc.emitter.emit(1000)
	sc.fleet.start()
	sc.fleet.awaitAssignment(0, time.Minute)
	stop := sc.emitter.flow(200)
	for range form(t, 10, 50) {
		time.Sleep(between(sc.rng, time.Second, 2*time.Second))
		victim := sc.rng.IntN(len(sc.fleet.replicas))
		sc.fleet.kill(victim)
		sc.fleet.start(victim)
	}
	stop()
	v := sc.judge()
	if v.Counts.Repeated == 0 {
		t.Log("no call was in flight at any kill")
	}
}

// TestSuspendedMemberMakesNoCallBeforeRejoining suspends a replica for longer
// than its session, so that another takes over, and wakes it with answers and
// intents in its hands.
func TestSuspendedMemberMakesNoCallBeforeRejoining(t *testing.T) {
	sc := set(t, setting{replicas: 2, latency: 50 * time.Millisecond, repeat: gatewaysim.NewPayment, env: []string{"PAYLINK_CONCURRENCY=64"}})
	sc.emitter.emit(500)
	sc.fleet.start()
	sc.fleet.awaitAssignment(0, time.Minute)
	sc.fleet.awaitAssignment(1, time.Minute)
	stop := sc.emitter.flow(300)
	for round := range form(t, 2, 10) {
		time.Sleep(between(sc.rng, time.Second, 2*time.Second))
		sleeper := round % 2
		suspended := time.Now()
		sc.fleet.suspend(sleeper)
		time.Sleep(between(sc.rng, session+time.Second, session+3*time.Second))
		resumed := time.Now()
		sc.fleet.resume(sleeper)
		book := sc.fleet.replicas[sleeper].book
		rejoined, err := book.await("partitions assigned", resumed, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		// What was on its way when the process stopped arrives a moment later.
		sc.fleet.silence(sleeper, suspended.Add(500*time.Millisecond), rejoined.At, "suspended, and not a member again before")
		t.Logf("%s was suspended for %.1f s and rejoined %.0f ms after it woke up", sc.fleet.replicas[sleeper].name,
			resumed.Sub(suspended).Seconds(), float64(rejoined.At.Sub(resumed).Milliseconds()))
	}
	stop()
	sc.judge()
	if sc.fleet.lost() == 0 {
		t.Error("no member lost its partitions: the test suspended nobody for long enough")
	}
}

// TestAllSuspendedAtOnce suspends every replica for longer than the session:
// the group dies, and everybody wakes up believing to own its partitions.
func TestAllSuspendedAtOnce(t *testing.T) {
	sc := set(t, setting{replicas: 2, latency: 50 * time.Millisecond, repeat: gatewaysim.NewPayment, env: []string{"PAYLINK_CONCURRENCY=64"}})
	sc.fleet.start()
	sc.fleet.awaitAssignment(0, time.Minute)
	stop := sc.emitter.flow(300)
	for range form(t, 1, 5) {
		time.Sleep(between(sc.rng, time.Second, 2*time.Second))
		suspended := time.Now()
		sc.fleet.suspend(0)
		sc.fleet.suspend(1)
		time.Sleep(session + 2*time.Second)
		for i, r := range sc.fleet.replicas {
			resumed := time.Now()
			sc.fleet.resume(i)
			rejoined, err := r.book.await("partitions assigned", resumed, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			sc.fleet.silence(i, suspended.Add(500*time.Millisecond), rejoined.At, "suspended, and not a member again before")
		}
	}
	stop()
	sc.judge()
}
