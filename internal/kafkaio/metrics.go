package kafkaio

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
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
	fetchErrors  *counter
	corrupt      *counter
	lostRecords  *counter
	madeAgain    *counter
	lag          *prometheus.GaugeVec
	appended     *counter
	batches      *counter
	retries      *counter
	commitErrors *counter

	refusedLogins *counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counts := func(name, help string) *counter {
		c := &counter{}
		reg.MustRegister(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Namespace: "paylink", Subsystem: "kafka", Name: name, Help: help},
			func() float64 { return float64(c.n.Load()) },
		))
		return c
	}
	gauges := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "paylink", Subsystem: "kafka", Name: name, Help: help},
			[]string{"partition"})
		reg.MustRegister(g)
		return g
	}
	m := &metrics{
		reg: reg,
		assigned: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "paylink", Subsystem: "kafka",
			Name: "partitions_assigned", Help: "Partitions of the intent topic that the group gave to this member."}),
		lost:     counts("partitions_lost_total", "Partitions lost without a hand-over."),
		fences:   counts("fences_total", "Fences made."),
		refences: counts("fences_broken_total", "Fences found broken while we owned the partition. Alarm if it rises."),
		newProducers: counts("new_producer_ids_total",
			"Transactional ids that the coordinator had forgotten. Alarm if it rises."),
		ledgerRead: counts("ledger_outcomes_read_total", "Outcomes read into ledgers."),
		ledgerSize: gauges("ledger_intents", "Answered intents known, per outcome partition, when its ledger was last "+
			"read."),
		fetchErrors: counts("fetch_errors_total", "Fetches that failed and were repeated."),
		corrupt: counts("corrupt_batches_total",
			"Batches that could not be read; their partition stands still. Alarm if it rises."),
		lostRecords: counts("records_lost_to_retention_total",
			"Offsets that retention deleted before they were read. Alarm if it rises."),
		madeAgain: counts("partitions_made_again_total",
			"Intent partitions read from their beginning because their topic was deleted and made again. Alarm if it rises."),
		lag:          gauges("lag_records", "Records of the intent partition not fetched yet."),
		appended:     counts("records_appended_total", "Outcomes and dead letters acknowledged by all in-sync replicas."),
		batches:      counts("batches_appended_total", "Batches acknowledged by all in-sync replicas."),
		retries:      counts("append_retries_total", "Batches sent again, byte for byte."),
		commitErrors: counts("commit_errors_total", "Offset commits that failed and were repeated."),
		refusedLogins: counts("logins_refused_total",
			"Connections that a broker refused for their login or certificate. Alarm if it rises."),
	}
	reg.MustRegister(m.assigned)
	return m
}

// watch shows how much trouble of each kind stands.
func (m *metrics) watch(ts *troubles) {
	for kind, help := range map[TroubleKind]string{
		ShortLedger: "Reasons why the ledger reaches less far back than its window: the outcome topic's settings, or a " +
			"partition that was emptied. Alarm if not zero.",
		OutcomeLimit: "Outcome topics whose max.message.bytes is below what an outcome may need. Alarm if not zero.",
		Compacted:    "Outcome topics that are compacted; no partition is taken over. Alarm if not zero.",
		InputBlocked: "Intent partitions in which a hanging transaction hides what comes after it. Alarm if not zero.",
	} {
		m.reg.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Namespace: "paylink", Subsystem: "kafka", Name: string(kind), Help: help},
			func() float64 { return float64(ts.count(kind)) },
		))
	}
	m.reg.MustRegister(blockedCollector{ts: ts, desc: prometheus.NewDesc("paylink_kafka_append_blocked",
		"Partitions of which Kafka has taken no outcome or dead letter for some seconds. Alarm if not zero.",
		[]string{"cause"}, nil)})
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
