package freedompay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"paylink/internal/payment"
)

type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func countDials(n *atomic.Int64) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}

// A rude server speaks by hand: talk is called for each connection, with a
// counter of requests that arrived whole.
func newRude(t *testing.T, talk func(conn net.Conn, nextRequest func() bool)) (url string, arrivals *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	arrivals = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				talk(conn, func() bool {
					req, err := http.ReadRequest(r)
					if err != nil {
						return false
					}
					if _, err := io.Copy(io.Discard, req.Body); err != nil {
						return false
					}
					arrivals.Add(1)
					return true
				})
			}()
		}
	}()
	return "http://" + l.Addr().String(), arrivals
}

func say(conn net.Conn, body string) {
	io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
}

// The HTTP layer repeats calls on kept connections that die, if it believes
// that they are safe to repeat. It must never believe that of ours.
func TestACallOnADyingKeptConnectionArrivesOnce(t *testing.T) {
	good := signedInit(okFields()...)
	deaths := map[string]func(net.Conn){
		"closed":                func(net.Conn) {},
		"reset":                 func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) },
		"cut in the status":     func(c net.Conn) { io.WriteString(c, "HTTP/1.1 2") },
		"cut in the header":     func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le") },
		"cut in the body":       func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<r>") },
		"cut in a chunk":        func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n<r>") },
		"nonsense with a phone": func(c net.Conn) { io.WriteString(c, "phone "+testPhone+" "+testEmail+"\r\n\r\n") },
		"bad length":            func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: "+testPhone+"x\r\n\r\n") },
	}
	for name, die := range deaths {
		t.Run(name, func(t *testing.T) {
			url, arrivals := newRude(t, func(conn net.Conn, next func() bool) {
				if next() {
					say(conn, good)
				}
				if next() {
					die(conn)
				}
			})
			c := newClient(t, url, nil)
			if _, err := c.Open(t.Context(), fullIntent()); err != nil {
				t.Fatal(err)
			}
			_, err := c.Open(t.Context(), fullIntent())
			if got := payment.AsGatewayError(err); got.Class != payment.InDoubt || got.Cause != CauseCut {
				t.Errorf("Open = %v, want in doubt: cut", err)
			}
			if n := arrivals.Load(); n != 2 {
				t.Errorf("%d arrivals of 2 calls", n)
			}
			mustNotQuote(t, err.Error())
		})
	}
}

// A server may close a kept connection just when the next call comes. Then no
// call arrives twice, and "not sent" is said only of calls that did not arrive.
func TestACallThatRacesWithTheServersClose(t *testing.T) {
	good := signedInit(okFields()...)
	url, arrivals := newRude(t, func(conn net.Conn, next func() bool) {
		if next() {
			say(conn, good)
		}
	})
	c := newClient(t, url, nil)
	sent := int64(0)
	for range 300 {
		_, err := c.Open(t.Context(), fullIntent())
		switch ge := payment.AsGatewayError(err); {
		case err == nil:
			sent++
		case ge.Class == payment.NotSent && ge.Cause == CauseStale, ge.Class == payment.InDoubt && ge.Cause == CauseCut:
		default:
			t.Fatal(err)
		}
	}
	if n := arrivals.Load(); n != sent || sent == 0 {
		t.Errorf("%d arrivals, want the %d that succeeded", n, sent)
	}
}

func TestNoConnectionIsNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	refused := "http://" + l.Addr().String()
	plain := newGateway(t, serveOK)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(serveOK))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	dies, _ := newRude(t, func(net.Conn, func() bool) {})
	fail := func(err error) func(*Config) {
		return func(c *Config) { c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, err } }
	}
	tests := []struct {
		name, url string
		change    func(*Config)
		want      string
	}{
		{"refused", refused, nil, CauseConnect},
		{"no such name", "http://gateway.invalid", fail(&net.DNSError{Err: "no such host", Name: "gateway.invalid", IsNotFound: true}), CauseDNS},
		{"name server is slow", "http://gateway.invalid", fail(&net.DNSError{Err: "timeout", Name: "gateway.invalid", IsTimeout: true}), CauseDNS},
		{"unknown authority", secure.URL, nil, CauseTLS},
		{"wrong name", strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), trust(secure), CauseTLS},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1), nil, CauseTLS},
		{"cut in the handshake", strings.Replace(dies, "http:", "https:", 1), nil, CauseTLS},
	}
	for _, tt := range tests {
		_, err := newClient(t, tt.url, tt.change).Open(t.Context(), fullIntent())
		if got, want := verdictOf(payment.AsGatewayError(err)), (verdict{payment.NotSent, tt.want, false, ""}); got != want {
			t.Errorf("%s: %v, want %v (%v)", tt.name, got, want, err)
		}
		mustNotQuote(t, err.Error())
	}
	if n := plain.arrivals.Load(); n != 0 {
		t.Errorf("%d arrivals, want none", n)
	}
}

func trust(s *httptest.Server) func(*Config) {
	return func(c *Config) {
		c.TLS = &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	}
}

// pipeTo dials servers inside the process, for tests with a clock of their own.
func pipeTo(serve func(net.Conn)) dialer {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serve(theirs)
		return ours, nil
	}
}

func TestWhatACallThatTimesOutProves(t *testing.T) {
	readAll := func(c net.Conn) { io.Copy(io.Discard, c) }
	tests := []struct {
		name, url string
		dial      dialer
		want      verdict
		after     time.Duration
	}{
		{"no connection", "http://g", func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, verdict{payment.NotSent, CauseConnectTimeout, false, ""}, 5 * time.Second},
		{"no handshake", "https://g", pipeTo(readAll), verdict{payment.NotSent, CauseConnectTimeout, false, ""}, 5 * time.Second},
		{"no answer", "http://g", pipeTo(readAll), verdict{doubt, CauseTimeout, false, ""}, 30 * time.Second},
		{"no reader", "http://g", pipeTo(func(net.Conn) {}), verdict{doubt, CauseTimeout, false, ""}, 30 * time.Second},
		{"half an answer", "http://g", pipeTo(func(c net.Conn) {
			http.ReadRequest(bufio.NewReader(c))
			go readAll(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<r>")
		}), verdict{doubt, CauseTimeout, false, ""}, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, tt.url, func(c *Config) { c.Dial = tt.dial })
				start := time.Now()
				_, err := c.Open(t.Context(), fullIntent())
				if got := verdictOf(payment.AsGatewayError(err)); got != tt.want {
					t.Errorf("Open = %v, want %v (%v)", got, tt.want, err)
				}
				if took := time.Since(start); took != tt.after {
					t.Errorf("Open took %v, want %v", took, tt.after)
				}
			})
		})
	}
}

func TestACanceledCallIsInDoubtOnceItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, "http://g", func(c *Config) { c.Dial = pipeTo(func(c net.Conn) { io.Copy(io.Discard, c) }) })
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait() // the call is written
			cancel()
		}()
		_, err := c.Open(ctx, fullIntent())
		want := verdict{doubt, CauseCanceled, false, ""}
		if got := verdictOf(payment.AsGatewayError(err)); got != want || !errors.Is(err, context.Canceled) {
			t.Errorf("in flight: %v, want %v", err, want)
		}
		_, err = c.Open(ctx, fullIntent())
		want.Class = payment.NotSent
		if got := verdictOf(payment.AsGatewayError(err)); got != want {
			t.Errorf("before: %v, want %v", err, want)
		}
	})
}

// 101 hands over the connection, whose end would be waited for in vain.
func TestSwitchingProtocolsIsNotWaitedFor(t *testing.T) {
	url, _ := newRude(t, func(conn net.Conn, next func() bool) {
		if next() {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		}
		next()
	})
	_, err := newClient(t, url, nil).Open(t.Context(), fullIntent())
	if ge := payment.AsGatewayError(err); ge.Class != payment.InDoubt || ge.Cause != CauseHTTPOdd {
		t.Errorf("Open = %v", err)
	}
}
