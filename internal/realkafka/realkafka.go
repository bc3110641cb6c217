//go:build integration

package realkafka

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// errAbsent says that this machine has no Kafka for tests: a reason to skip.
var errAbsent = errors.New("no Kafka here")

// shared is the broker of this test binary. It is global because that is its
// purpose: a broker takes seconds to start, and tests do not disturb one another.
var shared = sync.OnceValues(startShared)

// A broker is one that lives as long as this process.
type broker struct {
	addr string // host:port
	from any    // *container or *Cluster, kept: without them it would end
}

// startShared starts one broker that lives as long as this process: from
// KAFKA_HOME, in Docker, or else, where there is no Docker, by KAFKA_LOCAL.
func startShared() (broker, error) {
	if os.Getenv("KAFKA_HOME") == "" {
		c, err := startContainer()
		if err == nil {
			return broker{c.addr, c}, nil
		}
		if !errors.Is(err, errAbsent) || !CanStart() {
			return broker{}, err
		}
	}
	c, err := startNodes(layout{count: 1})
	if err != nil {
		return broker{}, err
	}
	return broker{c.Brokers()[0], c}, nil
}

// Start returns the bootstrap servers of a Kafka that the test shares with the
// others of its binary; it need not be stopped. Transactions work on it, topics
// are not created on the fly. Without a Kafka the test is skipped; if one ought
// to start but does not, the test fails.
func Start(t testing.TB) []string {
	t.Helper()
	if given := Given(); given != nil {
		return given
	}
	b, err := shared()
	if err != nil {
		giveUp(t, err)
	}
	return []string{b.addr}
}

// giveUp ends a test that has no Kafka: it skips where there is none to be had.
func giveUp(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, errAbsent) || os.Getenv("KAFKA_REQUIRED") != "" {
		t.Fatalf("%s: real Kafka: %v", t.Name(), err)
	}
	t.Skipf("SKIP %s: it needs a real Kafka: %v", t.Name(), err)
}

// absent wraps a reason in errAbsent.
func absent(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errAbsent, fmt.Errorf(format, args...))
}
