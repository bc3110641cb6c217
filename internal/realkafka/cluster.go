//go:build integration

package realkafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
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
	tool    string
	port    string
	brokers []string
	keeper  *keeper
}

// StartCluster starts three brokers for one test, in about ten seconds, and
// stops them with it. Each of config is a broker setting as "key=value". The
// test is skipped where KAFKA_LOCAL does not name the tool.
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

func start(t testing.TB, nodes int, config []string) *Cluster {
	t.Helper()
	tool := os.Getenv("KAFKA_LOCAL")
	if tool == "" {
		giveUp(t, absent("brokers to be killed: KAFKA_LOCAL names no tool that starts them"))
	}
	c, err := startNodes(tool, nodes, config)
	if err != nil {
		giveUp(t, err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stop the cluster: %v", err)
		}
	})
	return c
}

func startNodes(tool string, nodes int, config []string) (*Cluster, error) {
	port, err := freePorts()
	if err != nil {
		return nil, err
	}
	c := &Cluster{tool: tool, port: strconv.Itoa(port)}
	if c.keeper, err = keep(tool, "stop", "--port", c.port); err != nil {
		return nil, err
	}
	args := []string{"--nodes", strconv.Itoa(nodes), "--heap", "512m"}
	for _, pair := range config {
		args = append(args, "--config", pair)
	}
	out, err := c.do("start", args...)
	if err != nil {
		_ = c.Stop() // the start's error tells more
		return nil, err
	}
	c.brokers = strings.Split(out, ",")
	return c, nil
}

// Brokers returns the address of each node, node 1 first.
func (c *Cluster) Brokers() []string { return append([]string(nil), c.brokers...) }

// Kill ends a node at once, as kill -9 does.
func (c *Cluster) Kill(node int) error { return c.chaos("kill", node) }

// Restart starts a node with the data it had and returns when it serves. A node
// that runs is shut down first; a suspended one is woken for that.
func (c *Cluster) Restart(node int) error { return c.chaos("restart", node) }

// Pause suspends a node, as SIGSTOP does: its connections stay open and mute.
func (c *Cluster) Pause(node int) error { return c.chaos("pause", node) }

// Resume lets a suspended node go on.
func (c *Cluster) Resume(node int) error { return c.chaos("resume", node) }

// Stop kills all nodes and removes their data. Later calls do nothing.
func (c *Cluster) Stop() error { return c.keeper.end() }

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

func (c *Cluster) chaos(command string, node int) error {
	_, err := c.do(command, strconv.Itoa(node))
	return err
}

// do runs a command of the tool and returns what it printed.
func (c *Cluster) do(command string, args ...string) (string, error) {
	cmd := exec.Command(c.tool, append([]string{command, "--port", c.port}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kafka-local %s: %w: %s", command, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
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
