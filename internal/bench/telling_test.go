package bench

import (
	"bytes"
	"context"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/sirupsen/logrus"

	"paylink/internal/telemetry"
)

func TestAnObserverCountsIntentsAndPassesWarningsOn(t *testing.T) {
	var others bytes.Buffer
	w := &observer{others: &others}
	for _, piece := range []string{
		`{"level":"info","message":"paylink starts"}` + "\n" + `{"level":"info","mess`, `age":"settled","intent_id":"b-1"}` + "\n",
		`{"level":"warning","message":"spans could not be exported"}` + "\n", `{"level":"info","message":"settled"}` + "\n{",
	} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if w.lines != 2 || others.String() != `{"level":"warning","message":"spans could not be exported"}`+"\n" {
		t.Errorf("%d lines of intents, passed on %q", w.lines, others.String())
	}
}

func TestACollectorCountsWhatTheServiceExports(t *testing.T) {
	c, err := startCollector(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.server.URL)
	env := func(name string) string {
		return map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "always_on"}[name]
	}
	t.Setenv("OTEL_TRACES_SAMPLER", "always_on") // the library reads it by itself
	traces, err := telemetry.NewTraces(t.Context(), "dev", env, logrus.New())
	if err != nil {
		t.Fatal(err)
	}
	for range 700 {
		_, span := traces.Tracer().Start(context.Background(), "init", trace.WithSpanKind(trace.SpanKindClient))
		span.End()
	}
	traces.Close()
	if got := c.count(); got != 700 {
		t.Errorf("%d spans, want 700", got)
	}
	if got := messagesAt([]byte{0x0a, 0xff}, 1); got != 0 {
		t.Errorf("%d messages in what is broken, want none", got)
	}
}
