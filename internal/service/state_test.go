package service

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"paylink/internal/config"
	"paylink/internal/console"
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
	vec(metricCorrupt).WithLabelValues().Inc()
	vec(metricLostRecords).WithLabelValues()
	lag := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: metricLag, Help: "lag"}, []string{"partition"})
	lag.WithLabelValues("1").Set(40)
	assigned := prometheus.NewGauge(prometheus.GaugeOpts{Name: metricAssigned, Help: "assigned"})
	assigned.Set(3)
	reg.MustRegister(lag, assigned)
	return reg
}

func TestEachHoldIsAnAlarm(t *testing.T) {
	since := time.Unix(1, 0)
	got := holds(pipeline.State{Lanes: []pipeline.Lane{
		{Merchant: "540001", OnHold: true, Code: "9998", HeldSince: since}, {Merchant: "540002"},
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
	var ms merchants
	ms.replace([]config.Merchant{
		{Merchant: payment.Merchant{ID: "1", GatewayURL: "https://two/path"}}, {Merchant: payment.Merchant{ID: "2", GatewayURL: "https://one"}},
		{Merchant: payment.Merchant{ID: "3", GatewayURL: "https://three"}}, {Merchant: payment.Merchant{ID: "4", GatewayURL: "https://one"}},
	})
	got := gatewaysDown(readings(reg), ms.gateways(), []pipeline.Lane{
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
	for _, name := range []string{metricSecond, metricVanished, metricBroken} {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: name})
		c.Add(2)
		reg.MustRegister(c)
	}
	whatAndMend(t, rises(readings(reg)),
		"Batches of the intent topic cannot be read: their partitions stand still (1 since the start)",
		"The gateway holds another payment than the published link's: it did not honour the idempotency key (2 since the start)",
		"Retention deleted intents that waited for their turn: they get no outcome (2 since the start)",
		"Somebody else fenced partitions that we hold (2 since the start)",
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

func TestPartitionsTellTheirLag(t *testing.T) {
	got := partitions(readings(registry()), pipeline.State{Partitions: []pipeline.PartitionState{
		{Partition: 1, Watermark: 100, Unfinished: 2}, {Partition: 2, Watermark: -1, Draining: true},
	}})
	want := []console.Partition{
		{Number: 1, State: "running", Healthy: true, Watermark: 100, Unfinished: 2, Lag: 42},
		{Number: 2, State: "draining", Lag: -1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCountersNameWhatTheyCount(t *testing.T) {
	got := counters(readings(registry()), pipeline.State{InFlight: 5, BackingOff: 1})
	want := []console.Counter{
		{Group: "Now", Name: "calls in flight", Value: 5},
		{Group: "Now", Name: "waiting to repeat", Value: 1},
		{Group: "Intents settled", Name: "created", Value: 7},
		{Group: "Intents settled", Name: "failed gave_up", Value: 2, Bad: true},
		{Group: "Dead letters", Name: "conflict", Value: 1, Bad: true},
		{Group: "Gateway calls", Name: "to be repeated", Value: 3},
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

func TestLoadingIsWhatAMemberWasGivenAndDoesNotServeYet(t *testing.T) {
	for _, c := range []struct {
		member bool
		desks  int // of 3 partitions
		want   string
	}{
		{true, 1, "2 partitions are being fenced, and their ledgers read"},
		{true, 2, "1 partition is being fenced, and its ledger read"},
		{true, 3, ""},
		{true, 4, ""},
		{false, 0, ""}, // lost the group: nobody fences
	} {
		if got := loading(c.member, readings(registry()), pipeline.State{Partitions: make([]pipeline.PartitionState, c.desks)}); got != c.want {
			t.Errorf("member %v with %d of 3 partitions: %q, want %q", c.member, c.desks, got, c.want)
		}
	}
}
