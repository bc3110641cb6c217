package payment

import "slices"

// A Permit says what the emitters of a merchant's intents may say. The zero
// Permit lets them say all that Fields allows.
//
// Whoever may write to the intent topic speaks in the merchant's name. A result_url
// of another's would have the gateway tell somebody else that a payment was made.
type Permit struct {
	// Locked are the names of fields that an intent may not give: the merchant's
	// defaults, or else the gateway's, are in force.
	Locked []string

	// Hosts are those that the addresses an intent gives may have.
	Hosts Hosts
}

// MayLock reports whether a field can be locked: it is a parameter of Init that
// an intent need not give.
func (f *Field) MayLock() bool { return f.Init && !f.Required && f.Name != "merchant_id" }

// Rule returns the rule that a value of a field breaks, as a sentence without the
// value, or "". What the merchant's defaults say anyway may always be said.
func (p *Permit) Rule(f *Field, v string, defaults []Param) string {
	locked := slices.Contains(p.Locked, f.Name)
	strange := f.Kind == URL && !p.Hosts.Allow(v)
	if !locked && !strange {
		return ""
	}
	at := slices.IndexFunc(defaults, func(d Param) bool { return d.Name == f.Name })
	switch {
	case at >= 0 && defaults[at].Value == v:
		return ""
	case locked && at >= 0:
		return "is locked in the merchant's settings: leave it out, or give the value that stands there"
	case locked:
		return "is locked in the merchant's settings: leave it out"
	}
	return "must be at a host that the merchant's settings allow: " + p.Hosts.String()
}
