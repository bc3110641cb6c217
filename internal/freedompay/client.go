package freedompay

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"paylink/internal/payment"
)

// Defaults of Config.
const (
	DefaultTimeout        = 30 * time.Second
	DefaultConnectTimeout = 5 * time.Second
	DefaultConcurrency    = 256
	DefaultMaxAnswer      = 1 << 20
)

// idleTimeout is how long an unused connection is kept. Servers close theirs
// after a minute or so; a call that meets such a close is in doubt, so we are first.
const idleTimeout = 30 * time.Second

// writeBuffer holds an ordinary Init whole, so that it leaves in one write and
// the last look covers all of it. Every connection has one, so an Init of
// maximum lengths is not provided for: it takes several writes, and counts as in
// doubt when one after the first is refused.
const writeBuffer = 8 << 10

// maxHeader bounds the header of an answer, in bytes.
const maxHeader = 64 << 10

// usual is how many bytes an answer may have, and unpack to, to be read beside any
// number of others. Of larger ones maxLarge are held at a time, because each is in
// memory several times while it is taken apart. The gateway's own have a few hundred
// bytes, with a QR code a few thousand.
const (
	usual    = 64 << 10
	maxLarge = 8
)

// A Config says how to call. The zero value of a field means its default.
type Config struct {
	// Merchant returns the merchant of that id, with secret and gateway.
	// Required; called once per call, so that a new secret counts at once.
	Merchant func(payment.MerchantID) (payment.Merchant, bool)

	Timeout        time.Duration // for a whole call, answer included; 30 s
	ConnectTimeout time.Duration // for TCP, and again for TLS; 5 s

	// Concurrency is how many idle connections are kept per host: as many as
	// there are calls in flight, or every burst pays for handshakes. 256.
	Concurrency int

	MaxAnswer int64 // bytes of an answer's body; 1 MiB

	// MayWrite is the last look before bytes leave: it is asked at every write
	// to a connection, and "no" means that the call is not sent. A process that
	// is suspended after its lease check must not send after waking, so the
	// answer must come from a clock that runs during suspend. It must be quick
	// and may be called concurrently. nil: always.
	MayWrite func() bool

	// BadLink is told of a link that must not be published, although the answer's
	// signature verified: of a gateway that went mad, or that speaks for somebody
	// else. The reason holds no more of the link than its host. It must be quick
	// and may be called concurrently. nil: nobody is told.
	BadLink func(in payment.Intent, reason error)

	Now func() time.Time // the clock for dates in Retry-After where the answer has no Date; time.Now

	// Dial opens TCP connections. nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Proxy chooses a proxy for a request. nil: none, whatever the environment
	// says; pass http.ProxyFromEnvironment to follow it.
	Proxy func(*http.Request) (*url.URL, error)

	TLS *tls.Config // whom to trust and what to show, until Renew; nil: the system's roots, nothing
}

// A Client calls the gateway. It implements payment.Gateway, and its methods
// may be called concurrently.
//
// It speaks HTTP/1.1 only: a connection then carries one call at a time, so
// that it is always certain whether a byte of a call left. It follows no
// redirect, and sends each call at most once.
type Client struct {
	config    Config
	transport atomic.Pointer[http.Transport] // another one after each Renew
	large     chan struct{}                  // a token for each answer that is larger than usual
}

var _ payment.Gateway = (*Client)(nil)

// New returns a client. Close it to give its idle connections back.
func New(c Config) *Client {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, DefaultConnectTimeout)
	c.Concurrency = cmp.Or(c.Concurrency, DefaultConcurrency)
	c.MaxAnswer = cmp.Or(c.MaxAnswer, DefaultMaxAnswer)
	if c.MayWrite == nil {
		c.MayWrite = func() bool { return true }
	}
	if c.BadLink == nil {
		c.BadLink = func(payment.Intent, error) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: c.ConnectTimeout, KeepAlive: 15 * time.Second}).DialContext
	}
	cl := &Client{config: c, large: make(chan struct{}, maxLarge)}
	cl.transport.Store(newTransport(c, c.TLS))
	return cl
}

// Renew has every call from now on trust and show something else. Calls in flight
// end as they began; no connection of theirs is used again. It may be called
// concurrently with the rest.
func (c *Client) Renew(encryption *tls.Config) {
	c.transport.Swap(newTransport(c.config, encryption)).CloseIdleConnections()
}

func newTransport(c Config, encryption *tls.Config) *http.Transport {
	tlsConfig := &tls.Config{}
	if encryption != nil {
		tlsConfig = encryption.Clone()
	}
	tlsConfig.DynamicRecordSizingDisabled = true // a call is few writes, not many
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy: c.Proxy,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
			defer cancel()
			conn, err := c.Dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &guard{Conn: conn, mayWrite: c.MayWrite}, nil
		},
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    c.ConnectTimeout,
		Protocols:              http1,
		DisableCompression:     true, // answers are small, and unpacked by us if they come packed
		OnProxyConnectResponse: refusedConnect,
		MaxIdleConnsPerHost:    c.Concurrency,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		WriteBufferSize:        writeBuffer,
	}
}

// Close closes the idle connections. Calls in flight go on.
func (c *Client) Close() { c.transport.Load().CloseIdleConnections() }

// Open asks for a payment page, once. See payment.Gateway.
//
// A merchant that is not configured properly is Misconfigured with HTTP status
// 0: nothing was sent.
func (c *Client) Open(ctx context.Context, in payment.Intent) (payment.Link, error) {
	r, q, ge := c.ask(ctx, in, InitPath, initFields(in, newSalt()))
	if ge != nil {
		return payment.Link{}, ge
	}
	defer r.free()
	link, ge := q.link(r)
	if ge != nil && ge.Cause == CauseBadURL {
		c.config.BadLink(in, ge.Err)
	}
	if ge != nil {
		return payment.Link{}, ge
	}
	return link, nil
}

// Find asks what the gateway knows under the intent's order id. See
// payment.Gateway.
//
// "Not found" wraps payment.ErrNotFound, whether it was signed or not; the
// GatewayError around it says which. No error of Find is RefusedForGood or
// IsDuplicate: a look-up cannot refuse an intent.
func (c *Client) Find(ctx context.Context, in payment.Intent) (payment.Status, error) {
	r, q, ge := c.ask(ctx, in, StatusPath, statusFields(in, newSalt()))
	if ge != nil {
		return payment.Status{}, ge
	}
	defer r.free()
	state, ge := q.state(r)
	if ge != nil {
		return payment.Status{}, ge
	}
	return state, nil
}

// Health reports whether a gateway answers and calls itself well. A gateway
// without that page (404) is taken for well. The error is a *GatewayError.
func (c *Client) Health(ctx context.Context, gatewayURL string) error {
	u := endpoint(gatewayURL, HealthPath)
	if u == nil {
		return &payment.GatewayError{Class: payment.Misconfigured, Cause: CauseBadGatewayURL}
	}
	r, ge := c.send(ctx, &http.Request{Method: http.MethodGet, URL: u, Header: headers("")})
	if ge != nil {
		return ge
	}
	defer r.free()
	if ge := c.health(r); ge != nil {
		return ge
	}
	return nil
}

func (c *Client) health(r reply) *payment.GatewayError {
	q := question{now: c.config.Now()}
	if r.status == http.StatusNotFound {
		return nil
	}
	if cause := httpCause(r.status, ""); cause != "" {
		return q.doubt(r, cause)
	}
	var says struct{ Status string }
	if json.Unmarshal(r.body, &says) == nil && says.Status != "" && says.Status != "ok" {
		return q.doubt(r, CauseUnhealthy)
	}
	return nil
}

// ask signs and sends the fields, and returns the reply with the question that
// it answers.
func (c *Client) ask(ctx context.Context, in payment.Intent, path string, fields []Field) (reply, question, *payment.GatewayError) {
	m, ge := c.merchant(in.Merchant)
	if ge != nil {
		return reply{}, question{}, ge
	}
	u := endpoint(m.GatewayURL, path)
	if u == nil {
		return reply{}, question{}, &payment.GatewayError{Class: payment.Misconfigured, Cause: CauseBadGatewayURL}
	}
	script := Script(u.Path)
	f := encode(withSignature(script, fields, m.Secret))
	// The request is built by hand: http.NewRequest would set GetBody, with
	// which the HTTP layer repeats calls by itself.
	r, ge := c.send(ctx, &http.Request{
		Method: http.MethodPost, URL: u, Header: headers(f.contentType),
		Body: io.NopCloser(bytes.NewReader(f.body)), ContentLength: int64(len(f.body)),
	})
	return r, question{script: script, links: linksOf(m, u), intent: in, secret: m.Secret, now: c.config.Now()}, ge
}

func (c *Client) merchant(id payment.MerchantID) (payment.Merchant, *payment.GatewayError) {
	m, ok := c.config.Merchant(id)
	switch {
	case !ok:
		return m, &payment.GatewayError{Class: payment.Misconfigured, Cause: CauseUnknownMerchant, Err: payment.ErrUnknownMerchant}
	case m.Secret == "":
		return m, &payment.GatewayError{Class: payment.Misconfigured, Cause: CauseNoSecret}
	}
	return m, nil
}

func headers(contentType string) http.Header {
	h := http.Header{"User-Agent": {"paylink"}, "Accept": {"application/xml, */*;q=0.1"}, "Accept-Encoding": {"identity"}}
	if contentType != "" {
		h["Content-Type"] = []string{contentType}
	}
	return h
}

// send sends a request once and reads the answer. It uses the transport
// itself, not an http.Client: that one follows redirects, and its errors quote
// the URL.
func (c *Client) send(ctx context.Context, req *http.Request) (reply, *payment.GatewayError) {
	ctx, told := traced(ctx, req)
	r, ge := c.exchange(ctx, req)
	told(r, ge)
	return r, ge
}

func (c *Client) exchange(ctx context.Context, req *http.Request) (reply, *payment.GatewayError) {
	if !c.config.MayWrite() {
		return reply{}, extent{refused: true}.failure(errNoLease)
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	var f flight
	resp, err := c.transport.Load().RoundTrip(req.WithContext(f.watch(ctx)))
	if err != nil {
		return reply{}, f.end().failure(err)
	}
	defer resp.Body.Close()
	if !f.asked() {
		return reply{}, f.end().failure(nil)
	}
	r, err := c.read(ctx, resp)
	if err != nil {
		r.free()
		ge := extent{connected: true, sent: true}.failure(err)
		ge.Status = resp.StatusCode
		ge.RetryAfter = retryAfter(resp.Header, c.config.Now())
		return reply{}, ge
	}
	return r, nil
}

// read reads the body to its end, so that the connection can be used again;
// or, if there is too much of it, no further than the bound. Whoever has the reply
// frees it.
func (c *Client) read(ctx context.Context, resp *http.Response) (reply, error) {
	r := reply{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return r, nil // its body is the connection itself, and has no end
	}
	if resp.ContentLength > c.config.MaxAnswer {
		r.tooLarge = true
		return r, nil
	}
	if err := c.body(ctx, &r, resp); err != nil || r.tooLarge {
		return r, err
	}
	plain, err := unpack(resp.Header, r.body, min(usual, c.config.MaxAnswer))
	if err == errTooLarge {
		if err := r.grow(ctx, c.large); err != nil {
			return r, err
		}
		plain, err = unpack(resp.Header, r.body, c.config.MaxAnswer)
	}
	r.body, r.tooLarge, r.packed = plain, err == errTooLarge, err == errEncoding
	return r, nil
}

// body reads the body as it comes.
func (c *Client) body(ctx context.Context, r *reply, resp *http.Response) (err error) {
	src := io.LimitReader(resp.Body, c.config.MaxAnswer+1)
	r.body, err = readAll(io.LimitReader(src, usual), min(resp.ContentLength, usual))
	if err == nil && len(r.body) == usual {
		var rest []byte
		if err = r.grow(ctx, c.large); err == nil {
			rest, err = readAll(src, resp.ContentLength-usual)
			r.body = append(r.body, rest...)
		}
	}
	r.tooLarge = int64(len(r.body)) > c.config.MaxAnswer
	return err
}

// readAll is io.ReadAll with room for what is announced. An answer cut short
// is an error.
func readAll(src io.Reader, announced int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(max(announced, 0)) + bytes.MinRead)
	_, err := b.ReadFrom(src)
	return b.Bytes(), err
}
