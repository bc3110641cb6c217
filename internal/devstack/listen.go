package devstack

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
)

// An Addr is where a part listens. The zero value is any free port of the
// loopback interface.
type Addr struct {
	HostPort string // "127.0.0.1:9092"; port 0: any free one
	Exact    bool   // fail if the port is taken; otherwise a free one is chosen
}

func (a Addr) orLoopback() string {
	if a.HostPort == "" {
		return "127.0.0.1:0"
	}
	return a.HostPort
}

// Listen opens the address, or the same host with a free port if the port is taken.
func (a Addr) Listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", a.orLoopback())
	if err == nil || a.Exact || !errors.Is(err, syscall.EADDRINUSE) {
		return ln, err
	}
	host, _, _ := net.SplitHostPort(a.orLoopback())
	return lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
}

// A Server is an HTTP handler on a port.
type Server struct {
	URL    string // scheme, host and port
	server *http.Server
	done   chan struct{}
}

// Serve listens and serves until Close. A host that means every interface
// becomes localhost in the URL.
func Serve(ctx context.Context, a Addr, handler http.Handler) (*Server, error) {
	ln, err := a.Listen(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL:    "http://" + reachable(ln.Addr()),
		server: &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second},
		done:   make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(ln) // always http.ErrServerClosed after Close, and nobody to tell before
	}()
	return s, nil
}

// Close stops listening, cuts all connections and waits for the listener to end.
func (s *Server) Close() {
	_ = s.server.Close()
	<-s.done
}

// reachable returns the address as a client of this machine would dial it.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
