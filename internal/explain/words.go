package explain

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"paylink/internal/event"
	"paylink/internal/facts"
	"paylink/internal/payment"
)

// A teller says single records of a story in sentences that one may read to a
// customer.
type teller struct {
	story             *Story
	outcome, original *facts.Fact
	answered          bool // an outcome was told
}

func (t *teller) tell(f *facts.Fact) (what, text string) {
	damaged := f.Text != "" && f.Reason == "" // only its headers could be read
	switch {
	case f.Kind == facts.Created && damaged:
		return Created, t.second() + "The payment link was made. The outcome itself cannot be read: " + f.Text + "."
	case f.Kind == facts.Created:
		return Created, t.second() + t.created(f)
	case f.Kind == facts.Failed && damaged:
		return Failed, t.second() + "No payment link. The outcome itself cannot be read: " + f.Text + "."
	case f.Kind == facts.Failed:
		return Failed, t.second() + failed(f)
	case f.Kind == facts.DeadLetter:
		return DeadLetter, buried(f)
	}
	return t.emitted(f)
}

// second warns of an outcome beside the first one.
func (t *teller) second() string {
	if !t.answered {
		t.answered = true
		return ""
	}
	return "A second outcome of the same intent, which must not be: see deploy/runbook.md, \"two links?\". "
}

func (t *teller) emitted(f *facts.Fact) (what, text string) {
	switch first := t.original; {
	case first == nil && t.outcome != nil && differs(*t.outcome, *f):
		return Conflict, "The same intent id again, with other content than was answered" + where(*f) + "."
	case first == nil && t.outcome != nil && f.At.Partition == t.outcome.Source.Partition && f.At.Offset > t.outcome.Source.Offset:
		return Repeated, "The same request again, with nothing different. It gets no second link."
	case first == nil || first.At == f.At:
		return Emitted, asks(*f)
	case differs(*first, *f):
		return Conflict, "The same intent id, with other content: " + changes(*first, *f) + "."
	case before(f, first):
		return Emitted, asks(*f)
	}
	return Repeated, "The same request again, with nothing different. It gets no second link."
}

// before reports whether a record came before another one.
func before(f, g *facts.Fact) bool {
	if f.At.Partition == g.At.Partition {
		return f.At.Offset < g.At.Offset
	}
	return f.Time.Before(g.Time)
}

func differs(a, b facts.Fact) bool {
	return a.Digest != b.Digest && a.Digest != event.Digest{} && b.Digest != event.Digest{}
}

// asks says what an intent asks for.
func asks(f facts.Fact) string {
	who := "Merchant " + string(f.Merchant)
	if f.Merchant == "" {
		who = "A merchant that is not named"
	}
	s := fmt.Sprintf("%s asks for a payment link%s.", who, where(f))
	for i, v := range f.Violations {
		if i == 0 {
			s += " It breaks rules:"
		}
		s += fmt.Sprintf(" %s %s;", v.Field, v.Rule)
	}
	s = strings.TrimSuffix(s, ";")
	if len(f.Violations) > 0 {
		s += "."
	}
	if !f.Expires.IsZero() {
		s += " No link is made after " + clock(f.Expires) + "."
	}
	return s
}

// where names amount and order.
func where(f facts.Fact) string {
	s := ""
	if f.Amount != "" {
		s += " of " + money(f.Amount, f.Currency)
	}
	if f.OrderID != "" {
		s += " for order " + f.OrderID
	}
	return s
}

func money(m payment.Money, currency string) string {
	if currency == "" {
		return string(m)
	}
	return string(m) + " " + currency
}

// changes names what differs between two intents under one id.
func changes(a, b facts.Fact) string {
	var all []string
	add := func(name, x, y string) {
		if x != y && x != "" && y != "" {
			all = append(all, fmt.Sprintf("%s %s instead of %s", name, y, x))
		}
	}
	add("merchant", string(a.Merchant), string(b.Merchant))
	add("order", a.OrderID, b.OrderID)
	add("amount", money(a.Amount, a.Currency), money(b.Amount, b.Currency))
	if len(all) == 0 {
		return "a field beside merchant, order and amount differs"
	}
	return strings.Join(all, ", ")
}

func (t *teller) created(f *facts.Fact) string {
	s := fmt.Sprintf("The payment link was made%s: payment %d, %s, after %s.", where(*f), f.PaymentID, masked(f.Link), calls(f.Attempts))
	if t.original == nil && t.outcome == f {
		s += " The record that asked for it, " + spot(f.Source) + ", is not in what was searched: it is older, or deleted."
	}
	return s
}

// masked shows a link's host only: who has all of it can open the payer's page.
func masked(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Host == "" {
		return "link hidden"
	}
	return "link " + u.Scheme + "://" + u.Hostname() + "/… (the rest is hidden)"
}

func calls(n int) string {
	if n == 1 {
		return "1 call of the gateway"
	}
	return fmt.Sprintf("%d calls of the gateway", n)
}

var failures = map[payment.Reason]string{
	payment.InvalidIntent: "the request breaks a rule, and was never sent to the gateway",
	payment.Refused:       "the gateway refused it for good",
	payment.Expired:       "its time (expires_at) was over before a link was made",
	payment.GaveUp:        "it could not be settled in time, and was given up",
	payment.Duplicate:     "the gateway has the order id or the key already, and not provably for this request",
}

func failed(f *facts.Fact) string {
	why, known := failures[payment.Reason(f.Reason)]
	if !known {
		why = f.Reason
	}
	s := "No payment link: " + why
	if f.Code != "" {
		s += ", error " + f.Code
	}
	if f.Text != "" {
		s += " (" + strings.TrimRight(f.Text, ". ") + ")"
	}
	if f.Attempts > 0 {
		s += ", after " + calls(f.Attempts)
	}
	s += "."
	switch {
	case f.MayExist && f.PaymentID != 0:
		s += fmt.Sprintf(" Payment %d exists at the gateway.", f.PaymentID)
	case f.MayExist:
		s += " A payment may exist at the gateway all the same: look before asking again."
	default:
		s += " No payment exists of it."
	}
	if f.Retryable {
		s += " A new request may succeed."
	}
	return s
}

func buried(f *facts.Fact) string {
	s := fmt.Sprintf("The record %s gets no outcome and went to the dead letters: %s", spot(f.Source), f.Reason)
	if f.Text != "" {
		s += ", " + strings.TrimRight(f.Text, ".")
	}
	return s + "."
}

func spot(p event.Place) string { return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset) }

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
