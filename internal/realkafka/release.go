//go:build integration && unix

package realkafka

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// A release is the nodes of a cluster as processes of an unpacked Apache Kafka
// release, of which only the folder libs is used. They are fast to start, not
// fast to run.
type release struct {
	dir    string // data, settings and logs; removed in the end
	nodes  []*node
	keeper *keeper
}

// clusterID is some valid id: clusters do not meet.
const clusterID = "cGF5bGluay10ZXN0LWthZg"

// keepScript ends what a release leaves behind when this process dies: it is
// given the folder, and finds the processes by their files.
const keepScript = `for f in "$0"/n?.pid; do [ ! -f "$f" ] || kill -9 "$(cat "$f")" 2>/dev/null; done
for i in 1 2 3 4 5; do rm -rf "$0" 2>/dev/null && exit 0; sleep 1; done; exit 1`

// startRelease starts a cluster and returns when both of its coordinators answer.
func startRelease(home string, l layout) (nodes, error) {
	java, err := findJava(home)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "paylink-kafka-")
	if err != nil {
		return nil, err
	}
	r := &release{dir: dir}
	if r.keeper, err = keep("sh", "-c", keepScript, dir); err != nil {
		return nil, err
	}
	if err := r.start(java, l); err != nil {
		_ = r.stop() // the start's error tells more
		return nil, fmt.Errorf("start Apache Kafka in %s: %w", home, err)
	}
	return r, nil
}

// findJava returns how to run a class of a release.
func findJava(home string) ([]string, error) {
	libs := filepath.Join(home, "libs")
	if jars, _ := filepath.Glob(filepath.Join(libs, "kafka-clients-*.jar")); len(jars) == 0 {
		return nil, fmt.Errorf("KAFKA_HOME=%s: there is no libs/kafka-clients-*.jar; want the folder of an unpacked Apache Kafka release", home)
	}
	java := "java"
	if jdk := os.Getenv("JAVA_HOME"); jdk != "" {
		java = filepath.Join(jdk, "bin", "java")
	}
	java, err := exec.LookPath(java)
	if err != nil {
		return nil, fmt.Errorf("KAFKA_HOME needs Java 17 or newer, by JAVA_HOME or in PATH: %w", err)
	}
	return []string{java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", filepath.Join(libs, "*")}, nil
}

func (r *release) start(java []string, l layout) error {
	logging, err := r.logging()
	if err != nil {
		return err
	}
	java = append(append([]string(nil), java...), logging...)
	for id := 1; id <= l.count; id++ {
		n := &node{name: fmt.Sprintf("n%d", id), dir: r.dir, java: java}
		r.nodes = append(r.nodes, n)
		if err := os.WriteFile(n.file("properties"), []byte(properties(id, l, n.file("data"))), 0o644); err != nil {
			return err
		}
	}
	var all errgroup.Group
	for _, n := range r.nodes {
		all.Go(n.format)
	}
	if err := all.Wait(); err != nil {
		return err
	}
	for _, n := range r.nodes {
		all.Go(n.launch)
	}
	if err := all.Wait(); err != nil {
		return err
	}
	return coordinators(fmt.Sprintf("127.0.0.1:%d", l.port))
}

// logging writes the settings of the loggers of Kafka 4 and 3, and returns the
// options that name them. A release's own would write below its folder.
func (r *release) logging() ([]string, error) {
	four, three := filepath.Join(r.dir, "log4j2.properties"), filepath.Join(r.dir, "log4j.properties")
	err := os.WriteFile(four, []byte("status=error\nappender.out.type=Console\nappender.out.name=out\n"+
		"appender.out.layout.type=PatternLayout\nappender.out.layout.pattern=[%d] %p %m (%c)%n\n"+
		"rootLogger.level=info\nrootLogger.appenderRef.out.ref=out\n"), 0o644)
	if err != nil {
		return nil, err
	}
	err = os.WriteFile(three, []byte("log4j.rootLogger=INFO, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"+
		"log4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n\n"), 0o644)
	return []string{"-Dlog4j2.configurationFile=" + four, "-Dlog4j.configuration=file:" + three}, err
}

// coordinators waits until those of groups and of transactions answer.
func coordinators(broker string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	adm := kadm.NewClient(cl)
	for _, find := range []func(context.Context, ...string) kadm.FindCoordinatorResponses{adm.FindGroupCoordinators, adm.FindTxnCoordinators} {
		if err := poll(ctx, func() error { return find(ctx, "ready").Error() }); err != nil {
			return fmt.Errorf("the coordinators do not come up: %w", err)
		}
	}
	return nil
}

func (r *release) node(id int) (*node, error) {
	if id < 1 || id > len(r.nodes) {
		return nil, fmt.Errorf("no node %d, the cluster has 1 to %d", id, len(r.nodes))
	}
	return r.nodes[id-1], nil
}

// with does something to a node.
func (r *release) with(id int, deed func(*node) error) error {
	n, err := r.node(id)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return deed(n)
}

func (r *release) kill(id int) error    { return r.with(id, (*node).kill) }
func (r *release) restart(id int) error { return r.with(id, (*node).restart) }
func (r *release) pause(id int) error   { return r.with(id, (*node).pause) }
func (r *release) resume(id int) error  { return r.with(id, (*node).resume) }

func (r *release) stop() error {
	for id, n := range r.nodes {
		if err := r.with(id+1, func(*node) error { return n.end() }); err != nil {
			return err
		}
	}
	return r.keeper.end()
}
