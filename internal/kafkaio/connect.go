package kafkaio

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"

	"paylink/internal/payment"
)

// A Connection says how to reach the brokers. It is a value: copy it freely.
type Connection struct {
	Brokers  []string    // host:port of some brokers; the others are found through them
	TLS      *tls.Config // nil: plain text
	SASL     *SASL       // nil: no login
	ClientID string      // how brokers name us in their logs and quotas

	// Dial opens connections; nil means a plain net.Dialer. Tests give the
	// dialer of a virtual network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// SASL is a login to the brokers.
type SASL struct {
	Mechanism string // SASLPlain, SASLScram256, SASLScram512 or SASLOAuth
	Username  string
	Password  payment.Secret

	// Token returns what SASLOAuth shows, for each login. It may be called
	// concurrently, and what it says on failure goes to the log.
	Token      func(context.Context) (payment.Secret, error)
	Extensions []string // that go with the token, such as logicalCluster=lkc-1, without control characters
}

// The mechanisms of SASL.
const (
	SASLPlain    = "plain"
	SASLScram256 = "scram-sha-256"
	SASLScram512 = "scram-sha-512"
	SASLOAuth    = "oauthbearer"
)

// Times of a connection. An idle connection goes before the brokers cut it
// (connections.max.idle.ms, 10 min). Partitions that are added are seen within the TTL;
// a leader that moved at once (routes.doubt).
const (
	dialTimeout    = 3 * time.Second
	idleTimeout    = 30 * time.Second
	metadataTTL    = 3 * time.Second
	requestTimeout = 10 * time.Second
)

// Transport returns a pool of connections that knows the given topics and no
// others: a request about another topic fails. No topics means all topics of the
// cluster, which is for tools only. One transport serves everything in a
// process; CloseIdleConnections ends it.
func (c Connection) Transport(topics ...string) (*kafka.Transport, error) {
	if len(c.Brokers) == 0 {
		return nil, errors.New("connect: no brokers are given")
	}
	if _, err := c.SASL.mechanism(); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return c.transport(c.logins(), topics...), nil
}

// transport is Transport whose connections log in by l.
func (c Connection) transport(l *logins, topics ...string) *kafka.Transport {
	return &kafka.Transport{
		Dial:           l.open,
		DialTimeout:    dialTimeout,
		IdleTimeout:    idleTimeout,
		MetadataTTL:    metadataTTL,
		MetadataTopics: topics,
		ClientID:       c.ClientID,
	}
}

func (c Connection) dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	if c.Dial != nil {
		return c.Dial
	}
	return (&net.Dialer{Timeout: dialTimeout, KeepAlive: idleTimeout}).DialContext
}

// Reach tries whether a broker accepts connections. Nothing is sent.
func (c Connection) Reach(ctx context.Context, broker string) error {
	dial := func(ctx context.Context) (net.Conn, error) { return c.dialer()(ctx, "tcp", broker) }
	conn, err := call(ctx, dialTimeout, dial)
	if err != nil {
		return err
	}
	_ = conn.Close() // it said nothing
	return nil
}

// Client returns a client on a transport of this connection. Each of its
// requests ends after ten seconds at the latest.
func (c Connection) Client(tr *kafka.Transport) *kafka.Client {
	return &kafka.Client{Addr: c.Addr(), Timeout: requestTimeout, Transport: tr}
}

// Addr returns the brokers as the address that requests are sent to.
func (c Connection) Addr() net.Addr { return kafka.TCP(c.Brokers...) }

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	if s == nil {
		return nil, nil
	}
	switch s.Mechanism {
	case SASLPlain:
		return plain.Mechanism{Username: s.Username, Password: s.Password.Reveal()}, nil
	case SASLScram256, SASLScram512:
		return newScram(s.Mechanism, s.Username, s.Password)
	case SASLOAuth:
		return oauthLogin{s}, nil
	}
	return nil, fmt.Errorf("unknown SASL mechanism %q: want %s, %s, %s or %s", s.Mechanism, SASLPlain, SASLScram256,
		SASLScram512, SASLOAuth)
}
