package helm

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the goldens and the table of values")

const folder = "paylink" // of the chart

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// values reads a file of values; YAML that is laid over it wins.
func values(t *testing.T, file string, over ...string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	for _, text := range append([]string{string(data)}, over...) {
		layer := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &layer); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		all = util.MergeTables(layer, all)
	}
	return all
}

// render is "helm template shop chart --namespace payments": the manifests by the
// names of their templates, in one text.
func render(t *testing.T, vals map[string]any) (string, error) {
	t.Helper()
	c := load(t)
	top, err := util.ToRenderValues(c, vals, common.ReleaseOptions{Name: "shop", Namespace: "payments", IsInstall: true, Revision: 1}, nil)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(c, top)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text := strings.TrimSpace(files[name]); text != "" && strings.HasSuffix(name, ".yaml") {
			fmt.Fprintf(&all, "---\n# Source: %s\n%s\n", name, text)
		}
	}
	return all.String(), nil
}

// cases are the files of values that a golden belongs to.
func cases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files of values found, want at least 3 (%v)", len(files), err)
	}
	return files
}

func mustRender(t *testing.T, file string, over ...string) string {
	t.Helper()
	got, err := render(t, values(t, file, over...))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestManifestsAreTheGoldens(t *testing.T) {
	for _, file := range cases(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			golden, got := strings.Replace(file, ".values.", ".golden.", 1), mustRender(t, file)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-update writes it):\n%s", golden, diff)
			}
		})
	}
}

func TestHelmHasNothingToSay(t *testing.T) {
	for _, file := range cases(t) {
		for _, m := range lint.RunAll(folder, values(t, file), "payments").Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", file, m)
			}
		}
	}
}

// TestWrongValuesAreRefused lays each over the least values; the message has to
// name what is wrong.
func TestWrongValuesAreRefused(t *testing.T) {
	for over, want := range map[string]string{
		"config: {kafka_brokers: null}":                                     "/config/kafka_brokers",
		"config: {merchant_id: [1]}":                                        "/config/merchant_id",
		"config: {kafka_broker: a}":                                         "kafka_broker",
		"config: {merchant_secret: sesame}":                                 "merchant_secret",
		"config: {kafka_sasl_password: sesame}":                             "kafka_sasl_password",
		"config: {admin_addr: ':1'}":                                        "admin_addr",
		"config: {drain_timeout: 35}":                                       "/config/drain_timeout",
		"config: {drain_timeout: soon}":                                     "/config/drain_timeout",
		"config: {drain_timeout: null}":                                     "drain_timeout",
		"config: {log_level: loud}":                                         "/config/log_level",
		"config: {kafka_tls_enabled: 'yes'}":                                "/config/kafka_tls_enabled",
		"config: {concurrency: many}":                                       "/config/concurrency",
		"config: {merchant_secret_file: /x}":                                "files.merchant_secret_file and config.merchant_secret_file",
		"files: {merchant_secrets_file: {secret: a, key: b}}":               "merchant_secrets_file",
		"files: {kafka_tls_ca_file: {secret: a}}":                           "/files/kafka_tls_ca_file",
		"files: {kafka_tls_ca_file: {key: b}}":                              "/files/kafka_tls_ca_file",
		"files: {kafka_tls_ca_file: {secret: a, configMap: b, key: c}}":     "/files/kafka_tls_ca_file",
		"merchants: {secret: a}":                                            "merchants.secret excludes merchant_secret_file",
		"kind: DaemonSet":                                                   "/kind",
		"replicas: two":                                                     "/replicas",
		"replica: 2":                                                        "replica",
		"port: 80":                                                          "/port",
		"user: 0":                                                           "/user",
		"image: {digest: 'sha256:1'}":                                       "/image/digest",
		"image: {repository: 'paylink:1'}":                                  "/image/repository",
		"env: [{name: PAYLINK_RATE, value: 1/s}]":                           "/env/0/name",
		"probes: {startup: {path: startupz}}":                               "/probes/startup/path",
		"probes: {liveness: {tcpSocket: {port: 1}}}":                        "/probes/liveness",
		"podDisruptionBudget: {maxUnavailable: some}":                       "/podDisruptionBudget/maxUnavailable",
		"networkPolicy: {kafkaPorts: ['9092']}":                             "/networkPolicy/kafkaPorts/0",
		"serviceMonitor: {enabled: true}":                                   "networkPolicy.from",
		"keda: {enabled: true}":                                             "keda.serverAddress",
		"keda: {enabled: true, serverAddress: 'http://p', maxReplicas: 13}": "keda.maxReplicas",
		"keda: {enabled: true, serverAddress: 'http://p', minReplicas: 7}":  "keda.minReplicas",
		"keda: {threshold: 0}":                                              "/keda/threshold",
	} {
		_, err := render(t, values(t, "testdata/minimal.values.yaml", over))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a refusal that names %s", over, err, want)
		}
	}
}

// TestWhatIsMissingIsNamed begins with no values at all.
func TestWhatIsMissingIsNamed(t *testing.T) {
	for over, want := range map[string]string{
		"{}":                           "config.kafka_brokers is required",
		"config: {kafka_brokers: a:1}": "config.merchant_id is required",
		"config: {kafka_brokers: a:1, merchant_id: 1}":                                                         "files.merchant_secret_file is required",
		"{config: {kafka_brokers: a:1}, merchants: {secret: a}, files: {merchants_file: {secret: a, key: b}}}": "merchants.secret and merchants_file",
	} {
		vals := map[string]any{}
		if err := yaml.Unmarshal([]byte(over), &vals); err != nil {
			t.Fatal(err)
		}
		if _, err := render(t, vals); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a refusal that says %s", over, err, want)
		}
	}
}

// TestOnlyARestartReplacesPods changes a live setting, and one that is not.
func TestOnlyARestartReplacesPods(t *testing.T) {
	const least = "testdata/minimal.values.yaml"
	mark := func(over string) string {
		_, rest, _ := strings.Cut(mustRender(t, least, over), "paylink/restart: ")
		sum, _, _ := strings.Cut(rest, "\n")
		return sum
	}
	before := mark("{}")
	if len(before) != 64 {
		t.Fatalf("the mark is %q, want a SHA-256", before)
	}
	if mark("config: {rate: 40/s}") != before {
		t.Error("another rate, which is live, replaces the pods")
	}
	if mark("config: {kafka_group: other}") == before {
		t.Error("another group replaces no pod")
	}
}

func TestNumbersStayAsTheyAreWritten(t *testing.T) {
	got := mustRender(t, "testdata/minimal.values.yaml", "config: {merchant_id: 12345678}")
	if want := "\n    merchant_id: 12345678\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
}

func TestNamesFollowTheRelease(t *testing.T) {
	for over, want := range map[string]string{
		"{}":                         "\n  name: shop-paylink\n",
		"fullnameOverride: payments": "\n  name: payments\n",
	} {
		if got := mustRender(t, "testdata/minimal.values.yaml", over); !strings.Contains(got, want) {
			t.Errorf("%s: no object is called %q", over, want)
		}
	}
}
