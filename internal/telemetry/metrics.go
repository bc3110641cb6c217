package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"paylink/internal/metric"
)

// NewRegistry returns a registry of metrics that holds those of the Go runtime,
// of the process, and paylink_build_info with the version as its label.
func NewRegistry(version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	info := metric.NewGauges("paylink_build_info")
	info.WithLabelValues(version).Set(1)
	reg.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}
