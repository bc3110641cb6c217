package pipeline

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// leastRatio is how many histories the simulator makes at least for each that the
// first laboratory makes.
const leastRatio = 100

// TestSimRatio measures both laboratories, by turns, on the same machine: histories
// for a second of all its processors' work, so that it does not matter who else is at
// work there.
func TestSimRatio(t *testing.T) {
	if os.Getenv("SIM_RATIO") == "" {
		t.Skip("it measures for a minute: make sim-ratio")
	}
	labBin := filepath.Join(t.TempDir(), "lab.test")
	if out, err := exec.Command("go", "test", "-c", "-o", labBin, "../lab").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const rounds, labSeeds, simSeeds = 2, 40, 5_000
	var labWork, simWork time.Duration
	for i := range rounds {
		labWork += work(t, labBin, "../lab", "^TestLab$", fmt.Sprint("LAB_FIRST=", 1+i*labSeeds), fmt.Sprint("LAB_SEEDS=", labSeeds))
		simWork += work(t, os.Args[0], ".", "^TestSim$", fmt.Sprint("SIM_SEEDS=", simSeeds))
	}
	lab, sim := rounds*labSeeds/labWork.Seconds(), rounds*simSeeds/simWork.Seconds()
	t.Logf("histories for a second of one processor: laboratory %.1f, simulator %.0f: %.0f times as many", lab, sim, sim/lab)
	if sim < leastRatio*lab {
		t.Errorf("%.0f times as many, want %d", sim/lab, leastRatio)
	}
}

// work is how long processors worked for a test.
func work(t *testing.T, bin, dir, test string, env ...string) time.Duration {
	t.Helper()
	cmd := exec.Command(bin, "-test.run="+test, "-test.timeout=10m")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Env = append(cmd.Env, "SIM_RATIO=", "SIM_SEED=", "LAB_SEED=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}
