package freedompay

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"paylink/internal/payment"
)

// traced begins the span of a request below the caller's, and returns what tells how
// it ended. Without a span of the caller that will be seen there is none. The gateway
// is not told of the trace: it is not ours.
func traced(ctx context.Context, req *http.Request) (context.Context, func(reply, *payment.GatewayError)) {
	caller := trace.SpanFromContext(ctx)
	if !caller.IsRecording() {
		return ctx, untold
	}
	ctx, span := caller.TracerProvider().Tracer("paylink/internal/freedompay").Start(ctx, req.Method+" "+req.URL.Path,
		trace.WithSpanKind(trace.SpanKindClient))
	span.SetAttributes(
		semconv.HTTPRequestMethodKey.String(req.Method), serverPort(req.URL), semconv.ServerAddress(req.URL.Hostname()),
		semconv.URLFull((&url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path}).String()),
	)
	return ctx, func(r reply, ge *payment.GatewayError) {
		defer span.End()
		status := r.status
		if ge != nil {
			status = ge.Status
			span.SetAttributes(semconv.ErrorTypeKey.String(ge.Cause))
			span.SetStatus(codes.Error, ge.Cause)
		}
		if status != 0 {
			span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		}
		if ge == nil && status >= http.StatusBadRequest {
			span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
			span.SetStatus(codes.Error, "")
		}
	}
}

func untold(reply, *payment.GatewayError) {}

// serverPort is the port that a URL names, or that its scheme means.
func serverPort(u *url.URL) attribute.KeyValue {
	port, err := strconv.Atoi(u.Port())
	switch {
	case err == nil:
	case u.Scheme == "https":
		port = 443
	default:
		port = 80
	}
	return semconv.ServerPort(port)
}
