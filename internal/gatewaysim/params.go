package gatewaysim

import (
	"fmt"
	"math/big"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// A shape is the type of a parameter as the gateway's page names it.
type shape int

const (
	text    shape = iota // string
	integer              // integer
	number               // number
	email                // string <email>
	webURL               // string, a URL
	ipAddr               // string, an IP address
)

// A param is one parameter of a script, with the rule of the gateway's page.
// Lengths count characters; zero values mean "no such rule".
type param struct {
	name      string
	shape     shape
	required  bool
	maxChars  int
	low, high string // bounds, inclusive
	maxFrac   int    // digits after the point
	enum      []string
	pattern   *regexp.Regexp
	personal  bool // masked wherever it is shown
}

var (
	capitals     = regexp.MustCompile(`^[A-Z]{3}$`)
	phoneDigits  = regexp.MustCompile(`^[0-9]{1,15}$`)
	userID       = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	saltChars    = regexp.MustCompile(`^[0-9A-Za-z]+$`)
	sigChars     = regexp.MustCompile(`^[0-9a-f]{32}$`)
	plainInteger = regexp.MustCompile(`^(0|[1-9][0-9]{0,30})$`)
	plainNumber  = regexp.MustCompile(`^(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?$`)
)

// initParams are the body parameters of "Mobile balance: Init", in the order
// of the page.
var initParams = []param{
	{name: "pg_merchant_id", shape: integer, required: true},
	{name: "pg_order_id", maxChars: 50},
	{name: "pg_amount", shape: number, required: true, low: "0.01", high: "99999999", maxFrac: 2},
	{name: "pg_currency", pattern: capitals},
	{name: "pg_description", required: true, maxChars: 1024},
	{name: "pg_testing_mode", enum: []string{"0", "1"}},
	{name: "pg_lifetime", shape: integer, low: "300", high: "604800"},
	{name: "pg_language", enum: []string{"ru", "en", "kz", "kg", "uz"}},
	{name: "pg_user_id", maxChars: 50, pattern: userID},
	{name: "pg_user_ip", shape: ipAddr, personal: true},
	{name: "pg_user_phone", pattern: phoneDigits, personal: true},
	{name: "pg_user_contact_email", shape: email, personal: true},
	{name: "pg_payment_method", required: true, enum: []string{"mobile_commerce"}},
	{name: "pg_request_method", enum: []string{"GET", "POST", "XML"}},
	{name: "pg_check_url", shape: webURL, maxChars: 255},
	{name: "pg_result_url", shape: webURL, maxChars: 255},
	{name: "pg_success_url", shape: webURL, maxChars: 255},
	{name: "pg_failure_url", shape: webURL, maxChars: 255},
	{name: "pg_site_url", shape: webURL, maxChars: 255},
	{name: "pg_success_url_method", enum: []string{"GET", "POST"}},
	{name: "pg_failure_url_method", enum: []string{"GET", "POST"}},
	{name: "pg_param1", maxChars: 255},
	{name: "pg_param2", maxChars: 255},
	{name: "pg_param3", maxChars: 255},
	{name: "pg_commission_discount", enum: []string{"0", "1"}},
	{name: "pg_commission_discount_fix", shape: number, low: "1", high: "99999999"},
	{name: "pg_commission_discount_percentage", shape: number, low: "1", high: "100"},
	{name: "pg_generate_qr", enum: []string{"0", "1"}},
	{name: "pg_idempotency_key", maxChars: 255},
	{name: "pg_salt", required: true, pattern: saltChars},
	{name: "pg_sig", required: true, pattern: sigChars},
}

// statusParams are those of get_status3.php. One of order id and payment id is
// needed as well.
var statusParams = []param{
	{name: "pg_merchant_id", shape: integer, required: true},
	{name: "pg_payment_id", shape: integer},
	{name: "pg_order_id", maxChars: 50},
	{name: "pg_salt", required: true, pattern: saltChars},
	{name: "pg_sig", required: true, pattern: sigChars},
}

func paramNamed(params []param, name string) *param {
	for i := range params {
		if params[i].name == name {
			return &params[i]
		}
	}
	return nil
}

// broken returns the rule that a value breaks, without the value, or "".
func (p *param) broken(v string) string {
	if v == "" {
		return "is empty"
	}
	if !utf8.ValidString(v) {
		return "is not UTF-8"
	}
	if rule := p.misshapen(v); rule != "" {
		return rule
	}
	if n := utf8.RuneCountInString(v); p.maxChars > 0 && n > p.maxChars {
		return fmt.Sprintf("has %d characters, more than %d", n, p.maxChars)
	}
	if p.enum != nil && !slices.Contains(p.enum, v) {
		return "is none of " + strings.Join(p.enum, ", ")
	}
	if p.pattern != nil && !p.pattern.MatchString(v) {
		return "does not match " + p.pattern.String()
	}
	return ""
}

func (p *param) misshapen(v string) string {
	switch p.shape {
	case integer:
		if !plainInteger.MatchString(v) {
			return "is no integer"
		}
		return p.outOfBounds(v)
	case number:
		if !plainNumber.MatchString(v) {
			return "is no plain number"
		}
		return p.outOfBounds(v)
	case email:
		if a, err := mail.ParseAddress(v); err != nil || a.Address != v {
			return "is no e-mail address"
		}
	case webURL:
		if u, err := url.Parse(v); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "is no http(s) URL"
		}
	case ipAddr:
		if _, err := netip.ParseAddr(v); err != nil {
			return "is no IP address"
		}
	}
	return ""
}

// outOfBounds judges a plain number.
func (p *param) outOfBounds(v string) string {
	if _, frac, _ := strings.Cut(v, "."); p.maxFrac > 0 && len(frac) > p.maxFrac {
		return fmt.Sprintf("has more than %d digits after the point", p.maxFrac)
	}
	if p.low == "" {
		return ""
	}
	if n := rational(v); n.Cmp(rational(p.low)) < 0 || n.Cmp(rational(p.high)) > 0 {
		return fmt.Sprintf("is not between %s and %s", p.low, p.high)
	}
	return ""
}

func rational(plain string) *big.Rat {
	n, _ := new(big.Rat).SetString(plain)
	return n
}
