package kafkaio

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"
)

// A login is what we show to a broker, and which brokers we trust.
type login struct {
	tls  *tls.Config // nil: plain text
	sasl *SASL       // nil: no login
}

// none reports whether there is nothing to show and nothing to check.
func (l login) none() bool { return l.tls == nil && l.sasl == nil }

// showing is a login that shows what old does. It trusts whom l trusts: an
// authority that was taken away is not believed any more.
func (l login) showing(old login) login {
	l.sasl = old.sasl
	if l.tls != nil && old.tls != nil {
		l.tls = l.tls.Clone()
		l.tls.Certificates = old.tls.Certificates
	}
	return l
}

// logins opens connections and logs in, always with the newest login. It is done
// here and not by kafka-go's transport, because the transport keeps the login that
// its pool began with, has no deadline for it, and hides behind its old metadata
// that brokers refuse it.
//
// Brokers and files are never changed at the same moment. So who is refused with
// the newest login shows the one before.
type logins struct {
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	clientID string
	told     func(loginNews) // of every login that ended; nil: nobody is

	renewed chan struct{} // has something in it when the newest login was not tried yet

	mu      sync.Mutex
	now     login
	before  *login             // nil: none
	refused map[string]refusal // by broker
}

// A refusal is why a broker did not let us in.
type refusal struct {
	err error
	at  time.Time
}

// loginNews is how a login at a broker ended.
type loginNews struct {
	broker   string
	err      error // why the newest one was not accepted; nil: it was
	fellBack bool  // the one before was
}

// refusalHolds is how long a refusal counts that is not seen again: a broker
// that is needed is dialled every second.
const refusalHolds = 30 * time.Second

func (c Connection) logins() *logins {
	return &logins{
		dial: c.dialer(), clientID: c.ClientID, now: login{c.TLS, c.SASL}, renewed: make(chan struct{}, 1),
		refused: map[string]refusal{},
	}
}

// renew has new connections log in with this from now on.
func (l *logins) renew(next login) {
	l.mu.Lock()
	before := l.now
	l.now, l.before = next, &before
	clear(l.refused)
	l.mu.Unlock()
	select {
	case l.renewed <- struct{}{}:
	default:
	}
}

func (l *logins) current() (now login, before *login) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.before == nil {
		return l.now, nil
	}
	old := l.now.showing(*l.before)
	return l.now, &old
}

// open opens a connection that is logged in.
func (l *logins) open(ctx context.Context, network, addr string) (net.Conn, error) {
	now, before := l.current()
	if err := l.tooSoon(addr); err != nil {
		return nil, err
	}
	conn, err := l.openWith(ctx, now, network, addr)
	if now.none() {
		return conn, err
	}
	refused := new(LoginError)
	if err == nil || !errors.As(err, &refused) || ctx.Err() != nil {
		l.tell(loginNews{broker: addr, err: err})
		return conn, err
	}
	if before != nil {
		if conn, again := l.openWith(ctx, *before, network, addr); again == nil {
			l.tell(loginNews{broker: addr, err: err, fellBack: true})
			return conn, nil
		}
	}
	l.tell(loginNews{broker: addr, err: err})
	return nil, err
}

// loginPause is how long a broker that refused a login is not tried again: some
// lock users out that come too often. A login that was renewed is tried at once.
const loginPause = time.Second

// tooSoon returns a broker's refusal if it is too fresh to be tried again.
func (l *logins) tooSoon(broker string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.refused[broker]; r.err != nil && time.Since(r.at) < loginPause {
		return r.err
	}
	return nil
}

// tell notes how a login ended. What never came so far as a login says nothing.
func (l *logins) tell(n loginNews) {
	refused := new(LoginError)
	if n.err != nil && !errors.As(n.err, &refused) {
		return
	}
	l.mu.Lock()
	if n.err == nil || n.fellBack {
		delete(l.refused, n.broker)
	} else {
		l.refused[n.broker] = refusal{n.err, time.Now()}
	}
	l.mu.Unlock()
	if l.told != nil {
		l.told(n)
	}
}

// refusal returns the newest one that holds; its error is nil if none does.
func (l *logins) refusal() (newest refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for broker, r := range l.refused {
		if time.Since(r.at) > refusalHolds {
			delete(l.refused, broker)
		} else if r.at.After(newest.at) {
			newest = r
		}
	}
	return newest
}

// A LoginError says that a broker does not let us in, or that we do not trust it.
type LoginError struct {
	Broker string // host:port
	User   string // empty: no SASL login, or one by a token
	Err    error
}

func (e *LoginError) Error() string {
	who := "login at " + e.Broker
	if e.User != "" {
		who += fmt.Sprintf(" as %q", e.User)
	}
	return who + ": " + explainLogin(e.Err)
}

func (e *LoginError) Unwrap() error { return e.Err }

// explainLogin says what went wrong in words of ours. A broker's are not repeated:
// nobody knows what is in them.
func explainLogin(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the broker's certificate is not trusted (PAYLINK_KAFKA_TLS_CA_FILE, PAYLINK_KAFKA_TLS_SERVER_NAME): " + err.Error()
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" { // how crypto/tls tells of an alert
		return "the broker ends the TLS handshake: it refuses our certificate (PAYLINK_KAFKA_TLS_CERT_FILE), or has another " +
			"set-up: " + op.Err.Error()
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the broker speaks no TLS on this port"
	}
	switch {
	case errors.Is(err, errTokenRefused):
		return "the broker refuses the token: it may be over, or of another issuer or audience than the broker expects " +
			"(PAYLINK_KAFKA_OAUTH_…)"
	case Code(err) == kafka.SASLAuthenticationFailed:
		return "the broker refuses this user with this password (PAYLINK_KAFKA_SASL_PASSWORD, or its file)"
	case Code(err) == kafka.UnsupportedSASLMechanism:
		return "the broker does not offer this mechanism (PAYLINK_KAFKA_SASL_MECHANISM)"
	case Code(err) != 0:
		return "the broker refuses it: " + Code(err).Title()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the broker hangs up: that is how it refuses a login or certificate, or a plain connection to a TLS port"
	}
	return err.Error()
}

// openWith opens a connection and logs in. An error of what follows the dial is a
// LoginError, unless the broker says nothing.
func (l *logins) openWith(ctx context.Context, with login, network, addr string) (net.Conn, error) {
	conn, err := l.dial(ctx, network, addr)
	switch {
	case err != nil:
		return nil, err
	case with.none():
		return &framed{Conn: conn}, nil
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(dialTimeout)
	}
	if with.tls != nil {
		conn = tls.Client(conn, with.tlsFor(addr))
	}
	conn = &framed{Conn: conn}
	_ = conn.SetDeadline(deadline) // an error of it shows in what follows
	versions, lifetime, err := with.in(ctx, protocol.NewConn(conn, l.clientID), addr)
	if err != nil {
		_ = conn.Close()
		return nil, with.refusal(addr, err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return newLoginSession(conn, lifetime, l.again(with, addr, versions)), nil
}

// refusal says that the login failed, and as whom. Silence is no LoginError: a broker that
// hangs, or is cut off, has judged nobody.
func (l login) refusal(addr string, err error) error {
	if silent, ok := errors.AsType[net.Error](err); ok && silent.Timeout() && !noToken(err) {
		return fmt.Errorf("login at %s: the broker does not answer: %w", addr, err)
	}
	e := &LoginError{Broker: addr, Err: err}
	if l.sasl != nil {
		e.User = l.sasl.Username
	}
	return e
}

// noToken reports whether a login failed before a broker was asked.
func noToken(err error) bool {
	_, is := errors.AsType[*TokenError](err)
	return is
}

// tlsFor is the encryption of a connection to a broker.
func (l login) tlsFor(addr string) *tls.Config {
	if l.tls.ServerName != "" {
		return l.tls
	}
	c := l.tls.Clone()
	c.ServerName = addr
	if host, _, err := net.SplitHostPort(addr); err == nil {
		c.ServerName = host
	}
	return c
}

// in asks for what the broker can, which proves the TLS connection too, and logs in.
// It returns that, and how long the login lasts; 0: for as long as the connection.
func (l login) in(ctx context.Context, pc *protocol.Conn, addr string) (versions map[protocol.ApiKey]int16, lifetime time.Duration, err error) {
	res, err := pc.RoundTrip(new(apiversions.Request))
	if err != nil {
		return nil, 0, err
	}
	has := res.(*apiversions.Response)
	if has.ErrorCode != 0 {
		return nil, 0, kafka.Error(has.ErrorCode)
	}
	if l.sasl == nil {
		return nil, 0, nil
	}
	versions = map[protocol.ApiKey]int16{}
	for _, k := range has.ApiKeys {
		key := protocol.ApiKey(k.ApiKey)
		versions[key] = key.SelectVersion(k.MinVersion, k.MaxVersion)
	}
	pc.SetVersions(versions)
	lifetime, err = l.authenticate(ctx, pc, addr)
	return versions, lifetime, err
}

// authenticate logs in, and returns how long that lasts; 0: for as long as the
// connection. What is to be shown is got first: a broker that has begun to talk to
// us is not kept waiting, and one that we cannot talk to stays as it is.
func (l login) authenticate(ctx context.Context, pc *protocol.Conn, addr string) (lifetime time.Duration, err error) {
	mech, err := l.sasl.mechanism()
	if err != nil {
		return 0, err
	}
	talk, say, err := mech.Start(sasl.WithMetadata(ctx, &sasl.Metadata{Host: addr}))
	if err != nil {
		return 0, err
	}
	res, err := pc.RoundTrip(&saslhandshake.Request{Mechanism: mech.Name()})
	if err != nil {
		return 0, err
	}
	if code := res.(*saslhandshake.Response).ErrorCode; code != 0 {
		return 0, kafka.Error(code)
	}
	for done := false; err == nil && !done; {
		var heard *saslauthenticate.Response
		if heard, err = authenticateOnce(pc, say); err == nil {
			lifetime = time.Duration(heard.SessionLifetimeMs) * time.Millisecond
			done, say, err = talk.Next(ctx, heard.AuthBytes)
		}
	}
	if Code(err) == kafka.SASLAuthenticationFailed && l.sasl.Mechanism == SASLOAuth {
		err = errTokenRefused
	}
	return lifetime, err
}

func authenticateOnce(pc *protocol.Conn, say []byte) (*saslauthenticate.Response, error) {
	res, err := pc.RoundTrip(&saslauthenticate.Request{AuthBytes: say})
	if err != nil {
		return nil, err
	}
	a := res.(*saslauthenticate.Response)
	if a.ErrorCode != 0 {
		return nil, kafka.Error(a.ErrorCode)
	}
	return a, nil
}

// proveLogins tries each new login, until ctx ends. Once a broker accepts it, the
// connections of the one before are closed as they become idle. Until then they
// stay: they may be the last that we get.
func (s *Source) proveLogins(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.logins.renewed:
		}
		for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, 30*time.Second) {
			if s.logins.accepted(ctx, s.cfg.Connection.Brokers) {
				s.tr.CloseIdleConnections()
				s.turns.renewed()
				s.log.Info("the brokers accept the new login: connections of the old one end")
				break
			}
			Sleep(ctx, wait)
		}
	}
}

// accepted reports whether a broker accepts the newest login.
func (l *logins) accepted(ctx context.Context, brokers []string) bool {
	now, _ := l.current()
	for _, addr := range brokers {
		conn, err := call(ctx, dialTimeout, func(ctx context.Context) (net.Conn, error) {
			return l.openWith(ctx, now, "tcp", addr)
		})
		if err == nil {
			_ = conn.Close()
			return true
		}
	}
	return false
}

// Renew takes up another login: new connections show it at once. Those that stand
// go on until a broker accepts it; then they end as they become idle. A broker that
// refuses it is shown the one before, so that files and brokers may be changed in
// any order.
func (s *Source) Renew(encryption *tls.Config, auth *SASL) error {
	if _, err := auth.mechanism(); err != nil {
		return fmt.Errorf("renew login: %w", err)
	}
	s.logins.renew(login{encryption, auth})
	return nil
}

// loginTold logs and counts refused logins, and tells when brokers accept us again.
func (s *Source) loginTold(n loginNews) {
	if n.err != nil {
		s.metrics.refusedLogins.Inc()
	}
	switch {
	case n.err == nil:
		if since := s.refusedSince.Swap(nil); since != nil {
			s.log.WithField("since", since.UTC().Format(time.RFC3339)).Warn("the brokers accept our login again")
		}
	case n.fellBack:
		s.bursts.Say("login before", func() {
			s.log.WithError(n.err).Warn("a broker refuses the new login and accepts the one before: change it at the brokers too")
		}, func(more int) {
			s.log.WithField("more", more).Warn("brokers refuse the new login, and accept the one before")
		})
	default:
		now := time.Now()
		s.refusedSince.CompareAndSwap(nil, &now)
		s.bursts.Say("login", func() {
			if noToken(n.err) {
				s.log.WithError(n.err).Error("there is no token to log in with at the brokers: correct what gives it; it is tried again by itself")
				return
			}
			s.log.WithError(n.err).Error("a broker refuses our login: correct the password, token or certificate files, which " +
				"are taken up at once, or the broker's users")
		}, func(more int) {
			s.log.WithField("more", more).WithError(n.err).Error("brokers go on refusing our login")
		})
	}
}
