package bench

import (
	"context"
	"errors"
	"net"
	"runtime/debug"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
)

// A backend is the child that holds broker, gateway, registry and collector.
type backend struct {
	Broker     bool
	Registry   bool
	Partitions int
	Strict     bool
	Collector  bool // of traces
	Latency    gatewaysim.Latency
	Interval   time.Duration // between two calls of a merchant; 0: nobody looks
}

// A backendHello says where they are.
type backendHello struct {
	Brokers   []string `json:"brokers"`
	Gateway   string   `json:"gateway"`
	Registry  string   `json:"registry"`
	Collector string   `json:"collector"`
}

// A backendCount is what gateway and collector have seen.
type backendCount struct {
	Calls    int `json:"calls"`
	Repeated int `json:"repeated"` // with a known idempotency key

	// Ahead is by how many calls a merchant was ahead of its rate, at most: one
	// call alone is one.
	Ahead float64 `json:"ahead"`

	Spans int `json:"spans"`
}

// run serves until standard input ends.
func (b *backend) run(ctx context.Context, s Streams) error {
	debug.SetGCPercent(400) // it is not what is measured; let it disturb less
	var hello backendHello
	if b.Broker {
		b, err := devstack.StartBroker(devstack.BrokerOptions{Topics: benchTopics("bench", b.Partitions)})
		if err != nil {
			return err
		}
		defer b.Close()
		hello.Brokers = b.Addrs()
	}
	if b.Registry {
		r, err := devstack.StartRegistry(ctx, devstack.RegistryOptions{})
		if err != nil {
			return err
		}
		defer r.Close()
		hello.Registry = r.URL
	}
	var spans *collector
	if b.Collector {
		var err error
		if spans, err = startCollector(ctx); err != nil {
			return err
		}
		defer spans.server.Close()
		hello.Collector = spans.server.URL
	}
	if b.Strict {
		return b.serveStrict(ctx, s, hello, spans)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	q := newQuickGateway(b.Latency, b.Interval)
	served := make(chan error, 1)
	go func() { served <- q.serve(ln) }()
	hello.Gateway = "http://" + ln.Addr().String()
	err = answerParent(s, hello, func(string) any {
		n := q.count()
		n.Spans = spans.count()
		return n
	})
	ln.Close()
	return errors.Join(err, <-served)
}

func (b *backend) serveStrict(ctx context.Context, s Streams, hello backendHello, spans *collector) error {
	g, err := devstack.StartGateway(ctx, devstack.GatewayOptions{Config: gatewaysim.Config{
		Merchants: map[string]payment.Secret{merchant: secret},
		Latency:   b.Latency.Draw,
		KeepCalls: 1000,
	}})
	if err != nil {
		return err
	}
	defer g.Close()
	hello.Gateway = g.URL
	return answerParent(s, hello, func(string) any {
		n := g.Sim.Counts()
		return backendCount{Calls: n.Calls, Repeated: n.Repeated, Spans: spans.count()}
	})
}

// benchTopics are topics of a name's own.
func benchTopics(name string, partitions int) []devstack.Topic {
	topics := devstack.DefaultTopics(int32(partitions))
	for i, suffix := range []string{"-intents", "-outcomes", "-dead-letters", "-turns"} {
		topics[i].Name = name + suffix
	}
	return topics
}
