package kafkaio

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	assigned     prometheus.Gauge
	lost         prometheus.Counter
	fences       prometheus.Counter
	refences     prometheus.Counter
	newProducers prometheus.Counter
	ledgerRead   prometheus.Counter
	ledgerSize   *prometheus.GaugeVec
	fetchErrors  prometheus.Counter
	corrupt      prometheus.Counter
	lostRecords  prometheus.Counter
	lag          *prometheus.GaugeVec
	appended     prometheus.Counter
	batches      prometheus.Counter
	retries      prometheus.Counter
	commitErrors prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "paylink", Subsystem: "kafka", Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	gauges := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "paylink", Subsystem: "kafka", Name: name, Help: help}, []string{"partition"})
		reg.MustRegister(g)
		return g
	}
	m := &metrics{
		assigned:     prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "paylink", Subsystem: "kafka", Name: "partitions_assigned", Help: "Partitions of the intent topic that the group gave to this member."}),
		lost:         counter("partitions_lost_total", "Partitions lost without a hand-over."),
		fences:       counter("fences_total", "Fences made."),
		refences:     counter("fences_broken_total", "Fences found broken while the partition was held. Alarm if it rises."),
		newProducers: counter("new_producer_ids_total", "Transactional ids that the coordinator had forgotten. Alarm if it rises."),
		ledgerRead:   counter("ledger_outcomes_read_total", "Outcomes read into ledgers."),
		ledgerSize:   gauges("ledger_intents", "Answered intents known, per outcome partition, when its ledger was last read."),
		fetchErrors:  counter("fetch_errors_total", "Fetches that failed and were repeated."),
		corrupt:      counter("corrupt_batches_total", "Batches that could not be read; their partition stands still. Alarm if it rises."),
		lostRecords:  counter("records_lost_to_retention_total", "Offsets that retention deleted before they were read. Alarm if it rises."),
		lag:          gauges("lag_records", "Records of the intent partition not fetched yet."),
		appended:     counter("records_appended_total", "Outcomes and dead letters acknowledged by all in-sync replicas."),
		batches:      counter("batches_appended_total", "Batches acknowledged by all in-sync replicas."),
		retries:      counter("append_retries_total", "Batches sent again, byte for byte."),
		commitErrors: counter("commit_errors_total", "Offset commits that failed and were repeated."),
	}
	reg.MustRegister(m.assigned)
	return m
}

func label(partition int32) string { return strconv.Itoa(int(partition)) }
