// Package metric is the one list of what the service counts and measures. Whoever
// counts makes the collector here, by the metric's name; deploy/metrics.md is written
// from the list, and dashboard and alerts are tested against it.
package metric

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// A Type is how a metric behaves.
type Type string

// The types of metrics.
const (
	Counter   Type = "counter"   // only rises, and begins at 0 with the process
	Gauge     Type = "gauge"     // is what is now
	Histogram Type = "histogram" // counts by size, in fixed buckets and in native ones
)

// A Metric is one row of the list.
type Metric struct {
	Name    string
	Type    Type
	Unit    string // empty: a plain number
	Labels  []string
	Start   [][]string // values of the labels that exist, at 0, from the start; nil: none is known then
	Meaning string
	Do      string    // what to do when it moves; empty: nothing
	Buckets []float64 // upper bounds of a histogram, ascending
}

// Of returns the metric of a name. It panics if there is none.
func Of(name string) Metric {
	for _, m := range All {
		if m.Name == name {
			return m
		}
	}
	panic(fmt.Sprintf("metric %s is not in the list", name))
}

// of is Of, for one of the types.
func of(name string, types ...Type) Metric {
	m := Of(name)
	if !slices.Contains(types, m.Type) {
		panic(fmt.Sprintf("metric %s is a %s", name, m.Type))
	}
	return m
}

// IsAlarm reports whether it is worth an alarm when it moves.
func (m Metric) IsAlarm() bool { return strings.Contains(m.Meaning, "Alarm if") }

func (m Metric) opts() prometheus.Opts { return prometheus.Opts{Name: m.Name, Help: m.Meaning} }

// Desc describes a metric for a collector of its own.
func Desc(name string) *prometheus.Desc {
	m := of(name, Counter, Gauge)
	return prometheus.NewDesc(m.Name, m.Meaning, m.Labels, nil)
}

// NewCounters returns a counter with its labels, and the series of the start.
func NewCounters(name string) *prometheus.CounterVec {
	m := of(name, Counter)
	v := prometheus.NewCounterVec(prometheus.CounterOpts(m.opts()), m.Labels)
	for _, labels := range m.Start {
		v.WithLabelValues(labels...)
	}
	return v
}

// NewCounterFunc returns a counter without labels that f counts.
func NewCounterFunc(name string, f func() float64) prometheus.CounterFunc {
	return prometheus.NewCounterFunc(prometheus.CounterOpts(of(name, Counter).opts()), f)
}

// NewGauge returns a gauge without labels.
func NewGauge(name string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts(of(name, Gauge).opts()))
}

// NewGauges returns a gauge with its labels, and the series of the start.
func NewGauges(name string) *prometheus.GaugeVec {
	m := of(name, Gauge)
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts(m.opts()), m.Labels)
	for _, labels := range m.Start {
		v.WithLabelValues(labels...)
	}
	return v
}

// NewGaugeFunc returns a gauge without labels that f measures.
func NewGaugeFunc(name string, f func() float64) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts(of(name, Gauge).opts()), f)
}

// Native histograms: each bucket is a tenth wider than the one before, as long as
// there are no more than so many.
const (
	nativeFactor = 1.1
	nativeMost   = 160
)

// NewHistograms returns a histogram with its labels, and the series of the start. A
// scraper that knows native histograms gets those, any other the fixed buckets.
func NewHistograms(name string) *prometheus.HistogramVec {
	m := of(name, Histogram)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: m.Name, Help: m.Meaning, Buckets: m.Buckets,
		NativeHistogramBucketFactor: nativeFactor, NativeHistogramMaxBucketNumber: nativeMost,
	}, m.Labels)
	for _, labels := range m.Start {
		v.WithLabelValues(labels...)
	}
	return v
}
