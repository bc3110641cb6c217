package pipeline

import (
	"context"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"paylink/internal/event"
	"paylink/internal/payment"
)

// Tracing says how spans are made. Zero: there are none, and they cost nothing.
type Tracing struct {
	Tracer      trace.Tracer // nil: no spans
	Outcomes    string       // the topic, as its spans name it
	DeadLetters string
}

// What spans say of an intent, beside the semantic conventions.
const (
	attrIntent   = attribute.Key("paylink.intent_id")
	attrOrder    = attribute.Key("paylink.order_id")
	attrMerchant = attribute.Key("paylink.merchant_id")
	attrOutcome  = attribute.Key("paylink.outcome")
	attrReason   = attribute.Key("paylink.reason")
	attrAttempts = attribute.Key("paylink.attempts")
	attrClass    = attribute.Key("paylink.class")
)

// A trail is the trace of one loaded record: a span over all that is done with it, a
// child of the emitter's, and in it one for the decoding, for each wait, for each call
// and for what is published. Spans hold nothing personal, and no link.
//
// The span over all begins, back in time, with the first that is done: a record that
// only waits has none. Of a trace that is not sampled only the id is kept, for the log.
// A trail belongs to whoever does for its task what the core has decided, which is one
// at a time. The methods of a nil trail do nothing.
type trail struct {
	engine *Engine
	task   *task

	began   time.Time // decoding
	decoded time.Time
	idle    time.Time // since when nothing is done

	ctx     context.Context // with the span over all; nil: it has not begun
	all     trace.Span
	on      bool       // the trace will be seen
	sending trace.Span // of what is being published
}

// trail returns the trail of a task that is about to be decoded.
func (e *Engine) trail(t *task) *trail {
	if e.cfg.Tracing.Tracer == nil {
		return nil
	}
	return &trail{engine: e, task: t, began: time.Now()}
}

// read notes that the record is decoded.
func (s *trail) read() {
	if s != nil {
		s.decoded = time.Now()
		s.idle = s.decoded
	}
}

// begin begins the span over all, if it has not begun, and reports whether the trace
// will be seen. The span is a child of the emitter's, if the record names one.
func (s *trail) begin() bool {
	if s.ctx != nil {
		return s.on
	}
	emitter := propagation.TraceContext{}.Extract(context.Background(), (*carrier)(&s.task.dec.Trace))
	_, s.all = s.tracer().Start(emitter, "process "+s.engine.cfg.Topic, trace.WithTimestamp(s.began), asConsumer)
	s.ctx = trace.ContextWithSpan(s.task.worker.ctx, s.all)
	if s.on = s.all.SpanContext().IsSampled(); s.on {
		_, decode := s.tracer().Start(s.ctx, "decode", trace.WithTimestamp(s.began))
		decode.End(trace.WithTimestamp(s.decoded))
	}
	return s.on
}

func (s *trail) tracer() trace.Tracer { return s.engine.cfg.Tracing.Tracer }

// The kinds of spans; all others are internal.
var (
	asConsumer = trace.WithSpanKind(trace.SpanKindConsumer)
	asProducer = trace.WithSpanKind(trace.SpanKindProducer)
)

// A carrier is headers, as what reads and writes those of a trace wants them.
type carrier []event.Header

// Get implements propagation.TextMapCarrier.
func (c *carrier) Get(key string) string {
	for _, h := range *c {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// Set implements propagation.TextMapCarrier. Nothing is set twice.
func (c *carrier) Set(key, value string) {
	*c = append(*c, event.Header{Key: key, Value: []byte(value)})
}

// Keys implements propagation.TextMapCarrier.
func (c *carrier) Keys() (keys []string) {
	for _, h := range *c {
		keys = append(keys, h.Key)
	}
	return keys
}

// shortWait is what is no wait: a span would tell nothing.
const shortWait = time.Millisecond

// waited tells of the wait that ends now.
func (s *trail) waited(now time.Time) {
	if now.Sub(s.idle) >= shortWait {
		_, wait := s.tracer().Start(s.ctx, "wait", trace.WithTimestamp(s.idle))
		wait.End(trace.WithTimestamp(now))
	}
}

// call returns the context for a call, and what tells how it ended. Its span is of
// the attempt as we see it; the HTTP client makes its own below it.
func (s *trail) call(t *task, lookUp bool) (ctx context.Context, told func(answer)) {
	if s == nil {
		return t.worker.ctx, untold
	}
	name, attempts := "init", t.try.Calls+1
	if lookUp {
		name, attempts = "status", t.try.Calls
	}
	if !s.begin() {
		return s.ctx, untold
	}
	now := time.Now()
	s.waited(now)
	ctx, span := s.tracer().Start(s.ctx, name, trace.WithTimestamp(now))
	span.SetAttributes(attrAttempts.Int(attempts))
	return ctx, func(a answer) {
		if a.err != nil && !isNotFound(a.err) {
			ge := payment.AsGatewayError(a.err)
			span.SetAttributes(attrClass.String(ge.Class.String()), semconv.ErrorTypeKey.String(ge.Cause))
			span.SetStatus(codes.Error, ge.Cause)
		}
		s.idle = time.Now()
		span.End(trace.WithTimestamp(s.idle))
	}
}

func untold(answer) {}

// sends begins the span of what is published to a topic.
func (s *trail) sends(topic string) {
	if s == nil || !s.begin() {
		return
	}
	now := time.Now()
	s.waited(now)
	_, s.sending = s.tracer().Start(s.ctx, "send "+topic, trace.WithTimestamp(now), asProducer)
	s.sending.SetAttributes(semconv.MessagingSystemKafka, semconv.MessagingOperationName("send"), semconv.MessagingOperationTypeSend,
		semconv.MessagingDestinationName(topic))
}

// carry has an outcome name the span that sends it, if that one will be seen: without
// it the emitter's is carried on.
func (s *trail) carry(d *event.Decoded) {
	if !s.isSeen() {
		return
	}
	d.Trace = nil
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), s.sending), (*carrier)(&d.Trace))
}

// sent ends the span of what was published.
func (s *trail) sent(err error) {
	if !s.isSeen() {
		return
	}
	s.idle = time.Now()
	if err != nil {
		s.sending.SetAttributes(semconv.ErrorTypeKey.String(err.Error())) // one of Claim's, which are ours
		s.sending.SetStatus(codes.Error, err.Error())
	}
	s.sending.End(trace.WithTimestamp(s.idle))
}

// end ends the span over all, and says what came of the record.
func (s *trail) end(outcome, reason string, attempts int) {
	if s == nil || !s.begin() {
		return
	}
	s.all.SetAttributes(s.about(outcome, reason, attempts)...)
	s.all.End()
}

// about is what the span over all says.
func (s *trail) about(outcome, reason string, attempts int) []attribute.KeyValue {
	cfg := &s.engine.cfg
	all := append(make([]attribute.KeyValue, 0, 13),
		semconv.MessagingSystemKafka, semconv.MessagingOperationName("process"), semconv.MessagingOperationTypeProcess,
		semconv.MessagingConsumerGroupName(cfg.Group), semconv.MessagingDestinationName(cfg.Topic),
		semconv.MessagingDestinationPartitionID(strconv.Itoa(int(s.task.worker.claim.Partition()))), semconv.MessagingKafkaOffset(int(s.task.rec.Offset)),
		attrOutcome.String(outcome), attrAttempts.Int(attempts))
	if reason != "" {
		all = append(all, attrReason.String(reason))
	}
	if in := s.task.dec.Intent; in.ID != "" {
		all = append(all, attrIntent.String(string(in.ID)), attrOrder.String(in.OrderID), attrMerchant.String(string(in.Merchant)))
	}
	return all
}

// isSeen reports whether the trace will be seen.
func (s *trail) isSeen() bool { return s != nil && s.on }

// traceID is the trace, once it has begun.
func (s *trail) traceID() string { return s.all.SpanContext().TraceID().String() }

// traceID is the trace of a task: ours, else the emitter's, else "".
func (t *task) traceID() string {
	if s := t.trail; s != nil && s.ctx != nil {
		return s.traceID()
	}
	return event.TraceID(t.dec.Trace)
}

// An ending is how the trail of a task ends for which nothing will be done any more.
type ending struct {
	trail *trail
	how   string
}

// ends notes that nothing will be done for a task any more. Of one that is left to the
// next owner, and that nothing was done for, nothing is told.
func (c *core) ends(t *task, how string) {
	if t.trail != nil && (how != handedOver || t.trail.ctx != nil) {
		c.todo.endings = append(c.todo.endings, ending{t.trail, how})
	}
}

// handedOver is how a trail ends that the partition's next owner goes on with.
const handedOver = "handed over"
