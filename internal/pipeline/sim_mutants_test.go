package pipeline

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A simMutant is the service with one deliberate mistake: in a file of a room, a
// text that occurs once is another.
type simMutant struct{ name, file, old, new string }

var simMutants = []simMutant{
	{"doubt forgotten", "attempt/attempt.go", "\ts.Doubt = Standing\n\treturn s, Repeat{AtLeast: ge.RetryAfter}", "\treturn s, Repeat{AtLeast: ge.RetryAfter}"},
	{"a duplicate denies the payment", "attempt/attempt.go", "PaymentMayExist: true, PaymentID: id,", "PaymentMayExist: false, PaymentID: id,"},
	{"an unsigned refusal believed", "attempt/attempt.go", "if ge.Signed && s.Doubt != Inherited {", "if s.Doubt != Inherited {"},
	{"calls of an owner before forgotten", "attempt/attempt.go", "if ge.Signed && s.Doubt != Inherited {", "if ge.Signed {"},
	{"no last look", "attempt/attempt.go", "if s.Doubt == Inherited || why == payment.GaveUp && !proven {", "if s.Calls < 0 {"},
	{"order of keys ignored", "partition/partition.go", "return len(k.loaded) == 1 && p.queueID(r)", "return p.queueID(r)"},
	{"committed ahead of a gap", "partition/partition.go", "\tif p.open.Len() > 0 {\n\t\tw = min", "\tif p.open.Len() > 3 {\n\t\tw = min"},
	{"committed ahead of a backlog", "partition/partition.go", "w := min(p.next, p.slots.first())", "w := p.next"},
	{"repeats of an id not held back", "partition/partition.go", "return len(q) == 0\n", "return len(q) >= 0\n"},
	{"who follows a key is forgotten", "partition/partition.go", "byKey = k.loaded[0]\n", "byKey = nil\n"},
	{"who follows in a backlog is overtaken", "pipeline/backlog.go", "if far, ok := w.part.Far(key); ok && key != 0 {", "if far, ok := w.part.Far(key); ok && key == 1 {"},
	{"other content under another key is called for", "pipeline/core.go", "\tcase t.conflict:\n", "\tcase t.conflict && t.timeless:\n"},
	{"conflict not noticed", "answered/answered.go", "case !e.content.same(contentOf(digest, false)):", "case !e.content.same(contentOf(digest, false)) && len(id) == 0:"},
	{"ledger not asked before a call", "pipeline/core.go", "\tcase Answered, Repeated:\n", "\tcase Known(99):\n"},
	{"not found believed while a call is on its way", "attempt/attempt.go", "early := onWay > 0", "early := onWay < 0"},
	{"only calls of an owner before are on their way", "pipeline/core.go", "began := t.asked\n", "began := time.Time{}\n"},
	{"a strange order that is the last waits for ever", "schedule/hold.go", "case l.isAlone(w):", "case l.isAlone(w) && w.by.Unix() == 1:"},
	{"those that only look up wait for ever on hold", "schedule/hold.go", "case l.opening == 0:", "case l.opening < 0:"},
	{"what looks up takes the turns of a hold", "schedule/lane.go", "if w := l.prober(); w != nil {", "if w := l.prober(); w != nil && now.IsZero() {"},
	{"those that were refused probe a hold again", "schedule/hold.go", "w.denials > of[0].denials:\n\t\tcase len(of) > 0 && w.denials < of[0].denials:", "w.denials < of[0].denials:\n\t\tcase len(of) > 0 && w.denials > of[0].denials:"},
	{"each of a bunch is waited for", "schedule/hold.go", "h.patient = !wasRefused && (h.on || h.patient)", "h.patient = false"},
	{"who was never refused waits as the others do", "schedule/hold.go", "if l.fresh > 0 {", "if l.fresh < 0 {"},
	{"a hold is probed by what is loaded alone", "schedule/backlog.go", "case b.Lane.hold.on:\n", "case b.Lane.hold.on && now.IsZero():\n"},
	{"what comes on hold waits behind what was there", "schedule/backlog.go", "case b.Lane.hold.on && b.going(r) < 3*b.mayLoad(r):", "case b.Lane.hold.on && b.going(r) < b.loaded-b.loaded:"},
	{"who is never answered waits for ever on hold", "schedule/hold.go", "return w.failed, w.failed.After(l.hold.began)", "return w.failed, false"},
	{"what is repeated takes the room of what is not", "schedule/backlog.go", "return b.loaded - b.looking - b.again", "return b.loaded - b.looking"},
	{"who is behind what is repeated takes the room of others", "schedule/backlog.go", " - b.again - b.behind", " - b.again"},
	{"repeats in vain have no budget", "schedule/lane.go", "return l.vain >= vainRepeats", "return l.vain > mostVain"},
	{"repeats take the probes of a gateway", "schedule/lane.go", "l.firsts >= lookShare-1", "l.firsts >= 0"},
	{"who alone fails breaks the breaker of others", "schedule/endpoint.go", "l.misses >= aloneFails &&", "l.misses < 0 &&"},
	{"calls that hang take the room of others", "schedule/hang.go", "return l.hung > 0", "return l.hung < 0"},
	{"a call that hung is forgotten", "schedule/hang.go", "s.hang(l, min(l.hung+1, mostHung))", "s.hang(l, 0)"},
	{"nothing is read while one merchant's calls fail", "pipeline/worker.go", "mostDown = 2 * time.Second", "mostDown = 2000 * time.Second"},
	{"what breaks rules was never called for", "pipeline/core.go", "if t.dec.BySettings && t.mayBeCalled() {", "if t.dec.BySettings && t.timeless {"},
	{"what is due sooner waits behind what is loaded", "schedule/backlog.go", "case by.Before(latest):", "case by.Before(latest) && by.IsZero():"},
	{"the latest first", "schedule/work.go", "return a.by.Before(b.by)\n", "return b.by.Before(a.by)\n"},
	{"expires_at ignored", "schedule/work.go", "!w.ExpiresAt.IsZero() && !now.Before(w.ExpiresAt)", "!w.ExpiresAt.IsZero() && now.IsZero()"},
	{"a clock that is set right lengthens lives", "schedule/scheduler.go", "if w.hasExpired(now) { // by", "if w.hasExpired(now) && now.IsZero() { // by"},
	{"the limit is not used up", "schedule/turns.go", "\t\tl.limit.Take(now)\n", "\t\t_ = l.limit\n"},
	{"a turn that is lent is not used up", "pace/lend.go", "\tl.tokens--\n", ""},
	{"a loan is used when it is over", "schedule/turns.go", "return took <= loan && wall <= loan && wall >= 0", "return took <= 10*loan && wall <= 10*loan"},
	{"a loan that comes twice is used twice", "schedule/turns.go", "l.asks = append(l.asks[:i], l.asks[i+1:]...)", "_ = i"},
	{"a loan is kept for later", "schedule/turns.go", "\t\t\tl.lent = nil\n", ""},
	{"who may not call lends", "pipeline/core.go", "return !w.claim.Live() }) {\n\t\t\treturn", "return false }) {\n\t\t\treturn"},
	{"share of the rate kept when it is revoked", "pace/limit.go", "l.stages[i].share = l.stages[i].share.and(s)", "_ = i"},
	{"who waits for an endpoint is forgotten", "schedule/endpoint.go", "if s.reschedule(l, now); !l.next.After(now) {", "if !l.next.After(now) {"},
	{"calls in flight not bounded", "schedule/scheduler.go", "return s.inFlight < s.cfg.Concurrency && s.inFlight+s.unsettled < 2*s.cfg.Concurrency", "return true"},
}

// TestSimMutants proves that the simulator can fail: it finds every mutant.
func TestSimMutants(t *testing.T) {
	within := os.Getenv("SIM_MUTANTS") // how many seeds a mutant may survive
	if within == "" {
		t.Skip("it compiles the simulator anew for each: make mutants")
	}
	for _, m := range simMutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			seed, rule := m.hunt(t, within)
			t.Logf("//	%-44s %5s  %-8s %3.0f s", m.name, seed, rule, time.Since(began).Seconds())
		})
	}
}

var simFound = regexp.MustCompile(`seed (\d+): found by (\S+)`)

// TestSimMutantsFit: each changes a text that is there, once.
func TestSimMutantsFit(t *testing.T) {
	for _, m := range simMutants {
		t.Run(m.name, func(t *testing.T) { m.text(t) })
	}
}

// text is the file that the mutant changes.
func (m simMutant) text(t *testing.T) (name, text string) {
	name, err := filepath.Abs(filepath.Join("..", m.file))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), m.old); n != 1 {
		t.Fatalf("%s holds %q %d times, want once", m.file, m.old, n)
	}
	return name, string(b)
}

// hunt compiles the simulator around the mutant, and runs seeds until one finds it.
func (m simMutant) hunt(t *testing.T, within string) (seed, rule string) {
	dir := t.TempDir()
	name, text := m.text(t)
	mutated, overlay, bin := filepath.Join(dir, "mutated.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "sim.test")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {name: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string][]byte{mutated: []byte(strings.Replace(text, m.old, m.new, 1)), overlay: replace} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-w", "-overlay", overlay, "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(bin, "-test.run=^TestSim$", "-test.timeout=20m")
	cmd.Env = append(os.Environ(), "SIM_MUTANT=1", "SIM_MUTANTS=", "SIM_SEED=", "SIM_SEEDS="+within)
	out, err := cmd.CombinedOutput()
	found := simFound.FindSubmatch(out)
	switch {
	case found != nil:
		return string(found[1]), string(found[2])
	case err == nil:
		t.Errorf("%s seeds did not find it", within)
		return "-", ""
	case strings.Contains(string(out), "panic: test timed out"):
	case strings.Contains(string(out), "panic: "):
		return "?", "panic"
	}
	t.Errorf("%v: %s", err, fmt.Sprintf("%.2000s", out))
	return "?", ""
}
