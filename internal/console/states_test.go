package console_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"paylink/internal/console"
)

var noon = time.Date(2026, 11, 23, 3, 7, 9, 0, time.UTC)

// well is a state in which nothing is wrong.
func well() console.State {
	s := console.State{
		Now: noon, Started: noon.Add(-26 * time.Hour), Ready: true,
		Service: console.Service{Version: "v1.2.3", Group: "paylink", Instance: "paylink-0", Intents: "payment-intents",
			Outcomes: "payment-outcomes", DeadLetters: "payment-intents.dead-letters", Gateway: "api.freedompay.kz"},
		Checks: []console.Check{{Name: "group", OK: true}, {Name: "ledger", OK: true}},
		Risks: []console.Risk{
			{Name: "second payments, last hour", Level: console.Good, Money: true},
			{Name: "failed though a payment may exist, last hour", Level: console.Good, Money: true},
			{Name: "in doubt now", Level: console.Good, Money: true},
			{Name: "answered, but not published yet", Level: console.Good, Money: true},
			{Name: "given up within 10m, unless they go on", Level: console.Good, Money: true},
			{Name: "dead letters, last hour", Level: console.Good},
			{Name: "expired, last hour", Level: console.Good},
		},
		Charts: hour(console.Steps, false),
		Lanes: console.LaneSummary{Total: 3, States: []console.LaneState{{State: "paced", N: 1}, {State: "free", N: 2}},
			Worst: []console.Lane{{Merchant: "540001", Gateway: "api.freedompay.kz", Queued: 3, Rate: "1/1500ms", State: "paced", Asks: true, Since: noon.Add(-time.Second), Until: noon.Add(time.Second)}}},
		Lending:    console.Lending{Level: console.Good, Text: "Turns: in the last 5m this replica asked others for 7, borrowed 5 and lent 3."},
		Gateways:   []console.Gateway{{Name: "api.freedompay.kz", Merchants: 3}},
		Partitions: []console.Partition{{Number: 0, State: "running", Healthy: true, Watermark: 1234567, Lag: 12, Unfinished: 3}},
		Group: console.Group{Partitions: 3, State: "Stable", At: noon.Add(-9 * time.Second), Members: []console.Member{
			{ID: "paylink-6c8f9a52-1c4f-4a36-9d32-7c50f3a7b111", Us: true, Partitions: []int32{0}}, {ID: "paylink-77777777-1c4f-4a36-9d32-7c50f3a7b111", Partitions: []int32{1, 2}},
		}},
		Counters: []console.Counter{
			{Group: "Now", Name: "calls in flight", Value: 4, Now: true},
			{Group: "Intents settled", Name: "created", Value: 1234567, Hour: 14210}, {Group: "Intents settled", Name: "failed refused", Value: 5, Hour: 1},
			{Group: "Dead letters", Name: "conflict", Value: 2, Bad: true}, {Group: "Kafka", Name: "appends repeated", Value: 3},
		},
	}
	for i := range 12 {
		s.Outcomes = append(s.Outcomes, console.Outcome{At: noon.Add(time.Duration(-i) * time.Second), IntentID: fmt.Sprintf("top-up-2026-11-23-%06d", 71234-i),
			Merchant: "540001", Type: "created", Attempts: 1, Took: 1240 * time.Millisecond, Link: "https://pay.example/abc"})
	}
	return s
}

// unwell is a state with everything in it that can be wrong.
func unwell() console.State {
	s := well()
	s.Alarms = []console.Alarm{
		{What: "Gateway api.freedompay.kz fails broadly: its intents wait, and it is only probed", Mend: "See in the log how the calls end, and ask the gateway's people.", Since: noon.Add(-9 * time.Minute)},
		{What: "Merchant 540002 is on hold: the gateway rejects our credentials or set-up (error 9998)", Mend: "Check the merchant's number, its secret and its contract.", Since: noon.Add(-90 * time.Second)},
	}
	for i, r := range []console.Risk{
		{N: 1, Level: console.Bad, Text: "The log names them: reconcile them with the gateway."}, {N: 2, Level: console.Bad, Text: "Before anybody pays again, look them up at the gateway."},
		{N: 17, Level: console.Wait, Text: "45300.00 KZT; the oldest was asked for 9m3s ago. A call had no answer to rely on, so a payment may exist. Each is called again with the same key, which makes no second payment."},
		{}, {N: 4, Level: console.Wait, Text: "Their time is nearly up."}, {N: 3, Level: console.Bad, Text: "2 conflict, 1 not_json. Nobody gets a link for these until they are mended."},
	} {
		if r.N > 0 {
			s.Risks[i].N, s.Risks[i].Level, s.Risks[i].Text = r.N, r.Level, r.Text
		}
	}
	s.Charts = hour(console.Steps, true)
	s.Lanes.States = append([]console.LaneState{{State: "held", N: 1}, {State: "breaker open", N: 2}}, s.Lanes.States...)
	s.Lanes.Worst = append([]console.Lane{
		{Merchant: "540002", Gateway: "api.freedompay.kz", Queued: 41, State: "held", Since: noon.Add(-90 * time.Second), Until: noon.Add(21 * time.Second), LastError: "misconfigured: 9998", Blind: true},
		{Merchant: "540003", Gateway: "api.freedompay.kz", Backlog: 21410, State: "breaker open", Since: noon.Add(-9 * time.Minute), Until: noon.Add(time.Second), LastError: "in doubt: http_502"},
	}, s.Lanes.Worst...)
	s.Lending = console.Lending{Level: console.Wait, Text: "No turns are lent, so replicas wait for their own slots: no such topic", Since: noon.Add(-5 * time.Minute)}
	s.Gateways = []console.Gateway{{Name: "api.freedompay.kz", Merchants: 3, Down: true, Since: noon.Add(-9 * time.Minute), LastError: "in doubt: http_502"}}
	s.Partitions = append(s.Partitions, console.Partition{Number: 1, State: "draining", Lag: -1})
	s.Outcomes = append([]console.Outcome{
		{At: noon, IntentID: strings.Repeat("x", 128), Merchant: "540001", Type: "failed", Reason: "gave_up", MayExist: true, Attempts: 9, Took: time.Hour},
		{At: noon.Add(-time.Minute), IntentID: `<script>alert("x")</script>`, Type: "failed", Reason: "refused", Attempts: 2},
	}, s.Outcomes...)
	s.DeadLetters = []console.DeadLetter{
		{At: noon, IntentID: "order-17", Reason: "conflict", Partition: 1, Offset: 812}, {At: noon.Add(-time.Minute), Reason: "not_json", Partition: 0, Offset: 1234566},
	}
	s.Counters[3].Hour, s.Counters[3].Value = 3, 5
	return s
}

// hour is charts of so many steps.
func hour(steps int, bad bool) []console.Chart {
	line := func(f func(i int) float64) (out []float64) {
		for i := range steps {
			out = append(out, f(i))
		}
		return out
	}
	when := func(bad bool, v float64) float64 {
		if bad {
			return v
		}
		return 0
	}
	wave := func(i int) float64 { return 230 + 40*math.Sin(float64(i)/17) + float64(i*7919%23) }
	broken := func(i int) bool { return bad && i > steps-55 }
	return []console.Chart{
		{Title: "Flow", Unit: "a minute", Lines: []console.Line{
			{Name: "created", Values: line(func(i int) float64 { return when(!broken(i), wave(i)) })},
			{Name: "failed", Bad: true, Values: line(func(i int) float64 { return when(bad && i%90 == 0, 12) })},
			{Name: "dead letters", Bad: true, Values: line(func(i int) float64 { return when(bad && i == steps-100, 18) })},
		}},
		{Title: "Latency", Unit: "s to the outcome", Lines: []console.Line{
			{Name: "half within", Values: line(func(i int) float64 { return 1.1 + float64(i*31%7)/10 + when(broken(i), 60) })},
			{Name: "95 % within", Values: line(func(i int) float64 {
				if i > 100 && i < 130 {
					return math.NaN()
				}
				return 2.4 + float64(i*17%11)/10 + when(broken(i), 340)
			})},
		}},
		{Title: "Lag", Unit: "records not settled", Lines: []console.Line{{Name: "lag", Values: line(func(i int) float64 { return 12 + float64(i*13%9) + when(broken(i), float64(i-steps+55)*400) })}}},
		{Title: "In doubt", Unit: "intents", Lines: []console.Line{{Name: "in doubt", Bad: true, Values: line(func(i int) float64 { return when(broken(i), 17) })}}},
	}
}

// lanesOf are so many merchants on hold.
func lanesOf(n int) (out []console.Lane) {
	for i := range n {
		out = append(out, console.Lane{Merchant: strconv.Itoa(540001 + i), Gateway: "api.freedompay.kz", Queued: 3, BackingOff: 1, Backlog: 100 + i, Rate: "1/1500ms",
			State: "held", Since: noon.Add(-time.Hour), Until: noon.Add(time.Duration(i) * time.Second), LastError: "misconfigured: 9998"})
	}
	return out
}

// allHeld is 5,000 merchants on hold, in 200 partitions.
func allHeld() (console.State, []console.Lane) {
	s, lanes := unwell(), lanesOf(5000)
	s.Alarms = []console.Alarm{{What: "5000 merchants are on hold: the gateway rejects our credentials or set-up", Mend: "Check their secrets.", Since: noon.Add(-time.Hour)}}
	s.Lanes = console.LaneSummary{Total: 5000, States: []console.LaneState{{State: "held", N: 5000}}, Worst: lanes[:8]}
	s.Partitions = nil
	for i := range 200 {
		s.Partitions = append(s.Partitions, console.Partition{Number: int32(i), State: "running", Healthy: true, Watermark: 1 << 40, Lag: int64(i * 1000), Unfinished: 1000})
	}
	for i := range 50 {
		s.Outcomes = append(s.Outcomes, console.Outcome{At: noon, IntentID: strings.Repeat("y", 120) + strconv.Itoa(i), Type: "failed", Reason: "gave_up"})
		s.DeadLetters = append(s.DeadLetters, console.DeadLetter{At: noon, IntentID: strings.Repeat("z", 120), Reason: "conflict", Offset: int64(i)})
	}
	return s, lanes
}

// story is what is told of an intent that waits, and of one that is settled.
func story(_ context.Context, id string) console.Story {
	switch id {
	case "waits", "order-1":
		return console.Story{ID: id, State: "waiting", Records: []console.Record{{IntentID: "waits", OrderID: "order-1", Merchant: "540001", Partition: 2, Offset: 17,
			State: "backing off", Since: noon.Add(-time.Minute), Until: noon.Add(time.Minute), Attempts: 2, LastError: "in doubt: timeout"}}}
	case "asks":
		return console.Story{ID: id, State: "waiting", Records: []console.Record{{IntentID: id, Merchant: "540001", State: "paced", Asks: true}}}
	case "done":
		return console.Story{ID: id, State: "created", Events: []console.Event{{At: noon.Add(-time.Minute), Event: "created", Topic: "payment-intents", Partition: 1, Offset: 9, Text: "The link was published."}}}
	}
	return console.Story{ID: id, State: "unknown"}
}

func handler(t testing.TB, c console.Config) http.Handler {
	t.Helper()
	c.Intent, c.Now = story, func() time.Time { return noon }
	h, err := console.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// serve asks a console that shows a state.
func serve(t testing.TB, s console.State, showLinks bool, path string) *httptest.ResponseRecorder {
	t.Helper()
	return ask(handler(t, console.Config{State: func() console.State { return s }, ShowLinks: showLinks}), path)
}

func ask(h http.Handler, path string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec
}
