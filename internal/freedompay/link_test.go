package freedompay

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"paylink/internal/payment"
)

func TestWhichLinksMayBePublished(t *testing.T) {
	const (
		none   = "must be an absolute http or https URL"
		unseen = "must not hold spaces, control or bidirectional characters"
		port   = "must have a port from 1 to 65535, or none"
	)
	strict, plain := links{}, links{plain: true}
	listed := links{hosts: payment.Hosts{"customer.freedompay.kz", "*.freedompay.money"}}
	outside := func(host string) string {
		return `must be at a host that PAYLINK_GATEWAY_LINK_HOSTS or link_hosts allows (customer.freedompay.kz, *.freedompay.money), is at "` + host + `"`
	}
	for _, tt := range []struct {
		l         links
		link, why string
	}{
		{strict, testURL, ""},
		{strict, "HTTPS://h/p?q=ә#f", ""},
		{strict, "https://h:8443/p", ""},
		{strict, "", "is missing"},
		{strict, "http://h/p", "must be https, as the gateway's URL is"},
		{plain, "http://127.0.0.1:8090/pay/1", ""},
		{plain, "https://h/p", ""},
		{strict, "javascript:alert(1)", none},
		{plain, "ftp://h/p", none},
		{strict, "//h/p", none},
		{strict, "https:h/p", none},
		{strict, "https://:443/p", none},
		{strict, "https://bank.kz@evil.example/p", "must not hold a user name or password"},
		{strict, "https://u:p@h/", "must not hold a user name or password"},
		{strict, "https://bank.kz\\@evil.example/p", none},
		{strict, "https://h/a b", unseen},
		{strict, " https://h/", unseen},
		{strict, "https://h/a\u00a0b", unseen},
		{strict, "https://h/a\r\nLocation: x", unseen},
		{strict, "https://h/\x00", unseen},
		{strict, "https://h/\u202egnp.exe", unseen},
		{strict, "https://h\u200b.kz/", unseen},
		{strict, "https://h:0/", port},
		{strict, "https://h:99999/", port},
		{strict, "https://h:x/", port},
		{strict, "https://h/\xff", "must be valid UTF-8"},
		{strict, "https://h/" + strings.Repeat("ә", 2038), ""},
		{strict, "https://h/" + strings.Repeat("ә", 2039), "must have at most 2048 characters, has 2049"},
		{listed, testURL, ""},
		{listed, "https://pay.freedompay.money/x", ""},
		{listed, "https://CUSTOMER.freedompay.kz:443/x", ""},
		{listed, "https://freedompay.money/x", outside("freedompay.money")},
		{listed, "https://evil.example/customer.freedompay.kz", outside("evil.example")},
		{listed, "https://customer.freedompay.kz.evil.example/", outside("customer.freedompay.kz.evil.example")},
		{listed, "http://customer.freedompay.kz/", "must be https, as the gateway's URL is"},
	} {
		if got := tt.l.rule(tt.link); got != tt.why {
			t.Errorf("%.60q: %q, want %q", tt.link, got, tt.why)
		}
	}
}

// TestBadLinkIsToldAndNotQuoted goes through the client: https is asked for where
// the gateway is called by https, the merchant's hosts count, and who is told of a
// bad link reads no link.
func TestBadLinkIsToldAndNotQuoted(t *testing.T) {
	link := "http://127.0.0.1/pay/canary-1"
	g := newGateway(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, signedInit(with(okFields(), "pg_redirect_url", link)...))
	})
	var told []string
	open := func(hosts ...string) error {
		c := newClient(t, g.URL, func(c *Config) {
			c.Merchant = func(id payment.MerchantID) (payment.Merchant, bool) {
				return payment.Merchant{ID: id, Secret: testSecret, GatewayURL: g.URL, LinkHosts: hosts}, true
			}
			c.BadLink = func(in payment.Intent, reason error) { told = append(told, string(in.ID)+": "+reason.Error()) }
		})
		_, err := c.Open(t.Context(), plainIntent())
		return err
	}
	if err := open(); err != nil || len(told) > 0 {
		t.Errorf("a link of http from a gateway of http: %v, told %q", err, told)
	}
	err := open("pay.example")
	if got, want := verdictOf(payment.AsGatewayError(err)), (verdict{doubt, CauseBadURL, true, ""}); got != want {
		t.Errorf("a link elsewhere: %v, want %v", got, want)
	}
	want := `ord-1: the link must be at a host that PAYLINK_GATEWAY_LINK_HOSTS or link_hosts allows (pay.example), is at "127.0.0.1"`
	if len(told) != 1 || told[0] != want {
		t.Errorf("told %q, want %q", told, want)
	}
	link = "https://user:canary-1@pay.example/"
	if err := open("pay.example"); err == nil || strings.Contains(err.Error()+told[len(told)-1], "canary-1") {
		t.Errorf("%v, told %q: want an error without the link", err, told)
	}
}
