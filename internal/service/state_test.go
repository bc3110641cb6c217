package service

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

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

func TestAlarmsAreHoldsAndWhatMustNeverHappen(t *testing.T) {
	since := time.Unix(1, 0)
	got := alarms(readings(registry()), pipeline.State{Lanes: []pipeline.LaneState{
		{Merchant: "540001", OnHold: true, Code: "9998", Since: since}, {Merchant: "540002"},
	}})
	var what []string
	for _, a := range got {
		what = append(what, a.What)
		if a.Mend == "" {
			t.Errorf("%q says not how to mend it", a.What)
		}
	}
	want := []string{
		"Merchant 540001 is on hold: the gateway rejects our credentials or set-up (error 9998)",
		"Batches of the intent topic cannot be read: their partitions stand still (1 since the start)",
	}
	if diff := cmp.Diff(want, what); diff != "" || !got[0].Since.Equal(since) {
		t.Error(diff)
	}
}

func TestPartitionsTellTheirLag(t *testing.T) {
	got := partitions(readings(registry()), pipeline.State{Desks: []pipeline.DeskState{
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
	got := counters(readings(registry()), pipeline.State{InFlight: 5, Waiting: 1})
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

func TestLoadingIsWhatIsAssignedButNotServed(t *testing.T) {
	s := &service{}
	if got := s.loading(readings(registry()), pipeline.State{Desks: make([]pipeline.DeskState, 1)}); got != 2 {
		t.Errorf("loading = %d, want 2 of 3", got)
	}
}
