package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"

	"github.com/sirupsen/logrus"

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
