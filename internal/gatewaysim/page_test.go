package gatewaysim

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"paylink/internal/freedompay"
)

// opened makes a payment and returns the path of its page.
func (b *bench) opened(fields []freedompay.Field) string {
	b.t.Helper()
	link, err := url.Parse(b.in(initScript, fields).value("pg_redirect_url"))
	if err != nil || link.Path == "" {
		b.t.Fatalf("no link: %v %v", link, err)
	}
	return link.Path
}

func TestAPersonCanPay(t *testing.T) {
	b := newBench(t, Config{})
	path := b.opened(with(order("o-1"), "pg_success_url", "https://shop.example/thanks"))
	page := string(b.get(path).body)
	for _, want := range []string{"1500.00", "KZT", "Mobile balance top-up", merchant, "o-1", "it moves no money", `name="phone"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if a := b.pay(path, url.Values{"phone": {"call me"}, "do": {"pay"}}); a.status != 422 || !strings.Contains(string(a.body), "no phone number") {
		t.Errorf("bad phone: %d, want 422 and a word about it", a.status)
	}
	if a := b.pay(path, url.Values{"phone": {"+7 701 987-65-43"}, "do": {"pay"}}); a.status != 303 || a.header.Get("Location") != path {
		t.Errorf("pay: %d to %q, want 303 to the page", a.status, a.header.Get("Location"))
	}
	page = string(b.get(path).body)
	if !strings.Contains(page, "Paid. Thank you.") || !strings.Contains(page, `href="https://shop.example/thanks"`) || strings.Contains(page, "<form") {
		t.Errorf("after paying:\n%s", page)
	}
	status := b.in(statusScript, statusOf("o-1"))
	if status.value("pg_payment_status") != "success" || status.value("pg_captured") != "1" {
		t.Errorf("status after paying: %s", status.body)
	}
	b.pay(path, url.Values{"do": {"decline"}})
	if p := b.PaymentsOf("o-1")[0]; p.State != StateSuccess || !p.PaidAt.Equal(dawn) {
		t.Errorf("declined after paying: %+v, want it paid", p)
	}
}

func TestAPersonCanDecline(t *testing.T) {
	b := newBench(t, Config{})
	path := b.opened(with(order("o-1"), "pg_failure_url", "https://shop.example/sorry"))
	b.pay(path, url.Values{"do": {"decline"}})
	if page := string(b.get(path).body); !strings.Contains(page, "declined") || !strings.Contains(page, "https://shop.example/sorry") {
		t.Errorf("after declining:\n%s", page)
	}
	if a := b.in(statusScript, statusOf("o-1")); a.value("pg_payment_status") != "failed" || a.value("pg_failure_code") == "" {
		t.Errorf("status after declining: %s", a.body)
	}
}

func TestAPageEndsWithItsLifetime(t *testing.T) {
	now := dawn
	b := newBench(t, Config{Now: func() time.Time { return now }})
	path := b.opened(with(order("o-1"), "pg_lifetime", "300"))
	now = dawn.Add(301 * time.Second)
	b.pay(path, url.Values{"phone": {"77019876543"}})
	if a := b.in(statusScript, statusOf("o-1")); a.value("pg_payment_status") != "failed" {
		t.Errorf("paid after its lifetime: %s, want failed", a.body)
	}
}

func TestPagesAreEscapedAndLockedDown(t *testing.T) {
	b := newBench(t, Config{})
	evil := `<script>alert("x")</script>&'`
	path := b.opened(with(order("<b>o-1</b>"), "pg_description", evil))
	for _, path := range []string{path, "/"} {
		a := b.get(path)
		page := string(a.body)
		if strings.Contains(page, "<script") || strings.Contains(page, "<b>o-1") || !strings.Contains(page, "&lt;script&gt;") {
			t.Errorf("%s is not escaped:\n%s", path, page)
		}
		csp := a.header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, a.header)
		}
		if strings.Contains(page, "http://") || strings.Contains(page, "https://") || strings.Contains(page, "style=") {
			t.Errorf("%s has something from outside, or a style that the policy forbids", path)
		}
	}
}

func TestPagesThatAreNotThere(t *testing.T) {
	b := newBench(t, Config{})
	for _, path := range []string{"/pay/1", "/pay/x"} {
		if a := b.get(path); a.status != 404 || !strings.Contains(string(a.body), "no such payment") {
			t.Errorf("GET %s: %d", path, a.status)
		}
		if a := b.pay(path, url.Values{"phone": {"77019876543"}}); a.status != 404 {
			t.Errorf("POST %s: %d, want 404", path, a.status)
		}
	}
	if a := b.get("/favicon.ico"); a.status != 404 {
		t.Errorf("GET /favicon.ico: %d, want 404", a.status)
	}
	if a := b.get("/sim/style.css"); a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/css") {
		t.Errorf("style: %d %s", a.status, a.header.Get("Content-Type"))
	}
}
