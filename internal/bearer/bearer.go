// Package bearer gets the tokens that say who we are at brokers: from a file that
// somebody renews, from a token endpoint with our client's credentials (RFC 6749,
// section 4.4), or from AWS.
//
// A token is kept until a fifth of its life is left, and got once for all who wait
// for it. Nothing of a token, of credentials or of what an endpoint said is in an
// error: of its answer only the status, and the code if it is one of RFC 6749.
package bearer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"paylink/internal/payment"
)

// A Token is what is shown.
type Token struct {
	Value  payment.Secret
	Expiry time.Time // zero: nobody has said
}

// An Error is why there is no token. Its text is one line, for logs.
type Error struct{ why string }

func (e *Error) Error() string { return "no token: " + e.why }

func failed(format string, args ...any) *Error { return &Error{why: fmt.Sprintf(format, args...)} }

// A Source gets tokens. Its methods may be called concurrently.
type Source struct {
	get   func(context.Context) (Token, error)
	keeps bool // tokens that are still good are not got anew
	calls singleflight.Group

	mu    sync.Mutex
	token Token
	renew time.Time // when another is got
	err   error     // of the last try, if it failed
	tried time.Time // when that was
}

// How tokens are got.
const (
	getTimeout = 10 * time.Second // for one try, whoever waits for it
	failPause  = time.Second      // so long a failure is not tried again
	unknown    = time.Minute      // so long a token is kept that does not say when it ends
)

// Token returns a token that has not expired. One that is being got goes on being
// got when ctx ends, for the next one who asks. Its error is an *Error, or ctx's.
func (s *Source) Token(ctx context.Context) (payment.Secret, error) {
	if !s.keeps {
		t, err := s.get(ctx)
		return t.Value, expired(t, err, time.Now())
	}
	if t, known, err := s.kept(time.Now()); known {
		return t.Value, err
	}
	done := s.calls.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), getTimeout)
		defer cancel()
		t, err := s.get(ctx)
		return s.keep(t, err, time.Now())
	})
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case got := <-done:
		t, _ := got.Val.(Token)
		return t.Value, got.Err
	}
}

// kept returns what was got, and whether that is still the answer.
func (s *Source) kept(now time.Time) (t Token, known bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token.Value != "" && now.Before(s.renew) {
		return s.token, true, nil
	}
	if s.err != nil && now.Sub(s.tried) < failPause {
		t, err = s.despite(s.err, now)
		return t, true, err
	}
	return Token{}, false, nil
}

// keep takes in what was got.
func (s *Source) keep(t Token, err error, now time.Time) (Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.tried = expired(t, err, now), now
	if s.err != nil {
		return s.despite(s.err, now)
	}
	s.token, s.renew = t, now.Add(unknown)
	if !t.Expiry.IsZero() {
		s.renew = now.Add(t.Expiry.Sub(now) * 4 / 5)
	}
	return t, nil
}

// despite returns the token before, if it is still good: it outlives a failure.
func (s *Source) despite(err error, now time.Time) (Token, error) {
	if s.token.Expiry.After(now) {
		return s.token, nil
	}
	return Token{}, err
}

// expired makes an error of a token that is over.
func expired(t Token, err error, now time.Time) error {
	if err == nil && !t.Expiry.IsZero() && !t.Expiry.After(now) {
		return failed("it has expired, at %s", t.Expiry.UTC().Format(time.RFC3339))
	}
	return err
}

// FromFile is a Source of a token that somebody else renews: read returns it as it
// is now, and is called for every login.
func FromFile(read func() (payment.Secret, error)) *Source {
	return &Source{get: func(context.Context) (Token, error) {
		secret, err := read()
		if err != nil {
			return Token{}, failed("%v", err)
		}
		return Token{Value: secret, Expiry: expiry(secret)}, nil
	}}
}

// expiry returns when a JWT says that it ends; zero: it does not, or is none.
func expiry(token payment.Secret) time.Time {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	if err := json.Unmarshal(body, &claims); err != nil || claims.Expiry <= 0 || claims.Expiry > 1e11 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expiry), 0)
}
