package telemetry

import (
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// tracesPerSecond is how many traces begin here in a second, at most. All of an ordinary
// day are below it; at full speed all would cost half of an intent's CPU.
const tracesPerSecond = 200

// sampler is ours, unless a variable names one: the emitter decides; of intents without
// its trace so many a second are kept.
func sampler(getenv func(string) string) []sdktrace.TracerProviderOption {
	if getenv("OTEL_TRACES_SAMPLER") != "" {
		return nil
	}
	return []sdktrace.TracerProviderOption{
		sdktrace.WithSampler(sdktrace.ParentBased(atMost{rate.NewLimiter(tracesPerSecond, tracesPerSecond)})),
	}
}

// atMost is a sampler of traces that begin here.
type atMost struct{ limit *rate.Limiter }

// ShouldSample implements [sdktrace.Sampler].
func (s atMost) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState()}
	if s.limit.Allow() {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

// Description implements [sdktrace.Sampler].
func (s atMost) Description() string { return "AtMost" }
