package pipeline

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"paylink/internal/metric"
	"paylink/internal/payment"
	"paylink/internal/schedule"
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
	turns    *tally
	inFlight prometheus.Gauge
	held     prometheus.Gauge
	down     *outages
	retries  *prometheus.CounterVec
	took     *prometheus.HistogramVec
	stages   *prometheus.HistogramVec
	callTook *prometheus.HistogramVec

	ofIntents, ofInits, ofLookUps exemplars
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		intents:  newTally("paylink_intents_settled_total"),
		skipped:  newTally("paylink_skipped_total"),
		dead:     newTally("paylink_dead_letters_total"),
		calls:    newTally("paylink_gateway_calls_total"),
		repeats:  newTally("paylink_gateway_repeats_total"),
		shared:   newTally("paylink_shared_payments_total"),
		second:   newTally("paylink_second_payments_total"),
		vanished: newTally("paylink_intents_vanished_total"),
		unread:   newTally("paylink_registry_waits_total"),
		turns:    newTally("paylink_turns_total"),
		retries:  metric.NewCounters("paylink_gateway_retries_total"),
		inFlight: metric.NewGauge("paylink_gateway_calls_in_flight"),
		held:     metric.NewGauge("paylink_merchants_on_hold"),
		down:     newOutages(),
		took:     metric.NewHistograms("paylink_intent_seconds"),
		stages:   metric.NewHistograms("paylink_stage_seconds"),
		callTook: metric.NewHistograms("paylink_gateway_call_seconds"),
	}
	for _, known := range []Known{Answered, Repeated} {
		m.skipped.add(0, known.String())
	}
	for _, t := range []*tally{m.intents, m.skipped, m.dead, m.calls, m.repeats, m.vanished, m.unread, m.second, m.shared, m.turns} {
		reg.MustRegister(t.vec)
	}
	reg.MustRegister(m.retries, m.inFlight, m.held, m.down.series, m.took, m.stages, m.callTook)
	return m
}

// lending counts what has become of turns that are lent.
func (m *metrics) lending(t schedule.Turns) {
	if t == (schedule.Turns{}) {
		return
	}
	m.turns.add(t.Asked, "asked")
	m.turns.add(t.Lent, "lent")
	m.turns.add(t.Declined, "declined")
	m.turns.add(t.Borrowed, "borrowed")
	m.turns.add(t.Lost, "lost")
}

func (m *metrics) called(a answer, took time.Duration, trail *trail) {
	kind, result, shown := "init", "ok", &m.ofInits
	if a.lookUp {
		kind, shown = "status", &m.ofLookUps
	}
	switch {
	case isNotFound(a.err):
		result = "not_found"
	case a.err != nil:
		result = payment.AsGatewayError(a.err).Cause
	}
	m.calls.inc(kind, result)
	shown.observe(m.callTook.WithLabelValues(kind), took, trail)
}

// settled counts an outcome that is durable: took is how long it was since the
// intent's record, of which calls and the outcome's publication were a part.
func (m *metrics) settled(outcome, reason string, took, calls, publish time.Duration, trail *trail) {
	m.intents.inc(outcome, reason)
	m.ofIntents.observe(m.took.WithLabelValues(), took, trail)
	m.stages.WithLabelValues("wait").Observe(max(0, took-calls-publish).Seconds())
	m.stages.WithLabelValues("call").Observe(calls.Seconds())
	m.stages.WithLabelValues("publish").Observe(publish.Seconds())
}

// exemplars are when a histogram last got an exemplar, in Unix seconds, for each
// doubling of its times. One in a second is enough: a scraper sees a bucket's last.
type exemplars [65]atomic.Int64

// observe observes a time, with the trace that shows where it went, if there is one
// and if it is due.
func (e *exemplars) observe(o prometheus.Observer, took time.Duration, trail *trail) {
	if x, ok := o.(prometheus.ExemplarObserver); ok && trail.isSeen() && e.due(took, time.Now()) {
		x.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": trail.traceID()})
		return
	}
	o.Observe(took.Seconds())
}

func (e *exemplars) due(took time.Duration, now time.Time) bool {
	return e[bits.Len64(uint64(took))].Swap(now.Unix()) != now.Unix()
}
