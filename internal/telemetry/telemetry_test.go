package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"paylink/internal/pulse"
	"paylink/internal/telemetry"
)

func TestNoSpellingOfASecretIsLogged(t *testing.T) {
	secrets := []string{"canary-3f9d1c77b2", `quo"te\slash`, "a b&c=ü", "line\nbreak", "canary", ""}
	for _, format := range []string{telemetry.JSON, telemetry.Text, telemetry.Auto} {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(&out, format, "debug", secrets...)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets[:5] {
			out.Reset()
			log.WithField("field", s).WithError(errors.New("refused: " + s)).Debug("message with " + s)
			quoted, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			for _, spelling := range []string{s, string(quoted[1 : len(quoted)-1])} {
				if strings.Contains(out.String(), spelling) {
					t.Errorf("%q format: %q is in %s", format, spelling, out.String())
				}
			}
			if strings.Count(out.String(), "***") < 3 {
				t.Errorf("%q format: want three masks in %s", format, out.String())
			}
		}
	}
}

func TestSecretsThatComeLaterAreMaskedToo(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, telemetry.JSON, "info", "first-canary")
	if err != nil {
		t.Fatal(err)
	}
	var busy sync.WaitGroup
	for range 4 { // others log meanwhile
		busy.Go(func() {
			for range 100 {
				log.Info("first-canary")
			}
		})
	}
	telemetry.Hide(log, "second-canary")
	telemetry.Hide(log.WithField("an", "entry"), "third-canary-that-is-longer", "second-canary")
	busy.Wait()
	log.Info("first-canary second-canary third-canary-that-is-longer")
	if s := out.String(); strings.Contains(s, "canary") || !strings.Contains(s, `"*** *** ***"`) {
		t.Errorf("log = %s", s[max(0, len(s)-300):])
	}
	telemetry.Hide(logrus.New(), "fourth-canary") // not ours: nothing to do
}

func TestShortTextsAreNoSecrets(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, telemetry.JSON, "info", "e", "me")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("message")
	var line map[string]string
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["message"] != "message" || line["level"] != "info" {
		t.Errorf("line = %s, %v", out.String(), err)
	}
}

func TestLevelAndFormat(t *testing.T) {
	if _, err := telemetry.NewLogger(io.Discard, telemetry.JSON, "loud"); err == nil || !strings.Contains(err.Error(), "loud") {
		t.Errorf("NewLogger with level loud = %v, want an error that names it", err)
	}
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, telemetry.Auto, "warn")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("not told")
	log.Warn("told")
	if got := out.String(); !strings.HasPrefix(got, "{") || strings.Contains(got, "not told") {
		t.Errorf("not on a terminal = %s, want JSON from warn on", got)
	}
}

func TestServerShowsMetricsHealthAndPage(t *testing.T) {
	var health telemetry.Health
	reason := "brokers are waited for"
	health.Add("group", func() string { return reason })
	health.Add("admin", func() string { return "" })
	health.Note(func() string { return "a merchant is on hold" })
	health.Note(func() string { return "" })
	var loops pulse.Pulse
	loop := loops.Loop("engine", 0)
	ctx, stop := context.WithCancel(t.Context())
	s, err := telemetry.Listen(ctx, telemetry.ServerConfig{
		Addr: "127.0.0.1:0", Metrics: telemetry.NewRegistry("v1.2.3"), Health: &health, Pulse: &loops,
		Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page of "+r.URL.Path) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	url := "http://" + s.Addr().String()

	for _, c := range []struct {
		path string
		code int
		want string
	}{
		{"/metrics", 200, `paylink_build_info{version="v1.2.3"} 1`},
		{"/metrics", 200, "go_goroutines"},
		{"/livez", 200, `{"live":true}`},
		{"/readyz", 503, `{"checks":[{"name":"group","ok":false,"reason":"brokers are waited for"},{"name":"admin","ok":true}],"notes":["a merchant is on hold"],"ready":false}`},
		{"/startupz", 503, `{"started":false}`},
		{"/", 200, "page of /"},
		{"/api/v1/state", 200, "page of /api/v1/state"},
	} {
		if code, body := get(t, url+c.path); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("GET %s = %d %s, want %d with %s", c.path, code, body, c.code, c.want)
		}
	}
	reason = ""
	if code, body := get(t, url+"/readyz"); code != 200 || !strings.Contains(body, `"ready":true`) {
		t.Errorf("GET /readyz once ready = %d %s", code, body)
	}
	reason = "lost again"
	if code, body := get(t, url+"/startupz"); code != 200 || !strings.Contains(body, `"started":true`) {
		t.Errorf("GET /startupz after it was ready once = %d %s", code, body)
	}
	loop.Busy()
	if code, body := get(t, url+"/livez"); code != 503 || !strings.Contains(body, `{"live":false,"stuck":["engine"]}`) {
		t.Errorf("GET /livez with a loop that stands still = %d %s", code, body)
	}
	loop.Idle()
	if _, err := telemetry.Listen(ctx, telemetry.ServerConfig{Addr: s.Addr().String()}); err == nil {
		t.Error("Listen on a taken address = nil, want an error")
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run after the stop = %v, want nil", err)
	}
}

func TestHealthTellsWhatIsWrongFirst(t *testing.T) {
	var h telemetry.Health
	h.Add("a", func() string { return "" })
	h.Add("z", func() string { return "bad" })
	h.Add("b", func() string { return "worse" })
	ready, checks := h.Look()
	want := []telemetry.Check{{Name: "b", Reason: "worse"}, {Name: "z", Reason: "bad"}, {Name: "a", OK: true}}
	if diff := cmp.Diff(want, checks); diff != "" || ready {
		t.Errorf("ready %v\n%s", ready, diff)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("answer = %d %v, want 503 that nobody keeps", rec.Code, rec.Header())
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}
