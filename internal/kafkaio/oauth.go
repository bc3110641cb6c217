package kafkaio

import (
	"context"
	"errors"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
)

// An oauthLogin is OAUTHBEARER (RFC 7628, with Kafka's extensions of KIP-342): it
// shows a token that is got anew for each login.
type oauthLogin struct{ *SASL }

// Name is what the brokers call it.
func (oauthLogin) Name() string { return "OAUTHBEARER" }

// A TokenError says that there is no token to show.
type TokenError struct{ Err error }

func (e *TokenError) Error() string { return e.Err.Error() }

func (e *TokenError) Unwrap() error { return e.Err }

// Start gets a token, and returns the only message that a broker which takes it
// needs.
func (l oauthLogin) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	token, err := l.Token(ctx)
	if err == nil && strings.ContainsAny(token.Reveal(), "\x00\x01\r\n") {
		err = errors.New("no token: it holds control characters")
	}
	if err != nil {
		return nil, nil, &TokenError{err}
	}
	var b strings.Builder
	b.WriteString("n,,\x01auth=Bearer " + token.Reveal() + "\x01")
	for _, e := range l.Extensions {
		b.WriteString(e + "\x01")
	}
	b.WriteString("\x01")
	return oauthTalk{}, []byte(b.String()), nil
}

// errTokenRefused is how brokers end a login whose token they do not take.
var errTokenRefused = errors.New("the broker refuses the token")

type oauthTalk struct{}

// Next ends the login: a broker that takes the token says nothing. One that does
// not says why, in words that are not repeated, and wants an empty answer; it is
// told by hanging up instead, which ends the connection as well.
func (oauthTalk) Next(_ context.Context, challenge []byte) (bool, []byte, error) {
	if len(challenge) > 0 {
		return false, nil, errTokenRefused
	}
	return true, nil, nil
}
