package metric

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestNamesFollowPrometheus: counters end in _total, times are in seconds.
func TestNamesFollowPrometheus(t *testing.T) {
	for _, m := range All {
		if !strings.HasPrefix(m.Name, "paylink_") || m.Meaning == "" {
			t.Errorf("%s: no prefix, or no meaning", m.Name)
		}
		if got, want := strings.HasSuffix(m.Name, "_total"), m.Type == Counter; got != want {
			t.Errorf("%s is a %s", m.Name, m.Type)
		}
		if got, want := strings.HasSuffix(m.Name, "_seconds"), m.Unit == "seconds"; got != want {
			t.Errorf("%s is in %s", m.Name, m.Unit)
		}
		if got, want := len(m.Buckets) > 0, m.Type == Histogram; got != want {
			t.Errorf("%s: a %s with %d buckets", m.Name, m.Type, len(m.Buckets))
		}
		if strings.ContainsAny(m.Meaning+m.Do, "|\n") {
			t.Errorf("%s breaks the table of the page", m.Name)
		}
		for _, labels := range m.Start {
			if len(labels) != len(m.Labels) {
				t.Errorf("%s begins with labels %q, has %q", m.Name, labels, m.Labels)
			}
		}
	}
}

// TestHistogramsAreNativeToo: those who know native ones get them beside the buckets.
func TestHistogramsAreNativeToo(t *testing.T) {
	reg, h := prometheus.NewRegistry(), NewHistograms("paylink_stage_seconds")
	reg.MustRegister(h)
	h.WithLabelValues("call").Observe(0.12)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range families[0].Metric {
		if got := m.GetHistogram(); len(got.GetBucket()) == 0 || got.Schema == nil {
			t.Errorf("%v: %d buckets, schema %v; want both", m.GetLabel(), len(got.GetBucket()), got.Schema)
		}
	}
}

func TestWhatIsNotListedIsNotMade(t *testing.T) {
	for name, make := range map[string]func(){
		"unknown":       func() { NewGauge("paylink_unknown") },
		"another type":  func() { NewGauge("paylink_intents_settled_total") },
		"no histogram":  func() { NewHistograms("paylink_gateway_down") },
		"not a counter": func() { NewCounters("paylink_gateway_down") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it was made")
				}
			}()
			make()
		})
	}
}
