package bearer

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

// canary is in every secret, and in no error.
const canary = "canary-3f9d1c77b2"

// jwt is a token that ends at a time.
func jwt(end time.Time) payment.Secret {
	body := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"sub":"paylink","exp":%d}`, end.Unix()))
	return payment.Secret("e30." + body + "." + canary)
}

func TestATokensEndIsReadWhereItIsAJWT(t *testing.T) {
	end := time.Unix(1_800_000_000, 0)
	for token, want := range map[payment.Secret]time.Time{
		jwt(end): end, "opaque": {}, "a.b.c": {}, "e30.e30.x": {}, "e30." + payment.Secret(base64.RawURLEncoding.EncodeToString([]byte(`{"exp":"soon"}`))) + ".x": {},
	} {
		if got := expiry(token); !got.Equal(want) {
			t.Errorf("%s ends %s, want %s", token.Reveal(), got, want)
		}
	}
}

func TestAFileIsReadForEachLogin(t *testing.T) {
	now := time.Now()
	var token payment.Secret
	var fails error
	s := FromFile(func() (payment.Secret, error) { return token, fails })
	for _, c := range []struct {
		token payment.Secret
		fails error
		want  string
	}{
		{jwt(now.Add(time.Hour)), nil, ""},
		{"opaque", nil, ""},
		{jwt(now.Add(-time.Hour)), nil, "no token: it has expired, at "},
		{"", errors.New("PAYLINK_KAFKA_OAUTH_TOKEN_FILE: the secret is empty"), "no token: PAYLINK_KAFKA_OAUTH_TOKEN_FILE: the secret is empty"},
		{jwt(now.Add(time.Hour)), nil, ""},
	} {
		token, fails = c.token, c.fails
		got, err := s.Token(t.Context())
		if c.want == "" && (err != nil || got != c.token) {
			t.Errorf("%s: %s, %v", c.token.Reveal(), got.Reveal(), err)
		}
		if c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), canary)) {
			t.Errorf("%s: %v, want %s…", c.token.Reveal(), err, c.want)
		}
	}
}

// TestATokenIsKeptForFourFifthsOfItsLife: and outlives an endpoint that is away.
func TestATokenIsKeptForFourFifthsOfItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, fails := 0, error(nil)
		s := &Source{keeps: true, get: func(context.Context) (Token, error) {
			got++
			return Token{Value: payment.Secret(fmt.Sprint("token-", got)), Expiry: time.Now().Add(100 * time.Second)}, fails
		}}
		after := func(d time.Duration, want payment.Secret, tries int) {
			t.Helper()
			time.Sleep(d)
			token, err := s.Token(t.Context())
			if token != want || (err == nil) != (want != "") || got != tries {
				t.Errorf("after %s more: %q, %v, after %d tries; want %q after %d", d, token.Reveal(), err, got, want.Reveal(), tries)
			}
		}
		after(0, "token-1", 1)
		after(79*time.Second, "token-1", 1)
		after(2*time.Second, "token-2", 2)
		fails = failed("the endpoint is away")
		after(81*time.Second, "token-2", 3) // it is still good
		after(100*time.Millisecond, "token-2", 3)
		after(time.Second, "token-2", 4)
		after(20*time.Second, "", 5)
		after(100*time.Millisecond, "", 5) // not asked again so soon
		fails = nil
		after(time.Second, "token-6", 6)
	})
}

// TestASlowTokenIsGotOnceForAll: who does not wait for it gives up alone.
func TestASlowTokenIsGotOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := 0
		s := &Source{keeps: true, get: func(ctx context.Context) (Token, error) {
			got++
			select {
			case <-ctx.Done():
				return Token{}, ctx.Err()
			case <-time.After(5 * time.Second):
				return Token{Value: "slow", Expiry: time.Now().Add(time.Hour)}, nil
			}
		}}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+2*i)*time.Second)
				defer cancel()
				token, err := s.Token(ctx)
				if patient := i >= 2; patient && (token != "slow" || err != nil) && i > 2 || !patient && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("waiting %d s: %q, %v", 1+2*i, token.Reveal(), err)
				}
			})
		}
		all.Wait()
		if got != 1 {
			t.Errorf("got %d times, want once", got)
		}
	})
}

// issuer is a token endpoint.
func issuer(t *testing.T, answer func(w http.ResponseWriter, asked url.Values, id, secret string)) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		id, secret, ok := r.BasicAuth()
		if !ok {
			id, secret = r.Form.Get("client_id"), r.Form.Get("client_secret")
		}
		answer(w, r.Form, id, secret)
	}))
	t.Cleanup(s.Close)
	return s
}

func trusting(s *httptest.Server) *tls.Config {
	return &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
}

func TestAnEndpointIsAskedAsRFC6749Says(t *testing.T) {
	var asked url.Values
	s := issuer(t, func(w http.ResponseWriter, form url.Values, id, secret string) {
		asked = form
		if id != "paylink" || secret != canary {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-%s","token_type":"Bearer","expires_in":3600}`, canary)
	})
	e := Endpoint{URL: s.URL + "/token", ID: "paylink", Secret: canary, Scopes: []string{"kafka", "read"}, Audience: "brokers", TLS: trusting(s)}
	token, err := e.Source().Token(t.Context())
	if err != nil || token != "token-"+canary {
		t.Fatalf("%q, %v", token.Reveal(), err)
	}
	want := url.Values{"grant_type": {"client_credentials"}, "scope": {"kafka read"}, "audience": {"brokers"}}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

func TestAnEndpointThatGivesNoneIsOneLineWithoutItsWords(t *testing.T) {
	answers := map[string]func(http.ResponseWriter){
		"401 Unauthorized (invalid_client)": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":"invalid_client","error_description":"%s"}`, canary)
		},
		"400 Bad Request": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":"%s"}`, canary)
		},
		"503 Service Unavailable":     func(w http.ResponseWriter) { http.Error(w, canary+"\n"+canary, http.StatusServiceUnavailable) },
		"302 Found":                   func(w http.ResponseWriter) { w.Header().Set("Location", "/"+canary); w.WriteHeader(http.StatusFound) },
		"gives none that can be read": func(w http.ResponseWriter) { fmt.Fprintf(w, `{"access":"%s"}`, canary) },
		"it has expired": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"access_token":"%s"}`, jwt(time.Unix(1, 0)).Reveal())
		},
	}
	for want, answer := range answers {
		s := issuer(t, func(w http.ResponseWriter, _ url.Values, _, _ string) { answer(w) })
		e := Endpoint{URL: s.URL + "/token", ID: "paylink", Secret: canary, TLS: trusting(s)}
		_, err := e.Source().Token(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want one line with %q and no word of the endpoint's", err, want)
		}
	}
}

func TestAnEndpointThatCannotBeReachedIsNamed(t *testing.T) {
	s := issuer(t, func(http.ResponseWriter, url.Values, string, string) {})
	for want, e := range map[string]Endpoint{
		"PAYLINK_KAFKA_OAUTH_CA_FILE": {URL: s.URL, ID: "paylink", Secret: canary},
		"cannot be reached: dial":     {URL: "http://127.0.0.1:1", ID: "paylink", Secret: canary},
	} {
		_, err := e.Source().Token(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestAWSSignsATokenWithTheChainsCredentials: those of variables, so that nobody is called.
func TestAWSSignsATokenWithTheChainsCredentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", canary)
	token, err := FromAWS("eu-central-1").Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := base64.RawURLEncoding.DecodeString(token.Reveal())
	if err != nil || !strings.HasPrefix(string(signed), "https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect") ||
		!strings.Contains(string(signed), "X-Amz-Credential=AKIDEXAMPLE") || strings.Contains(string(signed), canary) {
		t.Errorf("%v: %s, want a signed request to connect", err, signed)
	}
}

func TestAWSWithoutCredentialsIsOneLine(t *testing.T) {
	dir := t.TempDir()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": dir + "/config", "AWS_SHARED_CREDENTIALS_FILE": dir + "/credentials",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "",
	} {
		t.Setenv(name, value)
	}
	_, err := FromAWS("eu-central-1").Token(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "no token: AWS gives no credentials: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want one line", err)
	}
}
