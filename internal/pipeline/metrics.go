package pipeline

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"paylink/internal/payment"
)

type metrics struct {
	intents  *prometheus.CounterVec
	skipped  map[Known]prometheus.Counter
	dead     *prometheus.CounterVec
	calls    *prometheus.CounterVec
	repeats  prometheus.Counter
	inFlight prometheus.Gauge
	held     prometheus.Gauge
	vanished prometheus.Counter
	unread   prometheus.Counter
	second   prometheus.Counter
	down     *prometheus.GaugeVec
	took     prometheus.Histogram
	callTook *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "paylink", Name: name, Help: help}
	}
	skipped := prometheus.NewCounterVec(prometheus.CounterOpts(opts("skipped_total", "Intents that were answered before, by kind: redelivered (answered before this process took the partition) or repeated (answered by this process).")), []string{"kind"})
	m := &metrics{
		intents: prometheus.NewCounterVec(prometheus.CounterOpts(opts("intents_settled_total", "Intents settled, by outcome (created, failed) and reason.")), []string{"outcome", "reason"}),
		skipped: map[Known]prometheus.Counter{
			Answered: skipped.WithLabelValues("redelivered"),
			Repeated: skipped.WithLabelValues("repeated"),
		},
		dead:     prometheus.NewCounterVec(prometheus.CounterOpts(opts("dead_letters_total", "Records sent to the dead letters, by reason. Alarm if it rises.")), []string{"reason"}),
		calls:    prometheus.NewCounterVec(prometheus.CounterOpts(opts("gateway_calls_total", "Calls of the gateway, by kind (init, status) and result (ok, or the cause of the error).")), []string{"call", "result"}),
		repeats:  prometheus.NewCounter(prometheus.CounterOpts(opts("gateway_repeats_total", "Calls that have to be made again."))),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts(opts("gateway_calls_in_flight", "Calls of the gateway in flight."))),
		held:     prometheus.NewGauge(prometheus.GaugeOpts(opts("merchants_on_hold", "Merchants that are not called because our credentials or set-up are wrong. Alarm if above 0."))),
		second:   prometheus.NewCounter(prometheus.CounterOpts(opts("second_payments_total", "Intents whose order shows another payment at the gateway than the published link's. Reconcile them."))),
		down:     prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("gateway_down", "1 while a gateway host fails broadly and is only probed. Alarm if above 0.")), []string{"gateway"}),
		vanished: prometheus.NewCounter(prometheus.CounterOpts(opts("intents_vanished_total", "Intents that waited so long that the topic's retention deleted them. Alarm if it rises."))),
		unread:   prometheus.NewCounter(prometheus.CounterOpts(opts("registry_waits_total", "Times that a record could not be read because the schema registry gave no answer; its partition waits. Alarm if it rises."))),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "paylink", Name: "intent_seconds", Help: "Time from an intent's record to its durable outcome.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 14)}),
		callTook: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "paylink", Name: "gateway_call_seconds", Help: "Duration of calls of the gateway.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14)}, []string{"call"}),
	}
	reg.MustRegister(m.intents, skipped, m.dead, m.calls, m.repeats, m.inFlight, m.held, m.vanished, m.unread, m.second, m.down, m.took, m.callTook)
	return m
}

func (m *metrics) called(asking bool, err error, took time.Duration) {
	kind, result := "init", "ok"
	if asking {
		kind = "status"
	}
	switch {
	case errors.Is(err, payment.ErrNotFound):
		result = "not_found"
	case err != nil:
		result = payment.AsGatewayError(err).Cause
	}
	m.calls.WithLabelValues(kind, result).Inc()
	m.callTook.WithLabelValues(kind).Observe(took.Seconds())
}

func (m *metrics) settled(outcome, reason string, took time.Duration) {
	m.intents.WithLabelValues(outcome, reason).Inc()
	m.took.Observe(took.Seconds())
}

// bursts logs skips once per burst, not once per record. It belongs to Engine.mu.
type bursts struct {
	log    logrus.FieldLogger
	counts [Differs]int
	began  time.Time
}

// burstLog is how long skips are summed up in one line.
const burstLog = 10 * time.Second

func (b *bursts) note(f Known) {
	now := time.Now()
	if now.Sub(b.began) > burstLog {
		b.flush()
		b.began = now
		b.log.WithField("kind", f.String()).Info("skipping intents that are answered already")
	}
	b.counts[f]++
}

func (b *bursts) flush() {
	if n, m := b.counts[Answered], b.counts[Repeated]; n+m > 0 {
		b.log.WithField("redelivered", n).WithField("repeated", m).Info("skipped intents that were answered already")
	}
	b.counts = [Differs]int{}
}

// String names it as metrics and logs do.
func (f Known) String() string {
	return [...]string{"unknown", "redelivered", "repeated", "conflict"}[f]
}
