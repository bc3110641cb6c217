package service

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"paylink/internal/console"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// The metrics that console and readiness are made of.
const (
	metricAssigned    = "paylink_kafka_partitions_assigned"
	metricLag         = "paylink_kafka_lag_records"
	metricCorrupt     = "paylink_kafka_corrupt_batches_total"
	metricLostRecords = "paylink_kafka_records_lost_to_retention_total"
	metricProducers   = "paylink_kafka_new_producer_ids_total"
	metricBroken      = "paylink_kafka_fences_broken_total"
	metricDown        = "paylink_gateway_down"
	metricSecond      = "paylink_second_payments_total"
	metricVanished    = "paylink_intents_vanished_total"
)

// addChecks says when the service is ready: it is a living member of its group,
// what it was given is loaded, and it does not stop.
func (s *service) addChecks() {
	s.health.Add("running", func() string {
		if s.stopping.Load() {
			return "the service is stopping: calls in flight are finished"
		}
		return ""
	})
	s.health.Add("group", func() string {
		if !s.source.Live() {
			return "not a living member of the group yet: brokers, topics or the other members are waited for"
		}
		return ""
	})
	s.health.Add("ledger", func() string {
		return loading(s.source.Live(), readings(s.registry), s.engine.State())
	})
}

// loading says how many partitions are ours but not worked on yet. Who is no
// living member has none to fence, whatever the group gave it last: the check of
// the group says so.
func loading(member bool, m numbers, e pipeline.State) string {
	n := int(m.sum(metricAssigned)) - len(e.Partitions)
	if !member || n <= 0 {
		return ""
	}
	if n == 1 {
		return "1 partition is being fenced, and its ledger read"
	}
	return fmt.Sprintf("%d partitions are being fenced, and their ledgers read", n)
}

// state is what the console shows.
func (s *service) state() console.State {
	m, e := readings(s.registry), s.engine.State()
	ready, checks := s.health.Look()
	st := console.State{
		Now: time.Now(), Started: s.started, Ready: ready,
		Service: console.Service{
			Version: s.deps.Version, Group: s.cfg.Kafka.Group, Instance: s.cfg.Kafka.InstanceID,
			Intents: s.cfg.Topics.Intents, Outcomes: s.cfg.Topics.Outcomes, DeadLetters: s.cfg.Topics.DeadLetters,
			Gateway: some(s.merchants.gateways(), 3),
		},
		Alarms: slices.Concat(gatewaysDown(m, s.merchants.gateways(), s.engine.Lanes()), holds(e), rises(m)), Partitions: partitions(m, e), Counters: counters(m, e), Outcomes: outcomes(e),
	}
	for _, c := range checks {
		st.Checks = append(st.Checks, console.Check{Name: c.Name, OK: c.OK, Reason: c.Reason})
	}
	return st
}

// some names the first n of all, and says how many more there are.
func some(all []string, n int) string {
	if len(all) <= n {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:n], ", "), len(all)-n)
}

// gatewaysDown are the alarms of the gateways that fail broadly. One that no
// merchant has any more alarms nobody, whatever was found of it last.
func gatewaysDown(m numbers, ours []string, lanes []pipeline.Lane) []console.Alarm {
	var out []console.Alarm
	for _, host := range ours {
		if down, _ := m.labelled(metricDown, "gateway", host); down == 0 {
			continue
		}
		a := console.Alarm{
			What: fmt.Sprintf("Gateway %s fails broadly: its intents wait, and it is only probed", host),
			Mend: "See in the log how the calls end, and ask the gateway's people. If only we cannot reach it, \"paylink check\" looks at address, name resolution, firewall and proxy. Calls go on by themselves once a probe works.",
		}
		for _, l := range lanes {
			if l.Gateway == host && l.State == "breaker open" {
				a.Since = l.Since
			}
		}
		out = append(out, a)
	}
	return out
}

// holds are the alarms of the merchants that the gateway does not accept.
func holds(e pipeline.State) []console.Alarm {
	var out []console.Alarm
	for _, l := range e.Lanes {
		if l.OnHold {
			out = append(out, console.Alarm{
				What:  fmt.Sprintf("Merchant %s is on hold: the gateway rejects our credentials or set-up (error %s)", l.Merchant, l.Code),
				Mend:  "Check the merchant's number, its secret and its contract. No intent fails for this, and calls go on by themselves once a probe works.",
				Since: l.HeldSince,
			})
		}
	}
	return out
}

// rises are the alarms of what should never happen. They stay until the service
// is started anew: it does not know whether anybody has seen to them.
func rises(m numbers) []console.Alarm {
	var out []console.Alarm
	for _, a := range []struct{ metric, what, mend string }{
		{metricCorrupt, "Batches of the intent topic cannot be read: their partitions stand still", "Look at the log for partition and offset; the batch is broken on the broker's disk."},
		{metricSecond, "The gateway holds another payment than the published link's: it did not honour the idempotency key", "Reconcile these orders with the gateway; the log names each, with \"reconcile\". Their payers have one link only."},
		{metricVanished, "Retention deleted intents that waited for their turn: they get no outcome", "Raise the retention of the intent topic above the longest wait, and have the emitter publish them again; the log names partition and offset of each."},
		{metricLostRecords, "Kafka deleted intents before they were read", "Raise the retention of the intent topic, and have the emitter publish the lost intents again."},
		{metricBroken, "Somebody else fenced partitions that we hold", "Make sure that no other service has this group's name on this topic. Nothing is published twice: each fence was made again."},
		{metricProducers, "The transaction coordinator had forgotten us: a fence began anew", "Raise transactional.id.expiration.ms if this comes back."},
	} {
		if n := m.sum(a.metric); n > 0 {
			out = append(out, console.Alarm{What: fmt.Sprintf("%s (%.0f since the start)", a.what, n), Mend: a.mend})
		}
	}
	return out
}

func partitions(m numbers, e pipeline.State) []console.Partition {
	var out []console.Partition
	for _, d := range e.Partitions {
		p := console.Partition{Number: d.Partition, State: "running", Healthy: true, Watermark: max(0, d.Watermark), Unfinished: d.Unfinished, Lag: -1}
		if d.Draining {
			p.State, p.Healthy = "draining", false
		}
		if lag, ok := m.labelled(metricLag, "partition", strconv.Itoa(int(d.Partition))); ok {
			p.Lag = int64(lag) + int64(d.Unfinished)
		}
		out = append(out, p)
	}
	return out
}

// counters are the numbers of the console, the most telling first.
func counters(m numbers, e pipeline.State) []console.Counter {
	out := []console.Counter{
		{Group: "Now", Name: "calls in flight", Value: uint64(max(0, e.InFlight))},
		{Group: "Now", Name: "waiting to repeat", Value: uint64(max(0, e.BackingOff))},
	}
	for _, f := range []struct {
		group, metric string
		labels        []string
		bad           map[string]bool
	}{
		{"Intents settled", "paylink_intents_settled_total", []string{"outcome", "reason"}, map[string]bool{"failed gave_up": true}},
		{"Skipped", "paylink_skipped_total", []string{"kind"}, nil},
		{"Dead letters", "paylink_dead_letters_total", []string{"reason"}, map[string]bool{"*": true}},
		{"Gateway calls", "paylink_gateway_calls_total", []string{"call", "result"}, nil},
		{"Gateway calls", "paylink_gateway_repeats_total", nil, nil},
		{"Kafka", "paylink_kafka_records_appended_total", nil, nil},
		{"Kafka", "paylink_kafka_append_retries_total", nil, nil},
		{"Kafka", "paylink_kafka_fetch_errors_total", nil, nil},
		{"Kafka", metricBroken, nil, map[string]bool{"*": true}},
	} {
		for _, r := range m[f.metric] {
			name := r.name(f.labels)
			out = append(out, console.Counter{Group: f.group, Name: name, Value: uint64(r.value), Bad: f.bad["*"] || f.bad[name]})
		}
	}
	return out
}

func outcomes(e pipeline.State) []console.Outcome {
	var out []console.Outcome
	for _, r := range e.Recent {
		o := console.Outcome{At: r.At, IntentID: string(r.Intent)}
		switch v := r.Outcome.(type) {
		case payment.Created:
			o.Type, o.Attempts, o.Link = "created", v.Attempts, v.RedirectURL
		case payment.Failed:
			o.Type, o.Attempts, o.Reason = "failed", v.Attempts, string(v.Reason)
		default:
			o.Type = "dead letter"
		}
		out = append(out, o)
	}
	return out
}

// numbers are the readings of all metrics, by name.
type numbers map[string][]reading

// A reading is one series of a metric.
type reading struct {
	metric string
	labels map[string]string
	value  float64
}

// readings reads counters and gauges. A metric that cannot be read is left out:
// the page must come even then.
func readings(g prometheus.Gatherer) numbers {
	families, _ := g.Gather()
	out := numbers{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			r := reading{metric: f.GetName(), labels: map[string]string{}}
			for _, l := range m.GetLabel() {
				r.labels[l.GetName()] = l.GetValue()
			}
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				r.value = m.GetCounter().GetValue()
			case dto.MetricType_GAUGE:
				r.value = m.GetGauge().GetValue()
			default:
				continue
			}
			out[r.metric] = append(out[r.metric], r)
		}
	}
	return out
}

func (n numbers) sum(metric string) float64 {
	var sum float64
	for _, r := range n[metric] {
		sum += r.value
	}
	return sum
}

func (n numbers) labelled(metric, label, value string) (float64, bool) {
	for _, r := range n[metric] {
		if r.labels[label] == value {
			return r.value, true
		}
	}
	return 0, false
}

// plain names the metrics that have no label.
var plain = map[string]string{
	"paylink_gateway_repeats_total":        "to be repeated",
	"paylink_kafka_records_appended_total": "records appended",
	"paylink_kafka_append_retries_total":   "appends repeated",
	"paylink_kafka_fetch_errors_total":     "fetches that failed",
	metricBroken:                           "fences found broken",
}

// name says what a series counts.
func (r reading) name(labels []string) string {
	if len(labels) == 0 {
		return plain[r.metric]
	}
	name := ""
	for _, l := range labels {
		if v := r.labels[l]; v != "" {
			name += " " + v
		}
	}
	return name[min(1, len(name)):]
}

// lanes and intent answer why something waits.
func (s *service) lanes() any { return map[string]any{"lanes": s.engine.Lanes()} }

func (s *service) intent(id string) (any, bool) {
	waits := s.engine.Find(payment.IntentID(id))
	return map[string]any{"intent_id": id, "records": waits}, len(waits) > 0
}
