//go:build integration

package torture

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestOffsetReset sets the group back to the beginning after everything was
// answered: nobody is called, nothing is published.
func TestOffsetReset(t *testing.T) {
	n := form(t, 20_000, 100_000)
	sc := set(t, setting{replicas: 1, env: []string{"PAYLINK_CONCURRENCY=512"}})
	sc.emitter.keys = 5000
	sc.emitter.emit(n)
	began := time.Now()
	sc.fleet.start()
	sc.witness.await(sc.emitter.all(), time.Minute)
	t.Logf("%d intents answered in %.1f s", n, time.Since(began).Seconds())
	sc.witness.awaitCommits(10 * time.Second)
	sc.fleet.stopAll()
	calls := sc.sim.Counts().Calls
	ends := sc.outcomeEnds()

	sc.reset()
	sc.fleet.start()
	rate := sc.watchSkips(n)
	sc.witness.awaitCommits(time.Minute)
	t.Logf("skipped %d intents, %.0f/s", n, rate)
	if more := sc.sim.Counts().Calls - calls; more != 0 {
		t.Errorf("%d calls after the reset, want 0", more)
	}
	sc.judge()
	if after := sc.outcomeEnds(); after-ends > int64(sc.parts) { // the new fences leave a marker each
		t.Errorf("the outcome topic grew by %d records, want at most %d markers", after-ends, sc.parts)
	}
	if _, yes := long(t); yes && rate < 100_000 {
		t.Errorf("skipped %.0f intents/s, want 100000", rate)
	}
}

// reset commits the beginning of every partition for the group, as an operator would.
func (sc *scene) reset() {
	sc.t.Helper()
	offsets := kadm.Offsets{}
	for p := range int32(sc.parts) {
		offsets.AddOffset(sc.topics.intents, p, 0, -1)
	}
	if err := sc.witness.adm.CommitAllOffsets(sc.t.Context(), sc.group, offsets); err != nil {
		sc.t.Fatalf("reset the group: %v", err)
	}
}

func (sc *scene) outcomeEnds() (sum int64) {
	sc.t.Helper()
	ends, err := sc.witness.adm.ListEndOffsets(sc.t.Context(), sc.topics.outcomes)
	if err != nil {
		sc.t.Fatalf("ends of outcomes: %v", err)
	}
	ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
	return sum
}

var skippedMetric = regexp.MustCompile(`(?m)^paylink_skipped_total\{kind="redelivered"\} (\S+)`)

// watchSkips watches the metrics of replica 0 until it has skipped n intents and
// returns how many it skipped in a second, from the first one seen to the last.
func (sc *scene) watchSkips(n int) float64 {
	sc.t.Helper()
	r := sc.fleet.replicas[0]
	hello, err := r.book.await("paylink starts", r.began, time.Minute)
	if err != nil {
		sc.t.Fatal(err)
	}
	taken, err := r.book.await("partition taken over", r.began, time.Minute)
	if err != nil {
		sc.t.Fatal(err)
	}
	url := fmt.Sprint(hello.fields["admin"]) + "/metrics"
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		seen, err := skips(sc.t.Context(), url)
		if err != nil {
			sc.t.Fatal(err)
		}
		if seen >= float64(n) {
			return float64(n) / time.Since(taken.At).Seconds()
		}
	}
	sc.t.Fatalf("did not skip %d intents within a minute", n)
	return 0
}

func skips(ctx context.Context, url string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	m := skippedMetric.FindSubmatch(page)
	if m == nil {
		return 0, fmt.Errorf("no metric %s", skippedMetric)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
