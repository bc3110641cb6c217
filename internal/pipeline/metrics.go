package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"paylink/internal/payment"
)

type metrics struct {
	intents  *tally
	skipped  *tally
	dead     *tally
	calls    *tally
	repeats  *tally
	vanished *tally
	unread   *tally
	second   *tally
	shared   *tally
	inFlight prometheus.Gauge
	held     prometheus.Gauge
	down     *prometheus.GaugeVec
	took     prometheus.Histogram
	callTook *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "paylink", Name: name, Help: help}
	}
	m := &metrics{
		intents:  newTally("intents_settled_total", "Intents settled, by outcome (created, failed) and reason.", "outcome", "reason"),
		skipped:  newTally("skipped_total", "Intents that were answered before, by kind: redelivered (answered before this process took the partition) or repeated (answered by this process).", "kind"),
		dead:     newTally("dead_letters_total", "Records sent to the dead letters, by reason. Alarm if it rises.", "reason"),
		calls:    newTally("gateway_calls_total", "Calls of the gateway, by kind (init, status) and result (ok, or the cause of the error).", "call", "result"),
		repeats:  newTally("gateway_repeats_total", "Calls that have to be made again."),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts(opts("gateway_calls_in_flight", "Calls of the gateway in flight."))),
		held:     prometheus.NewGauge(prometheus.GaugeOpts(opts("merchants_on_hold", "Merchants that are not called because our credentials or set-up are wrong. Alarm if above 0."))),
		shared:   newTally("shared_payments_total", "Answers with a payment that another intent's link has already; their links are not published. Alarm if it rises."),
		second:   newTally("second_payments_total", "Intents whose order shows another payment at the gateway than the published link's. Reconcile them."),
		down:     prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("gateway_down", "1 while a gateway host fails broadly and is only probed. Alarm if above 0.")), []string{"gateway"}),
		vanished: newTally("intents_vanished_total", "Intents that waited so long that the topic's retention deleted them. Alarm if it rises."),
		unread:   newTally("registry_waits_total", "Times that a record could not be read because the schema registry gave no answer; its partition waits. Alarm if it rises."),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "paylink", Name: "intent_seconds", Help: "Time from an intent's record to its durable outcome.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 14)}),
		callTook: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "paylink", Name: "gateway_call_seconds", Help: "Duration of calls of the gateway.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14)}, []string{"call"}),
	}
	for _, known := range []Known{Answered, Repeated} {
		m.skipped.add(0, known.String())
	}
	for _, t := range []*tally{m.intents, m.skipped, m.dead, m.calls, m.repeats, m.vanished, m.unread, m.second, m.shared} {
		reg.MustRegister(t.vec)
	}
	reg.MustRegister(m.inFlight, m.held, m.down, m.took, m.callTook)
	return m
}

func (m *metrics) called(a answer, took time.Duration, seen prometheus.Labels) {
	kind, result := "init", "ok"
	if a.lookUp {
		kind = "status"
	}
	switch {
	case isNotFound(a.err):
		result = "not_found"
	case a.err != nil:
		result = payment.AsGatewayError(a.err).Cause
	}
	m.calls.inc(kind, result)
	observe(m.callTook.WithLabelValues(kind), took, seen)
}

func (m *metrics) settled(outcome, reason string, took time.Duration, seen prometheus.Labels) {
	m.intents.inc(outcome, reason)
	observe(m.took, took, seen)
}

// observe observes a time, with the trace that shows where it went, if there is one.
func observe(o prometheus.Observer, took time.Duration, seen prometheus.Labels) {
	if x, ok := o.(prometheus.ExemplarObserver); ok && seen != nil {
		x.ObserveWithExemplar(took.Seconds(), seen)
		return
	}
	o.Observe(took.Seconds())
}
