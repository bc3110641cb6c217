package service_test

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"paylink/internal/config"
	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/service"
)

// guarded is a service at brokers that ask for a password, which it reads from a file.
type guarded struct {
	t     *testing.T
	kafka devstack.Kafka // as somebody else
	file  string
	out   buffer
	url   string
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// keep opens connections that cut can end.
func (g *guarded) keep(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		g.mu.Lock()
		g.conns[conn] = true
		g.mu.Unlock()
	}
	return conn, err
}

// cut ends all connections, as brokers do that are started anew.
func (g *guarded) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		c.Close()
	}
	clear(g.conns)
}

// brokersKnow sets the password at the brokers.
func (g *guarded) brokersKnow(password string) { setPassword(g.t, g.kafka, password) }

func (g *guarded) fileSays(text string) {
	g.t.Helper()
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// becomes waits until a page of the service has, or has not, a text in it.
func (g *guarded) becomes(path, text string, has bool) string {
	g.t.Helper()
	var page string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if page = get(g.t, g.url+path); strings.Contains(page, text) == has {
			return page
		}
	}
	g.t.Fatalf("%s: want %q in it: %v; it is\n%s\nlog:\n%s", path, text, has, page, g.out.String())
	return ""
}

// settles emits an intent and waits for its outcome.
func (g *guarded) settles(id string, nth int) {
	g.t.Helper()
	value := `{"intent_id":"` + id + `","amount":"10.00","description":"x"}`
	if err := g.kafka.Emit(g.t.Context(), devstack.Intents, event.Message{Key: []byte(id), Value: []byte(value)}); err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), 30*time.Second)
	defer cancel()
	if _, err := g.kafka.ReadN(ctx, devstack.Outcomes, devstack.ReadUncommitted, nth); err != nil {
		g.t.Fatalf("outcome of %s: %v\n%s", id, err, g.out.String())
	}
}

const firstPassword, secondPassword, thirdPassword = "first-" + canary, "second-" + canary, "third-" + canary

func guard(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{t: t, file: filepath.Join(t.TempDir(), "password"), conns: map[net.Conn]bool{}}
	g.fileSays(firstPassword + "\n")
	g.kafka.SASL = scram.Auth{User: "admin", Pass: "admin"}.AsSha256Mechanism()
	g.start(config.Broker{SASL: config.SASL{Mechanism: "scram-sha-256", Username: "paylink", PasswordFile: g.file}},
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "admin", "admin"), kfake.Superuser("SCRAM-SHA-256", "paylink", firstPassword))
	return g
}

// start starts brokers, and the service with a login at them.
func (g *guarded) start(login config.Broker, brokers ...kfake.Opt) {
	t := g.t
	t.Helper()
	_, cfg := world(t) // for its gateway
	c, err := kfake.NewCluster(append(brokers, kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond),
		kfake.SeedTopics(2, devstack.Intents, devstack.Outcomes, devstack.DeadLetters))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	g.kafka.Brokers, login.Brokers = c.ListenAddrs(), c.ListenAddrs()
	cfg.Kafka.Broker, cfg.Kafka.SessionTimeout = login, 3*time.Second
	settings := func() (config.Run, error) {
		next := cfg
		return next, next.Prepare()
	}
	if cfg, err = settings(); err != nil {
		t.Fatal(err)
	}
	log, err := service.Logger(cfg, &g.out)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context())) // until the pages were read
	admin, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- service.Run(ctx, cfg, service.Deps{Log: log, KafkaDial: g.keep, Settings: settings, OnAdmin: func(a net.Addr) { admin <- a }})
	}()
	g.url = "http://" + (<-admin).String()
	t.Cleanup(func() {
		seen := get(t, g.url+"/api/v1/state") + get(t, g.url+"/") + get(t, g.url+"/metrics") + get(t, g.url+"/readyz")
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if strings.Contains(seen+g.out.String(), canary) {
			t.Error("a secret was printed")
		}
	})
	g.becomes("/readyz", "not a living member", false)
	g.settles("before", 1)
}

// TestARefusedLoginIsNamedAndItsMendTakenUp: the brokers know another password,
// and have cut the connections.
func TestARefusedLoginIsNamedAndItsMendTakenUp(t *testing.T) {
	g := guard(t)
	const why = `the broker hangs up: that is how it refuses a login` // kfake does; Kafka says so
	g.brokersKnow(secondPassword)
	g.cut()
	began := time.Now()
	g.becomes("/readyz", why, true)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the cause shows after %v, want seconds", took)
	}
	g.becomes("/api/v1/state", "Kafka does not let us in", true)
	g.becomes("/api/v1/state", `"cut off"`, true)
	g.out.hears(t, "a broker refuses our login", 1)
	time.Sleep(time.Second)
	if n := strings.Count(g.out.String(), "a broker refuses our login"); n > 2 {
		t.Errorf("%d lines of a refused login, want one in a burst", n)
	}

	g.fileSays("\n")
	g.out.hears(t, "are not valid: going on with the old ones", 1)
	g.fileSays(secondPassword)
	g.out.hears(t, "the brokers accept our login again", 1)
	g.becomes("/readyz", "does not let us in", false)
	g.becomes("/api/v1/state", `"running"`, true)
	g.settles("after", 2)
}

// TestFileAndBrokersMayChangeInAnyOrder: the file first. The member stays one.
func TestFileAndBrokersMayChangeInAnyOrder(t *testing.T) {
	g := guard(t)
	g.fileSays(secondPassword)
	g.out.hears(t, "the login at the brokers has changed", 1)
	g.settles("over-what-stands", 2)
	g.cut()
	g.out.hears(t, "refuses the new login and accepts the one before", 1)
	g.settles("by-the-old-password", 3)
	if page := get(t, g.url+"/readyz"); strings.Contains(page, "refuse") {
		t.Errorf("not ready although the old login is accepted:\n%s", page)
	}
	g.brokersKnow(secondPassword)
	g.out.hears(t, "the brokers accept the new login", 1)
	g.cut()
	g.settles("by-the-new-one", 4)
	if n := strings.Count(g.out.String(), "partitions assigned"); n != 1 {
		t.Errorf("partitions were assigned %d times, want once: the member stays a member\n%s", n, g.out.String())
	}
	if strings.Contains(g.out.String(), "lost all partitions") {
		t.Errorf("partitions were lost:\n%s", g.out.String())
	}
	g.fileSays(thirdPassword)
	g.brokersKnow(thirdPassword)
	g.out.hears(t, "the brokers accept the new login", 2)
	g.settles("once-more", 5)
}

// TestRotatedAuthorityAndCertificateAreTakenUp: the brokers' authority is another
// one, then ours. The service is not started again.
func TestRotatedAuthorityAndCertificateAreTakenUp(t *testing.T) {
	first, second, ours := newAuthority(t, "first"), newAuthority(t, "second"), newAuthority(t, "admin's")
	files, door := newPEMs(t), new(porter)
	files.trusts(first)
	files.shows(first)
	door.is(first, ours, first)
	g := &guarded{t: t, conns: map[net.Conn]bool{}}
	g.kafka.TLS = &tls.Config{RootCAs: trust(first, second), Certificates: []tls.Certificate{ours.issue("admin")}}
	g.start(config.Broker{TLS: config.TLS{Enabled: true, CAFile: files.ca, CertFile: files.cert, KeyFile: files.key}},
		kfake.TLS(door.config()))

	door.is(second, ours, first)
	g.cut()
	g.becomes("/readyz", "the broker's certificate is not trusted (PAYLINK_KAFKA_TLS_CA_FILE", true)
	files.trusts(second)
	g.out.hears(t, `"changed":["authorities"]`, 1)
	g.out.hears(t, "the brokers accept our login again", 1)
	g.settles("by-the-second-authority", 2)

	files.shows(second) // before the brokers know of it
	g.out.hears(t, `"changed":["client certificate"]`, 1)
	g.cut()
	g.settles("by-the-first-certificate", 3)
	g.out.hears(t, "refuses the new login and accepts the one before", 1)
	door.is(second, ours, second)
	g.out.hears(t, "the brokers accept the new login", 2)
	g.cut()
	g.settles("by-the-second-certificate", 4)

	third := newAuthority(t, "third")
	door.is(second, ours, third) // after the brokers
	g.cut()
	g.becomes("/readyz", "it refuses our certificate (PAYLINK_KAFKA_TLS_CERT_FILE)", true)
	files.shows(third)
	g.out.hears(t, "the brokers accept our login again", 2)
	g.settles("by-the-third-certificate", 5)
}
