// Package registry talks to a schema registry that has Confluent's API: it
// looks up the schemas that others wrote with, and registers, compares and
// lists our own.
//
// What it is told about an id it remembers, since a schema never changes under
// its id; that an id is unknown it remembers for a short time only, because it
// may be registered the next moment. A registry that does not answer is an
// error like any other, told apart from "there is no such schema", and nothing
// is made of it here: who asked waits and asks again.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/twmb/franz-go/pkg/sr"

	"paylink/internal/event"
	"paylink/internal/payment"
)

// A Config says where a registry is, and who we are there.
type Config struct {
	URL string // scheme, host, perhaps a path

	Login

	// OldLogin is told of each request that was refused with the newest login, and
	// granted with the one before. Nil: nobody is told.
	OldLogin func()

	// Timeout limits one request. Zero: 5 s.
	Timeout time.Duration

	// Dial opens connections. Nil: the usual network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Register says that SchemaID may register what the registry lacks.
	Register bool
}

// A Registry asks a registry. It may be used concurrently.
type Registry struct {
	cfg  Config
	name string // host, for errors
	cl   *sr.Client
	ways *ways
	memo memory
}

// New returns a Registry. It opens no connection.
func New(cfg Config) (*Registry, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("schema registry: its URL is no absolute http or https URL")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if user := u.User; user != nil { // a login in the URL must not get into errors
		if cfg.Username == "" {
			cfg.Username = user.Username()
			password, _ := user.Password()
			cfg.Password = payment.Secret(password)
		}
		u.User = nil
	}
	r := &Registry{cfg: cfg, name: u.Host, ways: &ways{dial: cfg.Dial, told: cfg.OldLogin, now: newWay(cfg.Login, cfg.Dial)}}
	opts := []sr.ClientOpt{sr.URLs(u.String()), sr.HTTPClient(r.http()), sr.UserAgent("paylink"), sr.LogLevel(sr.LogLevelNone)}
	if r.cl, err = sr.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("schema registry %s: %w", r.name, err)
	}
	return r, nil
}

// maxAnswer bounds what is read of one answer. A schema of this size is none.
const maxAnswer = 4 << 20

func (r *Registry) http() *http.Client {
	return &http.Client{
		Transport:     bounded{r.ways},
		Timeout:       r.cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // our login is for this host
	}
}

// Renew has every request from now on show another login. A registry that refuses
// it is shown the one before, so that files and registry may be changed in any order.
func (r *Registry) Renew(l Login) { r.ways.renew(l) }

// bounded cuts answers off that are larger than any schema.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(req)
	switch {
	case err != nil:
	case res.StatusCode == http.StatusOK:
		res.Body = http.MaxBytesReader(nil, res.Body, maxAnswer)
	default: // of what is no answer, the beginning is enough
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

// Close closes idle connections.
func (r *Registry) Close() { r.ways.close() }

// IsAway reports whether an error says that the registry gave no answer of its
// own, so that asking again may help.
func IsAway(err error) bool {
	if errors.Is(err, event.ErrUnknownSchema) {
		return false
	}
	re, answered := errors.AsType[*sr.ResponseError](err)
	return !answered || re.StatusCode >= 500 || re.StatusCode == http.StatusTooManyRequests
}

// IsRefused reports whether an error says that the registry does not take a schema:
// it is not compatible with what is there, or none to it.
func IsRefused(err error) bool {
	re, answered := errors.AsType[*sr.ResponseError](err)
	return answered && (re.StatusCode == http.StatusConflict || re.StatusCode == http.StatusUnprocessableEntity)
}

// failed says which registry did not do what.
func (r *Registry) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	if ue, ok := errors.AsType[*url.Error](err); ok { // without the URL, which adds nothing
		err = ue.Err
	}
	if re, ok := errors.AsType[*sr.ResponseError](err); ok {
		err = &statusError{err, strings.Replace(err.Error(), re.Error(), inOneLine(re), 1)}
	}
	return fmt.Errorf("schema registry %s: %s: %w", r.name, what, err)
}

// A statusError is one of the registry's, or of a proxy's, in one line of ours.
type statusError struct {
	error
	text string
}

func (a *statusError) Error() string { return a.text }
func (a *statusError) Unwrap() error { return a.error }

// mostSaid is how much is shown of what a registry says: a proxy says whole pages.
const mostSaid = 300

// inOneLine is what an answer says: its status, and its text without what a terminal
// would obey.
func inOneLine(re *sr.ResponseError) string {
	text := strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.In(c, unicode.Cf) {
			return '·'
		}
		return c
	}, strings.Join(strings.Fields(re.Error()), " "))
	if len(text) > mostSaid {
		text = strings.ToValidUTF8(text[:mostSaid], "") + "…"
	}
	return fmt.Sprintf("it answers %d %s: %s", re.StatusCode, http.StatusText(re.StatusCode), text)
}
