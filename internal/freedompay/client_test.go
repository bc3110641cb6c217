package freedompay

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

// newClient returns a client of a gateway at url; change may change its Config.
func newClient(t *testing.T, url string, change func(*Config)) *Client {
	t.Helper()
	c := Config{Merchant: func(id payment.MerchantID) (payment.Merchant, bool) {
		return payment.Merchant{ID: id, Secret: testSecret, GatewayURL: url}, id == "540001"
	}}
	if change != nil {
		change(&c)
	}
	client := New(c)
	t.Cleanup(client.Close)
	return client
}

// A gateway is an HTTP server that counts what arrives.
type gateway struct {
	*httptest.Server
	arrivals atomic.Int64
}

func newGateway(t *testing.T, serve http.HandlerFunc) *gateway {
	t.Helper()
	g := &gateway{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.arrivals.Add(1)
		serve(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

func serveOK(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	io.WriteString(w, signedInit(okFields()...))
}

func TestOpenCarriesAFullIntent(t *testing.T) {
	in := fullIntent()
	var got []Field
	var header http.Header
	g := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.String() != "/init_payment.php" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		body, _ := io.ReadAll(r.Body)
		header, got = r.Header, decode(t, r.Header.Get("Content-Type"), body)
		w.Header().Set("Content-Type", "text/html") // as it pleases
		io.WriteString(w, signedInit(okFields()...))
	})
	link, err := newClient(t, g.URL+"/", nil).Open(t.Context(), in)
	if want := (payment.Link{PaymentID: 4294967297, RedirectURL: testURL, RedirectURLType: "need data"}); err != nil || link != want {
		t.Errorf("Open = %v, %v; want %v", link, err, want)
	}
	if !Verify(initScript, got, testSecret) {
		t.Error("what arrives does not verify")
	}
	salt := message(got).value("pg_salt")
	if diff := cmp.Diff(initFields(in, salt), got[:len(got)-1]); diff != "" {
		t.Errorf("what arrives (-want +got):\n%s", diff)
	}
	if header["Idempotency-Key"] != nil || header["X-Idempotency-Key"] != nil {
		t.Error("a header invites the HTTP layer to repeat")
	}
}

func TestEveryCallHasAFreshSaltAndTheSameRest(t *testing.T) {
	var calls [][]Field
	g := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls = append(calls, decode(t, r.Header.Get("Content-Type"), body))
		w.WriteHeader(500)
	})
	c := newClient(t, g.URL, nil)
	for range 2 {
		c.Open(t.Context(), fullIntent())
	}
	if len(calls) != 2 || message(calls[0]).value("pg_salt") == message(calls[1]).value("pg_salt") {
		t.Fatalf("%d calls, or the same salt", len(calls))
	}
	rest := func(f []Field) []Field { return with(with(f, "pg_salt", ""), "pg_sig", "") }
	if diff := cmp.Diff(rest(calls[0]), rest(calls[1])); diff != "" {
		t.Errorf("the second call says (-first +second):\n%s", diff)
	}
}

func TestScriptIsTheLastSegmentBelowAPrefix(t *testing.T) {
	g := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/eu/v3/init_payment.php" {
			t.Errorf("path %s", r.URL.Path)
		}
		serveOK(w, r)
	})
	if _, err := newClient(t, g.URL+"/eu/v3", nil).Open(t.Context(), fullIntent()); err != nil {
		t.Error(err)
	}
}

func TestALookUpSaysWhatTheGatewayHas(t *testing.T) {
	in := fullIntent()
	in.OrderID = "order-1"
	answer := ""
	g := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := decode(t, r.Header.Get("Content-Type"), body)
		want := statusFields(in, message(got).value("pg_salt"))
		if diff := cmp.Diff(want, got[:len(got)-1]); diff != "" || !Verify(statusScript, got, testSecret) || r.URL.Path != StatusPath {
			t.Errorf("%s, verified %v (-want +got):\n%s", r.URL.Path, Verify(statusScript, got, testSecret), diff)
		}
		io.WriteString(w, answer)
	})
	c := newClient(t, g.URL, nil)

	answer = answerXML(statusScript, testSecret, pairs("pg_status", "ok", "pg_payment_id", "7", "pg_payment_status", "new", "pg_amount", "20")...)
	got, err := c.Find(t.Context(), in)
	if want := (payment.Status{PaymentID: 7, OrderID: "order-1", State: "new", Amount: "20"}); err != nil || got != want {
		t.Errorf("Find = %v, %v; want %v", got, err, want)
	}

	answer = unsigned(errorFields("11068")...)
	_, err = c.Find(t.Context(), in)
	if !errors.Is(err, payment.ErrNotFound) || payment.AsGatewayError(err).Code != "11068" {
		t.Errorf("Find = %v, want ErrNotFound", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		g := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", status)
		})
		_, err := newClient(t, g.URL, nil).Open(t.Context(), fullIntent())
		want := verdict{doubt, CauseRedirect, false, ""}
		if got := verdictOf(payment.AsGatewayError(err)); got != want || g.arrivals.Load() != 1 {
			t.Errorf("%d: %v after %d arrivals, want %v after 1", status, got, g.arrivals.Load(), want)
		}
	}
}

func TestHugeAnswers(t *testing.T) {
	huge := strings.Repeat(" ", 3000)
	for name, serve := range map[string]http.HandlerFunc{
		"announced": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4000")
			io.WriteString(w, signedInit(append(okFields(), Field{Name: "pg_x", Value: huge})...))
		},
		"streamed": func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			io.WriteString(w, signedInit(append(okFields(), Field{Name: "pg_x", Value: huge})...))
		},
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				io.WriteString(w, huge)
			}
		},
	} {
		g := newGateway(t, serve)
		_, err := newClient(t, g.URL, func(c *Config) { c.MaxAnswer = 2048 }).Open(t.Context(), fullIntent())
		if got, want := verdictOf(payment.AsGatewayError(err)), (verdict{doubt, CauseTooLarge, false, ""}); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	g := newGateway(t, serveOK)
	n := int64(len(signedInit(okFields()...)))
	if _, err := newClient(t, g.URL, func(c *Config) { c.MaxAnswer = n }).Open(t.Context(), fullIntent()); err != nil {
		t.Errorf("an answer of just the bound: %v", err)
	}
}

// Concurrency connections serve any number of calls: they are used again, also
// after errors with a body, and none is opened twice for one call in flight.
func TestConnectionsAreKeptForAllCallsInFlight(t *testing.T) {
	const n = 40
	var gate sync.WaitGroup // all calls of a round are in flight together
	g := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		gate.Done()
		gate.Wait()
		w.WriteHeader(503)
		io.WriteString(w, strings.Repeat("<html>", 5000))
	})
	var dials atomic.Int64
	c := newClient(t, g.URL, func(c *Config) { c.Concurrency, c.Dial = n, countDials(&dials) })
	for round := range 3 {
		gate.Add(n)
		var calls sync.WaitGroup
		for range n {
			calls.Go(func() {
				if _, err := c.Open(t.Context(), fullIntent()); payment.AsGatewayError(err).Cause != CauseHTTP5xx {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		calls.Wait()
		if got := dials.Load(); got != n {
			t.Fatalf("after round %d: %d connections, want %d", round, got, n)
		}
	}
}

func TestBadSetUpIsNotSent(t *testing.T) {
	g := newGateway(t, serveOK)
	in := fullIntent()
	other := in
	other.Merchant = "1"
	noSecret := func(c *Config) {
		c.Merchant = func(payment.MerchantID) (payment.Merchant, bool) { return payment.Merchant{GatewayURL: g.URL}, true }
	}
	tests := []struct {
		name   string
		client *Client
		in     payment.Intent
		want   string
	}{
		{"unknown merchant", newClient(t, g.URL, nil), other, CauseUnknownMerchant},
		{"no secret", newClient(t, g.URL, noSecret), in, CauseNoSecret},
		{"bad URL", newClient(t, "gateway", nil), in, CauseBadGatewayURL},
	}
	for _, tt := range tests {
		_, err := tt.client.Open(t.Context(), tt.in)
		if got, want := verdictOf(payment.AsGatewayError(err)), (verdict{setup, tt.want, false, ""}); got != want {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
		if errors.Is(err, payment.ErrUnknownMerchant) != (tt.want == CauseUnknownMerchant) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if n := g.arrivals.Load(); n != 0 {
		t.Errorf("%d arrivals, want none", n)
	}
}

func TestAGatewayIsHealthyUnlessItSaysOtherwise(t *testing.T) {
	tests := []struct {
		status int
		body   string
		want   string
	}{
		{200, `{"status":"ok","time":"2026-11-23 12:00:00"}`, ""},
		{200, `hello`, ""},
		{204, ``, ""},
		{404, `<html>`, ""},
		{200, `{"status":"down"}`, CauseUnhealthy},
		{500, `{"status":"ok"}`, CauseHTTP5xx},
		{302, ``, CauseRedirect},
		{403, ``, CauseHTTP4xx},
		{429, ``, CauseTooMany},
	}
	for _, tt := range tests {
		g := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != HealthPath {
				t.Errorf("%s %s", r.Method, r.URL.Path)
			}
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.body)
		})
		err := newClient(t, g.URL, nil).Health(t.Context(), g.URL)
		if err == nil && tt.want == "" {
			continue
		}
		if err == nil || payment.AsGatewayError(err).Cause != tt.want {
			t.Errorf("%d %s: Health = %v, want %q", tt.status, tt.body, err, tt.want)
		}
	}
	if err := newClient(t, "", nil).Health(context.Background(), "nowhere"); payment.AsGatewayError(err).Cause != CauseBadGatewayURL {
		t.Errorf("Health = %v", err)
	}
}
