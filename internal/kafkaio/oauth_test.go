package kafkaio_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/kafkaio"
	"paylink/internal/payment"
)

// A doorman is an embedded broker's check of tokens, which it has none of itself.
type doorman struct {
	cluster *kfake.Cluster
	vn      kfake.VirtualNetwork

	mu      sync.Mutex
	good    string        // the token that is taken
	lasts   time.Duration // a login
	told    bool          // refusals are told in an answer, as Kafka does; else the login just fails
	mute    bool          // whoever comes is let in, and never answered
	shown   []string      // what was shown, each time
	dialled int
}

// guardedBy starts a broker inside a bubble.
func guardedBy(t *testing.T) *doorman {
	t.Helper()
	d := &doorman{good: "first-" + canary, lasts: 0}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(d.vn.Listen))
	if err != nil {
		t.Fatal(err)
	}
	d.cluster = c
	c.ControlKey(int16(kmsg.SASLHandshake), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		res := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
		if m := req.(*kmsg.SASLHandshakeRequest).Mechanism; m != "OAUTHBEARER" {
			res.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		}
		return res, nil, true
	})
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return d.judge(req.(*kmsg.SASLAuthenticateRequest)), nil, true
	})
	return d
}

func (d *doorman) judge(req *kmsg.SASLAuthenticateRequest) kmsg.Response {
	d.mu.Lock()
	defer d.mu.Unlock()
	res := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	d.shown = append(d.shown, string(req.SASLAuthBytes))
	token, _, _ := strings.Cut(strings.TrimPrefix(string(req.SASLAuthBytes), "n,,\x01auth=Bearer "), "\x01")
	switch {
	case token == d.good:
		res.SessionLifetimeMillis = d.lasts.Milliseconds()
	case d.told:
		res.SASLAuthBytes = []byte(`{"status":"invalid_token","said":"` + canary + `"}`)
	default:
		res.ErrorCode, res.ErrorMessage = kerr.SaslAuthenticationFailed.Code, kmsg.StringPtr("no: "+canary)
	}
	return res
}

func (d *doorman) takes(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.good = token
}

// seen returns how many logins and connections there were.
func (d *doorman) seen() (logins, dialled int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.shown), d.dialled
}

// connect returns a client that shows what token returns.
func (d *doorman) connect(t *testing.T, token func(context.Context) (payment.Secret, error), extensions ...string) *kafka.Client {
	t.Helper()
	conn := kafkaio.Connection{
		Brokers: d.cluster.ListenAddrs(), SASL: &kafkaio.SASL{Mechanism: kafkaio.SASLOAuth, Token: token, Extensions: extensions},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			d.mu.Lock()
			d.dialled++
			d.mu.Unlock()
			if d.mute {
				us, them := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, them) }()
				return us, nil
			}
			return d.vn.DialContext(ctx, network, addr)
		},
	}
	tr, err := conn.Transport()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return conn.Client(tr)
}

const canary = "canary-3f9d1c77b2"

func shows(token string) func(context.Context) (payment.Secret, error) {
	return func(context.Context) (payment.Secret, error) { return payment.Secret(token), nil }
}

func TestATokenIsShownWithItsExtensions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := guardedBy(t)
		defer d.cluster.Close()
		c := d.connect(t, shows(d.good), "logicalCluster=lkc-1", "identityPoolId=pool-2")
		defer c.Transport.(*kafka.Transport).CloseIdleConnections()
		if _, err := c.ApiVersions(t.Context(), &kafka.ApiVersionsRequest{}); err != nil {
			t.Fatal(err)
		}
		want := "n,,\x01auth=Bearer " + d.good + "\x01logicalCluster=lkc-1\x01identityPoolId=pool-2\x01\x01"
		if slices.ContainsFunc(d.shown, func(s string) bool { return s != want }) {
			t.Errorf("shown %q, want %q by RFC 7628", d.shown, want)
		}
	})
}

func TestARefusedTokenIsOneLineWithoutIt(t *testing.T) {
	for _, told := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			d := guardedBy(t)
			defer d.cluster.Close()
			d.told = told
			c := d.connect(t, shows("other-"+canary))
			defer c.Transport.(*kafka.Transport).CloseIdleConnections()
			_, err := c.ApiVersions(t.Context(), &kafka.ApiVersionsRequest{})
			refused := new(kafkaio.LoginError)
			if !errors.As(err, &refused) || !strings.Contains(refused.Error(), "the broker refuses the token") {
				t.Errorf("told %v: %v, want that the token is refused", told, err)
			}
			if err != nil && (strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("told %v: the error holds a token, a broker's words, or more than a line: %q", told, err)
			}
		})
	}
}

// TestSilenceIsNoRefusal: a broker that is suspended, or cut off behind an open port,
// has not refused anybody, and no password needs to be corrected. The login before is
// not tried either. A token endpoint that is silent is another thing.
func TestSilenceIsNoRefusal(t *testing.T) {
	for _, c := range []struct {
		name    string
		token   func(context.Context) (payment.Secret, error)
		mute    bool // the broker
		refused bool
		says    string
	}{
		{"broker", shows(canary), true, false, "the broker does not answer"},
		{"endpoint", func(context.Context) (payment.Secret, error) { return "", context.DeadlineExceeded }, false, true, "deadline exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := guardedBy(t)
				defer d.cluster.Close()
				if d.mute = c.mute; c.mute {
					defer time.Sleep(time.Minute) // until nobody waits any more
				}
				client := d.connect(t, c.token)
				defer client.Transport.(*kafka.Transport).CloseIdleConnections()
				_, err := client.ApiVersions(t.Context(), &kafka.ApiVersionsRequest{})
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v, want %q in it", err, c.says)
				}
				if refused := new(kafkaio.LoginError); errors.As(err, &refused) != c.refused {
					t.Errorf("%v is a refusal: %v, want %v", err, !c.refused, c.refused)
				}
			})
		})
	}
}

func TestNoTokenIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := guardedBy(t)
		defer d.cluster.Close()
		c := d.connect(t, func(context.Context) (payment.Secret, error) { return "", errors.New("no token: it has expired") })
		defer c.Transport.(*kafka.Transport).CloseIdleConnections()
		_, err := c.ApiVersions(t.Context(), &kafka.ApiVersionsRequest{})
		if err == nil || !strings.HasSuffix(err.Error(), ": no token: it has expired") {
			t.Errorf("%v, want why there is no token", err)
		}
		if n, _ := d.seen(); n != 0 {
			t.Errorf("something was shown: %q", d.shown)
		}
	})
}

// TestALoginIsRenewedBeforeItEnds: over the connection that stands (KIP-368), with
// the token as it is then.
func TestALoginIsRenewedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := guardedBy(t)
		defer d.cluster.Close()
		d.lasts = 20 * time.Second
		var mu sync.Mutex
		token, fails := d.good, error(nil)
		c := d.connect(t, func(context.Context) (payment.Secret, error) {
			mu.Lock()
			defer mu.Unlock()
			return payment.Secret(token), fails
		})
		defer c.Transport.(*kafka.Transport).CloseIdleConnections()
		// Idle connections go after 30 s, so the pool asks every second.
		until := func(d time.Duration) (failed error) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				if _, err := c.ApiVersions(t.Context(), &kafka.ApiVersionsRequest{}); err != nil {
					failed = err
				}
			}
			return failed
		}
		if err := until(15 * time.Second); err != nil {
			t.Fatal(err)
		}
		before, conns := d.seen()

		mu.Lock()
		token, fails = "second-"+canary, errors.New("no token: the endpoint is away")
		mu.Unlock()
		d.takes("second-" + canary)
		if err := until(4 * time.Second); err != nil {
			t.Errorf("the login still lasts, but: %v", err)
		}
		mu.Lock()
		fails = nil
		mu.Unlock()
		if err := until(60 * time.Second); err != nil {
			t.Errorf("after the token came: %v", err)
		}
		after, now := d.seen()
		if now != conns {
			t.Errorf("%d connections more, want none", now-conns)
		}
		if after < before+3 {
			t.Errorf("%d logins in a minute of logins that last 20 s, want at least 3", after-before)
		}
	})
}

// TestARenewalThatIsRefusedEndsTheConnection: the next one is made anew, and the
// broker's refusal is what its caller hears.
func TestARenewalThatIsRefusedEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := guardedBy(t)
		defer d.cluster.Close()
		d.lasts = 20 * time.Second
		c := d.connect(t, shows(d.good))
		defer c.Transport.(*kafka.Transport).CloseIdleConnections()
		if _, err := c.ApiVersions(t.Context(), &kafka.ApiVersionsRequest{}); err != nil {
			t.Fatal(err)
		}
		d.takes("another")
		time.Sleep(19 * time.Second)
		_, err := c.ApiVersions(t.Context(), &kafka.ApiVersionsRequest{})
		refused := new(kafkaio.LoginError)
		if !errors.As(err, &refused) {
			t.Errorf("%v, want the refusal", err)
		}
	})
}
