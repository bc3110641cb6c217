package pipeline

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"paylink/internal/metric"
)

const (
	// mostHosts is how many gateway hosts have a series of their own: merchants may have
	// as many hosts as there are merchants.
	mostHosts = 100

	// otherHosts is the series of the rest, and no host's name.
	otherHosts = "other hosts"
)

// outages are the series of paylink_gateway_down: one of each gateway host, from the
// start. Several goroutines may use them.
type outages struct {
	series *prometheus.GaugeVec

	mu    sync.Mutex
	named map[string]bool // hosts with a series of their own; nil: all, as it is not known which there are
	rest  bool            // there are more
	down  map[string]bool
}

func newOutages() *outages {
	return &outages{series: metric.NewGauges("paylink_gateway_down"), down: map[string]bool{}}
}

// know takes in which hosts there are, in order.
func (o *outages) know(hosts []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.named
	o.named, o.rest = map[string]bool{}, len(hosts) > mostHosts
	for _, host := range hosts[:min(mostHosts, len(hosts))] {
		o.named[host] = true
	}
	for host := range was {
		if !o.named[host] {
			o.series.DeleteLabelValues(host)
		}
	}
	for host := range o.named {
		o.tell(host)
	}
	o.tellRest()
}

// set takes in whether a host is down. gone says that nobody has it any more, as far as
// is seen.
func (o *outages) set(host string, down, gone bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if delete(o.down, host); down {
		o.down[host] = true
	}
	switch {
	case o.named[host], o.named == nil && !gone:
		o.tell(host)
	case o.named == nil:
		o.series.DeleteLabelValues(host)
	default:
		o.tellRest()
	}
}

func (o *outages) tell(host string) { o.series.WithLabelValues(host).Set(gaugeOf(o.down[host])) }

// tellRest tells how many of the rest are down.
func (o *outages) tellRest() {
	n := 0
	for host := range o.down {
		if !o.named[host] {
			n++
		}
	}
	if n == 0 && !o.rest {
		o.series.DeleteLabelValues(otherHosts)
		return
	}
	o.series.WithLabelValues(otherHosts).Set(float64(n))
}

func gaugeOf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
