package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// settingsOf are the settings that an error's lines begin with.
func settingsOf(err error) (names []string) {
	for _, line := range Lines(err) {
		name, _, _ := strings.Cut(line, ": ")
		names = append(names, name)
	}
	return names
}

func TestEverythingWrongIsToldAtOnce(t *testing.T) {
	for _, c := range []struct {
		name    string
		environ []string
		args    []string
		want    []string // settings, in this order
	}{
		{"nothing is set", nil, nil, []string{"PAYLINK_KAFKA_BROKERS", "PAYLINK_MERCHANT_ID", "PAYLINK_MERCHANT_SECRET"}},
		{"what cannot be read comes first, then the rest", []string{"PAYLINK_CONCURRENCY=many", "PAYLINK_RATE=fast", "PAYLINK_KAFKA_TLS_ENABLED=maybe", "PAYLINK_TOPIC_INTENTS=a/b"}, []string{"--log-level=loud"},
			[]string{"--log-level (PAYLINK_LOG_LEVEL)", "PAYLINK_KAFKA_TLS_ENABLED", "PAYLINK_RATE", "PAYLINK_CONCURRENCY", "PAYLINK_KAFKA_BROKERS", "PAYLINK_TOPIC_INTENTS", "PAYLINK_MERCHANT_ID", "PAYLINK_MERCHANT_SECRET"}},
		{"several of each room", good("PAYLINK_KAFKA_BROKERS=one,two", "PAYLINK_KAFKA_GROUP=a b", "PAYLINK_GATEWAY_URL=x", "PAYLINK_LOCK_FIELDS=amount", "PAYLINK_ALLOW_HOSTS=*", "PAYLINK_CONCURRENCY=0", "PAYLINK_SCHEMA_REGISTRY_URL=r", "PAYLINK_ADMIN_ADDR=1", "PAYLINK_ADMIN_TOKEN=short"), nil,
			[]string{"PAYLINK_KAFKA_BROKERS", "PAYLINK_KAFKA_BROKERS", "PAYLINK_KAFKA_GROUP", "PAYLINK_GATEWAY_URL", "PAYLINK_ALLOW_HOSTS", "PAYLINK_LOCK_FIELDS", "PAYLINK_CONCURRENCY", "PAYLINK_SCHEMA_REGISTRY_URL", "PAYLINK_ADMIN_ADDR", "PAYLINK_ADMIN_TOKEN"}},
		{"nothing is compared with what cannot be read", good("PAYLINK_KAFKA_REBALANCE_TIMEOUT=90", "PAYLINK_DRAIN_TIMEOUT=60s"), nil, []string{"PAYLINK_KAFKA_REBALANCE_TIMEOUT"}},
		{"nothing is compared with what is wrong", good("PAYLINK_DRAIN_TIMEOUT=55s", "PAYLINK_GATEWAY_TIMEOUT=56s"), nil, []string{"PAYLINK_DRAIN_TIMEOUT"}},
		{"what is wrong twice is told once", good("PAYLINK_KAFKA_SASL_MECHANISM=gssapi", "PAYLINK_KAFKA_SASL_USERNAME=u"), nil, []string{"PAYLINK_KAFKA_SASL_MECHANISM"}},
		{"a secret as a flag is not missing, too", []string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_MERCHANT_ID=1"}, []string{"--merchant-secret=" + canary}, []string{"--merchant-secret (PAYLINK_MERCHANT_SECRET)"}},
	} {
		for range 3 { // in the same order each time
			_, _, err := parse(c.environ, c.args...)
			if err == nil {
				t.Fatalf("%s: no error", c.name)
			}
			if diff := cmp.Diff(c.want, settingsOf(err)); diff != "" {
				t.Errorf("%s: %s\n%s", c.name, diff, strings.Join(Lines(err), "\n"))
			}
			if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: the error holds a secret, or more than a line: %q", c.name, err)
			}
		}
	}
}

func TestAllKeysOfASettingsFileAreJudged(t *testing.T) {
	file := write(t, "paylink.yaml", "kafka_broker: x:1\nrate: {a: b}\nconcurrency: many\ngroup: [1]\n")
	_, _, err := parse(good("PAYLINK_CONFIG=" + file))
	want := []string{file + " line 1", file + " line 2, rate", file + " line 4", file + " line 3, concurrency"}
	if diff := cmp.Diff(want, settingsOf(err)); diff != "" {
		t.Errorf("%s\n%v", diff, err)
	}
	broken := write(t, "broken.yaml", "a: b: "+canary+"\n")
	_, _, err = parse([]string{"PAYLINK_CONFIG=" + broken})
	if err == nil || len(Lines(err)) != 1 {
		t.Errorf("a file that cannot be read: %v, want that alone: what is missing may stand in it", err)
	}
}

func TestAllMerchantsOfAFileAreJudged(t *testing.T) {
	var b strings.Builder
	for i := range mostLines + 10 {
		fmt.Fprintf(&b, "- id: shop%d\n  secret: x\n", i)
	}
	b.WriteString("- id: 1\n  secret: x\n- id: 1\n  secret: x\n")
	file := write(t, "merchants.yaml", b.String())
	_, _, err := parse([]string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_MERCHANTS_FILE=" + file})
	if err == nil {
		t.Fatal("bad merchants are taken")
	}
	lines := Lines(err)
	if len(lines) != mostLines+1 || lines[mostLines] != "and 11 more" || !strings.HasPrefix(lines[1], file+" line 3, id: ") {
		t.Errorf("%d lines, the second %q, the last %q; want %d, line 3's, and 11 more", len(lines), lines[1], lines[len(lines)-1], mostLines+1)
	}
	if slices.Contains(lines, "") {
		t.Error("a line is empty")
	}
}
