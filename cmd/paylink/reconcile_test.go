package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var pendingMu sync.Mutex

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

// labSize is how many intents the laboratory has; PAYLINK_LAB_INTENTS says another.
func labSize(t testing.TB) int {
	if s := os.Getenv("PAYLINK_LAB_INTENTS"); s != "" {
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
