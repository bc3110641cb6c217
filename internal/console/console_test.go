package console_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/console"
)

var update = flag.Bool("update", false, "write the golden files")

// busy is a state with everything in it.
func busy() console.State {
	now := time.Date(2026, 11, 23, 3, 7, 9, 0, time.UTC)
	return console.State{
		Now: now, Started: now.Add(-26 * time.Hour), Ready: true,
		Service: console.Service{Version: "v1.2.3", Group: "paylink", Instance: "paylink-0", Intents: "payment-intents",
			Outcomes: "payment-outcomes", DeadLetters: "payment-intents.dead-letters", Gateway: "https://api.freedompay.kz"},
		Checks: []console.Check{{Name: "ledger", Reason: "2 partitions are being fenced"}, {Name: "group", OK: true}},
		Alarms: []console.Alarm{{What: "Merchant 540001 is on hold", Mend: "Check its secret.", Since: now.Add(-90 * time.Second)}},
		Partitions: []console.Partition{
			{Number: 0, State: "running", Healthy: true, Watermark: 1234567, Lag: 12, Unfinished: 3},
			{Number: 1, State: "draining", Watermark: 0, Lag: -1},
		},
		Counters: []console.Counter{
			{Group: "Intents settled", Name: "created", Value: 1234567}, {Group: "Dead letters", Name: "conflict", Value: 2, Bad: true},
			{Group: "Intents settled", Name: "failed refused", Value: 5}, {Group: "Dead letters", Name: "not_json", Bad: true},
		},
		Outcomes: []console.Outcome{
			{At: now, IntentID: "ord-1", Type: "created", Attempts: 1, Link: "https://pay.example/abc"},
			{At: now.Add(-time.Second), IntentID: strings.Repeat("x", 128), Type: "failed", Reason: "refused", Attempts: 2},
			{At: now.Add(-time.Minute), IntentID: `<script>alert("x")</script>`, Type: "failed", Reason: "gave_up", Attempts: 9},
		},
	}
}

func serve(t *testing.T, s console.State, showLinks bool, path string) *httptest.ResponseRecorder {
	t.Helper()
	h, err := console.New(console.Config{State: func() console.State { return s }, ShowLinks: showLinks})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec
}

var nonce = regexp.MustCompile(`nonce="[A-Z2-7]+"`)

func TestPage(t *testing.T) {
	for name, s := range map[string]console.State{"busy": busy(), "new": {Now: busy().Now, Started: busy().Now}} {
		rec := serve(t, s, false, "/")
		got := nonce.ReplaceAllString(rec.Body.String(), `nonce="N"`)
		golden := filepath.Join("testdata", name+".html")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" || rec.Code != http.StatusOK {
			t.Errorf("%s: %d\n%s", name, rec.Code, diff)
		}
	}
}

func TestThePageSaysWhatIsWrongFirst(t *testing.T) {
	well := busy()
	well.Alarms, well.Checks, well.Partitions = nil, nil, well.Partitions[:1]
	waiting, draining, idle := well, well, well
	waiting.Ready, waiting.Checks = false, busy().Checks
	draining.Partitions = busy().Partitions
	idle.Partitions = nil
	for _, c := range []struct {
		name  string
		state console.State
		want  string
	}{
		{"alarm", busy(), `<header class="bad">` + "\n" + `  <div><h1>Alarm</h1><p>1 thing needs a person</p>`},
		{"not ready", waiting, `<header class="wait">` + "\n" + `  <div><h1>Not ready</h1><p>ledger: 2 partitions are being fenced</p>`},
		{"draining", draining, `<h1>Working</h1><p>partition 1 is draining</p>`},
		{"idle", idle, `<h1>Idle</h1>`},
		{"well", well, `<header class="good">` + "\n" + `  <div><h1>All well</h1><p>1 partition in hand</p>`},
	} {
		if body := serve(t, c.state, false, "/").Body.String(); !strings.Contains(body, c.want) {
			t.Errorf("%s: the page lacks %s", c.name, c.want)
		}
	}
}

func TestNothingForeignCanRunInThePage(t *testing.T) {
	rec := serve(t, busy(), true, "/")
	policy, body := rec.Header().Get("Content-Security-Policy"), rec.Body.String()
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy = %q", policy)
	}
	if strings.Contains(body, "<script>") {
		t.Error("an intent id became a script")
	}
	for _, tag := range regexp.MustCompile(`<(script|style)[^>]*>`).FindAllString(body, -1) {
		if !strings.Contains(policy, regexp.MustCompile(`nonce="(.+)"`).FindStringSubmatch(tag)[1]) {
			t.Errorf("%s is not allowed by %q", tag, policy)
		}
	}
	if strings.Contains(regexp.MustCompile(`https://(pay.example/abc|api.freedompay.kz)`).ReplaceAllString(body, ""), "://") {
		t.Error("the page points elsewhere")
	}
}

func TestLinksAreShownOnLaptopsOnly(t *testing.T) {
	for _, path := range []string{"/", "/api/v1/state"} {
		if body := serve(t, busy(), false, path).Body.String(); strings.Contains(body, "pay.example") {
			t.Errorf("%s shows a payment link", path)
		}
		if body := serve(t, busy(), true, path).Body.String(); !strings.Contains(body, "https://pay.example/abc") {
			t.Errorf("%s with ShowLinks shows no payment link", path)
		}
	}
}

func TestStateAsJSON(t *testing.T) {
	rec := serve(t, console.State{}, false, "/api/v1/state")
	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"checks", "alarms", "partitions", "counters", "outcomes"} {
		if v, ok := got[list].([]any); !ok || len(v) != 0 {
			t.Errorf("%s = %v, want an empty list", list, got[list])
		}
	}
	if rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("headers = %v", rec.Header())
	}
}

func TestOnlyReading(t *testing.T) {
	h, err := console.New(console.Config{State: busy})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{{http.MethodPost, "/", 405}, {http.MethodDelete, "/api/v1/state", 405}, {http.MethodGet, "/else", 404}} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(c.method, c.path, nil))
		if rec.Code != c.want {
			t.Errorf("%s %s = %d, want %d", c.method, c.path, rec.Code, c.want)
		}
	}
}
