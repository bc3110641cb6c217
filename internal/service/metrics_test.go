package service

import (
	"flag"
	"fmt"
	"maps"

	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus/hooks/test"

	"paylink/internal/config"
)

var update = flag.Bool("update", false, "write the table of metrics")

// A metric is what the registry says of it.
type metric struct{ help, labels string }

// described returns every metric that the service registers, also those that
// nothing was counted in yet.
func described(t *testing.T) map[string]metric {
	t.Helper()
	cfg, err := config.Default()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Kafka.Brokers, cfg.Gateway.MerchantID, cfg.Gateway.Secret = []string{"nowhere:9092"}, "540001", "secret"
	if err := cfg.Prepare(); err != nil {
		t.Fatal(err)
	}
	log, _ := test.NewNullLogger()
	s := &service{cfg: cfg, deps: Deps{Log: log}}
	if err := s.build(); err != nil {
		t.Fatal(err)
	}
	defer s.gateway.Close()
	found := make(chan *prometheus.Desc)
	go func() {
		s.registry.Describe(found)
		close(found)
	}()
	parts, all := regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]+)".*, constLabels: {(?:(\w+)=.*)?}, variableLabels: {(.*)}}`), map[string]metric{}
	for d := range found {
		if m := parts.FindStringSubmatch(d.String()); m != nil {
			all[m[1]] = metric{m[2], m[3] + m[4]} // none has both kinds of labels
		}
	}
	if len(all) < 20 {
		t.Fatalf("%d metrics, want all of them: %v", len(all), slices.Sorted(maps.Keys(all)))
	}
	return all
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
	want, metrics := "\n| metric | labels | counts |\n|---|---|---|\n", described(t)
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		if m := metrics[name]; strings.HasPrefix(name, "paylink_") {
			want += fmt.Sprintf("| `%s` | %s | %s |\n", name, strings.ReplaceAll(m.labels, ",", ", "), m.help)
		}
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
	metrics, names := described(t), regexp.MustCompile(`\bpaylink_[a-z_]+\b`)
	_, table, found := strings.Cut(read(t, "../../deploy/operations.md"), "\n## Alarms\n")
	if !found {
		t.Fatal("deploy/operations.md has no table of alarms")
	}
	table, _, _ = strings.Cut(table, "\n#")
	alarms := names.FindAllString(table, -1)
	for name, m := range metrics {
		if strings.Contains(strings.ToLower(m.help), "alarm") && !slices.Contains(alarms, name) {
			t.Errorf("%s: its help says %q, but the table of alarms lacks it", name, m.help)
		}
	}
	for _, name := range []string{"paylink_kafka_corrupt_batches_total", "paylink_kafka_records_lost_to_retention_total", "paylink_kafka_new_producer_ids_total", "paylink_kafka_fences_broken_total", "paylink_gateway_down", "paylink_second_payments_total", "paylink_intents_vanished_total"} {
		if !slices.Contains(alarms, name) {
			t.Errorf("the console alarms by %s, but the table of alarms lacks it", name)
		}
	}
}

func TestPagesNameOnlyMetrics(t *testing.T) {
	metrics, names := described(t), regexp.MustCompile(`\bpaylink_[a-z_]+\b`)
	pages, err := filepath.Glob("../../deploy/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages (%v)", err)
	}
	for _, page := range append(pages, "../../README.md") {
		for _, name := range names.FindAllString(read(t, page), -1) {
			if metrics[name].help == "" {
				t.Errorf("%s names %s, which is no metric", page, name)
			}
		}
	}
}
