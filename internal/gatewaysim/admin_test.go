package gatewaysim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func (b *bench) admin(path, body string) answer {
	b.t.Helper()
	return b.post(path, "text/plain", []byte(body))
}

func (b *bench) read(path string, v any) {
	b.t.Helper()
	if err := json.Unmarshal(b.get(path).body, v); err != nil {
		b.t.Fatalf("GET %s: %v", path, err)
	}
}

func TestAdminDeeds(t *testing.T) {
	b := newBench(t, Config{})
	b.in(initScript, order("o-1"))
	id := b.Payments()[0].ID
	tests := []struct {
		path, body string
		status     int
		rules      string // in force afterwards
		init       string // the answer of an Init afterwards, as logged
	}{
		{"/sim/rules", "empty-body, pending=0.5", 200, "empty-body,pending=0.5", "empty-body"},
		{"/sim/rules", "emptybody", 400, "empty-body,pending=0.5", "empty-body"},
		{"/sim/rules", "", 200, "", "ok"},
		{"/sim/down", "", 200, "", "http 503"},
		{"/sim/down", "cut", 200, "", "cut"},
		{"/sim/down", "sideways", 400, "", "cut"},
		{"/sim/up", "", 200, "", "ok"},
		{"/sim/merchants/540001/secret", "other", 200, "", "error 9998"},
		{"/sim/merchants/540001/secret", "", 200, "", "error 9997"},
		{"/sim/merchants/540001/secret", secret.Reveal(), 200, "", "ok"},
		{"/sim/latency", "1us-2us", 200, "", "ok"},
		{"/sim/latency", "5ms-2ms", 400, "", "ok"},
		{"/sim/latency", "fast", 400, "", "ok"},
		{fmt.Sprintf("/sim/payments/%d/state", id), "process", 200, "", "ok"},
		{fmt.Sprintf("/sim/payments/%d/state", id), "", 400, "", "ok"},
		{"/sim/payments/1/state", "success", 400, "", "ok"},
		{"/sim/payments/x/state", "success", 400, "", "ok"},
	}
	for _, tt := range tests {
		if a := b.admin(tt.path, tt.body); a.status != tt.status {
			t.Errorf("POST %s %q: %d %s, want %d", tt.path, tt.body, a.status, a.body, tt.status)
		}
		if got := joinRules(b.Rules()); got != tt.rules {
			t.Errorf("POST %s %q: rules %q, want %q", tt.path, tt.body, got, tt.rules)
		}
		if b.in(initScript, order("o-1")); b.lastCall().Answer != tt.init {
			t.Errorf("POST %s %q: then Init gets %q, want %q", tt.path, tt.body, b.lastCall().Answer, tt.init)
		}
	}
	if a := b.in(statusScript, statusOf("o-1")); a.value("pg_payment_status") != "process" {
		t.Errorf("status %s, want process", a.body)
	}
}

func TestAdminReads(t *testing.T) {
	b := newBench(t, Config{})
	for i := range 3 {
		b.in(initScript, order(fmt.Sprint("o-", i)))
	}
	for query, want := range map[string]int{"": 3, "?order=o-1": 1, "?after=1": 2, "?merchant=540001": 3, "?merchant=2": 0} {
		var calls []Call
		if b.read("/sim/calls"+query, &calls); len(calls) != want {
			t.Errorf("calls%s: %d, want %d", query, len(calls), want)
		}
	}
	var calls []Call
	b.read("/sim/calls?order=o-2", &calls)
	if c := calls[0]; c.N != 3 || c.Merchant != merchant || c.IdempotencyKey != "key-o-2" || c.Answer != "ok" || !strings.Contains(c.Params, "pg_amount=1500.00") {
		t.Errorf("call %+v", c)
	}
	var payments []Payment
	if b.read("/sim/payments?order=o-2", &payments); len(payments) != 1 || payments[0].ID != calls[0].Made {
		t.Errorf("payments %+v, want %d", payments, calls[0].Made)
	}
	if b.read("/sim/payments", &payments); len(payments) != 3 {
		t.Errorf("%d payments, want 3", len(payments))
	}
	var counts Counts
	if b.read("/sim/counts", &counts); counts.Made != 3 {
		t.Errorf("counts %+v", counts)
	}
	var rules struct{ Unkindnesses []string }
	if b.read("/sim/rules", &rules); len(rules.Unkindnesses) != len(unkindnesses) {
		t.Errorf("%d unkindnesses listed, want %d", len(rules.Unkindnesses), len(unkindnesses))
	}
}
