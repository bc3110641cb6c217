package freedompay

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"paylink/internal/payment"
)

// maxLink is how long a link may be, in characters. The gateway's page gives no
// bound; this is what browsers, messengers and QR codes are known to carry.
const maxLink = 2048

// links says which links a merchant's gateway may give. A signature proves who
// says that payers go there; that they may, is ours to say.
type links struct {
	plain bool // http is good enough: the gateway itself is called so
	hosts payment.Hosts
}

// linksOf returns the rules for the links of a merchant's payment pages. Who
// calls the gateway by plain http, on a laptop or in a test, gets such pages.
func linksOf(m payment.Merchant, gateway *url.URL) links {
	return links{plain: gateway.Scheme == "http", hosts: m.LinkHosts}
}

// rule returns the rule that a link breaks, or "". It quotes nothing of the link
// but, where that is what is wrong with it, the host.
func (l links) rule(s string) string {
	if s == "" {
		return "is missing"
	}
	if !utf8.ValidString(s) {
		return "must be valid UTF-8"
	}
	if n := utf8.RuneCountInString(s); n > maxLink {
		return fmt.Sprintf("must have at most %d characters, has %d", maxLink, n)
	}
	if broken := payment.URLRule(s); broken != "" {
		return broken
	}
	u, err := url.Parse(s)
	switch {
	case err != nil: // URLRule parsed it
		return "must be an absolute http or https URL"
	case u.Scheme != "https" && !l.plain:
		return "must be https, as the gateway's URL is"
	case !l.hosts.Allow(s):
		return fmt.Sprintf("must be at a host that PAYLINK_GATEWAY_LINK_HOSTS or link_hosts allows (%s), is at %.80q", l.hosts, strings.ToLower(u.Hostname()))
	}
	return ""
}
