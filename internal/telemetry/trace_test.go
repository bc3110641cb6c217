package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/trace"

	"paylink/internal/telemetry"
)

// TestTheQueueOfSpansTakesABurst: a collector does not answer before all of it is made.
func TestTheQueueOfSpansTakesABurst(t *testing.T) {
	const burst = 10_000 // the spans of 1,600 intents
	for _, tt := range []struct {
		name, queue string
		want        func(spans int64) bool
	}{
		{"ours", "", func(n int64) bool { return n == burst }},
		{"that of the variable", "100", func(n int64) bool { return n > 0 && n <= 1000 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var spans atomic.Int64
			made := make(chan struct{})
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				<-made
				spans.Add(int64(bytes.Count(body, []byte("one-of-a-burst"))))
			}))
			defer collector.Close()
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", tt.queue)
			t.Setenv("OTEL_TRACES_SAMPLER", "always_on")
			log := logrus.New()
			log.SetOutput(io.Discard)
			traces, err := telemetry.NewTraces(t.Context(), "dev", os.Getenv, log)
			if err != nil {
				t.Fatal(err)
			}
			for range burst {
				_, span := traces.Tracer().Start(context.Background(), "one-of-a-burst")
				span.End()
			}
			close(made)
			traces.Close()
			if got := spans.Load(); !tt.want(got) {
				t.Errorf("%d of %d spans have come", got, burst)
			}
		})
	}
}

// TestAnEmittersTraceIsKept, and of others so many that traces cost little; unless the
// variable says otherwise.
func TestAnEmittersTraceIsKept(t *testing.T) {
	emitters := func(flags trace.TraceFlags) context.Context {
		return trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: flags, Remote: true,
		}))
	}
	for _, tt := range []struct {
		name, sampler string
		ctx           context.Context
		least, most   int
	}{
		{"kept by its emitter", "", emitters(trace.FlagsSampled), 5000, 5000},
		{"not kept by its emitter", "", emitters(0), 0, 0},
		{"without an emitter's", "", context.Background(), 200, 4999},
		{"all of them", "always_on", context.Background(), 5000, 5000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
			t.Setenv("OTEL_TRACES_SAMPLER", tt.sampler)
			log := logrus.New()
			log.SetOutput(io.Discard)
			traces, err := telemetry.NewTraces(t.Context(), "dev", os.Getenv, log)
			if err != nil {
				t.Fatal(err)
			}
			defer traces.Close()
			kept := 0
			for range 5000 {
				_, span := traces.Tracer().Start(tt.ctx, "process")
				if span.SpanContext().IsSampled() {
					kept++
				}
				span.End()
			}
			if kept < tt.least || kept > tt.most {
				t.Errorf("%d of 5000 traces are kept, want %d to %d", kept, tt.least, tt.most)
			}
		})
	}
}

// TestWhatTheLibraryCannotReadIsNotQuoted: OpenTelemetry's library writes to standard
// error, past every log, what it cannot read. So the test is a process of its own.
func TestWhatTheLibraryCannotReadIsNotQuoted(t *testing.T) {
	const canary, child = "c4nary", "PAYLINK_TEST_CHILD"
	if os.Getenv(child) != "" {
		log := logrus.New()
		traces, err := telemetry.NewTraces(t.Context(), "dev", os.Getenv, log)
		if err != nil {
			t.Fatal(err)
		}
		traces.Close()
		return
	}
	const endpoint, headers = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"
	for name, tt := range map[string]struct{ variable, value string }{
		"a colon":                  {headers, "Authorization: Bearer " + canary},
		"a bad escape":             {headers, "x-api-key=%zz" + canary},
		"a name with a blank":      {headers, "Authorization Bearer " + canary + "=="},
		"an endpoint with a login": {endpoint, "http://me:%zz" + canary + "@127.0.0.1:9"},
		"a timeout":                {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", canary},
		"a certificate":            {"OTEL_EXPORTER_OTLP_CERTIFICATE", "/none/" + canary},
		"all good":                 {headers, "authorization=Basic%20" + canary + "=,x-api-key=a==,"},
	} {
		for _, protocol := range []string{"http/protobuf", "grpc"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				cmd := exec.Command(os.Args[0], "-test.run=^TestWhatTheLibraryCannotReadIsNotQuoted$")
				cmd.Env = append(os.Environ(), child+"=1", endpoint+"=http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, tt.variable+"="+tt.value)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				if told := strings.Contains(string(out), "variable="+tt.variable); told == (name == "all good") || strings.Contains(string(out), canary) {
					t.Errorf("told %v:\n%s", told, out)
				}
			})
		}
	}
}
