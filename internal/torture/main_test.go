//go:build integration

package torture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestMain(m *testing.M) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // some of toxiproxy logs through the global logger
	code := m.Run()
	if dir, err := workplace(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// workplace is a directory for the life of this test binary.
var workplace = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "paylink-torture-") })

// binary is the service, built once. TORTURE_BUILD holds more flags for go
// build, such as -race.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := workplace()
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "paylink")
	args := []string{"build", "-o", file}
	if more := os.Getenv("TORTURE_BUILD"); more != "" {
		args = append(args, more)
	}
	cmd := exec.Command("go", append(args, "paylink/cmd/paylink")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build paylink: %w\n%s", err, out)
	}
	return file, nil
})

// long reports whether the long forms are asked for, and how long TestTorture
// is to take.
func long(t *testing.T) (time.Duration, bool) {
	t.Helper()
	text := os.Getenv("TORTURE")
	if text == "" {
		return 0, false
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("TORTURE=%q: want a duration, like 10m", text)
	}
	return d, true
}

// form chooses between the short and the long form of a number.
func form[T any](t *testing.T, short, longer T) T {
	t.Helper()
	if _, yes := long(t); yes {
		return longer
	}
	return short
}

// chance returns the test's source of chance and prints its seed.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("TORTURE_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("TORTURE_SEED=%q: want a number", text)
		}
		seed = n
	}
	t.Logf("TORTURE_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// between returns a duration from low to high.
func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)+1))
}
