package freedompay

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"paylink/internal/payment"
)

// twice serves calls whose every answer is followed, in the same write, by another one
// that nobody has asked for. Those have odd payment ids.
func twice(t *testing.T, l net.Listener) {
	t.Cleanup(func() { l.Close() })
	var n atomic.Int64
	answer := func(id int64) string {
		b := signedInit(with(okFields(), "pg_payment_id", strconv.FormatInt(id, 10))...)
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s", len(b), b)
	}
	serve := func(c net.Conn) {
		defer c.Close()
		for br := bufio.NewReader(c); ; {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			id := n.Add(2)
			if _, err := io.WriteString(c, answer(id)+answer(id+1)); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
}

// TestAnAnswerTooManyIsNobodys: what a gateway, or a proxy before it, says unasked is
// no answer to the next call on the same connection.
func TestAnAnswerTooManyIsNobodys(t *testing.T) {
	defer log.SetOutput(log.Writer())
	log.SetOutput(io.Discard) // as the service does: net/http prints what came unasked
	trusted := httptest.NewTLSServer(nil)
	defer trusted.Close()
	for scheme, calls := range map[string]int{"http": 200, "https": 30} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := scheme + "://" + l.Addr().String()
		if scheme == "https" {
			l = tls.NewListener(l, &tls.Config{Certificates: trusted.TLS.Certificates})
		}
		twice(t, l)
		c := newClient(t, at, func(c *Config) { c.TLS = trusted.Client().Transport.(*http.Transport).TLSClientConfig })
		var wg sync.WaitGroup
		var links, stale atomic.Int64
		for range 8 {
			wg.Go(func() {
				for range calls {
					link, err := c.Open(t.Context(), plainIntent())
					switch ge := payment.AsGatewayError(err); {
					case err == nil && link.PaymentID%2 == 1:
						stale.Add(1)
					case err == nil:
						links.Add(1)
					case ge.Class != payment.NotSent:
						t.Errorf("%s: %v, want a link, or a call that was not sent", scheme, err)
					}
				}
			})
		}
		wg.Wait()
		if links.Load() == 0 || stale.Load() > 0 {
			t.Errorf("%s: %d links, %d of them of answers to nobody", scheme, links.Load()+stale.Load(), stale.Load())
		}
	}
}

// TestAKeptConnectionThatIsNotAtRestIsNotWrittenTo: what is there to be read would be
// taken for the answer.
func TestAKeptConnectionThatIsNotAtRestIsNotWrittenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		g := &guard{Conn: ours, mayWrite: func() bool { return true }}
		get := func() *flight {
			var f flight
			httptrace.ContextClientTrace(f.watch(t.Context())).GotConn(httptrace.GotConnInfo{Conn: g, Reused: true})
			return &f
		}
		go io.Copy(io.Discard, theirs)
		read := make(chan error)
		go func() { _, err := g.Read(make([]byte, 1)); read <- err }()
		f := get()
		if _, err := g.Write([]byte("x")); err != nil || !f.asked() {
			t.Errorf("at rest: Write: %v, asked %v; want it written", err, f.asked())
		}
		theirs.Write([]byte("y"))
		if err := <-read; err != nil {
			t.Fatal(err)
		}
		f = get()
		if _, err := g.Write([]byte("x")); err != errSealed || f.asked() {
			t.Errorf("with a byte to be read: Write: %v, asked %v; want %v, false", err, f.asked(), errSealed)
		}
		if ge := f.end().failure(nil); ge.Class != payment.NotSent || ge.Cause != CauseStale {
			t.Errorf("%v, want not sent, %s", ge, CauseStale)
		}
		g.Close()
		theirs.Close()
	})
}
