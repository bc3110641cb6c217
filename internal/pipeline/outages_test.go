package pipeline

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/prometheus/client_golang/prometheus"
)

// TestEveryGatewayHasASeriesBeforeItFails: an alarm sees the first failure only if there
// was a zero before; and hosts without end are not series without end.
func TestEveryGatewayHasASeriesBeforeItFails(t *testing.T) {
	o := newOutages()
	want := func(what string, want map[string]float64) {
		t.Helper()
		got, all := map[string]float64{}, make(chan prometheus.Metric, 1000)
		o.series.Collect(all)
		close(all)
		for m := range all {
			var d dto.Metric
			if err := m.Write(&d); err != nil {
				t.Fatal(err)
			}
			got[d.GetLabel()[0].GetValue()] = d.GetGauge().GetValue()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", what, diff)
		}
	}
	o.know([]string{"a", "b"})
	want("start", map[string]float64{"a": 0, "b": 0})
	o.set("b", true, false)
	o.know([]string{"a", "b", "c"})
	want("another host", map[string]float64{"a": 0, "b": 1, "c": 0})
	o.set("b", false, true)
	want("a host that no work is for", map[string]float64{"a": 0, "b": 0, "c": 0})
	o.set("c", true, false)
	o.know([]string{"a", "b"})
	o.set("c", false, true)
	want("a host that is gone", map[string]float64{"a": 0, "b": 0})

	var hosts []string
	first, rest := map[string]float64{}, map[string]float64{}
	for i := range 5000 {
		hosts = append(hosts, fmt.Sprintf("%04d.example", i))
		if i < mostHosts {
			first[hosts[i]] = 0
		}
	}
	o.know(hosts)
	first[otherHosts] = 0
	want("many hosts", first)
	for _, host := range hosts {
		o.set(host, true, false)
		if _, ok := first[host]; ok {
			rest[host] = 1
		}
	}
	rest[otherHosts] = 4900
	want("all of them down", rest)
	for _, host := range hosts {
		o.set(host, false, false)
	}
	want("none any more", first)
}
