package payment

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// URLRule returns the rule that a text breaks as the address of a page: a
// sentence without the text, or "". It must be an absolute http or https URL
// that is what it looks like: no user name (https://bank.example@evil.example is
// at evil.example), and no character that shows nothing or turns the others
// around. Such an address is refused, and never mended: what was meant cannot be
// known.
func URLRule(v string) string {
	if strings.ContainsFunc(v, unseen) {
		return ruleUnseen
	}
	u, err := url.Parse(v)
	if err != nil && badPort(v) {
		return rulePort
	}
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "must be an absolute http or https URL"
	case u.User != nil:
		return "must not hold a user name or password"
	case u.Port() != "" && !possible(u.Port()):
		return rulePort
	case strings.ContainsFunc(u.Hostname(), unseen): // it was written as %E2%80%AE
		return ruleUnseen
	}
	return ""
}

const (
	ruleUnseen = "must not hold spaces, control or bidirectional characters"
	rulePort   = "must have a port from 1 to 65535, or none"
)

// badPort reports whether a text that is no URL would be one without its port.
func badPort(v string) bool {
	scheme, rest, _ := strings.Cut(v, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	colon := strings.LastIndexByte(rest[:end], ':')
	if colon <= 0 {
		return false
	}
	u, err := url.Parse(scheme + "://" + rest[:colon] + rest[end:])
	return err == nil && u.Hostname() != "" && !possible(rest[colon+1:end])
}

func possible(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// unseen reports whether a character shows nothing where it stands, or changes
// the order in which others are shown: spaces, controls, and what Unicode calls
// format characters, the bidirectional ones among them.
func unseen(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z) }

// Hosts is a list of hosts that an address may have, each a name, or "*." and a
// name for all hosts below it. The empty list allows every host.
type Hosts []string

// maxHost is how long a name of the domain name system may be.
const maxHost = 253

// Allow reports whether the list allows the host of an address. Names are
// compared as they are written, but for upper and lower case; a port does not matter.
// What is no name is below none, though it ends like one: https://[::1%25.pay.example]/
// is at ::1, and of a fullwidth slash before ".pay.example" others make a slash.
func (h Hosts) Allow(address string) bool {
	if len(h) == 0 {
		return true
	}
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if !isName(host) {
		return false
	}
	for _, allowed := range h {
		if suffix, wild := strings.CutPrefix(allowed, "*"); host == allowed || wild && len(host) > len(suffix) && strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// String lists the hosts; of a long list, the first.
func (h Hosts) String() string {
	const shown = 8
	if len(h) <= shown {
		return strings.Join(h, ", ")
	}
	return strings.Join(h[:shown], ", ") + " or " + strconv.Itoa(len(h)-shown) + " more"
}

// ParseHost reads one entry of Hosts. It reports false for what is none: an
// address with scheme, port or path, or a "*" that stands elsewhere.
func ParseHost(s string) (host string, ok bool) {
	host = strings.ToLower(s)
	if !isName(strings.TrimPrefix(host, "*.")) {
		return "", false
	}
	return host, true
}

// isName reports whether a host, in lower case, is a name as addresses hold them.
func isName(host string) bool {
	if len(host) > maxHost {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
