package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Times of the admin server. No request of it takes long, so a client that
// dawdles is cut off.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 15 * time.Second
	idleTimeout  = 60 * time.Second
	closeTimeout = 3 * time.Second
)

// A Server is the admin server: /metrics, /livez, /readyz, and what is given as
// its page. It has no login.
type Server struct {
	listener net.Listener
	server   *http.Server
}

// ServerConfig says what an admin server shows.
type ServerConfig struct {
	Addr    string // host:port; port 0: any free one
	Metrics *prometheus.Registry
	Health  *Health
	Page    http.Handler // everything else; nil: nothing

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
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{Registry: c.Metrics}))
	mux.HandleFunc("GET /livez", live)
	mux.Handle("GET /readyz", c.Health)
	if c.Page != nil {
		mux.Handle("/", c.Page)
	}
	return &Server{listener: l, server: &http.Server{
		Handler: mux, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 16 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // what broken clients do is no news
	}}, nil
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
