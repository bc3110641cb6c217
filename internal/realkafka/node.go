//go:build integration && unix

package realkafka

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A node is one broker, which is a controller too.
type node struct {
	name string   // "n1"
	dir  string   // where its files are, all beginning with the name
	java []string // how to run a class

	mu    sync.Mutex // held by whoever does something to it
	cmd   *exec.Cmd  // nil: it never ran
	ended chan struct{}
}

// The usual settings: those of a default broker, but topics are not created on
// the fly, internal topics are small, there is no rebalance delay, a dead broker
// is fenced after 3 s instead of 9, group sessions may be 1 s. kafka-local's are
// the same.
const usual = `process.roles=broker,controller
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=8
share.coordinator.state.topic.num.partitions=8
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
`

// properties are the settings of a node, whose later ones override the earlier.
func properties(id int, l layout, data string) string {
	replicas, inSync := 1, 1
	if l.count >= 3 {
		replicas, inSync = 3, 2
	}
	var voters []string
	for i := range l.count {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, l.port+1000+i))
	}
	var b strings.Builder
	b.WriteString(usual)
	fmt.Fprintf(&b, "node.id=%d\nlog.dirs=%s\ncontroller.quorum.voters=%s\n", id, data, strings.Join(voters, ","))
	fmt.Fprintf(&b, "listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\n", l.port+id-1, l.port+1000+id-1)
	fmt.Fprintf(&b, "advertised.listeners=PLAINTEXT://127.0.0.1:%d\n", l.port+id-1)
	for _, topic := range []string{"offsets.topic", "transaction.state.log", "share.coordinator.state.topic", "default"} {
		fmt.Fprintf(&b, "%s.replication.factor=%d\n", topic, replicas)
	}
	for _, topic := range []string{"transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr", "min.insync.replicas"} {
		fmt.Fprintf(&b, "%s=%d\n", topic, inSync)
	}
	for _, pair := range l.config {
		b.WriteString(pair + "\n")
	}
	return b.String()
}

func (n *node) file(kind string) string { return filepath.Join(n.dir, n.name+"."+kind) }

func (n *node) run(class string, args ...string) *exec.Cmd {
	args = slices.Concat(n.java[1:], []string{class}, args)
	return exec.Command(n.java[0], args...)
}

// format prepares the folder of its data.
func (n *node) format() error {
	cmd := n.run("kafka.tools.StorageTool", "format", "-t", clusterID, "-c", n.file("properties"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format the data of %s: %w\n%s", n.name, err, ending(out))
	}
	return nil
}

// startUp is how long a node may take to serve.
const startUp = 2 * time.Minute

// launch starts the process and returns when it serves.
func (n *node) launch() error {
	log, err := os.OpenFile(n.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	n.cmd = n.run("kafka.Kafka", n.file("properties"))
	n.cmd.Stdout, n.cmd.Stderr = log, log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is for the test, which ends it
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = cmd.Wait() // killed, mostly
	}(n.cmd, n.ended)
	if err := os.WriteFile(n.file("pid"), []byte(strconv.Itoa(n.cmd.Process.Pid)), 0o644); err != nil {
		return err
	}
	return n.serves(before)
}

// serves waits until the log says so, behind its first bytes.
func (n *node) serves(before int64) error {
	deadline := time.After(startUp)
	for {
		log, err := os.ReadFile(n.file("log"))
		if err != nil {
			return err
		}
		if bytes.Contains(log[before:], []byte("Kafka Server started")) {
			return nil
		}
		select {
		case <-n.ended:
			return fmt.Errorf("%s ended while it started:\n%s", n.name, ending(log))
		case <-deadline:
			return fmt.Errorf("%s does not serve after %s:\n%s", n.name, startUp, ending(log))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ending is the end of a text, for an error message.
func ending(text []byte) []byte { return text[max(0, len(text)-4000):] }

func (n *node) alive() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// signal tells a running process something.
func (n *node) signal(s syscall.Signal) error {
	if !n.alive() {
		return fmt.Errorf("%s is down", n.name)
	}
	return n.cmd.Process.Signal(s)
}

func (n *node) kill() error {
	if err := n.signal(syscall.SIGKILL); err != nil {
		return err
	}
	return n.gone(10 * time.Second)
}

// gone waits for the end of the process.
func (n *node) gone(limit time.Duration) error {
	select {
	case <-n.ended:
		return os.Remove(n.file("pid"))
	case <-time.After(limit):
		return fmt.Errorf("%s does not end", n.name)
	}
}

func (n *node) restart() error {
	if n.alive() {
		if err := errors.Join(n.signal(syscall.SIGCONT), n.signal(syscall.SIGTERM)); err != nil {
			return err
		}
		if n.gone(15*time.Second) != nil {
			if err := n.kill(); err != nil {
				return err
			}
		}
	}
	return n.launch()
}

// end kills it, if it runs.
func (n *node) end() error {
	if !n.alive() {
		return nil
	}
	return n.kill()
}

func (n *node) pause() error  { return n.signal(syscall.SIGSTOP) }
func (n *node) resume() error { return n.signal(syscall.SIGCONT) }
