package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"paylink/internal/event"
	"paylink/internal/pipeline"
)

// The emitter's span, sampled and not.
const (
	emitterTrace = "0af7651916cd43dd8448eb211c80319c"
	emitterSpan  = "b7ad6b7169203331"
	sampled      = "00-" + emitterTrace + "-" + emitterSpan + "-01"
	unsampled    = "00-" + emitterTrace + "-" + emitterSpan + "-00"
)

// traced has an engine make spans, which are kept.
func traced(spans *tracetest.SpanRecorder) func(*pipeline.Config) {
	return func(c *pipeline.Config) {
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
		c.Tracing = pipeline.Tracing{Tracer: provider.Tracer("test"), Outcomes: "payment-outcomes", DeadLetters: "payment-dead-letters"}
	}
}

// emitTraced appends a record that names the emitter's span.
func (p *partition) emitTraced(value, traceParent string) {
	trace := []event.Header{{Key: "traceparent", Value: []byte(traceParent)}, {Key: "tracestate", Value: []byte("vendor=1")}}
	p.append(event.Message{Value: []byte(value), Time: time.Now(), Headers: trace}, "k")
}

// told are spans in the order in which they ended: the name, the parent's name, and
// what is said beside the semantic conventions.
func told(spans *tracetest.SpanRecorder) (all []string) {
	names := map[string]string{emitterSpan: "emitter"}
	for _, s := range spans.Started() {
		names[s.SpanContext().SpanID().String()] = s.Name()
	}
	for _, s := range spans.Ended() {
		line := fmt.Sprintf("%s < %s:", s.Name(), names[s.Parent().SpanID().String()])
		for _, a := range s.Attributes() {
			if key, ours := strings.CutPrefix(string(a.Key), "paylink."); ours && !strings.HasSuffix(key, "_id") || a.Key == "error.type" {
				line += fmt.Sprintf(" %s=%s", key, a.Value.String())
			}
		}
		all = append(all, line)
	}
	return all
}

// oneTrace checks that all spans are of the emitter's trace.
func oneTrace(t *testing.T, spans *tracetest.SpanRecorder) {
	t.Helper()
	for _, s := range spans.Ended() {
		if got := s.SpanContext().TraceID().String(); got != emitterTrace {
			t.Errorf("span %s is of trace %s, want the emitter's", s.Name(), got)
		}
	}
}

func header(m event.Message, key string) string { return string(m.Header(key)) }

func TestAnIntentsWayIsOneTrace(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = time.Second
		l.gate.opens["one"] = []answer{later(10 * time.Second), ok}
		spans := tracetest.NewSpanRecorder()
		m, p, _ := l.one(traced(spans))
		p.emitTraced(intent("one"), sampled)
		l.settles(time.Minute)
		after(time.Minute)
		same(t, "spans", told(spans), []string{
			"decode < process payment-intents:",
			"init < process payment-intents: attempts=1 class=in doubt error.type=http_429",
			"wait < process payment-intents:",
			"init < process payment-intents: attempts=2",
			"send payment-outcomes < process payment-intents:",
			"process payment-intents < emitter: outcome=created attempts=2",
			"status < process payment-intents: attempts=2", // whether there is another payment
		})
		oneTrace(t, spans)
		sends := spans.Ended()[4].SpanContext()
		same(t, "outcome's traceparent", header(p.outcomes[0].Message, "traceparent"), "00-"+emitterTrace+"-"+sends.SpanID().String()+"-01")
		same(t, "outcome's tracestate", header(p.outcomes[0].Message, "tracestate"), "vendor=1")
		same(t, "line's trace", m.log.lines("settled")[0].Data["trace_id"], any(emitterTrace))
		if wait := spans.Ended()[2]; wait.EndTime().Sub(wait.StartTime()) < 10*time.Second {
			t.Errorf("the wait took %v, want what the gateway asked for", wait.EndTime().Sub(wait.StartTime()))
		}
		same(t, "exemplars", m.exemplars(t), []string{"paylink_gateway_call_seconds " + emitterTrace, "paylink_intent_seconds " + emitterTrace})
	})
}

// exemplars returns the traces that histograms show, by metric.
func (m *member) exemplars(t *testing.T) (shown []string) {
	t.Helper()
	families, err := m.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			for _, b := range s.GetHistogram().GetBucket() {
				for _, label := range b.GetExemplar().GetLabel() {
					shown = append(shown, f.GetName()+" "+label.GetValue())
				}
			}
		}
	}
	return slices.Compact(shown)
}

// The next owner knows nothing of the spans before it, and goes on with the emitter's trace.
func TestTheNextOwnerGoesOnWithTheTrace(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.opens["one"] = []answer{later(10 * time.Minute), ok}
		before, behind := tracetest.NewSpanRecorder(), tracetest.NewSpanRecorder()
		m, p, _ := l.one(traced(before))
		p.emitTraced(intent("one"), sampled)
		p.emit("k", intent("waits"))
		after(500 * time.Millisecond)
		m.leave(t)
		same(t, "spans of the first owner", told(before), []string{
			"decode < process payment-intents:",
			"init < process payment-intents: attempts=1 class=in doubt error.type=http_429",
			"process payment-intents < emitter: outcome=handed over attempts=1",
		})
		next := l.start(traced(behind))
		next.source.take(0)
		l.settles(time.Minute)
		var all []string
		for i, s := range behind.Ended() {
			if s.SpanContext().TraceID().String() == emitterTrace {
				all = append(all, told(behind)[i])
			}
		}
		if len(all) < 4 || !slices.Contains(all, "process payment-intents < emitter: outcome=created attempts=1") {
			t.Errorf("spans of the next owner in the emitter's trace: %q", all)
		}
		oneTrace(t, before)
	})
}

func TestARepeatIsTracedAndCalledForNeverAgain(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		spans := tracetest.NewSpanRecorder()
		_, p, _ := l.one(traced(spans))
		p.emit("k", intent("one"))
		p.emit("k", "junk")
		after(time.Minute)
		n := len(spans.Ended())
		p.emitTraced(intent("one"), sampled)
		after(time.Minute)
		same(t, "spans of the repeat", told(spans)[n:], []string{
			"decode < process payment-intents:", "process payment-intents < emitter: outcome=repeated attempts=0",
		})
		buried := func(line string) bool {
			return strings.HasPrefix(line, "process payment-intents < : outcome=dead letter") && strings.HasSuffix(line, "reason=not_json")
		}
		if all := told(spans); !slices.ContainsFunc(all, buried) || !slices.Contains(all, "send payment-dead-letters < process payment-intents:") {
			t.Errorf("a dead letter's spans are not among %q", all)
		}
		sends := spans.Ended()[slices.Index(told(spans), "send payment-outcomes < process payment-intents:")].SpanContext()
		same(t, "traceparent of what had none", header(p.outcomes[0].Message, "traceparent"), "00-"+sends.TraceID().String()+"-"+sends.SpanID().String()+"-01")
	})
}

// What nobody will see is not named: the emitter's context is carried on as it is.
func TestWhatIsNotSampledCarriesTheEmittersSpanOn(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		spans := tracetest.NewSpanRecorder()
		m, p, _ := l.one(traced(spans))
		p.emitTraced(intent("one"), unsampled)
		l.settles(time.Minute)
		same(t, "spans", len(spans.Ended()), 0)
		same(t, "outcome's traceparent", header(p.outcomes[0].Message, "traceparent"), unsampled)
		same(t, "exemplars", m.exemplars(t), nil)
	})
}

func TestWithoutSpansTheEmittersTraceIsCarriedOn(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one()
		p.emitTraced(intent("one"), sampled)
		l.settles(time.Minute)
		same(t, "outcome's traceparent", header(p.outcomes[0].Message, "traceparent"), sampled)
		same(t, "line's trace", m.log.lines("settled")[0].Data["trace_id"], any(emitterTrace))
	})
}

func TestSpansHoldNothingPersonal(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		spans := tracetest.NewSpanRecorder()
		l.gate.opens["refused"] = []answer{refused}
		l.gate.opens["puzzling"] = []answer{puzzling, ok}
		_, p, _ := l.one(traced(spans))
		for _, id := range []string{"created", "refused", "puzzling"} {
			p.emitTraced(intent(id, `"user_phone":"77771234567","user_contact_email":"payer@example.com","user_ip":"203.0.113.7"`), sampled)
		}
		p.emit("", `{"intent_id":"bad","user_phone":"77771234567","amount":"x"}`)
		p.emit("", `77771234567`)
		l.settles(time.Minute)
		for _, s := range spans.Ended() {
			text := fmt.Sprint(s.Name(), s.Attributes(), s.Status(), s.Events())
			for _, personal := range []string{"77771234567", "payer@example.com", "203.0.113.7", "https://pay.example", "top-up"} {
				if strings.Contains(text, personal) {
					t.Errorf("span %q holds %q", text, personal)
				}
			}
		}
		same(t, "created, refused, puzzling, bad and junk are told of", len(slices.DeleteFunc(told(spans), func(line string) bool {
			return !strings.HasPrefix(line, "process")
		})), 5)
	})
}
