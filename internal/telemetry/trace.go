package telemetry

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"paylink/internal/burst"
)

// closeTraces is how long spans that are not exported yet are waited for at the end.
const closeTraces = 2 * time.Second

// Traces are how spans leave the process: in batches, in the background, from a queue
// of a bounded length. A collector that is slow, or away, costs spans and nothing else.
// Nil Traces are none.
type Traces struct {
	provider *sdktrace.TracerProvider
	exporter telling
}

// NewTraces returns what the standard variables ask for (OTEL_TRACES_EXPORTER,
// OTEL_EXPORTER_OTLP_ENDPOINT, …), or nil if they ask for none. getenv gives those that
// choose; all others (OTEL_TRACES_SAMPLER, OTEL_BSP_MAX_QUEUE_SIZE, …) the libraries
// read from the process's environment by themselves. No collector need be there yet.
// The log is told, once per burst, what could not be exported.
func NewTraces(ctx context.Context, version string, getenv func(string) string, log logrus.FieldLogger) (*Traces, error) {
	wanted, err := wantsTraces(getenv)
	if !wanted || err != nil {
		return nil, err
	}
	tellGarbled(getenv, log)
	client, err := otlpClient(getenv)
	if err != nil {
		return nil, err
	}
	Hide(log, headerValues(getenv)...)
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	// Later ones win: what the environment says of the service is true.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("paylink"), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("traces: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	told := telling{exporter, log, burst.New(1)}
	options := append(sampler(getenv), sdktrace.WithBatcher(told, sizes(getenv)...), sdktrace.WithResource(about))
	return &Traces{sdktrace.NewTracerProvider(options...), told}, nil
}

// The queue of spans, and how many of them are sent at a time: about a megabyte. With
// the library's sizes, 2048 and 512, two spans of three are lost at 5,000 intents a
// second, since one batch is sent after the other.
const (
	queuedSpans = 16384
	sentSpans   = 4096
)

// sizes are ours, unless the variables name one.
func sizes(getenv func(string) string) []sdktrace.BatchSpanProcessorOption {
	if getenv("OTEL_BSP_MAX_QUEUE_SIZE") != "" || getenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE") != "" {
		return nil // one may not be larger than the other: the library looks at both
	}
	return []sdktrace.BatchSpanProcessorOption{sdktrace.WithMaxQueueSize(queuedSpans), sdktrace.WithMaxExportBatchSize(sentSpans)}
}

// wantsTraces reports whether the variables ask for traces.
func wantsTraces(getenv func(string) string) (bool, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch name := getenv("OTEL_TRACES_EXPORTER"); name {
	case "":
		return getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "", nil
	case "otlp":
		return true, nil
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER %q: want otlp or none", name)
	}
}

// otlpClient returns a client that speaks the protocol that the variables name.
func otlpClient(getenv func(string) string) (otlptrace.Client, error) {
	name := "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	if getenv(name) == "" {
		name = "OTEL_EXPORTER_OTLP_PROTOCOL"
	}
	switch protocol := getenv(name); protocol {
	case "", "http/protobuf":
		return otlptracehttp.NewClient(), nil
	case "grpc":
		return otlptracegrpc.NewClient(), nil
	default:
		return nil, fmt.Errorf("%s %q: want http/protobuf or grpc", name, protocol)
	}
}

// Tracer returns what makes spans; nil if there are no traces.
func (t *Traces) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("paylink")
}

// Close exports what is left, for two seconds at most.
func (t *Traces) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTraces)
	defer cancel()
	if t.provider.Shutdown(ctx) != nil {
		_ = t.exporter.Shutdown(ctx) // ends what is still being exported; that it failed is told
	}
	t.exporter.bursts.Flush()
}

// telling is an exporter whose failures are told here: the library would write them to
// standard error by itself, one line for each.
type telling struct {
	sdktrace.SpanExporter
	log    logrus.FieldLogger
	bursts *burst.Log
}

// ExportSpans exports spans. It returns no error.
func (e telling) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.bursts.Say("export", func() {
			e.log.WithError(err).WithField("spans", len(spans)).Warn("spans could not be exported: they are lost, and nothing waits for them")
		}, func(more int) {
			e.log.WithField("more", more).Warn("more of the same in ten seconds: spans could not be exported")
		})
	}
	return nil
}
