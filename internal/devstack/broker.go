package devstack

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// The usual names of the three topics, and of the one for notes about lent turns.
const (
	Intents     = "payment-intents"
	Outcomes    = "payment-outcomes"
	DeadLetters = "payment-intents.dead-letters"
	Turns       = "payment-intents.turns"
)

// A Topic is a topic to be made.
type Topic struct {
	Name       string
	Partitions int32
	Configs    map[string]string
}

// DefaultTopics are the service's topics under their usual names. Outcomes are kept
// for thirty days: they are the ledger, and must outlive its window. Notes about lent
// turns have one partition.
func DefaultTopics(partitions int32) []Topic {
	return []Topic{
		{Name: Intents, Partitions: partitions},
		{Name: Outcomes, Partitions: partitions, Configs: map[string]string{"retention.ms": "2592000000", "cleanup.policy": "delete"}},
		{Name: DeadLetters, Partitions: partitions, Configs: map[string]string{"retention.ms": "2592000000"}},
		{Name: Turns, Partitions: 1, Configs: map[string]string{"retention.ms": "3600000", "cleanup.policy": "delete"}},
	}
}

// BrokerOptions say what the embedded broker is like. The zero value is one
// broker on a free port of the loopback interface, with the usual topics
// of six partitions.
type BrokerOptions struct {
	Addr      Addr
	Advertise string            // the host that clients are told to dial; empty: the one listened on
	Brokers   int               // nodes, on consecutive ports; 0: 1
	Topics    []Topic           // nil: DefaultTopics(6)
	Configs   map[string]string // of the broker, as in server.properties

	// Logins are who may log in. The first one is an operator's, and what Kafka
	// shows; nil: nobody is asked who they are.
	Logins []Login

	// MinSession is the shortest session timeout that a group member may ask
	// for; 0: 100 ms, so that tests of lost members need not wait for long.
	MinSession time.Duration

	// Listen and Dial replace the network, for example by that of a
	// kfake.VirtualNetwork inside a testing/synctest bubble. Ports are then
	// those of Addr, 9092 and on by default, and always exact.
	Listen func(network, address string) (net.Listener, error)
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Login is a user of the broker.
type Login struct{ User, Password string }

// The mechanisms of logins: the first one's password stays what it is, those of the
// others can be changed.
const (
	operatorLogin = "PLAIN"
	userLogin     = "SCRAM-SHA-256"
)

// A Broker is an embedded Kafka: real protocol, records in memory. The Cluster
// inside moves leaders, injects faults and tells what it holds.
type Broker struct {
	*kfake.Cluster
	sasl sasl.Mechanism
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// StartBroker starts an embedded Kafka and makes its topics.
func StartBroker(o BrokerOptions) (*Broker, error) {
	opts, err := o.cluster()
	if err != nil {
		return nil, err
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, err
	}
	if o.Topics == nil {
		o.Topics = DefaultTopics(6)
	}
	for _, t := range o.Topics {
		if err := c.CreateTopic(t.Name, t.Partitions, t.Configs); err != nil {
			c.Close()
			return nil, fmt.Errorf("create topic %s: %w", t.Name, err)
		}
	}
	b := &Broker{Cluster: c, dial: o.Dial}
	if len(o.Logins) > 0 {
		b.sasl = plain.Auth{User: o.Logins[0].User, Pass: o.Logins[0].Password}.AsMechanism()
	}
	return b, nil
}

// Addrs are the addresses to bootstrap from.
func (b *Broker) Addrs() []string { return b.ListenAddrs() }

// Kafka returns a client's settings for this broker.
func (b *Broker) Kafka() Kafka { return Kafka{Brokers: b.Addrs(), Dial: b.dial, SASL: b.sasl} }

func (o BrokerOptions) cluster() ([]kfake.Opt, error) {
	ports, err := o.ports()
	if err != nil {
		return nil, err
	}
	if o.MinSession == 0 {
		o.MinSession = 100 * time.Millisecond
	}
	opts := []kfake.Opt{
		kfake.ClusterID("paylink-dev"),
		kfake.Ports(ports...),
		kfake.ListenFn(o.listen),
		kfake.GroupMinSessionTimeout(o.MinSession),
		kfake.BrokerConfigs(o.Configs),
	}
	for i, l := range o.Logins {
		if i == 0 {
			opts = append(opts, kfake.EnableSASL(), kfake.Superuser(operatorLogin, l.User, l.Password))
			continue
		}
		opts = append(opts, kfake.User(userLogin, l.User, l.Password))
	}
	return opts, nil
}

func (o BrokerOptions) ports() ([]int, error) {
	first := 0
	if o.Listen != nil {
		first = 9092
	}
	if o.Addr.HostPort != "" {
		_, port, err := net.SplitHostPort(o.Addr.HostPort)
		if err != nil {
			return nil, err
		}
		if first, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("port %q is no number", port)
		}
	}
	ports := make([]int, max(1, o.Brokers))
	for i := range ports {
		if first > 0 {
			ports[i] = first + i
		}
	}
	return ports, nil
}

// listen opens one node's port. The broker asks for the loopback interface;
// the host of Addr replaces it.
func (o BrokerOptions) listen(network, address string) (net.Listener, error) {
	if o.Listen != nil {
		return o.Listen(network, address)
	}
	if o.Addr.HostPort != "" {
		host, _, _ := net.SplitHostPort(o.Addr.HostPort)
		_, port, _ := net.SplitHostPort(address)
		address = net.JoinHostPort(host, port)
	}
	ln, err := Addr{HostPort: address, Exact: o.Addr.Exact}.Listen(context.Background())
	if err != nil {
		return nil, err
	}
	return advertised{Listener: ln, host: o.Advertise}, nil
}

// An advertised listener tells another host than it listens on, because a
// Kafka client dials what the broker's metadata says and not what it was given.
type advertised struct {
	net.Listener
	host string
}

// Addr returns the address to be told to clients.
func (a advertised) Addr() net.Addr {
	addr := reachable(a.Listener.Addr())
	if a.host != "" {
		_, port, _ := net.SplitHostPort(addr)
		addr = net.JoinHostPort(a.host, port)
	}
	return hostPort(addr)
}

type hostPort string

func (hostPort) Network() string  { return "tcp" }
func (h hostPort) String() string { return string(h) }
