package lab

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"paylink/internal/history"
)

// seedsByDefault is how many seeds a plain "go test" tries: those after LAB_FIRST
// (default 1). LAB_SEEDS changes the number, LAB_SEED replays one seed and tells
// all, LAB_MINUTES tries fresh seeds for so long.
const seedsByDefault = 40

func TestLab(t *testing.T) {
	if os.Getenv("LAB_CLOCKS") != "" && !clocksJump {
		labWithClocks(t)
		return
	}
	if v := os.Getenv("LAB_SEED"); v != "" {
		retell(t, number(t, v))
		return
	}
	if v := os.Getenv("LAB_MINUTES"); v != "" {
		soak(t, time.Duration(number(t, v))*time.Minute)
		return
	}
	first, n := uint64(1), uint64(seedsByDefault)
	if v := os.Getenv("LAB_FIRST"); v != "" {
		first = number(t, v)
	}
	if v := os.Getenv("LAB_SEEDS"); v != "" {
		n = number(t, v)
	}
	if os.Getenv("LAB_MUTANT") != "" {
		untilFound(t, first, n)
		return
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			try(t, seed)
		})
	}
}

// untilFound tries seeds one after the other, until one finds something; see
// TestMutants.
func untilFound(t *testing.T, first, n uint64) {
	for seed := first; seed < first+n; seed++ {
		if f := experiment(t, draw(seed)); f.story != "" {
			t.Fatalf("seed %d: found by %s", seed, f.rules())
		}
	}
}

func number(t *testing.T, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%q is no number", text)
	}
	return n
}

// soak tries fresh seeds.
func soak(t *testing.T, long time.Duration) {
	first := rand.Uint64N(1 << 40)
	t.Logf("seeds from %d on", first)
	for i, end := uint64(0), time.Now().Add(long); time.Now().Before(end); i += 20 {
		t.Run(fmt.Sprint(first+i), func(t *testing.T) {
			for seed := first + i; seed < first+i+20; seed++ {
				t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
					t.Parallel()
					try(t, seed)
				})
			}
		})
		if t.Failed() {
			return
		}
	}
}

// try performs the plan of a seed. One that fails is told in its smallest form.
func try(t *testing.T, seed uint64) {
	p := draw(seed)
	f := experiment(t, p)
	if f.story == "" {
		return
	}
	small, tries, again := minimise(t, p, f)
	t.Errorf("%s\n\nseed %d, in its smallest form (%d tries; the smallest fails in %s):\n\n%s\n%s", f.story, seed, tries, again, small.plan, small.story)
}

// A finding is a plan, and what the judge says of its history.
type finding struct {
	plan    plan
	story   string // empty: all is well
	verdict history.Verdict
}

// experiment performs a plan and has its history judged.
func experiment(t *testing.T, p plan) finding {
	out := perform(t, p, nil)
	f := finding{plan: p, verdict: out.verdict}
	if s := out.verdict.String(); s != "" {
		f.story = s + strings.Join(out.notes, "\n")
	}
	return f
}

// rules names the rules that are broken.
func (f finding) rules() string { return strings.Join(f.verdict.Rules(), " ") }

// retell performs the plan of a seed and tells everything.
func retell(t *testing.T, seed uint64) {
	p := draw(seed)
	var log bytes.Buffer
	out := perform(t, p, &log)
	v := out.verdict
	t.Logf("%s\nwhat the members said (minutes and seconds from the start):\n%s\n%s\n%s\n%s",
		p, log.String(), strings.Join(out.notes, "\n"), timeline(out.history), v.Counts)
	if s := v.String(); s != "" {
		t.Errorf("seed %d:\n%s", seed, s)
	}
}

// timeline tells of every call what it was and what it gave.
func timeline(h history.Run) string {
	var b strings.Builder
	b.WriteString("what the gateway heard:\n")
	for _, c := range h.Calls {
		what := map[bool]string{true: "lookup", false: "init"}[c.Lookup]
		fmt.Fprintf(&b, "  %s  %s of %s by %s, payment %d\n", c.At.Format("04:05.000"), what, c.Intent, c.Member, c.Link)
	}
	b.WriteString("what was published:\n")
	for _, o := range h.Outcomes {
		fmt.Fprintf(&b, "  %s  %s at %s, created %t, payment %d\n", o.Time.Format("04:05.000"), o.Intent, o.At, o.Created, o.Payment)
	}
	return b.String()
}
