package grafana

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
)

// scrapeEvery is at which distance the scrapes are taken to be.
const scrapeEvery = 15 * time.Second

// consoleLine tells where a service of paylink-dev serves.
var consoleLine = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// scrapes runs the whole system, and returns what its service serves before the first
// intent, and once some are settled.
func scrapes(t *testing.T) (out []string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "paylink-dev")
	build := exec.Command("go", "build", "-o", bin, "./cmd/paylink-dev")
	build.Dir = "../.."
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	cmd := exec.CommandContext(t.Context(), bin, "run", "--kind", "--rate=50", "--for=2m", "--port-broker=0", "--port-registry=0", "--port-gateway=0", "--port-console=0")
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { // nothing of it is needed any more
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(said)
	address := ""
	for address == "" && lines.Scan() {
		if strings.Contains(strings.ToLower(lines.Text()), "console") {
			address = consoleLine.FindString(lines.Text())
		}
	}
	if address == "" {
		t.Fatal("it does not say where its console is")
	}
	go func() { _, _ = io.Copy(io.Discard, said) }()
	for end := time.Now().Add(time.Minute); len(out) < 3; time.Sleep(100 * time.Millisecond) {
		page, err := scrape(address + "/metrics")
		switch {
		case err == nil && (len(out) == 0 || strings.Count(page, "\npaylink_intents_settled_total") > 0 && settled.MatchString(page)):
			out = append(out, page)
		case time.Now().After(end):
			t.Fatalf("no intent is settled: %v\n%s", err, page)
		}
	}
	return out
}

var settled = regexp.MustCompile(`(?m)^paylink_intents_settled_total\{outcome="created",reason=""\} [1-9]\d`)

func scrape(address string) (string, error) {
	resp, err := http.Get(address)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	page, err := io.ReadAll(resp.Body)
	return string(page), err
}

// store appends what was scraped, as a server does, whatever a time between.
func store(t *testing.T, db *teststorage.TestStorage, pages []string) (last time.Time) {
	t.Helper()
	for i, page := range pages {
		last = time.Unix(0, 0).Add(time.Duration(i) * scrapeEvery)
		app := db.Appender(t.Context())
		p, err := textparse.New([]byte(page), "text/plain", labels.NewSymbolTable(), textparse.ParserOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for {
			entry, err := p.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if entry != textparse.EntrySeries {
				continue
			}
			var l labels.Labels
			p.Labels(&l)
			l = labels.NewBuilder(l).Set("instance", "paylink:8080").Set("job", "paylink").Labels()
			_, _, v := p.Series()
			if _, err := app.Append(storage.SeriesRef(0), l, last.UnixMilli(), v); err != nil {
				t.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

// A panel is as much of a panel as is judged here.
type panel struct {
	Title, Description, Type string
	Targets                  []struct{ Expr string }
	GridPos                  struct{ X, Y, W, H int }
	Panels                   []panel
}

func panels(t *testing.T) (out []panel) {
	t.Helper()
	data, err := os.ReadFile("paylink.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct{ Panels []panel }
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		if p.Type != "row" {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		t.Fatal("no panel")
	}
	return out
}

func TestEveryPanelShowsSomethingOfARealService(t *testing.T) {
	db := teststorage.New(t)
	last := store(t, db, scrapes(t))
	engine := promqltest.NewTestEngine(t, false, 0, 1e6)
	for _, p := range panels(t) {
		if p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("%s: no description, or no query", p.Title)
		}
		for _, q := range p.Targets {
			expr := strings.ReplaceAll(q.Expr, "$__rate_interval", fmt.Sprint(4*scrapeEvery))
			query, err := engine.NewInstantQuery(t.Context(), db, promql.NewPrometheusQueryOpts(false, 0, nil), expr, last)
			if err != nil {
				t.Errorf("%s: %v", p.Title, err)
				continue
			}
			res := query.Exec(t.Context())
			v, err := res.Vector()
			if err != nil || len(v) == 0 {
				t.Errorf("%s: %s shows nothing: %v", p.Title, expr, err)
			}
			query.Close()
		}
	}
}
