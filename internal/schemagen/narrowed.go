package schemagen

import (
	"slices"
	"strings"
)

// A narrowing is a rule of an intent's fields that became stricter after a
// release, on purpose.
type narrowing struct {
	fields    string // their names, with blanks between them
	what, now string // the keyword of JSON Schema, and what it says now
	why       string // what was good before, and why nobody misses it
}

// narrowings are all that Break lets pass. Avro and Protobuf have no such rules,
// and JSON is judged by the service and by nobody else, so no reader breaks. An
// emitter whose intents are refused for them gets invalid_intent, with the rule,
// where it got an error of the gateway, or a link that would not have worked. A
// registry that compares JSON Schemas sees them too: it has to be told NONE once.
var narrowings = []narrowing{
	{"user_contact_email", "maxLength", "254", "no mail can be sent to a longer address (RFC 5321)"},
	{"commission_discount_fix commission_discount_percentage", "maxLength", "32", "a number within its bounds needs no more digits"},
	{"expires_at created_at", "maxLength", "64", "a time in nanoseconds with its zone has 35"},
	{"order_id idempotency_key", "pattern", controlsPattern, "names with control characters cannot be told apart by those who read them"},
	{"description param1 param2 param3", "pattern", linesPattern, "XML, in which the gateway speaks, carries no such characters"},
	{"check_url result_url success_url failure_url site_url", "pattern", urlPattern(), "the gateway cannot call such addresses, or calls another host than it seems"},
}

// narrowed reports whether a rule may have become what it is now.
func (c *jsonChange) narrowed(at, what, now string) bool {
	return !c.outcome && slices.ContainsFunc(narrowings, func(n narrowing) bool {
		return n.what == what && n.now == now && slices.Contains(strings.Fields(n.fields), strings.TrimPrefix(at, "."))
	})
}
