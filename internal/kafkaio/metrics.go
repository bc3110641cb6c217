package kafkaio

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"paylink/internal/metric"
)

// A counter is a Prometheus counter that we can read ourselves, for State.
type counter struct{ n atomic.Uint64 }

func (c *counter) Inc() { c.n.Add(1) }

func (c *counter) Add(n int64) { c.n.Add(uint64(n)) }

type metrics struct {
	reg          prometheus.Registerer
	assigned     prometheus.Gauge
	lost         *counter
	fences       *counter
	refences     *counter
	newProducers *counter
	ledgerRead   *counter
	ledgerSize   *prometheus.GaugeVec
	ledgerLoad   *prometheus.HistogramVec
	fetchErrors  *counter
	corrupt      *counter
	lostRecords  *counter
	madeAgain    *counter
	appended     *counter
	batches      *counter
	retries      *counter
	commitErrors *counter

	refusedLogins *counter
	notes         *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counts := func(name string) *counter {
		c := &counter{}
		reg.MustRegister(metric.NewCounterFunc("paylink_kafka_"+name, func() float64 { return float64(c.n.Load()) }))
		return c
	}
	m := &metrics{
		reg: reg, assigned: metric.NewGauge("paylink_kafka_partitions_assigned"),
		lost: counts("partitions_lost_total"), fences: counts("fences_total"), refences: counts("fences_broken_total"),
		newProducers: counts("new_producer_ids_total"), ledgerRead: counts("ledger_outcomes_read_total"),
		ledgerSize:  metric.NewGauges("paylink_kafka_ledger_intents"),
		ledgerLoad:  metric.NewHistograms("paylink_kafka_ledger_load_seconds"),
		fetchErrors: counts("fetch_errors_total"), corrupt: counts("corrupt_batches_total"),
		lostRecords: counts("records_lost_to_retention_total"), madeAgain: counts("partitions_made_again_total"),
		appended: counts("records_appended_total"), batches: counts("batches_appended_total"),
		retries: counts("append_retries_total"), commitErrors: counts("commit_errors_total"),
		refusedLogins: counts("logins_refused_total"), notes: metric.NewCounters("paylink_kafka_turn_notes_total"),
	}
	reg.MustRegister(m.assigned, m.ledgerSize, m.ledgerLoad, m.notes)
	return m
}

// watch shows how much trouble of each kind stands.
func (m *metrics) watch(ts *troubles) {
	for _, kind := range []TroubleKind{ShortLedger, LedgerFull, OutcomeLimit, Compacted, InputBlocked, TakeOverBlocked} {
		m.reg.MustRegister(metric.NewGaugeFunc("paylink_kafka_"+string(kind), func() float64 { return float64(ts.count(kind)) }))
	}
	m.reg.MustRegister(blockedCollector{ts: ts, desc: metric.Desc("paylink_kafka_append_blocked")})
}

// A blockedCollector shows which appends are blocked, and why.
type blockedCollector struct {
	desc *prometheus.Desc
	ts   *troubles
}

// Describe implements prometheus.Collector.
func (c blockedCollector) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect implements prometheus.Collector.
func (c blockedCollector) Collect(to chan<- prometheus.Metric) {
	for cause, n := range c.ts.blocked() {
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), cause)
	}
}

func label(partition int32) string { return strconv.Itoa(int(partition)) }
