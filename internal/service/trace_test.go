package service_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/service"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// settleOne runs the service until it has settled an intent, and returns the outcome,
// and all that was logged or shown.
func settleOne(t *testing.T) (outcome event.Message, said string) {
	t.Helper()
	stack, cfg := world(t)
	var out buffer
	log, err := service.Logger(cfg, &out)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	ended, admin := make(chan error, 1), make(chan net.Addr, 1)
	go func() {
		ended <- service.Run(ctx, cfg, service.Deps{Log: log, Version: "v1.2.3", Getenv: os.Getenv, OnAdmin: func(a net.Addr) { admin <- a }})
	}()
	value := fmt.Sprintf(`{"intent_id":"one","amount":"1500.00","description":"top-up","user_phone":%q}`, phone)
	m := event.Message{Key: []byte("one"), Value: []byte(value), Headers: []event.Header{{Key: "traceparent", Value: []byte(traceParent)}}}
	if err := stack.Broker.Kafka().Emit(ctx, devstack.Intents, m); err != nil {
		t.Fatal(err)
	}
	got, err := stack.Broker.Kafka().ReadN(ctx, devstack.Outcomes, devstack.ReadUncommitted, 1)
	if err != nil {
		t.Fatalf("read the outcome: %v\n%s", err, out.String())
	}
	said = openMetrics(t, "http://"+(<-admin).String()+"/metrics")
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	return got[0].Message, said + out.String()
}

func openMetrics(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestACollectorGetsTheTraceAndNothingPersonal(t *testing.T) {
	var mu sync.Mutex
	var got bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/v1/traces" || r.Header.Get("Api-Key") != "collector-canary" {
			t.Errorf("%s %s with %v", r.Method, r.URL, r.Header)
		}
		if _, err := io.Copy(&got, r.Body); err != nil {
			t.Error(err)
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=collector-canary")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod")
	outcome, said := settleOne(t)
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{
		"process payment-intents", "decode", "init", "POST /init_payment.php", "send payment-outcomes", "v1.2.3", "paylink", "prod",
		"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c", "http.response.status_code", "messaging.system",
	} {
		if !bytes.Contains(got.Bytes(), []byte(want)) {
			t.Errorf("%q is not among the spans", want)
		}
	}
	for _, secret := range []string{canary, phone, "pg_sig", "customer="} {
		if bytes.Contains(got.Bytes(), []byte(secret)) {
			t.Errorf("%q was exported", secret)
		}
		if strings.Contains(said, secret) {
			t.Errorf("%q was logged", secret)
		}
	}
	parent := string(outcome.Header("traceparent"))
	if !strings.HasPrefix(parent, traceParent[:36]) || parent == traceParent {
		t.Errorf("outcome's traceparent = %q, want a span of ours in the emitter's trace", parent)
	}
	if !strings.Contains(said, `# {trace_id="0af7651916cd43dd8448eb211c80319c"}`) {
		t.Error("the histograms show no trace")
	}
}

// A collector that takes everything and answers nothing. Were it waited for, it would be
// for an hour: at the stop, or once the queue is full.
func TestACollectorThatHangsStopsNothing(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var taken sync.WaitGroup
			defer taken.Wait()
			defer l.Close()
			taken.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
				}
			})
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			for _, name := range []string{"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_BSP_EXPORT_TIMEOUT"} {
				t.Setenv(name, "3600000")
			}
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
			t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
			outcome, _ := settleOne(t)
			if v := string(outcome.Value); !strings.Contains(v, `"payment-created"`) {
				t.Errorf("outcome = %s, want a payment-created", v)
			}
		})
	}
}

// What the variables say wrongly is told at the start, by the variable's name.
func TestVariablesOfTracesAreJudgedAtTheStart(t *testing.T) {
	_, cfg := world(t)
	log, err := service.Logger(cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"OTEL_TRACES_EXPORTER=zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=udp"} {
		name, value, _ := strings.Cut(wrong, "=")
		set := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", name: value}
		err := service.Run(t.Context(), cfg, service.Deps{Log: log, Getenv: func(name string) string { return set[name] }})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: Run = %v, want an error that names the variable", wrong, err)
		}
	}
}

func TestTracesAreOffUnlessAskedFor(t *testing.T) {
	for _, set := range [][]string{
		nil, {"OTEL_TRACES_EXPORTER=none", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"},
		{"OTEL_SDK_DISABLED=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://127.0.0.1:1"},
	} {
		t.Run(fmt.Sprint(set), func(t *testing.T) {
			for _, pair := range set {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			outcome, said := settleOne(t)
			if got := string(outcome.Header("traceparent")); got != traceParent || strings.Contains(said, "# {trace_id") {
				t.Errorf("outcome's traceparent = %q, want the emitter's, and no exemplar", got)
			}
		})
	}
}
