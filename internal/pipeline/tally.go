package pipeline

import (
	"cmp"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"paylink/internal/metric"
)

// A Count is one series of a counter, as console and API show it.
type Count struct {
	Labels [2]string // in the order of the metric's; empty where it has fewer
	N      uint64
}

// A tally is a counter that can be read back: what the console shows is what the
// metric says, without asking the metrics' registry for it by name. It may be used
// by several goroutines at once.
type tally struct {
	vec    *prometheus.CounterVec
	labels int

	mu     sync.Mutex
	series map[[2]string]*series
}

type series struct {
	counter prometheus.Counter
	n       uint64
}

func newTally(name string) *tally {
	t := &tally{
		vec:    metric.NewCounters(name),
		labels: len(metric.Of(name).Labels), series: map[[2]string]*series{},
	}
	if t.labels == 0 {
		t.add(0)
	}
	return t
}

func (t *tally) inc(labels ...string) { t.add(1, labels...) }

func (t *tally) add(n int, labels ...string) {
	var key [2]string
	copy(key[:], labels)
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.series[key]
	if s == nil {
		s = &series{counter: t.vec.WithLabelValues(key[:t.labels]...)}
		t.series[key] = s
	}
	s.counter.Add(float64(n))
	s.n += uint64(n)
}

// counts returns all series, by their labels.
func (t *tally) counts() []Count {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Count, 0, len(t.series))
	for labels, s := range t.series {
		out = append(out, Count{labels, s.n})
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Labels[0], b.Labels[0]), cmp.Compare(a.Labels[1], b.Labels[1]))
	})
	return out
}

// total is the sum of all series.
func (t *tally) total() (n uint64) {
	for _, c := range t.counts() {
		n += c.N
	}
	return n
}
