package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ran runs a verb and returns what it printed and its exit code.
func ran(t testing.TB, args []string) (out, errs string, code int) {
	t.Helper()
	var o, e strings.Builder
	code = run(t.Context(), args, world{in: strings.NewReader(""), out: &o, err: &e})
	for _, secret := range []string{canary, "77770001122", "customer="} {
		if strings.Contains(o.String()+e.String(), secret) {
			t.Errorf("%v shows %q", args, secret)
		}
	}
	return o.String(), e.String(), code
}

// labSize is how many intents the laboratory has; LAB_INTENTS says another.
func labSize(t testing.TB) int {
	if s := os.Getenv("LAB_INTENTS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 5_000
}

// said reads JSON lines: intent id and the word of each, sorted, and the summary.
func said(t testing.TB, out, word string) (lines []string, summary map[string]any) {
	t.Helper()
	for line := range strings.Lines(out) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v: %.200s", err, line)
		}
		if row["kind"] == "summary" {
			summary = row
			continue
		}
		lines = append(lines, row["intent_id"].(string)+" "+row[word].(string))
	}
	slices.Sort(lines)
	return lines, summary
}

// TestVerifyAndReconcileFindAllAndNothingElse: each kind of finding and each class,
// among intents that are as they should be.
func TestVerifyAndReconcileFindAllAndNothingElse(t *testing.T) {
	l := newLab(t, labSize(t), 4, 16)
	out, errs, code := ran(t, l.args("verify", "-o", "json"))
	got, sum := said(t, out, "finding")
	if diff := cmp.Diff(l.want(func(f fate) string { return f.finding }), got); diff != "" || code != exitFailure {
		t.Errorf("verify: exit %d, %s (-want +got):\n%s", code, errs, diff)
	}
	t.Log(sum)
	out, errs, code = ran(t, l.args("reconcile", slices.Concat(l.merchants("1000000/s"), []string{"-o", "json"})...))
	got, sum = said(t, out, "class")
	if diff := cmp.Diff(l.want(func(f fate) string { return f.class }), got); diff != "" || code != exitFailure {
		t.Errorf("reconcile: exit %d, %s (-want +got):\n%s", code, errs, diff)
	}
	t.Log(sum, errs)
}

// onStatus calls do when the gateway has made up its mind about the n-th look-up
// from now.
type onStatus struct {
	mu   sync.Mutex
	left int
	do   func()
}

func (o *onStatus) after(n int, do func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left, o.do = n, do
}

func (o *onStatus) latency(*rand.Rand) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.left--; o.left == 0 && o.do != nil {
		o.do()
	}
	return 0
}

// askedAgain counts look-ups of an order beyond the first, and all of them, of orders
// that get an answer.
func (l *lab) askedAgain() (again, all int) {
	seen := map[string]int{}
	for _, c := range l.stack.Gateway.Sim.Calls() {
		if c.Script == "get_status3.php" && !strings.Contains(c.OrderID, "sim:") {
			seen[c.OrderID]++
			all++
		}
	}
	for _, n := range seen {
		again += n - 1
	}
	return again, all
}

// TestReconcileGoesOnAfterInterruptions, at random moments of reading and asking:
// no status is asked twice, and the report is that of a run in one go.
func TestReconcileGoesOnAfterInterruptions(t *testing.T) {
	l := newLab(t, 1_000, 3, 16)
	args := l.args("reconcile", slices.Concat(l.merchants("1000000/s"), []string{"-o", "json", "--all"})...)
	want, _, _ := ran(t, args)
	_, before := l.askedAgain()
	if before < 800 {
		t.Fatalf("%d look-ups in one go, want more: is this the right laboratory?", before)
	}
	var hook onStatus
	l.stack.Gateway.Sim.SetLatency(hook.latency)
	var cancelAtFetch atomic.Pointer[context.CancelFunc]
	var countdown atomic.Int64
	l.stack.Broker.ControlKey(int16(1), func(kmsg.Request) (kmsg.Response, error, bool) {
		l.stack.Broker.KeepControl()
		if cancel := cancelAtFetch.Load(); cancel != nil && countdown.Add(-1) == 0 {
			(*cancel)()
		}
		return nil, nil, false
	})
	args = append(args, "--work-dir", filepath.Join(t.TempDir(), "work"))
	chance := rand.New(rand.NewPCG(1, 12))
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		if i%4 == 3 {
			countdown.Store(chance.Int64N(12) + 1)
			cancelAtFetch.Store(&cancel)
		} else {
			hook.after(chance.IntN(40)+1, cancel)
		}
		var out, errs strings.Builder
		code := run(ctx, args, world{in: strings.NewReader(""), out: &out, err: &errs})
		cancelAtFetch.Store(nil)
		cancel()
		if code != exitFailure || out.Len() > 0 || !strings.Contains(errs.String(), "interrupted") {
			t.Fatalf("interruption %d: exit %d, %q, %q", i, code, out.String(), errs.String())
		}
	}
	hook.after(0, nil)
	got, errs, _ := ran(t, args)
	if got != want {
		t.Errorf("the report differs from that of a run in one go: %s\n%s", errs, cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
	}
	if _, all := l.askedAgain(); all != 2*before {
		t.Errorf("%d look-ups of %d were made again", all-2*before, before)
	}
	if again, _, _ := ran(t, args); again != want {
		t.Error("the report of a finished run, asked for again, differs")
	}
	if _, all := l.askedAgain(); all != 2*before {
		t.Errorf("%d look-ups for a finished run, want none", all-2*before)
	}
}

// TestReconcileGoesOnAfterKill: what was answered is on the disk.
func TestReconcileGoesOnAfterKill(t *testing.T) {
	l := newLab(t, 1_000, 3, 16)
	args := l.args("reconcile", slices.Concat(l.merchants("1000000/s"), []string{"-o", "csv", "--work-dir", filepath.Join(t.TempDir(), "work")})...)
	var hook onStatus
	l.stack.Gateway.Sim.SetLatency(hook.latency)
	const kills, most = 4, 2 * 32 // look-ups in flight
	for range kills {
		cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
		cmd.Env = append(os.Environ(), bePaylink+"=1")
		var said strings.Builder
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		hook.after(150, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("not killed: %v, %s", err, said.String())
		}
	}
	hook.after(0, nil)
	got, errs, _ := ran(t, args)
	again, all := l.askedAgain()
	if again > kills*most || all < 800 {
		t.Errorf("%d of %d look-ups were made again, want at most those in flight at %d kills", again, all, kills)
	}
	want, _, _ := ran(t, args[:len(args)-2])
	if got != want || !strings.Contains(errs, "going on with the run") {
		t.Errorf("the report differs from that of a run in one go: %s\n%s", errs, cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
	}
}

// TestVerifyAndReconcileSpeak in every form, the same at every run.
func TestVerifyAndReconcileSpeak(t *testing.T) {
	l := newLab(t, 1, 1, 1)
	gateway := l.merchants("1000000/s")
	for _, form := range []string{"table", "json", "csv"} {
		out, errs, code := ran(t, l.args("verify", "-o", form))
		golden(t, "golden", "verify."+form, out)
		if code != exitFailure || errs != "" {
			t.Errorf("verify -o %s: exit %d, %s", form, code, errs)
		}
		out, errs, code = ran(t, l.args("reconcile", "-o", form, "--offline", "--all"))
		golden(t, "golden", "reconcile-offline."+form, out)
		if code != exitFailure || errs != "" {
			t.Errorf("reconcile -o %s --offline: exit %d, %s", form, code, errs)
		}
		page := filepath.Join(t.TempDir(), "page.html")
		out, errs, code = ran(t, l.args("reconcile", slices.Concat(gateway, []string{"-o", form, "--html", page})...))
		golden(t, "golden", "reconcile."+form, out)
		html, err := os.ReadFile(page)
		if code != exitFailure || !strings.Contains(errs, "to go on, say the same again with --work-dir ") || err != nil {
			t.Errorf("reconcile -o %s: exit %d, %s, %v", form, code, errs, err)
		}
		golden(t, "golden", "reconcile.html", string(html))
	}
}

// TestThePageNeedsNothingElse: no script, no resource from elsewhere, light and dark.
func TestThePageNeedsNothingElse(t *testing.T) {
	data, err := os.ReadFile("testdata/golden/reconcile.html")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ToLower(string(data))
	for _, bad := range []string{"<script", "<link", "<img", "<iframe", "src=", "href=", "url(", "@import", "http://", "https://"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
	for _, good := range []string{"prefers-color-scheme: dark", "<table>", "<svg", "default-src 'none'"} {
		if !strings.Contains(page, good) {
			t.Errorf("the page holds no %s", good)
		}
	}
}

// TestFiltersLeaveOutTheRest.
func TestFiltersLeaveOutTheRest(t *testing.T) {
	l := newLab(t, 1, 1, 1)
	var id string
	for i, f := range l.fates {
		if f.name == "second" {
			id = i
		}
	}
	for _, filter := range [][]string{{"--intent", id}, {"--order", id}} {
		out, _, code := ran(t, l.args("verify", slices.Concat(filter, []string{"-o", "json"})...))
		got, sum := said(t, out, "finding")
		if diff := cmp.Diff([]string{id + " second_outcome"}, got); diff != "" || code != exitFailure || sum["intents"] != 1.0 {
			t.Errorf("verify %v: exit %d, %v (-want +got):\n%s", filter, code, sum, diff)
		}
	}
	for _, merchant := range []string{"540001", "540002"} {
		out, _, _ := ran(t, l.args("reconcile", "--offline", "--all", "-o", "json", "--merchant", merchant))
		_, sum := said(t, out, "class")
		if n := strings.Count(out, `"merchant_id":"`+merchant); n < 5 || n-len(sum["sums"].([]any)) != strings.Count(out, `"kind":"difference"`) {
			t.Errorf("--merchant %s: %s", merchant, out)
		}
	}
}
