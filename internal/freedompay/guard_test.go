package freedompay

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"paylink/internal/payment"
)

// A lease holds for a number of looks.
type lease struct{ looks atomic.Int64 }

func (l *lease) mayWrite() bool { return l.looks.Add(-1) >= 0 }

var notAllowed = verdict{payment.NotSent, CauseNoLease, false, ""}

// A process that loses its lease between its own check and the write sends
// nothing, over new and over kept connections, plain and under TLS.
func TestNothingLeavesWithoutALease(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		testLease(t, httptest.NewServer, func(*httptest.Server) func(*Config) { return func(*Config) {} })
	})
	t.Run("TLS", func(t *testing.T) { testLease(t, httptest.NewTLSServer, trust) })
}

func testLease(t *testing.T, start func(http.Handler) *httptest.Server, trust func(*httptest.Server) func(*Config)) {
	var arrivals atomic.Int64
	s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrivals.Add(1)
		serveOK(w, r)
	}))
	t.Cleanup(s.Close)
	var l lease
	c := newClient(t, s.URL, func(c *Config) {
		trust(s)(c)
		c.MayWrite = l.mayWrite
	})
	for _, step := range []struct {
		name  string
		looks int64
		want  verdict // zero: a link
	}{
		{"before the call", 0, notAllowed},
		{"on a new connection", 1, notAllowed},
		{"with the lease", 1000, verdict{}},
		{"on a kept connection", 1, notAllowed},
		{"with the lease back", 1000, verdict{}},
	} {
		l.looks.Store(step.looks)
		before := arrivals.Load()
		_, err := c.Open(t.Context(), fullIntent())
		got := verdict{}
		if err != nil {
			got = verdictOf(payment.AsGatewayError(err))
		}
		arrived := arrivals.Load() != before
		if got != step.want || arrived != (step.want == verdict{}) {
			t.Errorf("%s: %v, arrived %v; want %v", step.name, got, arrived, step.want)
		}
	}
}

func TestLeaseLostWhileDialling(t *testing.T) {
	g := newGateway(t, serveOK)
	var lost atomic.Bool
	c := newClient(t, g.URL, func(c *Config) {
		c.MayWrite = func() bool { return !lost.Load() }
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			defer lost.Store(true)
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	})
	_, err := c.Open(t.Context(), fullIntent())
	if got := verdictOf(payment.AsGatewayError(err)); got != notAllowed || g.arrivals.Load() != 0 {
		t.Errorf("%v and %d arrivals, want %v and none", got, g.arrivals.Load(), notAllowed)
	}
}

// An ordinary call leaves in one write, so that one look covers it.
func TestACallIsOneWrite(t *testing.T) {
	g := newGateway(t, serveOK)
	var looks atomic.Int64
	c := newClient(t, g.URL, func(c *Config) {
		c.MayWrite = func() bool { looks.Add(1); return true }
	})
	if _, err := c.Open(t.Context(), plainIntent()); err != nil {
		t.Fatal(err)
	}
	if n := looks.Load(); n != 2 {
		t.Errorf("%d looks, want one before the call and one at its only write", n)
	}
}

func TestNothingIsWrittenWithoutALease(t *testing.T) {
	var l lease
	newGuard := func() (*guard, net.Conn) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { ours.Close() })
		return &guard{Conn: ours, mayWrite: l.mayWrite}, theirs
	}
	write := func(g *guard, far net.Conn) error {
		go io.ReadAtLeast(far, make([]byte, 1), 1)
		_, err := g.Write([]byte("x"))
		return err
	}

	g, far := newGuard()
	l.looks.Store(1)
	if err := write(g, far); err != nil {
		t.Errorf("with a lease: %v", err)
	}
	if err := write(g, far); err != errNoLease {
		t.Errorf("without: %v, want %v", err, errNoLease)
	}
	l.looks.Store(9)
	if err := write(g, far); err != errNoLease {
		t.Errorf("once refused: %v, want %v for ever", err, errNoLease)
	}
	if wrote, refused := g.seal(); !wrote || !refused {
		t.Errorf("seal = %v, %v; want true, true: half a call has left", wrote, refused)
	}

	g, far = newGuard()
	if wrote, refused := g.seal(); wrote || refused {
		t.Errorf("seal = %v, %v; want false, false", wrote, refused)
	}
	if err := write(g, far); err != errSealed {
		t.Errorf("a late write: %v, want %v", err, errSealed)
	}
	if e := (extent{connected: true, sent: true, refused: true}); e.failure(errNoLease).Class != payment.InDoubt {
		t.Error("half a call is not \"not sent\"")
	}
}
