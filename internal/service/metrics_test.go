package service

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus/hooks/test"

	"paylink/internal/config"
)

// described returns the help of every metric that the service registers, also of
// those that nothing was counted in yet.
func described(t *testing.T) map[string]string {
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
	parts, all := regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]+)"`), map[string]string{}
	for d := range found {
		if m := parts.FindStringSubmatch(d.String()); m != nil {
			all[m[1]] = m[2]
		}
	}
	return all
}

// section is a part of the README, from its heading to the next.
func section(t *testing.T, heading string) (part, whole string) {
	t.Helper()
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(data), "\n"+heading+"\n")
	if !found {
		t.Fatalf("README has no %q", heading)
	}
	part, _, _ = strings.Cut(part, "\n#")
	return part, string(data)
}

func TestREADMEAndTheMetricsSayTheSame(t *testing.T) {
	metrics, names := described(t), regexp.MustCompile(`\bpaylink_[a-z_]+\b`)
	if len(metrics) < 20 {
		t.Fatalf("%d metrics, want all of them: %v", len(metrics), slices.Sorted(maps.Keys(metrics)))
	}
	table, whole := section(t, "### At 3 a.m.")
	for _, name := range names.FindAllString(whole, -1) {
		if metrics[name] == "" {
			t.Errorf("README names %s, which is no metric", name)
		}
	}
	alarms := names.FindAllString(table, -1)
	for name, help := range metrics {
		if strings.Contains(strings.ToLower(help), "alarm") && !slices.Contains(alarms, name) {
			t.Errorf("%s: its help says %q, but README's table of alarms lacks it", name, help)
		}
	}
	for _, name := range []string{metricDown, metricSecond, metricVanished} {
		if metrics[name] == "" {
			t.Errorf("the console reads %s, which is no metric", name)
		}
	}
	for name := range plain {
		if metrics[name] == "" {
			t.Errorf("the console shows %s, which is no metric", name)
		}
	}
}
