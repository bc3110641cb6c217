//go:build integration

package realkafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A Cluster is brokers on this machine: one, or three, nodes 1 to 3, every topic
// on all of them and two of them needed for an acknowledgement. They are
// processes: they can be killed and suspended one by one. Methods may be called
// concurrently for different nodes.
type Cluster struct {
	brokers []string
	guarded string // address of the guarded listener; empty: none
	nodes   nodes
}

// nodes are the processes of a cluster, by their numbers. What their methods do
// is said at those of Cluster.
type nodes interface {
	kill(node int) error
	restart(node int) error
	pause(node int) error
	resume(node int) error
	stop() error
}

// StartCluster starts three brokers for one test, in about ten seconds, and
// stops them with it. Each of config is a broker setting as "key=value". The
// test is skipped where neither KAFKA_HOME nor KAFKA_LOCAL says how to start them.
func StartCluster(t testing.TB, config ...string) *Cluster {
	t.Helper()
	return start(t, 3, config)
}

// StartBroker is StartCluster with one broker, in about four seconds. When it is
// killed, Restart takes some seconds more: it first waits for its own dead
// session to expire.
func StartBroker(t testing.TB, config ...string) *Cluster {
	t.Helper()
	return start(t, 1, config)
}

// StartGuarded is StartBroker with a second listener, whose address it returns too.
// Who comes there must log in by SCRAM-SHA-256, and may do what ACLs grant. Who comes
// to the other one is a super user. A login is asked for without TLS.
func StartGuarded(t testing.TB) (c *Cluster, guarded string) {
	t.Helper()
	c, err := startNodes(layout{count: 1, guarded: true})
	keepFor(t, c, err)
	return c, c.guarded
}

// StartTokens is StartGuarded whose guarded listener takes tokens (OAUTHBEARER, of
// JWTs without a signature), of the user paylink, who may do all. A login lasts for
// three seconds at most.
func StartTokens(t testing.TB) (c *Cluster, guarded string) {
	t.Helper()
	c, err := startNodes(layout{count: 1, guarded: true, config: []string{
		"listener.name.guarded.sasl.enabled.mechanisms=OAUTHBEARER",
		"listener.name.guarded.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";",
		"connections.max.reauth.ms=3000",
		"super.users=User:ANONYMOUS;User:paylink",
	}})
	keepFor(t, c, err)
	return c, c.guarded
}

// CanStart reports whether this machine has what StartCluster needs.
func CanStart() bool { return os.Getenv("KAFKA_HOME") != "" || os.Getenv("KAFKA_LOCAL") != "" }

// Given returns the brokers that KAFKA_BROKERS names, none if it is not set.
// They are somebody else's: they must not be hurt.
func Given() []string {
	if given := os.Getenv("KAFKA_BROKERS"); given != "" {
		return strings.Split(given, ",")
	}
	return nil
}

func start(t testing.TB, count int, config []string) *Cluster {
	t.Helper()
	c, err := startNodes(layout{count: count, config: config})
	keepFor(t, c, err)
	return c
}

// keepFor stops a cluster with a test, or ends the test if there is none.
func keepFor(t testing.TB, c *Cluster, err error) {
	t.Helper()
	if err != nil {
		giveUp(t, err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stop the cluster: %v", err)
		}
	})
}

// startNodes starts brokers that end with this process, if not before. It chooses
// their ports.
func startNodes(l layout) (*Cluster, error) {
	home, tool := os.Getenv("KAFKA_HOME"), os.Getenv("KAFKA_LOCAL")
	if home == "" && tool == "" {
		return nil, absent("brokers to be killed: KAFKA_HOME names no folder of an Apache Kafka release, KAFKA_LOCAL no tool that starts them")
	}
	var err error
	if l.port, err = freePorts(); err != nil {
		return nil, err
	}
	c := &Cluster{}
	for i := range l.count {
		c.brokers = append(c.brokers, net.JoinHostPort("127.0.0.1", strconv.Itoa(l.port+i)))
	}
	if l.guarded {
		c.guarded = net.JoinHostPort("127.0.0.1", strconv.Itoa(l.port+1))
		l.config = append(guard(l.port), l.config...)
	}
	if home != "" {
		c.nodes, err = startRelease(home, l)
	} else {
		c.nodes, err = startTool(tool, l)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// A layout says what a cluster is like. Node 1 listens on port, its controller a
// thousand above; those of the others follow.
type layout struct {
	count   int
	port    int
	config  []string // "key=value"; overrides what is usual here
	guarded bool     // node 1, the only one, has a guarded listener on the next port
}

// guard is the settings of a node whose second listener asks for a login and
// whose rights are ACLs. Who comes to the first one has no name, and may do all.
func guard(port int) []string {
	first, second := fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", port), fmt.Sprintf("GUARDED://127.0.0.1:%d", port+1)
	return []string{
		fmt.Sprintf("listeners=%s,%s,CONTROLLER://127.0.0.1:%d", first, second, port+1000),
		"advertised.listeners=" + first + "," + second,
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_PLAINTEXT",
		"listener.name.guarded.sasl.enabled.mechanisms=SCRAM-SHA-256",
		"listener.name.guarded.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS",
	}
}

// Brokers returns the address of each node, node 1 first.
func (c *Cluster) Brokers() []string { return append([]string(nil), c.brokers...) }

// Kill ends a node at once, as kill -9 does.
func (c *Cluster) Kill(node int) error { return c.nodes.kill(node) }

// Restart starts a node with the data it had and returns when it serves. A node
// that runs is shut down first; a suspended one is woken for that.
func (c *Cluster) Restart(node int) error { return c.nodes.restart(node) }

// Pause suspends a node, as SIGSTOP does: its connections stay open and mute.
func (c *Cluster) Pause(node int) error { return c.nodes.pause(node) }

// Resume lets a suspended node go on.
func (c *Cluster) Resume(node int) error { return c.nodes.resume(node) }

// Stop kills all nodes and removes their data. Later calls do nothing.
func (c *Cluster) Stop() error { return c.nodes.stop() }

// Leader returns the node that leads a partition, as node asked tells it. It
// fails if that node is down or knows no leader.
func (c *Cluster) Leader(ctx context.Context, asked int, topic string, partition int32) (int, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.brokers[asked-1]))
	if err != nil {
		return 0, fmt.Errorf("leader of %s/%d: %w", topic, partition, err)
	}
	defer cl.Close()
	parts, err := describe(ctx, cl.SeedBrokers()[0], topic)
	if err != nil {
		return 0, fmt.Errorf("leader of %s/%d: %w", topic, partition, err)
	}
	for _, p := range parts {
		if p.Partition == partition && p.Leader > 0 {
			return int(p.Leader), nil
		}
	}
	return 0, fmt.Errorf("leader of %s/%d: none", topic, partition)
}

// freePorts finds a port such that the six of a cluster are free: three in a
// row, and three more a thousand above. It looks below the range from which
// the system takes the ports of outgoing connections.
func freePorts() (int, error) {
	for range 50 {
		port := 15000 + rand.IntN(15000)
		if free(port, port+1, port+2, port+1000, port+1001, port+1002) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free ports between 15000 and 31000")
}

func free(ports ...int) bool {
	for _, port := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
