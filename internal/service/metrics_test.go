package service

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus/hooks/test"

	"paylink/internal/config"
	"paylink/internal/metric"
	"paylink/internal/payment"
)

var update = flag.Bool("update", false, "write the table of metrics")

// registered returns the registry of a service that has not begun.
func registered(t testing.TB, more ...config.Merchant) *prometheus.Registry {
	t.Helper()
	cfg, err := config.Default()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Kafka.Brokers, cfg.Gateway.MerchantID, cfg.Gateway.Secret = []string{"nowhere:9092"}, "540001", "secret"
	if err := cfg.Prepare(); err != nil {
		t.Fatal(err)
	}
	cfg.Merchants = append(cfg.Merchants, more...)
	log, _ := test.NewNullLogger()
	s := &service{cfg: cfg, deps: Deps{Log: log}}
	if err := s.build(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.gateway.Close() })
	return s.registry
}

// A told is what the registry says of a metric, or the list.
type told struct{ help, labels string }

// described returns every metric of ours that the service registers, also those that
// have no series yet.
func described(t *testing.T) map[string]told {
	t.Helper()
	found, reg := make(chan *prometheus.Desc), registered(t)
	go func() {
		reg.Describe(found)
		close(found)
	}()
	parts, all := regexp.MustCompile(`fqName: "(paylink_[^"]+)", help: "([^"]+)".*, variableLabels: {(.*)}}`), map[string]told{}
	for d := range found {
		if m := parts.FindStringSubmatch(d.String()); m != nil {
			all[m[1]] = told{m[2], m[3]}
		}
	}
	return all
}

func TestEveryMetricIsMadeFromTheList(t *testing.T) {
	listed := map[string]told{}
	for _, m := range metric.All {
		if _, twice := listed[m.Name]; twice {
			t.Errorf("%s is listed twice", m.Name)
		}
		listed[m.Name] = told{m.Meaning, strings.Join(m.Labels, ",")}
	}
	if diff := cmp.Diff(listed, described(t), cmp.AllowUnexported(told{})); diff != "" {
		t.Errorf("listed (-) and registered (+):\n%s", diff)
	}
}

// TestSeriesStandAtZeroFromTheStart: a rate or an alarm can notice the first one only
// if there was a zero before.
func TestSeriesStandAtZeroFromTheStart(t *testing.T) {
	families, err := registered(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range families {
		for _, m := range f.Metric {
			got[f.GetName()]++
			v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			running := f.GetName() == "paylink_build_info" || f.GetName() == "paylink_kafka_end_age_seconds" // not in the group yet
			if strings.HasPrefix(f.GetName(), "paylink_") && !running && v != 0 {
				t.Errorf("%s{%v} begins at %v", f.GetName(), m.GetLabel(), v)
			}
		}
	}
	for _, m := range metric.All {
		if len(m.Start) > 0 && got[m.Name] < len(m.Start) {
			t.Errorf("%s has %d series at the start, want %d", m.Name, got[m.Name], len(m.Start))
		}
		if got[m.Name] == 0 && !slices.Contains(m.Labels, "partition") { // the group has given us none yet
			t.Errorf("%s has no series at the start", m.Name)
		}
	}
}

// manyMerchants are so many, each with a gateway of its own.
func manyMerchants(n int) (all []config.Merchant) {
	for i := range n {
		all = append(all, config.Merchant{Merchant: payment.Merchant{ID: payment.MerchantID(fmt.Sprint(600_001 + i)), Secret: "secret", GatewayURL: fmt.Sprintf("https://%d.example", i)}})
	}
	return all
}

// scrape is one answer to a scraper.
func scrape(h http.Handler) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// TestManyMerchantsMakeFewSeries: of the whole service, with all that its labels can be.
func TestManyMerchantsMakeFewSeries(t *testing.T) {
	page := scrape(promhttp.HandlerFor(registered(t, manyMerchants(5000)...), promhttp.HandlerOpts{}))
	series := regexp.MustCompile("(?m)^[a-z].*$").FindAllString(page, -1)
	if len(series) < 300 || len(series) > 1500 { // some are left for partitions and currencies
		t.Errorf("5,000 merchants make %d series, want at most 1,500", len(series))
	}
	t.Logf("%d series", len(series))
	if !strings.Contains(page, `paylink_gateway_down{gateway="other hosts"} 0`) {
		t.Error("nothing is told of the hosts that have no series")
	}
}

// BenchmarkScrape is one answer of the whole service to a scraper.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{0, 5000} {
		b.Run(fmt.Sprint(1+n), func(b *testing.B) {
			h := promhttp.HandlerFor(registered(b, manyMerchants(n)...), promhttp.HandlerOpts{})
			for b.Loop() {
				scrape(h)
			}
		})
	}
}

// constants returns the texts of a package's constants that have the type, or begin so.
func constants(t *testing.T, dir, is, begins string) (out []string) {
	t.Helper()
	files, err := filepath.Glob("../" + dir + "/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources of %s (%v)", dir, err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			kind, typed := spec.Type.(*ast.Ident)
			text, literal := spec.Values[0].(*ast.BasicLit)
			if literal && (typed && kind.Name == is || begins != "" && strings.HasPrefix(spec.Names[0].Name, begins)) {
				out = append(out, strings.Trim(text.Value, `"`))
			}
			return true
		})
	}
	return out
}

// TestLabelsOfTheStartAreThoseOfTheCode: the list enters no room, so it has the values
// a second time.
func TestLabelsOfTheStartAreThoseOfTheCode(t *testing.T) {
	classes := []string{"other"}
	for c := payment.InDoubt; c <= payment.Misconfigured; c++ {
		classes = append(classes, strings.ReplaceAll(c.String(), " ", "_"))
	}
	for _, c := range []struct {
		metric string
		label  int
		more   []string // that are no constants
		want   []string
	}{
		{"paylink_intents_settled_total", 1, []string{""}, constants(t, "payment", "Reason", "")},
		{"paylink_dead_letters_total", 0, nil, constants(t, "event", "DeadReason", "")},
		{"paylink_gateway_calls_total", 1, []string{"ok", "payment_of_another"}, slices.DeleteFunc(constants(t, "freedompay", "", "Cause"), func(c string) bool { return c == "unhealthy" })}, // of paylink check
		{"paylink_gateway_retries_total", 0, nil, classes},
	} {
		var got []string
		for _, labels := range metric.Of(c.metric).Start {
			got = append(got, labels[c.label])
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(slices.Concat(c.want, c.more)))
		if diff := cmp.Diff(slices.Compact(want), slices.Compact(got)); diff != "" {
			t.Errorf("%s: code (-), list (+):\n%s", c.metric, diff)
		}
	}
}

// metricsPage tells every metric; its table is written by -update.
const metricsPage = "../../deploy/metrics.md"

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestMetricsPageTellsEveryMetric(t *testing.T) {
	want := "\n| metric | type | unit | labels | means | when it moves |\n|---|---|---|---|---|---|\n"
	list := slices.SortedFunc(slices.Values(metric.All), func(a, b metric.Metric) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range list {
		want += fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s |\n", m.Name, m.Type, m.Unit, strings.Join(m.Labels, ", "), m.Meaning, m.Do)
	}
	want += "\n"
	before, rest, begins := strings.Cut(read(t, metricsPage), "<!-- metrics -->\n")
	got, after, ends := strings.Cut(rest, "<!-- end -->")
	if !begins || !ends {
		t.Fatalf("%s has no place for the metrics", metricsPage)
	}
	if *update {
		got = want
		if err := os.WriteFile(metricsPage, []byte(before+"<!-- metrics -->\n"+got+"<!-- end -->"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-update writes it):\n%s", metricsPage, diff)
	}
}

func TestEveryAlarmIsInTheTableOfAlarms(t *testing.T) {
	names := regexp.MustCompile(`\bpaylink_[a-z_]+\b`)
	_, table, found := strings.Cut(read(t, "../../deploy/operations.md"), "\n## Alarms\n")
	if !found {
		t.Fatal("deploy/operations.md has no table of alarms")
	}
	table, _, _ = strings.Cut(table, "\n#")
	alarms, rules := names.FindAllString(table, -1), names.FindAllString(read(t, "../../deploy/prometheus/alerts.yaml"), -1)
	for _, m := range metric.All {
		if !m.IsAlarm() {
			continue
		}
		if m.Do == "" {
			t.Errorf("%s is an alarm, and nobody says what to do", m.Name)
		}
		if !slices.Contains(alarms, m.Name) {
			t.Errorf("%s: its meaning says %q, but the table of alarms lacks it", m.Name, m.Meaning)
		}
		if !slices.Contains(rules, m.Name) {
			t.Errorf("%s: its meaning says %q, but deploy/prometheus/alerts.yaml lacks it", m.Name, m.Meaning)
		}
	}
	for _, name := range []string{"paylink_kafka_corrupt_batches_total", "paylink_kafka_records_lost_to_retention_total", "paylink_kafka_new_producer_ids_total", "paylink_kafka_fences_broken_total", "paylink_gateway_down", "paylink_second_payments_total", "paylink_intents_vanished_total"} {
		if !slices.Contains(alarms, name) {
			t.Errorf("the console alarms by %s, but the table of alarms lacks it", name)
		}
	}
}

// TestFilesNameOnlyMetrics: pages, alerts, dashboard and chart.
func TestFilesNameOnlyMetrics(t *testing.T) {
	names, known := regexp.MustCompile(`\bpaylink_[a-z_]+\b`), map[string]bool{}
	for _, m := range metric.All {
		known[m.Name] = true
		if m.Type == metric.Histogram {
			known[m.Name+"_bucket"], known[m.Name+"_sum"], known[m.Name+"_count"] = true, true, true
		}
	}
	files := []string{"../../README.md", "../../deploy/helm/paylink/values.yaml", "../../deploy/prometheus/alerts.yaml", "../../deploy/prometheus/alerts_test.yaml", "../../deploy/grafana/paylink.json"}
	pages, err := filepath.Glob("../../deploy/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages (%v)", err)
	}
	for _, file := range slices.Concat(files, pages) {
		for _, name := range names.FindAllString(read(t, file), -1) {
			if !known[name] {
				t.Errorf("%s names %s, which is no metric: %v", file, name, slices.Sorted(maps.Keys(known)))
			}
		}
	}
}

// BenchmarkConfigured is what a merchant without work costs: bytes of memory, with its
// secret kept out of the log.
func BenchmarkConfigured(b *testing.B) {
	const n = 10_000
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, "- id: %d\n  secret: %.16x\n  rate: %d/s\n", 600_001+i, sha256.Sum256(fmt.Append(nil, i)), 1+i%50)
	}
	name := filepath.Join(b.TempDir(), "merchants.yaml")
	if err := os.WriteFile(name, []byte(file.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	heap := func() float64 {
		var m runtime.MemStats
		for range 3 { // pools let go of what they hold after the second
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		begin := heap()
		all, err := config.Gateway{MerchantsFile: name, URL: "https://gateway.example"}.LoadMerchants()
		if err != nil {
			b.Fatal(err)
		}
		settings := heap()
		var ms merchants
		ms.replace(all)
		service := heap()
		log, err := Logger(config.Run{Merchants: all, Log: config.Log{Format: "json", Level: "info"}}, io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		log.Info("the first line")
		b.ReportMetric((settings-begin)/n, "settings_B/merchant")
		b.ReportMetric((service-settings)/n, "service_B/merchant")
		b.ReportMetric((heap()-service)/n, "mask_B/merchant")
		runtime.KeepAlive(all)
		runtime.KeepAlive(&ms)
		runtime.KeepAlive(log)
	}
}
