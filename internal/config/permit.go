package config

import (
	"slices"
	"strings"
	"unicode"

	"paylink/internal/payment"
)

// maxHosts bounds a list of hosts: it is gone through for every address.
const maxHosts = 256

// listKeys are the keys of a merchant's entry that take a list.
var listKeys = map[string]bool{"link_hosts": true, "lock": true, "allow_hosts": true}

// setList takes over a key of a merchant's entry that takes a list. The empty
// list takes back what the settings say for all merchants.
func (m *Merchant) setList(key string, g given) (err error) {
	items := g.list
	if items == nil && g.text == "" {
		return problem(g.from, "is empty; write a list, or [] for none")
	}
	if items == nil {
		items = strings.Split(g.text, ",")
	}
	switch key {
	case "link_hosts":
		m.LinkHosts, err = parseHosts(g.from, items)
	case "allow_hosts":
		m.Permit.Hosts, err = parseHosts(g.from, items)
	case "lock":
		m.Permit.Locked, err = parseLocks(g.from, items)
	}
	return err
}

// parseHosts reads a list of hosts.
func parseHosts(from string, items []string) (payment.Hosts, error) {
	var hosts payment.Hosts
	for _, item := range items {
		host, ok := payment.ParseHost(strings.TrimSpace(item))
		switch {
		case strings.TrimSpace(item) == "*":
			return nil, problem(from, "\"*\" is no host; leave the setting out to allow every host")
		case strings.Contains(item, "@"): // perhaps with a password before it
			return nil, problem(from, "holds an entry with @, which is no host; write a name such as shop.example")
		case strings.ContainsFunc(item, func(r rune) bool { return r > unicode.MaxASCII }):
			return nil, problem(from, "%.80q is no host as it is written in addresses; write its ASCII form, which begins with xn--", item)
		case !ok:
			return nil, problem(from, "%.80q is no host; write a name such as shop.example, or *.shop.example for all below it, without https://, port and path", item)
		}
		hosts = append(hosts, host)
	}
	if len(hosts) > maxHosts {
		return nil, problem(from, "lists %d hosts; write at most %d, with *. for many below one", len(hosts), maxHosts)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), nil
}

// parseLocks reads a list of fields that can be locked.
func parseLocks(from string, items []string) ([]string, error) {
	var locks []string
	for _, item := range items {
		name := strings.ToLower(strings.TrimSpace(item))
		f := payment.FieldNamed(name)
		switch {
		case f == nil:
			return nil, problem(from, "%.80q is no field of an intent; the nearest that can be locked is %s", name, nearest(name, lockable()))
		case !f.MayLock():
			return nil, problem(from, "%s cannot be locked: every intent needs it, or it is not for the gateway; the nearest that can be is %s", name, nearest(name, lockable()))
		}
		locks = append(locks, name)
	}
	slices.Sort(locks)
	return slices.Compact(locks), nil
}

func lockable() map[string]bool {
	names := map[string]bool{}
	for i := range payment.Fields {
		if payment.Fields[i].MayLock() {
			names[payment.Fields[i].Name] = true
		}
	}
	return names
}
