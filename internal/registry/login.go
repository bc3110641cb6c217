package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"

	"paylink/internal/payment"
)

// A Login is what we show to a registry, and which registries we trust.
type Login struct {
	TLS      *tls.Config // nil: the system's certificates, and none of ours
	Username string      // of basic authentication; empty: none
	Password payment.Secret
	Token    payment.Secret // of bearer authentication; goes before Username
}

// showing is a login that shows what old does. It trusts whom l trusts: an
// authority that was taken away is not believed any more.
func (l Login) showing(old Login) Login {
	if old.TLS != nil {
		c := l.TLS.Clone()
		if c == nil {
			c = &tls.Config{MinVersion: old.TLS.MinVersion}
		}
		c.Certificates = old.TLS.Certificates
		l.TLS = c
	} else if l.TLS != nil {
		l.TLS = l.TLS.Clone()
		l.TLS.Certificates = nil
	}
	l.Username, l.Password, l.Token = old.Username, old.Password, old.Token
	return l
}

// A way is a login with connections of its own.
type way struct {
	Login
	*http.Transport
}

func newWay(l Login, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *way {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = l.TLS.Clone()
	t.MaxIdleConnsPerHost = 4
	if dial != nil {
		t.DialContext = dial
	}
	return &way{l, t}
}

// send sends a request with the login. It leaves the request as it is, but for the
// body, which is used up.
func (w *way) send(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	switch {
	case w.Token != "":
		req.Header.Set("Authorization", "Bearer "+w.Token.Reveal())
	case w.Username != "":
		req.SetBasicAuth(w.Username, w.Password.Reveal())
	}
	return w.Transport.RoundTrip(req)
}

// ways sends each request with the newest login. Registries and files are never
// changed at the same moment. So who is refused with the newest login shows the one
// before.
type ways struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	told func() // of each request that only the login before was good for; nil: nobody is

	mu     sync.Mutex
	now    *way
	before *way // nil: none
}

// renew has requests sent with this login from now on.
func (ws *ways) renew(next Login) {
	ws.mu.Lock()
	old, older := ws.now, ws.before
	ws.now, ws.before = newWay(next, ws.dial), newWay(next.showing(old.Login), ws.dial)
	ws.mu.Unlock()
	old.CloseIdleConnections()
	if older != nil {
		older.CloseIdleConnections()
	}
}

func (ws *ways) current() (now, before *way) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.now, ws.before
}

// RoundTrip implements http.RoundTripper.
func (ws *ways) RoundTrip(req *http.Request) (*http.Response, error) {
	now, before := ws.current()
	res, err := now.send(req)
	if before == nil || !refused(res, err) || req.Context().Err() != nil {
		return res, err
	}
	again, ok := repeated(req)
	if !ok {
		return res, err
	}
	old, oldErr := before.send(again)
	if oldErr != nil || refused(old, nil) {
		drop(old)
		return res, err
	}
	drop(res)
	if ws.told != nil {
		ws.told()
	}
	return old, nil
}

// repeated returns a request with its body once more, if there is a way to it.
func repeated(req *http.Request) (again *http.Request, ok bool) {
	if again = req.Clone(req.Context()); req.Body == nil {
		return again, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	var err error
	again.Body, err = req.GetBody()
	return again, err == nil
}

// refused reports whether a registry may have refused a login. It refuses a
// certificate by an alert or by hanging up, sooner or later: any error may be that,
// but for one of the dial.
func refused(res *http.Response, err error) bool {
	if err != nil {
		op, ok := errors.AsType[*net.OpError](err)
		return !ok || op.Op != "dial"
	}
	return res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden
}

func drop(res *http.Response) {
	if res != nil {
		_ = res.Body.Close()
	}
}

func (ws *ways) close() {
	now, before := ws.current()
	now.CloseIdleConnections()
	if before != nil {
		before.CloseIdleConnections()
	}
}
