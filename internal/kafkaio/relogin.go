package kafkaio

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// A loginSession is a connection that a broker ends if we do not log in again in time
// (KIP-368). It logs in before the first request that comes when seven eighths of
// the time are over. kafka-go sends one request at a time over a connection, so
// what is written after an answer was read begins a request, and nothing else is
// on the wire then.
//
// It is used by one goroutine at a time, as kafka-go's transport does, but for
// deadlines and Close.
type loginSession struct {
	net.Conn
	login func(context.Context, net.Conn) (lifetime time.Duration, err error)
	next  time.Time    // when to log in again; zero: never
	over  time.Time    // when the broker ends the connection
	limit atomic.Int64 // deadline for reading and writing, in Unix nanoseconds; 0: none
	heard bool         // something was read since the last write: a request ends
}

// reauthenticatesFrom is the part of a session's time after which we log in again,
// in eighths. Brokers refuse who comes again within a second; nobody gives less.
const reauthenticatesFrom = 7

func newLoginSession(conn net.Conn, lifetime time.Duration, login func(context.Context, net.Conn) (time.Duration, error)) net.Conn {
	if lifetime <= 0 {
		return conn
	}
	s := &loginSession{Conn: conn, login: login, heard: true}
	s.lasts(lifetime)
	return s
}

func (s *loginSession) lasts(lifetime time.Duration) {
	s.next, s.over = time.Time{}, time.Time{}
	if lifetime > 0 {
		now := time.Now()
		s.next, s.over = now.Add(lifetime*reauthenticatesFrom/8), now.Add(lifetime)
	}
}

// Read notes that an answer came.
func (s *loginSession) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.heard = s.heard || n > 0
	return n, err
}

// Write logs in again first, where it is time and a request begins.
func (s *loginSession) Write(b []byte) (int, error) {
	if s.heard && !s.next.IsZero() && !time.Now().Before(s.next) {
		if err := s.again(); err != nil {
			_ = s.Conn.Close() // the broker does not want it any more either
			return 0, err
		}
	}
	s.heard = false
	return s.Conn.Write(b)
}

// SetDeadline keeps the deadline: a token is not waited for longer.
func (s *loginSession) SetDeadline(t time.Time) error {
	s.limit.Store(0)
	if !t.IsZero() {
		s.limit.Store(t.UnixNano())
	}
	return s.Conn.SetDeadline(t)
}

// again logs in again. What keeps us from showing anything is no error while the
// session lasts: the next request tries once more.
func (s *loginSession) again() error {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	if limit := s.limit.Load(); limit != 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, time.Unix(0, limit))
		defer stop()
	}
	lifetime, err := s.login(ctx, s.Conn)
	if noToken(err) && time.Now().Before(s.over) {
		return nil
	}
	if err != nil {
		return err
	}
	s.lasts(lifetime)
	return nil
}

// again logs in at a broker over a connection that stands, with the newest login
// if that is one of the same user by the same mechanism: brokers allow no other.
func (l *logins) again(with login, addr string, versions map[protocol.ApiKey]int16) func(context.Context, net.Conn) (time.Duration, error) {
	return func(ctx context.Context, conn net.Conn) (time.Duration, error) {
		if now, _ := l.current(); now.sasl != nil && now.sasl.Mechanism == with.sasl.Mechanism && now.sasl.Username == with.sasl.Username {
			with = now
		}
		pc := protocol.NewConn(conn, l.clientID)
		pc.SetVersions(versions)
		lifetime, err := with.authenticate(ctx, pc, addr)
		if err != nil {
			err = with.refusal(addr, err)
		}
		if !noToken(err) {
			l.tell(loginNews{broker: addr, err: err})
		}
		return lifetime, err
	}
}
