package service

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"paylink/internal/config"
	"paylink/internal/console"
	"paylink/internal/kafkaio"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// registry holds some of the metrics of the other rooms.
func registry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	vec := func(name string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: name}, labels)
		reg.MustRegister(c)
		return c
	}
	settled := vec("paylink_intents_settled_total", "outcome", "reason")
	settled.WithLabelValues("created", "").Add(7)
	settled.WithLabelValues("failed", "gave_up").Add(2)
	vec("paylink_dead_letters_total", "reason").WithLabelValues("conflict").Inc()
	vec("paylink_gateway_repeats_total").WithLabelValues().Add(3)
	return reg
}

func TestEachHoldIsAnAlarm(t *testing.T) {
	since := time.Unix(1, 0)
	got := holds(pipeline.State{Lanes: []pipeline.LaneState{
		{Merchant: "540001", OnHold: true, Code: "9998", Since: since}, {Merchant: "540002"},
	}})
	whatAndMend(t, got, "Merchant 540001 is on hold: the gateway rejects our credentials or set-up (error 9998)")
	if len(got) > 0 && !got[0].Since.Equal(since) {
		t.Errorf("since %v, want %v", got[0].Since, since)
	}
}

func TestEachGatewayThatIsDownIsAnAlarmWhileItIsOurs(t *testing.T) {
	down := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: metricDown, Help: "down"}, []string{"gateway"})
	for host, v := range map[string]float64{"one": 1, "two": 1, "three": 0, "left": 1} {
		down.WithLabelValues(host).Set(v)
	}
	reg, since := prometheus.NewRegistry(), time.Unix(1, 0)
	reg.MustRegister(down)
	var b book
	b.replace([]config.Merchant{
		{Merchant: payment.Merchant{ID: "1", GatewayURL: "https://two/path"}}, {Merchant: payment.Merchant{ID: "2", GatewayURL: "https://one"}},
		{Merchant: payment.Merchant{ID: "3", GatewayURL: "https://three"}}, {Merchant: payment.Merchant{ID: "4", GatewayURL: "https://one"}},
	})
	got := gatewaysDown(readings(reg), b.gateways(), []pipeline.LaneWait{
		{Merchant: "1", Gateway: "two", Wait: pipeline.Wait{State: "held", Since: time.Unix(9, 0)}},
		{Merchant: "2", Gateway: "one", Wait: pipeline.Wait{State: "breaker open", Since: since}},
	})
	whatAndMend(t, got, "Gateway one fails broadly: its intents wait, and it is only probed", "Gateway two fails broadly: its intents wait, and it is only probed")
	if len(got) == 2 && (!got[0].Since.Equal(since) || !got[1].Since.IsZero()) {
		t.Errorf("since %v and %v, want that of the breaker, and none for a gateway whose merchants are all on hold", got[0].Since, got[1].Since)
	}
}

func TestSomeOfManyAreNamed(t *testing.T) {
	for want, all := range map[string][]string{"": nil, "a": {"a"}, "a, b": {"a", "b"}, "a, b and 2 more": {"a", "b", "c", "d"}} {
		if got := some(all, 2); got != want {
			t.Errorf("some of %v = %q, want %q", all, got, want)
		}
	}
}

func TestWhatMustNeverHappenIsAnAlarm(t *testing.T) {
	reg := registry()
	for _, name := range []string{metricSecond, metricVanished} {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: name})
		c.Add(2)
		reg.MustRegister(c)
	}
	whatAndMend(t, rises(readings(reg), kafkaio.Counters{CorruptBatches: 1, BrokenFences: 2}),
		"Batches of the intent topic cannot be read: their partitions stand still (1 since the start)",
		"The gateway holds another payment than the published link's: it did not honour the idempotency key (2 since the start)",
		"Retention deleted intents that waited for their turn: they get no outcome (2 since the start)",
		"Somebody else fenced partitions that we own (2 since the start)",
	)
}

// whatAndMend checks what alarms say, and that each says what to do.
func whatAndMend(t *testing.T, got []console.Alarm, want ...string) {
	t.Helper()
	var what []string
	for _, a := range got {
		what = append(what, a.What)
		if a.Mend == "" {
			t.Errorf("%q says not how to mend it", a.What)
		}
	}
	if diff := cmp.Diff(want, what); diff != "" {
		t.Error(diff)
	}
}

func TestPartitionsTellTheirStateAndLag(t *testing.T) {
	got := partitions(kafkaio.State{Partitions: []kafkaio.Partition{
		{Number: 1, State: kafkaio.Running, Committed: 90, Fetched: 102, End: 142},
		{Number: 2, State: kafkaio.Draining, Committed: 7, Fetched: 9, End: -1},
		{Number: 3, State: kafkaio.Loading, Committed: 5, Fetched: 5, End: -1},
		{Number: 4, State: kafkaio.Fencing, Committed: -1, Fetched: -1, End: -1},
	}}, pipeline.State{Desks: []pipeline.DeskState{
		{Partition: 1, Watermark: 100, Unfinished: 2}, {Partition: 2, Watermark: -1, Draining: true},
	}})
	want := []console.Partition{
		{Number: 1, State: "running", Healthy: true, Watermark: 100, Unfinished: 2, Lag: 42},
		{Number: 2, State: "draining", Lag: -1},
		{Number: 3, State: "loading", Watermark: 5, Lag: -1},
		{Number: 4, State: "fencing", Lag: -1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCountersNameWhatTheyCount(t *testing.T) {
	got := counters(readings(registry()), pipeline.State{InFlight: 5, Waiting: 1}, kafkaio.Counters{RecordsAppended: 9, BrokenFences: 1})
	want := []console.Counter{
		{Group: "Now", Name: "calls in flight", Value: 5},
		{Group: "Now", Name: "waiting to repeat", Value: 1},
		{Group: "Intents settled", Name: "created", Value: 7},
		{Group: "Intents settled", Name: "failed gave_up", Value: 2, Bad: true},
		{Group: "Dead letters", Name: "conflict", Value: 1, Bad: true},
		{Group: "Gateway calls", Name: "to be repeated", Value: 3},
		{Group: "Kafka", Name: "records appended", Value: 9},
		{Group: "Kafka", Name: "appends repeated"},
		{Group: "Kafka", Name: "fetches that failed"},
		{Group: "Kafka", Name: "fences found broken", Value: 1, Bad: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOutcomesOfBothKinds(t *testing.T) {
	at := time.Unix(5, 0)
	got := outcomes(pipeline.State{Recent: []pipeline.RecentOutcome{
		{At: at, Intent: "a", Outcome: payment.Created{Attempts: 2, Link: payment.Link{RedirectURL: "https://pay"}}},
		{At: at, Intent: "b", Outcome: payment.Failed{Attempts: 1, Reason: payment.Refused}},
		{At: at, Intent: "c"},
	}})
	want := []console.Outcome{
		{At: at, IntentID: "a", Type: "created", Attempts: 2, Link: "https://pay"},
		{At: at, IntentID: "b", Type: "failed", Attempts: 1, Reason: "refused"},
		{At: at, IntentID: "c", Type: "dead letter"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadyIsAMemberAllOfWhosePartitionsRun(t *testing.T) {
	is := func(states ...kafkaio.PartitionState) (all []kafkaio.Partition) {
		for _, s := range states {
			all = append(all, kafkaio.Partition{Assigned: true, State: s})
		}
		return all
	}
	member, since := kafkaio.Membership{Live: true, Joined: true}, time.Date(2026, 11, 28, 18, 0, 5, 0, time.UTC)
	leaving := kafkaio.Partition{State: kafkaio.Draining}
	const waits = "not a living member of the group yet: brokers, topics or the other members are waited for"
	for _, c := range []struct {
		name          string
		m             kafkaio.Membership
		parts         []kafkaio.Partition
		group, ledger string
	}{
		{"all run", member, is(kafkaio.Running, kafkaio.Running), "", ""},
		{"none is ours", member, nil, "", ""},
		{"one is fenced", member, is(kafkaio.Running, kafkaio.Fencing), "", "1 partition is being fenced, and its ledger read"},
		{"two load", member, is(kafkaio.Loading, kafkaio.Running, kafkaio.Fencing), "", "2 partitions are being fenced, and their ledgers read"},
		{"one of ours drains", member, is(kafkaio.Running, kafkaio.Draining), "", "1 partition is being fenced, and its ledger read"},
		{"one that is handed over drains", member, append(is(kafkaio.Running), leaving), "", ""},
		{"it does not stand for one that loads", member, append(is(kafkaio.Loading), leaving), "", "1 partition is being fenced, and its ledger read"},
		{"joined, and not told what is ours", kafkaio.Membership{Live: true}, nil, waits, ""},
		{"its lease is over", kafkaio.Membership{Joined: true}, is(kafkaio.Fencing), waits, ""},
		{"brokers are away", kafkaio.Membership{Trouble: errors.New("metadata: refused"), TroubleAt: since}, nil, waits + "; the last error, at 18:00:05 UTC: metadata: refused", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := outside(c.m); got != c.group {
				t.Errorf("group: %q, want %q", got, c.group)
			}
			if got := loading(kafkaio.State{Membership: c.m, Partitions: c.parts}); got != c.ledger {
				t.Errorf("ledger: %q, want %q", got, c.ledger)
			}
		})
	}
}
