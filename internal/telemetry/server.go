package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"paylink/internal/pulse"
)

// Times of the admin server. No request of it takes long, so a client that
// dawdles is cut off.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 15 * time.Second
	idleTimeout  = 60 * time.Second
	closeTimeout = 3 * time.Second
)

// A Server is the admin server: /metrics, the probes /startupz, /livez and
// /readyz, and what is
// given as its page. All but the probes are behind its Guard.
type Server struct {
	listener net.Listener
	server   *http.Server
}

// ServerConfig says what an admin server shows.
type ServerConfig struct {
	Addr    string // host:port; port 0: any free one
	Metrics *prometheus.Registry
	Health  *Health
	Pulse   *pulse.Pulse // nil: /livez is always true
	Page    http.Handler // everything else; nil: nothing
	Guard   Guard        // zero: whoever reaches the address may look
	Pprof   bool         // serve Go's profiles at /debug/pprof/

	// TLS is asked for each connection, so that certificates can be renewed; nil:
	// plain http.
	TLS func() (*tls.Config, error)

	// Listen opens the address; nil: the usual network.
	Listen func(ctx context.Context, network, addr string) (net.Listener, error)
}

// Listen opens the address, so that one that is taken is known at the start.
func Listen(ctx context.Context, c ServerConfig) (*Server, error) {
	if c.Listen == nil {
		c.Listen = (&net.ListenConfig{}).Listen
	}
	l, err := c.Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("admin address: %w", err)
	}
	l = netutil.LimitListener(l, maxConnections)
	if c.TLS != nil {
		l = tls.NewListener(l, &tls.Config{
			MinVersion:         tls.VersionTLS12,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.TLS() },
		})
	}
	return &Server{listener: l, server: &http.Server{
		Handler: c.handler(), ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 16 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // what broken clients do is no news
	}}, nil
}

// maxConnections bounds what clients of the admin address can take; more wait.
const maxConnections = 256

func (c ServerConfig) handler() http.Handler {
	behind := http.NewServeMux()
	behind.Handle("GET /metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{Registry: c.Metrics, EnableOpenMetrics: true}))
	if c.Pprof {
		behind.HandleFunc("GET /debug/pprof/", pprof.Index)
		behind.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		behind.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		behind.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	}
	if c.Page != nil {
		behind.Handle("/", c.Page)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", live(c.Pulse))
	mux.HandleFunc("GET /startupz", c.Health.serveStartup)
	mux.Handle("GET /readyz", c.Guard.probe(c.Health))
	mux.Handle("/", c.Guard.protect(behind))
	return mux
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends; requests that are being answered have three seconds.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(s.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("admin server: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := s.server.Shutdown(grace); err != nil {
		_ = s.server.Close() // Shutdown has said why
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin server: %w", err)
	}
	return nil
}
