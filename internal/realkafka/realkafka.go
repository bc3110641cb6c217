//go:build integration

package realkafka

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// errAbsent says that this machine has no Kafka for tests: a reason to skip.
var errAbsent = errors.New("no Kafka here")

// shared is the broker of this test binary. It is global because that is its
// purpose: a broker takes seconds to start, and tests do not disturb one another.
var shared = sync.OnceValues(startContainer)

// Start returns the bootstrap servers of a Kafka that the test shares with the
// others of its binary; it need not be stopped. Transactions work on it, topics
// are not created on the fly. Without a Kafka the test is skipped; if one ought
// to start but does not, the test fails.
func Start(t testing.TB) []string {
	t.Helper()
	if given := os.Getenv("KAFKA_BROKERS"); given != "" {
		return strings.Split(given, ",")
	}
	c, err := shared()
	if err != nil {
		giveUp(t, err)
	}
	return []string{c.addr}
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
