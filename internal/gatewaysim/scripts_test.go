package gatewaysim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/freedompay"
	"paylink/internal/payment"
)

func TestInitIsAnsweredAsThePageSays(t *testing.T) {
	b := newBench(t, Config{PublicURL: "https://pay.example/"})
	a := b.in(initScript, with(order("o-1"), "pg_generate_qr", "1"))
	id, err := strconv.ParseInt(a.value("pg_payment_id"), 10, 64)
	if err != nil || id <= math.MaxInt32 {
		t.Errorf("payment id %q, want one beyond 32 bits", a.value("pg_payment_id"))
	}
	want := "https://pay.example/pay/" + a.value("pg_payment_id")
	if got := a.value("pg_redirect_url"); got != want {
		t.Errorf("redirect URL %q, want %q", got, want)
	}
	if raw, err := base64.StdEncoding.DecodeString(a.value("pg_redirect_qr")); err != nil || string(raw) != want {
		t.Errorf("QR %q, %v, want the link in base64", raw, err)
	}
	if a.value("pg_status") != "ok" || a.value("pg_redirect_url_type") != "need data" || a.root != "response" {
		t.Errorf("answer %s", a.body)
	}
	if !a.verifies(initScript) || a.verifies(statusScript) || len(a.value("pg_salt")) < 8 {
		t.Errorf("answer is not signed for this script alone: %s", a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/xml" {
		t.Errorf("content type %q", got)
	}
}

func TestLinksPointToTheHostThatWasCalled(t *testing.T) {
	b := newBench(t, Config{})
	a := b.in(initScript, order("o-1"))
	if !strings.HasPrefix(a.value("pg_redirect_url"), b.url+"/pay/") || a.value("pg_redirect_qr") != "" {
		t.Errorf("answer %s, want a link below %s and no QR", a.body, b.url)
	}
}

func TestRootElements(t *testing.T) {
	for root, want := range map[Root][]string{
		RootResponse: {"response", "response"}, RootRoot: {"root", "root"}, RootAlternate: {"response", "root"},
	} {
		b := newBench(t, Config{Root: root})
		var got []string
		for i := range 2 {
			got = append(got, b.in(initScript, order(fmt.Sprint("o-", i))).root)
		}
		if !slices.Equal(got, want) {
			t.Errorf("root %d: %v, want %v", root, got, want)
		}
	}
}

func TestErrorsAreSignedOnRequest(t *testing.T) {
	b := newBench(t, Config{SignErrors: true})
	if a := b.in(initScript, with(order("o-1"), "pg_amount", "0")); a.value("pg_error_code") != "9403" || !a.verifies(initScript) {
		t.Errorf("answer %s, want a signed error 9403", a.body)
	}
	if a := b.in(initScript, with(order("o-1"), "pg_merchant_id", "1")); a.value("pg_error_code") != "9997" || a.value("pg_sig") != "" {
		t.Errorf("answer %s, want an unsigned error: no secret is shared with an unknown merchant", a.body)
	}
}

func TestRepeatedKeys(t *testing.T) {
	tests := []struct {
		repeat      Repeat
		code        string
		samePayment bool
		payments    int
	}{
		{FirstAnswer, "", true, 1},
		{DuplicateError, "11013", false, 1},
		{NewPayment, "", false, 2},
	}
	for _, tt := range tests {
		b := newBench(t, Config{Repeat: tt.repeat})
		first, second := b.in(initScript, order("o-1")), b.in(initScript, order("o-1"))
		if got := second.value("pg_error_code"); got != tt.code {
			t.Errorf("repeat %d: error %q, want %q", tt.repeat, got, tt.code)
		}
		same := first.value("pg_payment_id") == second.value("pg_payment_id") && first.value("pg_redirect_url") == second.value("pg_redirect_url")
		if same != tt.samePayment || len(b.PaymentsOf("o-1")) != tt.payments {
			t.Errorf("repeat %d: same payment %v, %d payments, want %v, %d", tt.repeat, same, len(b.PaymentsOf("o-1")), tt.samePayment, tt.payments)
		}
		if tt.code == "" && (!second.verifies(initScript) || first.value("pg_salt") == second.value("pg_salt")) {
			t.Errorf("repeat %d: the second answer is not signed afresh", tt.repeat)
		}
		calls := b.CallsOf("o-1")
		if calls[0].Repeated || !calls[1].Repeated || calls[0].Params != calls[1].Params {
			t.Errorf("repeat %d: log says %+v", tt.repeat, calls)
		}
		if made := calls[1].Made != 0; made != (tt.payments == 2) {
			t.Errorf("repeat %d: second call made %d", tt.repeat, calls[1].Made)
		}
	}
}

func TestAKeyIsForOneOperationOnly(t *testing.T) {
	for _, repeat := range []Repeat{FirstAnswer, DuplicateError, NewPayment} {
		b := newBench(t, Config{Repeat: repeat, Merchants: map[string]payment.Secret{merchant: secret, "2": secret}})
		b.in(initScript, order("o-1"))
		for _, change := range []freedompay.Field{{Name: "pg_amount", Value: "1500"}, {Name: "pg_user_phone", Value: "77777777777"}} {
			a, call := b.in(initScript, with(order("o-1"), change.Name, change.Value)), b.lastCall()
			if a.value("pg_error_code") != "11013" || call.Made != 0 {
				t.Errorf("repeat %d, other %s: %s, made %d, want error 11013", repeat, change.Name, a.body, call.Made)
			}
			if len(call.Violations) != 1 || call.Violations[0].Field != "pg_idempotency_key" {
				t.Errorf("repeat %d, other %s: violations %v, want the key's", repeat, change.Name, call.Violations)
			}
		}
		if a := b.in(initScript, with(order("o-1"), "pg_merchant_id", "2")); a.value("pg_status") != "ok" {
			t.Errorf("repeat %d: another merchant's key: %s, want ok", repeat, a.body)
		}
	}
}

func TestStatusTellsAllButTheLink(t *testing.T) {
	b := newBench(t, Config{Merchants: map[string]payment.Secret{merchant: secret, "2": secret}})
	opened := b.in(initScript, with(order("o-1"), "pg_amount", "20.50"))
	id := opened.value("pg_payment_id")
	a := b.in(statusScript, statusOf("o-1"))
	if !a.verifies(statusScript) {
		t.Errorf("answer does not verify: %s", a.body)
	}
	got := map[string]string{}
	for _, f := range a.fields {
		if f.Name != "pg_salt" && f.Name != "pg_sig" {
			got[f.Name] = f.Value
		}
	}
	want := map[string]string{
		"pg_status": "ok", "pg_payment_id": id, "pg_order_id": "o-1", "pg_payment_status": "new", "pg_amount": "20.5",
		"pg_currency": "KZT", "pg_payment_method": "mobile_commerce", "pg_create_date": "2026-11-23 06:00:00",
		"pg_captured": "0", "pg_refund_amount": "0", "pg_testing_mode": "0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	byID := []freedompay.Field{{Name: "pg_merchant_id", Value: merchant}, {Name: "pg_payment_id", Value: id}}
	if a := b.in(statusScript, byID); a.value("pg_order_id") != "o-1" || b.lastCall().OrderID != "o-1" {
		t.Errorf("by payment id: %s, log %+v, want order o-1", a.body, b.lastCall())
	}
	for name, fields := range map[string][]freedompay.Field{
		"unknown order": statusOf("o-2"), "another merchant's": with(statusOf("o-1"), "pg_merchant_id", "2"), "both, not of one": with(byID, "pg_order_id", "o-2"),
	} {
		if a := b.in(statusScript, fields); a.value("pg_error_code") != "11068" || a.value("pg_sig") != "" {
			t.Errorf("%s: %s, want an unsigned error 11068", name, a.body)
		}
	}
	if a := b.in(statusScript, statusOf("o-1")[:1]); a.value("pg_error_code") != "9403" {
		t.Errorf("neither id: %s, want error 9403", a.body)
	}
}

func TestStatusKnowsTheNewestPaymentOfAnOrder(t *testing.T) {
	b := newBench(t, Config{Repeat: NewPayment})
	b.in(initScript, order("o-1"))
	second := b.in(initScript, order("o-1")).value("pg_payment_id")
	if got := b.in(statusScript, statusOf("o-1")).value("pg_payment_id"); got != second {
		t.Errorf("status says payment %s, want %s", got, second)
	}
}

func TestNormalised(t *testing.T) {
	for in, want := range map[string]string{"20.00": "20", "20.50": "20.5", "20.05": "20.05", "100": "100", "0.10": "0.1"} {
		if got := normalised(in); got != want {
			t.Errorf("normalised(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPersonalDataIsMaskedButComparable(t *testing.T) {
	b := newBench(t, Config{})
	personal := map[string]string{"pg_user_phone": "77019876543", "pg_user_ip": "203.0.113.77", "pg_user_contact_email": "canary@example.com"}
	fields := order("o-1")
	for name, v := range personal {
		fields = with(fields, name, v)
	}
	b.in(initScript, fields)
	b.in(initScript, with(fields, "pg_misspelt_phone", "77019876543"))
	b.in(initScript, fields)
	calls := b.Calls()
	if calls[0].Params != calls[2].Params || calls[0].Params == calls[1].Params {
		t.Errorf("params %q and %q and %q: want first and last equal only", calls[0].Params, calls[2].Params, calls[1].Params)
	}
	var shown strings.Builder
	for _, path := range []string{"/sim/calls", "/sim/payments", "/sim/counts", "/", "/pay/" + fmt.Sprint(calls[0].Payment)} {
		shown.Write(b.get(path).body)
	}
	plain, _ := url.QueryUnescape(shown.String())
	for name, v := range personal {
		if strings.Contains(plain, v) {
			t.Errorf("%s is shown", name)
		}
	}
	if strings.Contains(plain, secret.Reveal()) || !strings.Contains(plain, "masked-") {
		t.Error("the secret is shown, or nothing is masked")
	}
}

func TestTheLogKeepsOrderTimeAndHaste(t *testing.T) {
	now := dawn
	b := newBench(t, Config{MinInterval: time.Second, Now: func() time.Time { return now }})
	var haste []bool
	for i, step := range []time.Duration{0, 1500 * time.Millisecond, 999 * time.Millisecond, time.Second} {
		now = now.Add(step)
		b.in(initScript, order(fmt.Sprint("o-", i)))
		call := b.lastCall()
		if call.N != i+1 || !call.At.Equal(now) || call.OrderID != fmt.Sprint("o-", i) || call.Script != initScript {
			t.Errorf("call %d: %+v", i+1, call)
		}
		haste = append(haste, call.Haste)
	}
	if want := []bool{false, false, true, false}; !slices.Equal(haste, want) {
		t.Errorf("haste %v, want %v", haste, want)
	}
	if got := b.Counts(); got.Haste != 1 || got.Init != 4 || got.Made != 4 || got.InProgress != 0 || got.Answers["ok"] != 4 {
		t.Errorf("counts %+v", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	b := newBench(t, Config{KeepCalls: 3, KeepPayments: 2})
	for i := range 10 {
		b.in(initScript, order(fmt.Sprint("o-", i)))
	}
	calls, payments := b.Calls(), b.Payments()
	if len(calls) != 3 || calls[2].OrderID != "o-9" || len(b.log.calls) > 6 {
		t.Errorf("%d calls kept, want the last 3", len(calls))
	}
	if len(payments) != 2 || payments[0].OrderID != "o-8" || len(b.payments.byID)+len(b.payments.byKey)+len(b.payments.byOrder) != 6 {
		t.Errorf("%d payments kept, want the last 2", len(payments))
	}
	if got := b.Counts(); got.Calls != 10 || got.Made != 10 {
		t.Errorf("counts %+v, want all 10", got)
	}
}

func TestLatencyIsBetweenTheDeedAndItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{Merchants: map[string]payment.Secret{merchant: secret}, Latency: Between(2*time.Second, 3*time.Second)})
		start := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			g.ServeHTTP(httptest.NewRecorder(), request(t, initScript, sign(initScript, order("o-1"), secret)))
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		if calls := g.Calls(); len(calls) != 1 || calls[0].Made == 0 || calls[0].Answer != "" {
			t.Errorf("log %+v, want the payment made and no answer yet", calls)
		}
		<-done
		if took := time.Since(start); took < 2*time.Second || took > 3*time.Second || g.Calls()[0].AnsweredAt.Sub(start) != took {
			t.Errorf("took %v, want 2s to 3s", took)
		}
	})
}

// request makes a call without a network.
func request(t *testing.T, script string, fields []freedompay.Field) *http.Request {
	t.Helper()
	body := "--x\r\n"
	for _, f := range fields {
		body += "Content-Disposition: form-data; name=\"" + f.Name + "\"\r\n\r\n" + f.Value + "\r\n--x\r\n"
	}
	r := httptest.NewRequest("POST", "/"+script, strings.NewReader(strings.TrimSuffix(body, "\r\n")+"--\r\n"))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	return r
}

func TestManyCallersAtOnce(t *testing.T) {
	rules, err := ParseRules("500-before=0.1,lost-answer=0.1,status/not-found=0.2,pending*3")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, Config{Rules: rules, KeepPayments: 50})
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for n := range 20 {
				id := fmt.Sprintf("o-%d-%d", i, n/2)
				b.in(initScript, order(id))
				b.in(statusScript, statusOf(id))
				b.Calls()
				b.get("/")
			}
		})
	}
	callers.Wait()
	counts := b.Counts()
	if counts.Calls != 320 || counts.Init != 160 || counts.InProgress != 0 || counts.Unkindnesses["pending"] != 3 {
		t.Errorf("counts %+v, want 320 calls, 160 Init, none in progress, pending 3 times", counts)
	}
	for i, c := range b.Calls() {
		if c.N != i+1 || c.Answer == "" {
			t.Fatalf("call %d of the log: %+v", i+1, c)
		}
	}
}

func TestHealthcheck(t *testing.T) {
	b := newBench(t, Config{})
	var got map[string]string
	if err := json.Unmarshal(b.get("/status/healthcheck").body, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"status": "ok", "time": "2026-11-23T06:00:00Z"}, got); diff != "" {
		t.Errorf("health (-want +got):\n%s", diff)
	}
}
