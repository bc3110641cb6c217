package pipeline

import (
	"context"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"paylink/internal/event"
)

// told says of an intent all that is to be traced. It returns what its call is made with.
func told(e *Engine, t *task, dec *event.Decoded) context.Context {
	t.trail = e.trail(t)
	t.trail.read()
	ctx, answered := t.trail.call(t, false)
	answered(answer{})
	t.trail.sends("payment-outcomes")
	t.trail.carry(dec)
	t.trail.sent(nil)
	t.trail.end("created", "", 1)
	return ctx
}

// untraced is all that is said of an intent that nobody traces.
func untraced() (say func()) {
	e, task, dec := &Engine{}, &task{worker: &worker{}}, event.Decoded{}
	c := core{todo: &todo{}}
	return func() {
		told(e, task, &dec)
		c.ends(task, handedOver)
		if task.trail.isSeen() || task.traceID() != "" {
			panic("there is a trace")
		}
	}
}

func TestWithoutTracesNothingIsAllocated(t *testing.T) {
	if n := testing.AllocsPerRun(100, untraced()); n != 0 {
		t.Errorf("%v allocations for an intent that nobody traces, want none", n)
	}
}

// countingTracer counts the spans that are begun.
type countingTracer struct {
	trace.Tracer
	n int
}

func (c *countingTracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	c.n++
	return c.Tracer.Start(ctx, name, opts...)
}

func TestOfATraceThatIsNotSampledOnlyTheIDIsMade(t *testing.T) {
	tracer := &countingTracer{Tracer: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())).Tracer("")}
	e, task, dec := &Engine{cfg: Config{Tracing: Tracing{Tracer: tracer}}}, &task{worker: &worker{ctx: t.Context()}}, event.Decoded{}
	ctx := told(e, task, &dec)
	if tracer.n != 1 || task.trail.isSeen() || dec.Trace != nil {
		t.Errorf("%d spans, carried on %v; want one that nobody sees", tracer.n, dec.Trace)
	}
	if id := task.traceID(); id == "" || id != trace.SpanContextFromContext(ctx).TraceID().String() {
		t.Errorf("trace id %q for the log; the call has another", id)
	}
}

func TestExemplarsAreForEachDoublingAndSecond(t *testing.T) {
	var e exemplars
	at := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		after, took time.Duration
		want        bool
	}{
		{0, 50 * time.Millisecond, true},
		{10 * time.Millisecond, 51 * time.Millisecond, false},
		{20 * time.Millisecond, 5 * time.Second, true}, // what is rare is shown
		{time.Second, 52 * time.Millisecond, true},
		{time.Second, 0, true},
	} {
		if got := e.due(tt.took, at.Add(tt.after)); got != tt.want {
			t.Errorf("after %v, a time of %v: due %v, want %v", tt.after, tt.took, got, tt.want)
		}
	}
}

// BenchmarkUntraced is what traces cost that are off, per intent: compare BenchmarkSettle.
func BenchmarkUntraced(b *testing.B) {
	for say := untraced(); b.Loop(); {
		say()
	}
}
