//go:build integration

package torture

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"paylink/internal/history"
)

// A network is all that one replica can reach: the gateway and every broker,
// each through a path of its own.
type network struct {
	gateway *path
	brokers []*path

	mu   sync.Mutex
	name map[string]bool // the replica's member ids
}

// newNetwork builds the network of one replica.
func newNetwork(t testing.TB, gateway *httptest.Server, brokers []string) *network {
	t.Helper()
	n := &network{name: map[string]bool{}}
	n.gateway = &path{name: "gateway", upstream: gateway.Listener.Addr().String(), sever: gateway.CloseClientConnections, t: t}
	n.open(t, n.gateway)
	instead := map[string]string{}
	var relays []*relay
	for i, b := range brokers {
		r := &relay{broker: b, instead: instead, joined: n.joined, fail: func(err error) { t.Errorf("relay to %s: %v", b, err) }}
		if err := r.listen(); err != nil {
			t.Fatalf("relay to %s: %v", b, err)
		}
		t.Cleanup(r.close)
		p := &path{name: fmt.Sprintf("broker %d", i+1), upstream: r.addr(), sever: r.sever, t: t}
		n.open(t, p)
		n.brokers = append(n.brokers, p)
		instead[b] = p.addr()
		relays = append(relays, r)
	}
	for _, r := range relays {
		r.serve() // now that all addresses are known
	}
	return n
}

func (n *network) open(t testing.TB, p *path) {
	t.Helper()
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
}

// bootstrap is what the replica is told of the brokers.
func (n *network) bootstrap() string {
	var addrs []string
	for _, p := range n.brokers {
		addrs = append(addrs, p.addr())
	}
	return strings.Join(addrs, ",")
}

// joined notes the replica's name in the group.
func (n *network) joined(memberID string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.name[memberID] = true
}

// is reports whether a member of the group is this replica.
func (n *network) is(memberID string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.name[memberID]
}

// An ailment is a way in which a path can be ill. It chooses its strength and
// says by how much what is sent may arrive later.
type ailment struct {
	name   string
	befall func(*rand.Rand, *path) (late time.Duration)
}

// ailments are all of them. Latencies reach up to where heartbeats come too
// late; what is lost in one direction only is the worst for who must not do
// anything twice.
var ailments = []ailment{
	{"latency", func(rng *rand.Rand, p *path) time.Duration {
		late := between(rng, 50*time.Millisecond, 1200*time.Millisecond)
		p.poison(each(bothWays, "latency", attributes{"latency": late.Milliseconds()})...)
		return late
	}},
	{"jitter", func(rng *rand.Rand, p *path) time.Duration {
		late := between(rng, 50*time.Millisecond, 500*time.Millisecond)
		p.poison(each(bothWays, "latency", attributes{"latency": late.Milliseconds(), "jitter": late.Milliseconds()})...)
		return 2 * late
	}},
	{"bandwidth", func(rng *rand.Rand, p *path) time.Duration {
		p.poison(each(bothWays, "bandwidth", attributes{"rate": 2 + rng.Int64N(15)})...) // KB/s
		return 2 * time.Second                                                           // a call has less than 4 KB
	}},
	// The other side closes, and the replica learns it late.
	{"slow close", func(rng *rand.Rand, p *path) time.Duration {
		delay := between(rng, time.Second, 4*time.Second)
		p.poison(each(bothWays[1:], "slow_close", attributes{"delay": delay.Milliseconds()})...)
		p.sever()
		return 0
	}},
	// Connections stay open, new ones too, and data is swallowed.
	{"timeout", func(rng *rand.Rand, p *path) time.Duration {
		p.poison(each(directions(rng), "timeout", attributes{"timeout": 0})...)
		return 0
	}},
	// Connections that are open are closed at their next data, new ones reset.
	{"reset", func(rng *rand.Rand, p *path) time.Duration {
		p.poison(each(directions(rng), "reset_peer", attributes{"timeout": rng.Int64N(300)})...)
		return 0
	}},
	{"cut", func(_ *rand.Rand, p *path) time.Duration {
		p.cut()
		return 0
	}},
}

// The directions: what the replica sends, and what it is sent.
var bothWays = []string{"upstream", "downstream"}

// attributes are the settings of a toxic, times in milliseconds.
type attributes = map[string]int64

// each is one toxic in some directions.
func each(directions []string, kind string, a attributes) (ts []toxic) {
	for _, d := range directions {
		ts = append(ts, toxic{Type: kind, Stream: d, Attributes: a})
	}
	return ts
}

// directions chooses one or both.
func directions(rng *rand.Rand) []string {
	return [][]string{bothWays[:1], bothWays[1:], bothWays}[rng.IntN(3)]
}

// A place is where a replica's network may be ill.
type place struct {
	name  string
	paths []*path
}

// places are the gateway, all brokers at once, and each broker alone if there
// are several.
func (n *network) places() []place {
	out := []place{{"gateway", []*path{n.gateway}}, {"all brokers", n.brokers}}
	if len(n.brokers) > 1 {
		for _, p := range n.brokers {
			out = append(out, place{p.name, []*path{p}})
		}
	}
	return out
}

// ail makes a replica's paths to a place ill for a while, and notes it as a
// fault that lasted. It may be called concurrently for different replicas.
func (f *fleet) ail(rng *rand.Rand, i int, a ailment, at place, lasts time.Duration) {
	r := f.replicas[i]
	fault := history.Fault{At: time.Now(), Member: r.name, What: a.name + ", " + at.name}
	r.book.note("network: " + fault.What)
	for _, p := range at.paths {
		if late := a.befall(rng, p); p == r.network.gateway {
			fault.Late = late
		}
	}
	time.Sleep(lasts)
	for _, p := range at.paths {
		p.heal()
	}
	r.book.note("network: healed")
	fault.Until = time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, fault)
}
