package bearer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"paylink/internal/payment"
)

// An Endpoint gives tokens to a client that shows its credentials.
type Endpoint struct {
	URL      string // of the token endpoint
	ID       string // of the client
	Secret   payment.Secret
	Scopes   []string
	Audience string // whom the token is for, where the endpoint asks for it; empty: it is not sent

	TLS   *tls.Config                           // nil: the system's certificates
	Proxy func(*http.Request) (*url.URL, error) // nil: none
}

// Source gets tokens from the endpoint.
func (e Endpoint) Source() *Source {
	cfg := clientcredentials.Config{ClientID: e.ID, ClientSecret: e.Secret.Reveal(), TokenURL: e.URL, Scopes: e.Scopes}
	if e.Audience != "" {
		cfg.EndpointParams = url.Values{"audience": {e.Audience}}
	}
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: e.TLS.Clone(), Proxy: e.Proxy, ForceAttemptHTTP2: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // our secret is for this host
	}
	return &Source{keeps: true, get: func(ctx context.Context) (Token, error) {
		t, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
		if err != nil {
			return Token{}, e.explain(err)
		}
		got := Token{Value: payment.Secret(t.AccessToken), Expiry: t.Expiry}
		if t.Expiry.IsZero() {
			got.Expiry = expiry(got.Value)
		}
		return got, nil
	}}
}

// codes are those of RFC 6749, section 5.2. Whatever else an endpoint says is not
// repeated: nobody knows what is in it.
var codes = []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}

// explain says in one line, without what the endpoint wrote, why it gave no token.
func (e Endpoint) explain(err error) *Error {
	host := "the token endpoint"
	if u, err := url.Parse(e.URL); err == nil {
		host += " at " + u.Host
	}
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		answer := refused.Response.StatusCode
		return failed("%s answers %d %s%s", host, answer, http.StatusText(answer), codeOf(refused))
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return failed("%s cannot be reached: %s", host, network(u.Err))
	}
	return failed("%s gives none that can be read", host)
}

func codeOf(refused *oauth2.RetrieveError) string {
	if slices.Contains(codes, refused.ErrorCode) {
		return " (" + refused.ErrorCode + ")"
	}
	return ""
}

// network is the part of a network's error that is known to name addresses,
// certificates and system errors only.
func network(err error) string {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not trusted (PAYLINK_KAFKA_OAUTH_CA_FILE): " + e.Err.Error()
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "it does not answer in time"
	}
	return "the connection ends"
}
