package gatewaysim

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/freedompay"
)

// A sight is what a caller can tell of an answer.
type sight struct {
	Status   int // 0: the connection was cut before any answer
	Cut      bool
	PGStatus string
	Code     string
	Signed   bool // there is a signature
	Verifies bool
	Link     string // "", "pay" for a link to the payment page, else the link
	ID       bool
	Type     string // of the body, up to ";"
	Retry    string
	Logged   string // Call.Answer
	Made     bool
}

func (b *bench) see(a answer) sight {
	call := b.lastCall()
	s := sight{
		Status: a.status, Cut: a.err != nil, PGStatus: a.value("pg_status"), Code: a.value("pg_error_code"),
		Signed: a.value("pg_sig") != "", Verifies: a.verifies(call.Script), Link: a.value("pg_redirect_url"),
		ID: a.value("pg_payment_id") != "", Logged: call.Answer, Made: call.Made != 0,
	}
	if strings.Contains(s.Link, "/pay/") {
		s.Link = "pay"
	}
	if a.header != nil {
		s.Type, _, _ = strings.Cut(a.header.Get("Content-Type"), ";")
		s.Retry = a.header.Get("Retry-After")
	}
	return s
}

const xmlType, htmlType, plainType = "application/xml", "text/html", "text/plain"

// unkindSights is what every unkindness of Init looks like.
var unkindSights = []struct {
	rule string
	want sight
}{
	{"cut-before", sight{Cut: true, Logged: "cut"}},
	{"500-before", sight{Status: 500, Type: plainType, Logged: "http 500"}},
	{"html", sight{Status: 503, Type: htmlType, Logged: "http 503"}},
	{"html:404", sight{Status: 404, Type: htmlType, Logged: "http 404"}},
	{"429", sight{Status: 429, Type: plainType, Logged: "http 429"}},
	{"429:1500ms", sight{Status: 429, Type: plainType, Retry: "2", Logged: "http 429"}},
	{"429-date:90s", sight{Status: 429, Type: plainType, Retry: "Mon, 23 Nov 2026 06:01:30 GMT", Logged: "http 429"}},
	{"credentials", sight{Status: 200, PGStatus: "error", Code: "9998", Type: xmlType, Logged: "error 9998"}},
	{"credentials:9997", sight{Status: 200, PGStatus: "error", Code: "9997", Type: xmlType, Logged: "error 9997"}},
	{"error:9999", sight{Status: 200, PGStatus: "error", Code: "9999", Type: xmlType, Logged: "error 9999"}},
	{"error:1100:401", sight{Status: 401, PGStatus: "error", Code: "1100", Type: xmlType, Logged: "error 1100"}},
	{"signed-error:11005", sight{Status: 200, PGStatus: "error", Code: "11005", Signed: true, Verifies: true, Type: xmlType, Logged: "error 11005"}},
	{"duplicate-before", sight{Status: 200, PGStatus: "error", Code: "11013", Type: xmlType, Logged: "error 11013"}},
	{"lost-answer", sight{Cut: true, Logged: "cut", Made: true}},
	{"500-after", sight{Status: 500, Type: plainType, Logged: "http 500", Made: true}},
	{"error-after:9403", sight{Status: 200, PGStatus: "error", Code: "9403", Type: xmlType, Logged: "error 9403", Made: true}},
	{"duplicate", sight{Status: 200, PGStatus: "error", Code: "11013", Type: xmlType, Logged: "error 11013", Made: true}},
	{"slow:1ms", sight{Status: 200, PGStatus: "ok", Signed: true, Verifies: true, Link: "pay", ID: true, Type: xmlType, Logged: "ok", Made: true}},
	{"pending", sight{Status: 200, PGStatus: "pending", Signed: true, Verifies: true, ID: true, Type: xmlType, Logged: "pending", Made: true}},
	{"unknown-status", sight{Status: 200, PGStatus: "accepted", Signed: true, Verifies: true, Link: "pay", ID: true, Type: xmlType, Logged: "unknown-status", Made: true}},
	{"unsigned-ok", sight{Status: 200, PGStatus: "ok", Link: "pay", ID: true, Type: xmlType, Logged: "unsigned-ok", Made: true}},
	{"wrong-signature", sight{Status: 200, PGStatus: "ok", Signed: true, Link: "pay", ID: true, Type: xmlType, Logged: "wrong-signature", Made: true}},
	{"no-url", sight{Status: 200, PGStatus: "ok", Signed: true, Verifies: true, ID: true, Type: xmlType, Logged: "no-url", Made: true}},
	{"no-payment-id", sight{Status: 200, PGStatus: "ok", Signed: true, Verifies: true, Link: "pay", Type: xmlType, Logged: "no-payment-id", Made: true}},
	{"bad-url", sight{Status: 200, PGStatus: "ok", Signed: true, Verifies: true, Link: "javascript:alert(1)", ID: true, Type: xmlType, Logged: "bad-url", Made: true}},
	{"payment-system", sight{Status: 200, PGStatus: "ok", Signed: true, Verifies: true, Link: "pay", ID: true, Type: xmlType, Logged: "ok", Made: true}},
	{"html-type", sight{Status: 200, PGStatus: "ok", Signed: true, Verifies: true, Link: "pay", ID: true, Type: htmlType, Logged: "ok", Made: true}},
	{"broken-xml", sight{Status: 200, Type: xmlType, Logged: "broken-xml", Made: true}},
	{"truncated-xml", sight{Status: 200, Cut: true, Type: xmlType, Logged: "truncated-xml", Made: true}},
	{"huge-body:1", sight{Status: 200, PGStatus: "ok", Signed: true, Link: "pay", ID: true, Type: xmlType, Logged: "huge-body", Made: true}},
	{"redirect", sight{Status: 302, Type: xmlType, Logged: "http 302", Made: true}},
	{"empty-body", sight{Status: 200, Type: xmlType, Logged: "empty-body", Made: true}},
}

func TestEveryUnkindness(t *testing.T) {
	for _, tt := range unkindSights {
		t.Run(tt.rule, func(t *testing.T) {
			rules, err := ParseRules(tt.rule)
			if err != nil {
				t.Fatal(err)
			}
			b := newBench(t, Config{Rules: rules})
			got := b.see(b.in(initScript, order("o-1")))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("seen (-want +got):\n%s", diff)
			}
			if n := len(b.Payments()); n != one(tt.want.Made) {
				t.Errorf("%d payments, want %d", n, one(tt.want.Made))
			}
			if got := b.lastCall().Unkindness; got != tt.rule {
				t.Errorf("logged as %q, want %q", got, tt.rule)
			}
			b.Behave()
			if a := b.in(initScript, order("o-1")); a.value("pg_status") != "ok" || len(b.Payments()) != 1 {
				t.Errorf("afterwards: %s, %d payments, want ok and one", a.body, len(b.Payments()))
			}
		})
	}
}

func TestDetailsOfGarbledAnswers(t *testing.T) {
	b := newBench(t, Config{})
	a := b.in(initScript, order("sim:huge-body:2"))
	if len(a.body) < 2<<20 || !bytes.HasSuffix(a.body, []byte("</pg_padding></response>\n")) {
		t.Errorf("huge body of %d bytes, want 2 MiB, well-formed", len(a.body))
	}
	if a := b.in(initScript, order("sim:payment-system")); a.value("pg_redirect_url_type") != "payment system" {
		t.Errorf("payment-system: %s", a.body)
	}
	if a := b.in(initScript, order("sim:truncated-xml")); !bytes.HasPrefix(a.body, []byte("<?xml")) {
		t.Errorf("truncated: %q, want the first half", a.body)
	}
	if a := b.in(initScript, order("sim:redirect")); a.header.Get("Location") != "/sim/redirected" {
		t.Errorf("redirect to %q", a.header.Get("Location"))
	}
	b.pay("/sim/redirected", url.Values{})
	if call := b.lastCall(); len(call.Violations) != 1 || call.Violations[0].Rule != "redirect was followed" {
		t.Errorf("a followed redirect is logged as %+v", call)
	}
}

func TestErrorsAreNotSpoiltIntoAnswers(t *testing.T) {
	b := newBench(t, Config{Repeat: DuplicateError})
	b.in(initScript, order("o-1"))
	for _, u := range unkindnesses {
		if !u.spoils {
			continue
		}
		rule := Rule{Name: u.name}
		if u.needsArg {
			rule.Arg = "9999"
		}
		if err := b.Misbehave(rule); err != nil {
			t.Fatal(err)
		}
		if a := b.in(initScript, order("o-1")); a.value("pg_error_code") != "11013" || a.value("pg_status") != "error" {
			t.Errorf("%s on an error: %s, want the error 11013 as it is", u.name, a.body)
		}
	}
}

func TestStatusCallsAreTreatedUnkindlyOnlyIfTold(t *testing.T) {
	b := newBench(t, Config{})
	id := "sim:status/not-found*1,status/lost-answer*1"
	if a := b.in(initScript, order(id)); a.value("pg_status") != "ok" {
		t.Fatalf("Init: %s, want ok", a.body)
	}
	if a := b.in(statusScript, statusOf(id)); a.value("pg_error_code") != "11068" {
		t.Errorf("first status: %s, want error 11068", a.body)
	}
	if a := b.in(statusScript, statusOf(id)); a.err == nil {
		t.Errorf("second status: %s, want a cut connection", a.body)
	}
	if a := b.in(statusScript, statusOf(id)); a.value("pg_status") != "ok" {
		t.Errorf("third status: %s, want ok", a.body)
	}
	b.in(initScript, with(order("o-2"), "pg_description", "try sim:status/pending please"))
	if a := b.in(statusScript, statusOf("o-2")); a.value("pg_status") != "pending" || !a.verifies(statusScript) {
		t.Errorf("marked by description: %s, want pending, signed", a.body)
	}
}

func TestMarkersAreStepsOfOneOrder(t *testing.T) {
	for _, id := range []string{"sim:500-after*2,lost-answer*1", "ord.sim:500-after_2,lost-answer_1"} {
		b := newBench(t, Config{})
		var got []string
		for range 4 {
			b.in(initScript, order(id))
			got = append(got, b.lastCall().Answer)
		}
		if want := []string{"http 500", "http 500", "cut", "ok"}; !slices.Equal(got, want) {
			t.Errorf("%s: answers %v, want %v", id, got, want)
		}
		if a := b.in(initScript, order("another")); a.value("pg_status") != "ok" {
			t.Errorf("%s: another order gets %s", id, a.body)
		}
	}
	b := newBench(t, Config{})
	b.in(initScript, order("sim:lost-anwser"))
	if call := b.lastCall(); call.Answer != "ok" || !strings.Contains(call.BadMarker, "lost-anwser") {
		t.Errorf("a misspelt marker: %+v, want ok and a note", call)
	}
}

func TestSlowAnswersStopWhenTheCallerGoes(t *testing.T) {
	b := newBench(t, Config{})
	b.client.Timeout = 50 * time.Millisecond
	if a := b.in(initScript, order("sim:slow:10m")); a.err == nil {
		t.Fatalf("answer %s, want a timeout", a.body)
	}
	deadline := time.Now().Add(10 * time.Second)
	for b.lastCall().Answer == "" && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if call := b.lastCall(); call.Answer != "gone" || call.Made == 0 {
		t.Errorf("log %+v, want gone, with the payment made", call)
	}
}

func TestChanceDependsOnSeedAndOrderOnly(t *testing.T) {
	rules, err := ParseRules("lost-answer=0.2,500-before=0.2,pending=0.1")
	if err != nil {
		t.Fatal(err)
	}
	played := func(seed uint64, order_ []int) map[string]string {
		b := newBench(t, Config{Seed: seed, Rules: rules})
		for _, i := range order_ {
			b.in(initScript, order(fmt.Sprint("o-", i)))
		}
		got := map[string]string{}
		for _, c := range b.Calls() {
			got[c.OrderID] = c.Unkindness
		}
		return got
	}
	forth := make([]int, 300)
	for i := range forth {
		forth[i] = i
	}
	back := slices.Clone(forth)
	slices.Reverse(back)
	first := played(7, forth)
	if diff := cmp.Diff(first, played(7, back)); diff != "" {
		t.Errorf("same seed, other order of arrival (-first +second):\n%s", diff)
	}
	if cmp.Equal(first, played(8, forth)) {
		t.Error("another seed plays the same")
	}
	count := map[string]int{}
	for _, u := range first {
		count[u]++
	}
	for name, want := range map[string]int{"lost-answer": 60, "500-before": 60, "pending": 30, "": 150} {
		if n := count[name]; n < want/2 || n > want*3/2 {
			t.Errorf("%q played %d times of 300, want about %d", name, n, want)
		}
	}
}

func TestAGatewayThatIsDownAnswersNobodyUntilItIsUp(t *testing.T) {
	b := newBench(t, Config{})
	b.Down(Refuse503)
	if a := b.in(initScript, order("o-1")); a.status != 503 || a.fields != nil {
		t.Errorf("down: %d %s, want 503", a.status, a.body)
	}
	call := b.lastCall()
	if call.OrderID != "o-1" || call.Merchant != merchant || call.Unkindness != "down" || call.Answer != "http 503" || call.Made != 0 {
		t.Errorf("down: logged as %+v", call)
	}
	for _, path := range []string{"/", "/status/healthcheck", "/pay/1"} {
		if a := b.get(path); a.status != 503 {
			t.Errorf("down: GET %s is %d, want 503", path, a.status)
		}
	}
	if a := b.get("/sim/counts"); a.status != 200 {
		t.Errorf("down: GET /sim/counts is %d, want 200", a.status)
	}
	b.Down(Disconnect)
	if a := b.in(initScript, order("o-1")); a.err == nil || b.lastCall().Answer != "cut" {
		t.Errorf("cut: %d %s, logged %q", a.status, a.body, b.lastCall().Answer)
	}
	if a := b.get("/"); a.err == nil {
		t.Errorf("cut: GET / is %d", a.status)
	}
	b.Up()
	if a := b.in(initScript, order("o-1")); a.value("pg_status") != "ok" {
		t.Errorf("up: %s, want ok", a.body)
	}
}

func TestSecretsChangeAtRunTime(t *testing.T) {
	b := newBench(t, Config{})
	b.SetSecret(merchant, "another")
	if a := b.in(initScript, order("o-1")); a.value("pg_error_code") != "9998" {
		t.Errorf("old secret: %s, want error 9998", a.body)
	}
	a := b.send(initScript, sign(initScript, order("o-1"), "another"))
	if !freedompay.Verify(initScript, a.fields, "another") {
		t.Errorf("new secret: %s, want ok under the new secret", a.body)
	}
	b.SetSecret(merchant, "")
	if a := b.in(initScript, order("o-1")); a.value("pg_error_code") != "9997" {
		t.Errorf("no secret: %s, want error 9997", a.body)
	}
}

// TestThePackageCommentListsEveryUnkindness holds the table in doc.go to the
// table in the code, and both to the sights above.
func TestThePackageCommentListsEveryUnkindness(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var written, coded, seen []string
	for _, m := range regexp.MustCompile(`(?m)^//\t(\S+) .*  (no|yes|ok) +\S`).FindAllStringSubmatch(string(doc), -1) {
		written = append(written, m[1]+" "+m[2])
	}
	for _, u := range unkindnesses {
		made := map[bool]string{false: "no", true: "yes"}[u.made]
		if u.spoils {
			made = "ok"
		}
		coded = append(coded, u.name+" "+made)
		if u.statusOnly {
			seen = append(seen, u.name)
		}
	}
	if diff := cmp.Diff(coded, written); diff != "" {
		t.Errorf("doc.go (-code +doc):\n%s", diff)
	}
	for _, s := range unkindSights {
		name, _, _ := strings.Cut(s.rule, ":")
		seen = append(seen, name)
	}
	for _, name := range unkindnessNames() {
		if !slices.Contains(seen, name) {
			t.Errorf("%s is not tested", name)
		}
	}
}
