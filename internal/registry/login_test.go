package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/schemas"
)

// A guard stands before a registry and notes which passwords it was shown.
type guard struct {
	knows  string
	status int // of who is refused
	shown  []string
	told   int
}

func guarded(t *testing.T) (*guard, *Registry) {
	t.Helper()
	g, inner := &guard{knows: "first", status: http.StatusUnauthorized}, srfake.NewRegistry().Handler()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, password, _ := req.BasicAuth()
		if g.shown = append(g.shown, password); password != g.knows {
			w.WriteHeader(g.status)
			return
		}
		inner.ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	r := newRegistry(t, Config{URL: srv.URL, Login: login("first"), OldLogin: func() { g.told++ }})
	return g, r
}

func login(password payment.Secret) Login { return Login{Username: "u", Password: password} }

// asked asks for a schema that is not there, and returns which passwords that took.
func (g *guard) asked(t *testing.T, r *Registry, id int, in bool) []string {
	t.Helper()
	g.shown = nil
	if _, err := r.ByID(t.Context(), id); errors.Is(err, event.ErrUnknownSchema) != in {
		t.Errorf("ByID(%d) = %v, want an answer: %t", id, err, in)
	}
	return g.shown
}

// TestFilesAndRegistryMayChangeInAnyOrder: whichever is first, requests get in as
// long as the registry knows one of the two logins.
func TestFilesAndRegistryMayChangeInAnyOrder(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		g, r := guarded(t)
		g.status = status
		want := func(id int, in bool, told int, passwords ...string) {
			t.Helper()
			if got := g.asked(t, r, id, in); !slices.Equal(got, passwords) || g.told != told {
				t.Errorf("status %d: showed %q and told %d times, want %q and %d", status, got, g.told, passwords, told)
			}
		}
		want(1, true, 0, "first")
		r.Renew(login("second"))
		want(2, true, 1, "second", "first")
		g.knows = "second"
		want(3, true, 1, "second")
		g.knows = "third"
		want(4, false, 1, "second", "first")
		r.Renew(login("third"))
		want(5, true, 1, "third")
		g.knows = "first"
		want(6, false, 1, "third", "second") // what was two logins ago is shown no more
	}
}

// TestBodyIsSentOnceMoreByTheLoginBefore: a schema is registered although the new
// password is refused.
func TestBodyIsSentOnceMoreByTheLoginBefore(t *testing.T) {
	g, r := guarded(t)
	r.Renew(login("second"))
	s := Subjects(schemas.Avro, schemas.ByTopic, "in", "out")[0]
	id, added, err := r.Put(t.Context(), s)
	if err != nil || !added || g.told == 0 {
		t.Fatalf("Put = %d, %t, %v; told %d times", id, added, err, g.told)
	}
	if w, err := r.ByID(t.Context(), id); err != nil || w.Text != s.Text() {
		t.Errorf("ByID(%d) = %+v, %v; want what was registered", id, w, err)
	}
}

// TestLoginBeforeTrustsWhomTheNewOneTrusts: it shows what is old, and believes no
// authority that was taken away.
func TestLoginBeforeTrustsWhomTheNewOneTrusts(t *testing.T) {
	ours, pool := []tls.Certificate{{Certificate: [][]byte{{1}}}}, x509.NewCertPool()
	for _, c := range []struct{ next, old *tls.Config }{
		{nil, nil},
		{nil, &tls.Config{RootCAs: x509.NewCertPool(), Certificates: ours}},
		{&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{{Certificate: [][]byte{{2}}}}}, nil},
		{&tls.Config{RootCAs: pool}, &tls.Config{RootCAs: x509.NewCertPool(), Certificates: ours}},
	} {
		old := Login{TLS: c.old, Username: "old", Password: "p", Token: "t"}
		got := Login{TLS: c.next, Username: "new"}.showing(old)
		if got.Username != "old" || got.Password != "p" || got.Token != "t" {
			t.Errorf("showing(%+v) is %s", c.old, got.Username)
		}
		var roots, wantRoots *x509.CertPool
		var shown, wantShown int
		if got.TLS != nil {
			roots, shown = got.TLS.RootCAs, len(got.TLS.Certificates)
		}
		if c.next != nil {
			wantRoots = c.next.RootCAs
		}
		if c.old != nil {
			wantShown = len(c.old.Certificates)
		}
		if roots != wantRoots || shown != wantShown {
			t.Errorf("%+v showing %+v: trusts %p and shows %d certificates, want %p and %d", c.next, c.old, roots, shown, wantRoots, wantShown)
		}
	}
}
