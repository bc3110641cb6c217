package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"paylink/internal/pace"
)

// Times in a bubble have no monotonic clock, and one wall clock that nobody can
// set. So the laboratory is compiled with a package time that differs in two
// things: within a bubble it has both clocks, and the wall clock is wrong by what
// WallSkew says of the goroutine's label, which goroutines hand down. As on a real
// machine, timers and the monotonic clock do not notice when it jumps. And its package
// http lets others run before it looks what came unasked, or an idle machine would
// hardly ever hand a connection on before.
var clocks = []edit{
	{"time/time.go", `	sec, nsec, mono := runtimeNow()
	if mono == 0 {
		return Time{`, `	sec, nsec, mono := runtimeNow()
	if mono == 0 && WallSkew != nil {
		mono = startNano + 1 + (sec-946684800)*1e9 + int64(nsec) // bubbles begin in the year 2000
		wall := sec*1e9 + int64(nsec) + WallSkew(goroutineLabel())
		sec, nsec = wall/1e9, int32(wall%1e9)
	}
	if mono == 0 {
		return Time{`},
	{"time/time.go", "//go:linkname Now\n", `// WallSkew says by how many nanoseconds the wall clock of a goroutine is wrong.
var WallSkew func(label unsafe.Pointer) int64

//go:linkname goroutineLabel runtime/pprof.runtime_getProfLabel
func goroutineLabel() unsafe.Pointer

//go:linkname setGoroutineLabel runtime/pprof.runtime_setProfLabel
func setGoroutineLabel(unsafe.Pointer)

// GoroutineLabel tells the goroutine's label.
func GoroutineLabel() unsafe.Pointer { return goroutineLabel() }

//go:linkname Now
`},
	{"time/time.go", `	_ "unsafe" // for go:linkname`, `	"unsafe" // for go:linkname`},
	{"net/http/transport.go", "	for alive {\n", "	for alive {\n		for range 20 {\n			runtime.Gosched()\n		}\n"},
	{"net/http/transport.go", "	\"reflect\"\n", "	\"reflect\"\n	\"runtime\"\n"},
	{"time/sleep.go", "	return newTimer(when(d), 0, goFunc, f, nil)", `	label := goroutineLabel()
	return newTimer(when(d), 0, goFunc, func() { setGoroutineLabel(label); f() }, nil)`},
}

// narrow has a process hold a sixteenth of what it may, so that what is not given back
// soon stops it: that is how M1 is judged of one member. And it writes its ledgers
// often.
var narrow = []edit{
	{"kafkaio/kept.go", "saveFrom    = 4096", "saveFrom    = 3"},
	{"kafkaio/kept.go", "keepEvery   = time.Minute", "keepEvery   = 2 * time.Second"},
	{"kafkaio/memory.go", "heldBytes     = 160 << 20", "heldBytes     = 10 << 20"},
	{"pipeline/core.go", "mostLoaded = 64 << 20", "mostLoaded = 4 << 20"},
}

// labWithClocks compiles the laboratory anew, with clocks that jump, and has it
// do what this one was asked to do.
func labWithClocks(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "lab.test")
	if err := build(dir, bin, nil); err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.run=^(TestLab|TestAClock.*)$"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	if end, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+(time.Until(end)-10*time.Second).String())
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("the laboratory with clocks that jump: %v", err)
	}
}

// TestAClockThatIsSetBack: an intent that would be called again after it expires is
// looked at when it expires. With the clock set back meanwhile, that is far away;
// neither it nor what waits behind it may wait for that.
func TestAClockThatIsSetBack(t *testing.T) {
	if !clocksJump {
		t.Skip("clocks do not jump here: make lab")
	}
	p := plan{world: world{
		brokers: 1, partitions: 1, outcomes: 1, seats: 1, merchants: []pace.Rate{{Events: 100, Per: time.Second}},
		slowest: 5 * time.Millisecond, session: 3 * time.Second, giveUp: time.Hour, concurrency: 16,
	}}
	p.faults = []fault{
		{what: misbehave, lasts: 2 * time.Second, arg: "429:10s=1"},
		{at: 3 * time.Second, what: jump, by: -50 * time.Minute},
	}
	p.emissions = []emission{{at: time.Second, records: []record{
		{id: "expires", key: "a", amount: "10.00", expires: 8 * time.Second}, {id: "waits", key: "b", amount: "10.00"},
	}}}
	if f := experiment(t, p); f.story != "" {
		t.Errorf("%s\n%s", p, f.story)
	}
}
