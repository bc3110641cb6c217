//go:build integration

package torture

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
)

// TestNoWayLeadsAroundTheProxies asks for everything that tells addresses, of
// each broker, and looks at what is dialled.
func TestNoWayLeadsAroundTheProxies(t *testing.T) {
	b, err := devstack.StartBroker(devstack.BrokerOptions{Brokers: 3, Topics: devstack.DefaultTopics(100)}) // so many that each broker leads some
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	n := newNetwork(t, newGateway(t), b.Addrs())
	proxies := map[string]bool{}
	for _, p := range n.brokers {
		proxies[p.addr()] = true
	}
	var mu sync.Mutex
	dialled := map[string]bool{}
	c, err := kgo.NewClient(kgo.SeedBrokers(n.brokers[0].addr()), kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		dialled[addr] = true
		return new(net.Dialer).DialContext(ctx, network, addr)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	adm := kadm.NewClient(c)
	for _, c := range adm.FindGroupCoordinators(t.Context(), "a", "b", "c") {
		if !proxies[net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))] || c.Err != nil {
			t.Errorf("coordinator of %s: %s:%d, %v, want a proxy", c.Name, c.Host, c.Port, c.Err)
		}
	}
	if _, err := adm.ListEndOffsets(t.Context(), devstack.Intents); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for addr := range dialled {
		if !proxies[addr] {
			t.Errorf("%s was dialled, which is no proxy of %v", addr, proxies)
		}
	}
	if len(dialled) != len(proxies) {
		t.Errorf("%d addresses were dialled, want all %d", len(dialled), len(proxies))
	}
}

// TestAPathHeals gives a path every ailment under callers that come, go and die,
// and looks whether it is well again each time.
func TestAPathHeals(t *testing.T) {
	rng := chance(t)
	gateway := newGateway(t)
	p := newNetwork(t, gateway, nil).gateway
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 8 {
		seed := rng.Uint64()
		wg.Go(func() {
			for rng := rand.New(rand.NewPCG(seed, 0)); ctx.Err() == nil; {
				_ = visit(ctx, p.addr(), between(rng, time.Millisecond, 300*time.Millisecond)) // what it comes to is not the question
			}
		})
	}
	for range form(t, 1, 8) {
		for _, i := range rng.Perm(len(ailments)) {
			ailments[i].befall(rng, p)
			time.Sleep(between(rng, 0, 300*time.Millisecond))
			p.heal()
			began := time.Now()
			if err := visit(ctx, p.addr(), 10*time.Second); err != nil {
				t.Fatalf("%s, healed: %v", ailments[i].name, err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s, healed: a visit takes %s", ailments[i].name, took)
			}
		}
	}
	cancel()
	wg.Wait()
}

// newGateway answers with 20 KB, by which some visitors have lost their patience.
func newGateway(t *testing.T) *httptest.Server {
	t.Helper()
	page := slices.Repeat([]byte("0123456789"), 2000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) }))
	t.Cleanup(s.Close)
	return s
}

// visit reads a page through a connection of its own.
func visit(ctx context.Context, addr string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr, nil)
	if err != nil {
		return err
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
