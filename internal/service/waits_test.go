package service_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/service"
)

// A wait is what the admin address says of a lane or of an intent's record, by
// the words of its JSON.
type wait struct {
	IntentID  string    `json:"intent_id"`
	Merchant  string    `json:"merchant_id"`
	Gateway   string    `json:"gateway"`
	Queued    int       `json:"queued"`
	BackOff   int       `json:"backing_off"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
	Attempts  int       `json:"attempts"`
	LastError string    `json:"last_error"`
}

// A waiting is a service with intents that wait for every reason there is:
// merchant 540001 backs off, 540002 waits for its pace, 540003 is held, and the
// gateway of 540004 is down.
type waiting struct {
	t       *testing.T
	url     string // of the admin server
	gateway string // host of that which is down
	began   time.Time
	out     *buffer
}

const merchantsThatWait = `
- {id: 540001, secret: %[1]s, rate: 1000/s+100}
- {id: 540002, secret: %[1]s, rate: 1/24h}
- {id: 540003, secret: wrong-secret, rate: 1000/s+100}
- {id: 540004, secret: %[1]s, rate: 1000/s+100, gateway_url: "%[2]s"}
`

func startWaiting(t *testing.T) *waiting {
	stack, cfg := world(t)
	for _, id := range []string{"540002", "540003"} {
		stack.Gateway.Sim.SetSecret(id, canary)
	}
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away.Close() // nobody answers there
	w := &waiting{t: t, gateway: away.Addr().String(), began: time.Now(), out: &buffer{}}
	file := filepath.Join(t.TempDir(), "merchants.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, merchantsThatWait, canary, "http://"+w.gateway), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Gateway.Secret, cfg.Gateway.MerchantID, cfg.Gateway.MerchantsFile = "", "", file
	admin := make(chan net.Addr, 1)
	startReloading(t, cfg, w.out, func(d *service.Deps) { d.OnAdmin = func(a net.Addr) { admin <- a } })
	w.url = "http://" + (<-admin).String()

	emit := func(merchant, key, id, description string) {
		t.Helper()
		value := fmt.Appendf(nil, `{"intent_id":%q,"merchant_id":%q,"amount":"10.00","description":%q}`, id, merchant, description)
		if err := stack.Broker.Kafka().Emit(t.Context(), devstack.Intents, event.Message{Key: []byte(key), Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	emit("540001", "k", "backs-off", "sim:429:10m")
	emit("540001", "k", "behind", "x")
	emit("540002", "paced", "paced", "x")
	emit("540003", "held", "held", "x")
	for i := range 10 {
		emit("540004", fmt.Sprint(i), fmt.Sprint("first-", i), "x")
	}
	w.out.hears(t, "fails broadly", 1)
	for i := range 30 { // one is tried every 2 s
		emit("540004", fmt.Sprint(i, "late"), fmt.Sprint("late-", i), "x")
	}
	w.out.hears(t, "merchant on hold", 1)
	return w
}

// get asks for JSON until it is as it should be, for a while: the engine has to
// come to it.
func (w *waiting) get(path string, status int, into any, enough func() bool) {
	w.t.Helper()
	var body string
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		res, err := http.Get(w.url + path)
		if err != nil {
			w.t.Fatal(err)
		}
		var raw json.RawMessage
		err = json.NewDecoder(res.Body).Decode(&raw)
		res.Body.Close()
		if body = string(raw); err != nil || res.StatusCode != status {
			continue
		}
		if err := json.Unmarshal(raw, into); err != nil {
			w.t.Fatalf("GET %s = %s: %v", path, body, err)
		}
		if enough() {
			return
		}
	}
	w.t.Errorf("GET %s = %s, which is not what it should come to", path, body)
}

// intent asks why an intent waits.
func (w *waiting) intent(id, state string) wait {
	w.t.Helper()
	var is struct {
		ID      string `json:"intent_id"`
		Records []wait
	}
	w.get("/api/v1/intents/"+id, http.StatusOK, &is, func() bool {
		return is.ID == id && len(is.Records) == 1 && is.Records[0].IntentID == id && is.Records[0].State == state
	})
	if len(is.Records) != 1 {
		return wait{}
	}
	return is.Records[0]
}

// lane asks why a merchant's intents wait.
func (w *waiting) lane(merchant, state string) (lane wait) {
	w.t.Helper()
	var is struct{ Lanes []wait }
	w.get("/api/v1/lanes", http.StatusOK, &is, func() bool {
		for _, l := range is.Lanes {
			if l.Merchant == merchant {
				lane = l
			}
		}
		return lane.State == state
	})
	return lane
}

// judge checks since when a wait is, until when, and after what.
func (w *waiting) judge(what string, got wait, known bool, last string) {
	w.t.Helper()
	if got.Since.Before(w.began.Add(-time.Second)) || got.Since.After(time.Now()) {
		w.t.Errorf("%s: %+v, want a since between the start and now", what, got)
	}
	if known && !got.Until.After(got.Since) || !known && !got.Until.IsZero() {
		w.t.Errorf("%s: %+v, want an until after since: %v", what, got, known)
	}
	if !regexp.MustCompile(last).MatchString(got.LastError) {
		w.t.Errorf("%s: %+v, want the last error %s", what, got, last)
	}
}

func TestWhyIntentsAndLanesWaitCanBeAsked(t *testing.T) {
	w := startWaiting(t)
	for _, c := range []struct {
		id, state string
		until     bool   // is known
		called    bool   // there was an attempt
		last      string // error, a pattern
	}{
		{"paced", "paced", true, false, `^$`},
		{"backs-off", "backing off", true, true, `^in doubt: .`},
		{"behind", "behind its key", false, false, `^$`},
		{"held", "held", true, true, `^misconfigured: 9998$`},
		{"late-29", "breaker open", true, false, `^(not sent: .+)?$`}, // its own, or what others met
	} {
		t.Run("intent/"+c.state, func(t *testing.T) {
			w.t = t
			got := w.intent(c.id, c.state)
			w.judge(c.id, got, c.until, c.last)
			if got.Attempts > 0 != c.called {
				t.Errorf("%s: %+v, want an attempt: %v", c.id, got, c.called)
			}
		})
	}
	for _, c := range []struct{ merchant, state, last string }{
		{"540002", "paced", `^$`},
		{"540003", "held", `^misconfigured: .`},
		{"540004", "breaker open", `^not sent: .`},
	} {
		t.Run("lane/"+c.state, func(t *testing.T) {
			w.t = t
			got := w.lane(c.merchant, c.state)
			w.judge(c.merchant, got, true, c.last)
			if got.Queued+got.BackOff == 0 || got.Gateway == "" || (got.Gateway == w.gateway) != (c.merchant == "540004") {
				t.Errorf("lane %+v, want its gateway, and what waits", got)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		w.t = t
		var is struct{ Error string }
		w.get("/api/v1/intents/nobody", http.StatusNotFound, &is, func() bool { return is.Error != "" })
	})
}

func TestConsoleSaysThatAGatewayIsDown(t *testing.T) {
	w := startWaiting(t)
	var is struct {
		Service struct{ Gateway string }
		Alarms  []struct {
			What, Mend string
			Since      time.Time
		}
	}
	w.get("/api/v1/state", http.StatusOK, &is, func() bool { return len(is.Alarms) == 2 })
	if len(is.Alarms) != 2 || !strings.HasPrefix(is.Alarms[0].What, "Gateway "+w.gateway+" fails broadly") || is.Alarms[0].Mend == "" || is.Alarms[0].Since.Before(w.began) ||
		!strings.HasPrefix(is.Alarms[1].What, "Merchant 540003 is on hold") {
		t.Errorf("alarms %+v, want the gateway that is down since a moment ago, and the hold", is.Alarms)
	}
	if !strings.Contains(is.Service.Gateway, w.gateway) {
		t.Errorf("gateway %q, want those of the merchants: %s too", is.Service.Gateway, w.gateway)
	}
	for path, wants := range map[string][]string{
		"/":                     {">Alarm</h1>", "2 things need a person; perhaps money is at risk", "in doubt now", "20.00 in the merchants&#39; own currency", "open: only probed", ">540003</th>", "held"},
		"/merchants?state=held": {"1 merchant: held", ">540003</th>"},
		"/intents?q=backs-off":  {"It waits.", "backing off"},
	} {
		page := get(t, w.url+path)
		for _, want := range wants {
			if !strings.Contains(page, want) || strings.Contains(page, "All well") {
				t.Errorf("%s does not say %q:\n%s", path, want, page[strings.Index(page, "<main"):])
			}
		}
	}
}

// TestNothingLentIsSaid, and why: on the console, beside readiness, and nowhere as an
// alarm.
func TestNothingLentIsSaid(t *testing.T) {
	_, cfg := world(t)
	cfg.Turns.Topic = "nowhere"
	admin := make(chan net.Addr, 1)
	w := &waiting{t: t, out: &buffer{}}
	startReloading(t, cfg, w.out, func(d *service.Deps) { d.OnAdmin = func(a net.Addr) { admin <- a } })
	w.url = "http://" + (<-admin).String()
	const want = "No turns are lent, so replicas wait for their own slots: no such topic"
	var is struct {
		Lending struct{ Level, Text string }
		Alarms  []any
	}
	w.get("/api/v1/state", http.StatusOK, &is, func() bool { return is.Lending.Level == "wait" && strings.HasPrefix(is.Lending.Text, want) })
	if len(is.Alarms) > 0 {
		t.Errorf("alarms %v, want none: nothing depends on it", is.Alarms)
	}
	var ready struct{ Notes []string }
	w.get("/readyz", http.StatusOK, &ready, func() bool { return len(ready.Notes) == 1 && strings.HasPrefix(ready.Notes[0], want) })
}
