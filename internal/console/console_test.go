package console_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/console"
)

// pages are all addresses of pages.
var pages = []string{"/", "/merchants", "/merchants?state=held&page=2", "/partitions", "/intents", "/intents?q=waits", "/intents?q=done", "/intents?q=nobody"}

var paragraph = regexp.MustCompile(`(?s)<section id="verdict" class="verdict (\w+)".*?<h1 id="word">(.*?)</h1><p>(.*?)</p>`)

func TestThePageSaysWhatIsWrongFirst(t *testing.T) {
	at := func(change func(*console.State)) console.State {
		s := well()
		change(&s)
		return s
	}
	risk := func(i int, n uint64, l console.Level) func(*console.State) {
		return func(s *console.State) { s.Risks[i].N, s.Risks[i].Level, s.Risks[i].Text = n, l, "Look." }
	}
	for _, c := range []struct {
		name                string
		state               console.State
		class, word, text   string
		moneyWord, moneyWas string
	}{
		{"well", well(), "good", "All well", "1 partition in hand, nothing went wrong in the last hour", "No", "good"},
		{"alarm", at(func(s *console.State) { s.Alarms = unwell().Alarms[:1] }), "bad", "Alarm", "1 thing needs a person", "No", "good"},
		{"all of it", unwell(), "bad", "Alarm", "2 things need a person; money is at risk", "Yes", "bad"},
		{"not ready", at(func(s *console.State) {
			s.Ready, s.Checks = false, []console.Check{{Name: "ledger", Reason: "2 partitions are being fenced"}}
		}), "wait", "Not ready", "ledger: 2 partitions are being fenced", "Not known", "wait"},
		{"red dead letters", at(risk(5, 3, console.Bad)), "bad", "Not all well", "3 dead letters, last hour", "No", "good"},
		{"in doubt", at(risk(2, 17, console.Wait)), "wait", "Not all well", "17 in doubt now", "Perhaps", "wait"},
		{"second payment", at(risk(0, 1, console.Bad)), "bad", "Not all well", "1 second payments, last hour", "Yes", "bad"},
		{"draining", at(func(s *console.State) { s.Partitions = unwell().Partitions }), "wait", "Working", "partition 1 is draining", "No", "good"},
		{"idle", at(func(s *console.State) { s.Partitions = nil }), "wait", "Idle", "no partition is assigned to this replica", "No", "good"},
	} {
		body := serve(t, c.state, false, "/").Body.String()
		if got, want := fmt.Sprint(paragraph.FindStringSubmatch(body)[1:]), fmt.Sprint([]string{c.class, c.word, c.text}); got != want {
			t.Errorf("%s: the page says first %s, want %s", c.name, got, want)
		}
		if want := fmt.Sprintf(`<strong class="tag %s">%s.</strong>`, c.moneyWas, c.moneyWord); !strings.Contains(body, want) {
			t.Errorf("%s: whether money is at risk should be %s", c.name, want)
		}
	}
}

func TestWhatIsWrongStandsBeforeTheRest(t *testing.T) {
	body := serve(t, unwell(), false, "/").Body.String()
	at := 0
	for _, want := range []string{"2 things need a person", "fails broadly", "540002 is on hold", "Is money at risk?", "second payments", "in doubt now", "dead letters, last hour", "<svg", ">Merchants<", "breaker open", ">Gateways<",
		"open: only probed", ">Partitions in hand<", "draining", "this replica", ">Latest outcomes<", "a payment may exist", ">Latest dead letters<", "conflict", "since start"} {
		i := strings.Index(body[at:], want)
		if i < 0 {
			t.Fatalf("%q is not on the page, or too early", want)
		}
		at += i
	}
}

func TestEveryPageOfEveryState(t *testing.T) {
	bad, lanes := allHeld()
	for name, s := range map[string]console.State{"well": well(), "unwell": unwell(), "held": bad, "new": {Now: noon, Started: noon}} {
		h := handler(t, console.Config{State: func() console.State { return s }, Lanes: func() []console.Lane { return lanes }})
		for _, path := range pages {
			rec := ask(h, path)
			body := rec.Body.String()
			if rec.Code != http.StatusOK || !strings.HasSuffix(strings.TrimSpace(body), "</html>") {
				t.Fatalf("%s: %s = %d, with an end of %q", name, path, rec.Code, body[max(0, len(body)-20):])
			}
			for _, want := range []string{`<html lang="en">`, `<nav aria-label="Pages">`, `<main id="main"`, `<form role="search"`, `<footer>`, `href="#main"`, `name="viewport"`} {
				if strings.Count(body, want) != 1 {
					t.Errorf("%s: %s has %s %d times, want once", name, path, want, strings.Count(body, want))
				}
			}
			if n := strings.Count(body, "<h1"); n != 1 {
				t.Errorf("%s: %s has %d main headings", name, path, n)
			}
			for _, table := range regexp.MustCompile(`(?s)<table.*?</table>`).FindAllString(body, -1) {
				if !strings.Contains(table, "<caption") || !strings.Contains(table, `scope="col"`) || strings.Count(table, `scope="row"`) < strings.Count(table, "<tr")-1 {
					t.Errorf("%s: a table of %s lacks caption or headings: %.200s", name, path, table)
				}
			}
			ids := map[string]bool{}
			for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(body, -1) {
				if ids[id[1]] || strings.Contains(id[1], " ") {
					t.Errorf("%s: %s has the id %q twice, or it is none", name, path, id[1])
				}
				ids[id[1]] = true
			}
		}
	}
}

func TestPagesOf5000MerchantsAreSmall(t *testing.T) {
	s, lanes := allHeld()
	h := handler(t, console.Config{State: func() console.State { return s }, Lanes: func() []console.Lane { return lanes }})
	for _, path := range pages {
		if n := ask(h, path).Body.Len(); n > 100<<10 {
			t.Errorf("%s has %d bytes, want at most 100 KB", path, n)
		}
	}
	if n := strings.Count(ask(h, "/").Body.String(), `class="alarm"`); n != 1 {
		t.Errorf("%d alarms, want one", n)
	}
}

// BenchmarkPages makes the pages of 5,000 merchants on hold.
func BenchmarkPages(b *testing.B) {
	s, lanes := allHeld()
	h := handler(b, console.Config{State: func() console.State { return s }, Lanes: func() []console.Lane { return lanes }})
	for _, path := range []string{"/", "/merchants?page=2", "/partitions", "/api/v1/state"} {
		b.Run(strings.ReplaceAll(path[1:]+"_", "/", "."), func(b *testing.B) {
			size := 0
			for b.Loop() {
				size = ask(h, path).Body.Len()
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

func TestListsHavePages(t *testing.T) {
	s, lanes := allHeld()
	for i := range lanes[:150] {
		lanes[i].State = "paced"
	}
	h := handler(t, console.Config{State: func() console.State { return s }, Lanes: func() []console.Lane { return lanes }})
	rows := regexp.MustCompile(`<th scope="row">(\d+)</th>`)
	for _, c := range []struct {
		path, first, last, says string
		before, after           bool
	}{
		{"/merchants", "540001", "540100", "1 of 50", false, true},
		{"/merchants?page=50", "544901", "545000", "50 of 50", true, false},
		{"/merchants?page=99", "544901", "545000", "50 of 50", true, false},
		{"/merchants?page=-1", "540001", "540100", "1 of 50", false, true},
		{"/merchants?state=paced&page=2", "540101", "540150", "2 of 2", true, false},
		{"/partitions?page=2", "100", "199", "2 of 2", true, false},
	} {
		body := ask(h, c.path).Body.String()
		found := rows.FindAllStringSubmatch(body, -1)
		if len(found) == 0 || found[0][1] != c.first || found[len(found)-1][1] != c.last || !strings.Contains(body, c.says) {
			t.Errorf("%s shows %d rows, %v, want %s to %s, and %q", c.path, len(found), found, c.first, c.last, c.says)
		}
		if strings.Contains(body, `rel="prev"`) != c.before || strings.Contains(body, `rel="next"`) != c.after {
			t.Errorf("%s: before %v, after %v, want %v, %v", c.path, !c.before, !c.after, c.before, c.after)
		}
	}
	if body := ask(h, "/merchants?state=paced").Body.String(); !strings.Contains(body, `href="?state=paced&amp;page=2"`) {
		t.Error("the second page of a filtered list loses its filter")
	}
	var api struct {
		Lanes              []console.Lane
		Page, Pages, Total int
		Next               string
	}
	for path, want := range map[string]string{
		"/api/v1/lanes":                       "1000 540001 0 0 5000 /api/v1/lanes?after=541000&limit=1000",
		"/api/v1/lanes?after=541000&limit=2":  "2 541001 0 0 5000 /api/v1/lanes?after=541002&limit=2",
		"/api/v1/lanes?after=541000z&limit=2": "2 541001 0 0 5000 /api/v1/lanes?after=541002&limit=2",
		"/api/v1/lanes?limit=9999999":         "1000 540001 0 0 5000 /api/v1/lanes?after=541000&limit=1000",
		"/api/v1/lanes?limit=-1":              "1 540001 0 0 5000 /api/v1/lanes?after=540001&limit=1",
		"/api/v1/lanes?after=544998&limit=2":  "2 544999 0 0 5000 ",
		"/api/v1/lanes?after=544998":          "2 544999 0 0 5000 ",
		"/api/v1/lanes?state=paced&limit=100": "100 540001 0 0 150 /api/v1/lanes?after=540100&limit=100&state=paced",
		"/api/v1/lanes?page=3":                "100 540201 3 50 5000 ",
	} {
		api.Page, api.Pages, api.Total, api.Next, api.Lanes = 0, 0, 0, "", nil
		if err := json.Unmarshal(ask(h, path).Body.Bytes(), &api); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d %s %d %d %d %s", len(api.Lanes), api.Lanes[0].Merchant, api.Page, api.Pages, api.Total, api.Next); got != want {
			t.Errorf("%s = %s, want %s", path, got, want)
		}
	}
}

// TestEveryLaneIsOnOnePage: whoever follows next sees each lane once, also if others come
// and go meanwhile.
func TestEveryLaneIsOnOnePage(t *testing.T) {
	_, lanes := allHeld()
	h := handler(t, console.Config{State: func() console.State { return console.State{} }, Lanes: func() []console.Lane { return lanes }})
	seen := map[string]int{}
	for next := "/api/v1/lanes?limit=300"; next != ""; {
		var page struct {
			Lanes []console.Lane
			Next  string
		}
		if err := json.Unmarshal(ask(h, next).Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		if len(page.Lanes) > 300 {
			t.Fatalf("%s: %d lanes", next, len(page.Lanes))
		}
		for _, l := range page.Lanes {
			seen[l.Merchant]++
		}
		next = page.Next
		lanes = lanes[1:] // of a page before
	}
	for m, n := range seen {
		if n != 1 {
			t.Errorf("merchant %s is on %d pages", m, n)
		}
	}
	if len(seen) != 5000 {
		t.Errorf("%d merchants, want 5000", len(seen))
	}
}

// TestManyGatewaysAreAFew: those that are down come first.
func TestManyGatewaysAreAFew(t *testing.T) {
	var s console.State
	for i := range 5000 {
		s.Gateways = append(s.Gateways, console.Gateway{Name: fmt.Sprint("gateway-", 10_000+i), Down: i == 4999})
	}
	body := serve(t, s, false, "/").Body.String()
	found := regexp.MustCompile(`data-key="g(gateway-\d+)"`).FindAllStringSubmatch(body, -1)
	if len(found) != 100 || found[0][1] != "gateway-14999" || found[1][1] != "gateway-10000" || !regexp.MustCompile(`>4.900 more\.<`).MatchString(body) {
		t.Errorf("%d gateways are shown", len(found))
	}
}

// TestLendingIsShownWithTheMerchants: which lane asks, how much is lent, or why nothing is.
func TestLendingIsShownWithTheMerchants(t *testing.T) {
	for want, s := range map[string]console.State{
		`<p id="lending" class="dim">Turns: in the last 5m this replica asked others for 7, borrowed 5 and lent 3.</p>`:                                        well(),
		`<p id="lending" class="dim"><span class="tag wait">No turns are lent, so replicas wait for their own slots: no such topic</span> (for 5 min 0 s)</p>`: unwell(),
	} {
		body := serve(t, s, false, "/").Body.String()
		lanes, _, _ := strings.Cut(body[strings.Index(body, `<section id="lanes"`):], "</section>")
		for _, want := range []string{want, `<span class="tag good">paced</span>, asks for a turn</td>`} {
			if strings.Count(lanes, want) != 1 {
				t.Errorf("the merchants do not say once %s:\n%s", want, lanes)
			}
		}
	}
	const asks = `<span class="tag wait">paced</span>, asks for a turn`
	if body := serve(t, well(), false, "/intents?q=asks").Body.String(); !strings.Contains(body, asks) {
		t.Errorf("the page of an intent does not say %s", asks)
	}
	if body := serve(t, console.State{}, false, "/").Body.String(); strings.Contains(body, `id="lending"`) {
		t.Error("lending is told of, though nothing is known of it")
	}
}

func TestLanesAreSummedUpTheWorstFirst(t *testing.T) {
	var all []console.Lane
	add := func(n int, state string, backlog int) {
		for range n {
			all = append(all, console.Lane{Backlog: backlog, State: state})
		}
	}
	add(3, "free", 0)
	add(2, "paced", 7)
	add(1, "breaker open", 0)
	add(5, "held", 2)
	add(1, "held", 9)
	add(4, "paced", 8)
	got := console.Sum(all)
	var worst []string
	for _, l := range got.Worst {
		worst = append(worst, fmt.Sprint(l.State, " ", l.Backlog))
	}
	if diff := cmp.Diff([]string{"held 9", "held 2", "held 2", "held 2", "held 2", "held 2", "breaker open 0", "paced 8"}, worst); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]console.LaneState{{State: "held", N: 6}, {State: "breaker open", N: 1}, {State: "paced", N: 6}, {State: "free", N: 3}}, got.States); diff != "" || got.Total != 16 {
		t.Error(got.Total, diff)
	}
}

func TestFewPartitionsAreShownFirstTheWorst(t *testing.T) {
	s, _ := allHeld()
	s.Partitions[7].Healthy, s.Partitions[7].State = false, "loading"
	body := serve(t, s, false, "/").Body.String()
	found := regexp.MustCompile(`data-key="p(\d+)"`).FindAllStringSubmatch(body, -1)
	if len(found) != 24 || found[0][1] != "7" || found[1][1] != "199" || !strings.Contains(body, `href="/partitions">all 200<`) {
		t.Errorf("%d partitions, %v, want 24, the one that loads first, then those that are furthest behind", len(found), found)
	}
}

func TestNothingForeignCanRunInThePage(t *testing.T) {
	for _, path := range append(pages, `/intents?q=<script>alert("x")</script>`) {
		rec := serve(t, unwell(), true, strings.NewReplacer("<", "%3C", ">", "%3E", `"`, "%22").Replace(path))
		policy, body := rec.Header().Get("Content-Security-Policy"), rec.Body.String()
		if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy = %q", path, policy)
		}
		if strings.Contains(body, "<script>") || regexp.MustCompile(`<[^>]* (on\w+|style)=`).MatchString(body) {
			t.Errorf("%s: foreign text became a script, or the page has handlers or styles in its tags", path)
		}
		tags := regexp.MustCompile(`<(script|style)[^>]*>`).FindAllString(body, -1)
		for _, tag := range tags {
			if !strings.Contains(policy, regexp.MustCompile(`nonce="(.+)"`).FindStringSubmatch(tag)[1]) {
				t.Errorf("%s: %s is not allowed by %q", path, tag, policy)
			}
		}
		if len(tags) != 2 {
			t.Errorf("%s: tags %v, want a style and a script", path, tags)
		}
		if strings.Contains(strings.ReplaceAll(body, "https://pay.example/abc", ""), "://") {
			t.Errorf("%s points elsewhere", path)
		}
	}
}

func TestLinksAreShownOnLaptopsOnly(t *testing.T) {
	for _, path := range []string{"/", "/api/v1/state"} {
		if body := serve(t, unwell(), false, path).Body.String(); strings.Contains(body, "pay.example") {
			t.Errorf("%s shows a payment link", path)
		}
		if body := serve(t, well(), true, path).Body.String(); !strings.Contains(body, "https://pay.example/abc") {
			t.Errorf("%s with ShowLinks shows no payment link", path)
		}
	}
}

func TestTheSearchTellsWhatBecameOfAnIntent(t *testing.T) {
	for path, wants := range map[string][]string{
		"/intents?q=waits":       {"It waits.", "backing off", "for 1 min 0 s", "goes on in 1 min 0 s, at 03:08:09 UTC", "Calls: 2.", "in doubt: timeout", "partition 2, offset 17", "paylink explain &#39;waits&#39;"},
		"/intents?q=order-1":     {"It waits.", "intent waits, order order-1, merchant 540001"},
		"/intents?q=done":        {"It has its link.", "The link was published.", "payment-intents, partition 1, offset 9"},
		"/intents?q=it%27s":      {"This replica knows nothing of it.", "paylink explain &#39;it&#39;\\&#39;&#39;s&#39;"},
		"/intents":               {"Type the id"},
		"/api/v1/intents/waits":  {`"state":"waiting"`, `"records":[{"intent_id":"waits","order_id":"order-1"`},
		"/api/v1/intents/nobody": {`"error":"no such intent waits here`},
	} {
		rec := serve(t, well(), false, path)
		for _, want := range wants {
			if !strings.Contains(rec.Body.String(), want) {
				t.Errorf("%s lacks %q:\n%s", path, want, rec.Body.String()[max(0, strings.Index(rec.Body.String(), "<main")):])
			}
		}
	}
	if rec := serve(t, well(), false, "/api/v1/intents/nobody"); rec.Code != http.StatusNotFound {
		t.Errorf("of an intent that nobody knows it says %d, want 404", rec.Code)
	}
}

func TestWithoutJavaScriptPagesComeAnew(t *testing.T) {
	const refresh = `<noscript><meta http-equiv="refresh" content="15"></noscript>`
	for path, want := range map[string]bool{"/": true, "/merchants": true, "/intents": false} { // there, somebody types
		if strings.Contains(serve(t, well(), false, path).Body.String(), refresh) != want {
			t.Errorf("%s: comes anew by itself = %v, want %v", path, !want, want)
		}
	}
}

func TestStateAsJSON(t *testing.T) {
	rec := serve(t, console.State{}, false, "/api/v1/state")
	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"checks", "alarms", "risks", "gateways", "partitions", "counters", "outcomes", "dead_letters"} {
		if v, ok := got[list].([]any); !ok || len(v) != 0 {
			t.Errorf("%s = %v, want an empty list", list, got[list])
		}
	}
	if rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("headers = %v", rec.Header())
	}
}

func TestOnlyReading(t *testing.T) {
	h := handler(t, console.Config{State: unwell})
	for _, c := range []struct {
		method, path string
		want         int
	}{{http.MethodPost, "/", 405}, {http.MethodPost, "/intents", 405}, {http.MethodDelete, "/api/v1/state", 405}, {http.MethodGet, "/else", 404}} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(c.method, c.path, nil))
		if rec.Code != c.want {
			t.Errorf("%s %s = %d, want %d", c.method, c.path, rec.Code, c.want)
		}
	}
}

func TestLinesAreDrawnWithTheirGaps(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		values []float64
		want   string
	}{
		{nil, ""},
		{[]float64{nan, nan}, ""},
		{[]float64{0, 10}, "M358 59L359 1"},
		{[]float64{5, 5, 5, 5, 0}, "M355 30L358 30L359 59"}, // what stays is drawn in one go
		{[]float64{0, nan, 10, 10}, "M356 59h1M358 1L359 1"},
		{[]float64{99}, "M359 1h1"}, // never outside
	} {
		if got := (console.Line{Values: c.values}).Path(10); got != c.want {
			t.Errorf("%v is drawn as %q, want %q", c.values, got, c.want)
		}
	}
	for most, want := range map[float64]float64{0: 1, 0.04: 0.05, 1: 1, 7: 10, 230: 300, 21000: 30000} {
		c := console.Chart{Lines: []console.Line{{Values: []float64{nan, most}}}}
		if got := c.Top(); math.Abs(got-want) > 1e-9 {
			t.Errorf("the top of a chart up to %v is %v, want %v", most, got, want)
		}
	}
}

func TestChartsAreSaidInWords(t *testing.T) {
	s := well()
	s.Charts = []console.Chart{{Title: "Lag", Unit: "records", Lines: []console.Line{{Name: "lag", Values: []float64{21410, math.NaN()}}}}}
	if body := serve(t, s, false, "/").Body.String(); !strings.Contains(body, "aria-label=\"Lag in the last hour (records). lag: not known now, 21\u2009410 at most.\"") {
		t.Error("the chart has no words for who cannot see it")
	}
}

// TestTextCanBeRead holds every colour of a text against what is behind it, by the
// formula of WCAG 2: 4.5 is enough for small text.
func TestTextCanBeRead(t *testing.T) {
	css, err := os.ReadFile("page/style.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := regexp.MustCompile(`:root \{([^}]*)\}`).FindAllSubmatch(css, -1)
	if len(schemes) != 2 {
		t.Fatalf("%d colour schemes, want light and dark", len(schemes))
	}
	for i, scheme := range schemes {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--(\w+): (#\w+);`).FindAllSubmatch(scheme[1], -1) {
			colours[string(m[1])] = string(m[2])
		}
		for _, ink := range []string{"ink", "dim", "good", "wait", "bad", "a"} {
			for _, ground := range []string{"card", "bg"} {
				if c := contrast(luminance(t, colours[ink]), luminance(t, colours[ground])); c < 4.5 {
					t.Errorf("scheme %d: %s on %s has a contrast of %.2f, want 4.5", i, ink, ground, c)
				}
			}
		}
	}
}

func contrast(a, b float64) float64 { return (max(a, b) + 0.05) / (min(a, b) + 0.05) }

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	if len(colour) == 4 {
		colour = string([]byte{'#', colour[1], colour[1], colour[2], colour[2], colour[3], colour[3]})
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 24)
	if err != nil || len(colour) != 7 {
		t.Fatalf("%q is no colour", colour)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := float64(n>>(16-8*i)&0xff) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

func TestStatesAreMadeWhenAskedFor(t *testing.T) {
	n := 0
	h := handler(t, console.Config{State: func() console.State {
		n++
		s := well()
		s.Now = noon.Add(time.Duration(n) * time.Hour)
		return s
	}})
	ask(h, "/")
	if body := ask(h, "/").Body.Bytes(); !bytes.Contains(body, []byte("as of 05:07:09 UTC")) {
		t.Error("the second page shows the first one's state")
	}
}
