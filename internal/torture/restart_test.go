//go:build integration

package torture

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRollingRestart restarts one replica after the other, as a deployment
// does. A graceful hand-over repeats no call at all.
func TestRollingRestart(t *testing.T) {
	t.Run("dynamic", func(t *testing.T) { rollingRestart(t, 0) })
	t.Run("static", func(t *testing.T) { rollingRestart(t, 3) })
}

func rollingRestart(t *testing.T, static int) {
	sc := set(t, setting{static: static, latency: 300 * time.Millisecond})
	sc.fleet.start()
	for i := range sc.fleet.replicas {
		sc.fleet.awaitAssignment(i, time.Minute)
	}
	stop := sc.emitter.flow(100)
	time.Sleep(time.Second)
	for range form(t, 1, 5) {
		for i, r := range sc.fleet.replicas {
			before := sc.assignment()
			began := time.Now()
			took := sc.fleet.stop(i)
			sc.fleet.start(i)
			sc.fleet.awaitAssignment(i, time.Minute)
			t.Logf("%s stopped in %.0f ms, works again %.1f s after SIGTERM", r.name, float64(took.Milliseconds()), time.Since(began).Seconds())
			if static > 0 {
				sc.movedNothing(before, i, began)
			}
			time.Sleep(500 * time.Millisecond)
		}
	}
	stop()
	v := sc.judge()
	if v.Counts.Repeated > 0 || sc.fleet.lost() > 0 {
		t.Errorf("%d calls repeated, partitions lost %d times; want a graceful hand-over each time", v.Counts.Repeated, sc.fleet.lost())
	}
}

// assignment returns who has which partitions, by instance id or member id.
func (sc *scene) assignment() map[string]string {
	sc.t.Helper()
	groups, err := sc.witness.adm.DescribeGroups(sc.t.Context(), sc.group)
	if err != nil {
		sc.t.Fatalf("describe the group: %v", err)
	}
	out := map[string]string{}
	for _, m := range groups[sc.group].Members {
		name := m.MemberID
		if m.InstanceID != nil {
			name = *m.InstanceID
		}
		c, _ := m.Assigned.AsConsumer()
		if c == nil {
			out[name] = "?"
			continue
		}
		for _, t := range c.Topics {
			out[name] += fmt.Sprint(t.Partitions)
		}
	}
	return out
}

// movedNothing checks that the restart of a static member moved no partition
// and bothered nobody else.
func (sc *scene) movedNothing(before map[string]string, restarted int, since time.Time) {
	sc.t.Helper()
	if diff := cmp.Diff(before, sc.assignment()); diff != "" {
		sc.t.Errorf("assignment after the restart of %s (-before +after):\n%s", sc.fleet.replicas[restarted].name, diff)
	}
	for i, r := range sc.fleet.replicas {
		if lines := r.book.find("partitions assigned", since); i != restarted && len(lines) > 0 {
			sc.t.Errorf("the restart of %s made %s join again: %s", sc.fleet.replicas[restarted].name, r.name, lines[0].raw)
		}
	}
}

// TestAStaticMemberDiesWhileItHandsOver kills a static member while it drains
// partitions for another, and starts it again within its session. The brokers
// then give it its assignment once more and tell nobody, so it must see by itself
// that what its former life was to let go is nobody's.
func TestAStaticMemberDiesWhileItHandsOver(t *testing.T) {
	sc := set(t, setting{static: 1, replicas: 2, latency: 3 * time.Second, env: []string{"PAYLINK_CONCURRENCY=64"}})
	sc.emitter.emit(100)
	sc.fleet.start(0)
	sc.fleet.awaitAssignment(0, time.Minute)
	began := time.Now()
	sc.fleet.start(1)
	if _, err := sc.fleet.replicas[1].book.await("partitions assigned", began, time.Minute); err != nil {
		t.Fatal(err)
	}
	sc.fleet.kill(0)
	sc.fleet.start(0)
	sc.judge()
}
