package freedompay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"paylink/internal/payment"
)

// A flight watches one call of the HTTP layer, to know for certain whether any
// of it left. Its hook runs in the goroutine of RoundTrip.
type flight struct {
	connected bool
	guards    []*guard // of the connections it got; normally one
	blind     bool     // one of them has no guard: assume the worst
}

// watch returns a context whose call reports to the flight.
func (f *flight) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		f.connected = true
		g := guardOf(info.Conn)
		if g == nil {
			f.blind = true
			return
		}
		clean := !info.Reused || g.awaitRest(ctx)
		g.begin()
		if !clean {
			g.seal()
		}
		f.guards = append(f.guards, g)
	}})
}

// asked reports whether any of the call may have left. What answers a call of which
// nothing has left answers something else.
func (f *flight) asked() bool {
	return f.blind || slices.ContainsFunc(f.guards, (*guard).hasWritten)
}

// end seals the call after it failed, and says how far it came.
func (f *flight) end() extent {
	e := extent{connected: f.connected, sent: f.blind}
	for _, g := range f.guards {
		wrote, refused := g.seal()
		e.sent = e.sent || wrote
		e.refused = e.refused || refused
	}
	return e
}

// An extent is how far a call came that got no answer.
type extent struct {
	connected bool // there was a connection
	sent      bool // some of the call may have left
	refused   bool // MayWrite said no
}

// failure classifies a call that got no answer: not sent only if no byte of it
// can have left.
func (e extent) failure(err error) *payment.GatewayError {
	ge := &payment.GatewayError{Class: payment.NotSent, Err: shown(err)}
	if e.sent {
		ge.Class = payment.InDoubt
	}
	ge.Cause = e.cause(err)
	if ge.Cause == CauseNoLease {
		ge.Err = errNoLease
	}
	return ge
}

func (e extent) cause(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var refused proxyRefusal
	switch {
	case e.refused || errors.Is(err, errNoLease):
		return CauseNoLease
	case errors.Is(err, context.Canceled):
		return CauseCanceled
	case e.sent && isTimeout(err):
		return CauseTimeout
	case e.sent:
		return CauseCut
	case e.connected && isTimeout(err):
		return CauseTimeout
	case e.connected:
		return CauseStale
	case errors.As(err, &refused):
		return CauseProxy
	case errors.As(err, &dns):
		return CauseDNS
	case isTimeout(err):
		return CauseConnectTimeout
	case errors.As(err, &op) && op.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED):
		return CauseConnect
	}
	return CauseTLS
}

// A proxyRefusal is the HTTP status with which a proxy refused to connect us.
type proxyRefusal int

func (status proxyRefusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the proxy answered CONNECT with %d %s", int(status), http.StatusText(int(status))))
}

// refusedConnect tells a refusal by its status; the transport itself would only
// give the proxy's words.
func refusedConnect(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return proxyRefusal(answer.StatusCode)
	}
	return nil
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// shown returns the part of a transport's error that may be shown: of kinds
// known to name addresses, certificates and system errors only. Others may
// quote what was sent or received, and are left out.
func shown(err error) error {
	for _, plain := range []error{context.Canceled, context.DeadlineExceeded, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, plain) {
			return plain
		}
	}
	if e, ok := errors.AsType[proxyRefusal](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return e
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return e
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e
	}
	return nil
}
