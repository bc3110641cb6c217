package reconcile

import (
	"fmt"

	"paylink/internal/facts"
	"paylink/internal/payment"
)

// A Class is what reconcile calls an intent.
type Class uint8

// The classes, in the order in which they are tried.
const (
	SecondOutcome Class = iota
	OutcomeWithoutIntent
	HasDeadLetter
	Waiting
	WaitingButExists
	NoOutcome
	NoOutcomeButExists
	NotAtGateway
	OtherPayment
	Differs
	FailedButExists
	Unasked
	OtherMerchant
	Matched
	classes
)

// String returns the word that the verb prints.
func (c Class) String() string {
	return [...]string{"second_outcome", "outcome_without_intent", "dead_letter", "waiting", "waiting_but_exists", "no_outcome",
		"no_outcome_but_exists", "not_at_gateway", "other_payment", "differs", "failed_but_exists", "unasked", "other_merchant", "matched"}[c]
}

// IsDifference reports whether somebody has to look at it.
func (c Class) IsDifference() bool { return c != Waiting && c != Matched }

// ofTopics reports whether it may occur without the gateway.
func (c Class) ofTopics() bool { return c <= Waiting || c == NoOutcome || c >= OtherMerchant }

// A matter is one intent, as far as the topics tell: what the gateway says of its
// order decides the rest.
type matter struct {
	class  Class // Waiting, NoOutcome, OtherMerchant or Matched where the gateway has a say
	state  state
	ask    bool // the gateway has a say, and the order is known
	id     string
	entry  entry // merchant, order, amount, currency, payment
	ageS   int64
	detail string
}

// A state is what the topics tell of an intent that the gateway has a say in.
type state uint8

const (
	open state = iota
	created
	failed
)

// matterOf decides what the topics alone can decide. False: it is told elsewhere.
func (r *reconciler) matterOf(g *Group) (m matter, ok bool) {
	m = matter{id: g.head.id, entry: g.head, ageS: int64(g.age(r.archive.Range.Moment).Seconds()), class: Matched}
	topics, answer := r.archive.Facts.Topics, g.answer()
	switch {
	case g.count(outcome) > 1:
		m.class = SecondOutcome
		m.detail = fmt.Sprintf("%d outcomes: %s and %s%s", g.count(outcome), g.outcomes[0].at.in(topics.Outcomes),
			g.outcomes[1].at.in(topics.Outcomes), andMore(g.count(outcome)-2, "of them"))
	case len(g.orphans) > 0:
		m.class = OutcomeWithoutIntent
		m.detail = fmt.Sprintf("%s answers %s, where no record of this intent is", g.orphans[0].at.in(topics.Outcomes), g.orphans[0].source.in(topics.Intents))
	case g.nameless() && len(g.outcomes) > 0:
		m.class, m.detail = OutcomeWithoutIntent, g.outcomes[0].at.in(topics.Outcomes)+" cannot be read: "+g.outcomes[0].broken
	case g.nameless() && g.count(emitted) == 0 && !g.dead[0].is(sourceless):
		return m, false // its record can be read, or is gone: the intent's own group tells
	case g.buried:
		m.class, m.detail = HasDeadLetter, deadDetail(g, topics)
	case answer == nil:
		m.state, m.ask = open, true
		m.class, m.detail = r.unanswered(g, topics)
	case answer.is(isCreated):
		m.state, m.ask = created, true
	default:
		m.state, m.ask, m.detail = failed, true, answer.word
	}
	if m.class == Matched && len(g.others) > 0 {
		m.class, m.detail = OtherMerchant, join2(m.detail, g.otherDetail(0, topics))
	}
	m.ask = m.ask && m.entry.merchant != "" && m.entry.order != "" && !r.offline
	return m, true
}

// unanswered tells waiting from no outcome.
func (r *reconciler) unanswered(g *Group, topics facts.Topics) (Class, string) {
	class := NoOutcome
	if len(g.outcomes) == 0 && g.age(r.archive.Range.Moment) < r.giveUpAfter {
		class = Waiting
	}
	detail := ""
	switch {
	case len(g.outcomes) > 0:
		detail = g.outcomes[0].at.in(topics.Outcomes) + " cannot be read: " + g.outcomes[0].broken
	case len(g.lost) > 0:
		detail = g.lost[0].at.in(topics.Intents) + ", below the committed offset"
	case len(g.emitted) > 0:
		detail = g.emitted[0].at.in(topics.Intents)
		if g.beyond {
			detail += "; its outcome may have been deleted"
		}
	}
	if len(g.emitted) > 0 && g.emitted[0].word != "" {
		detail += " (" + g.emitted[0].word + ")"
	}
	return class, detail
}

func deadDetail(g *Group, topics facts.Topics) string {
	if len(g.dead) == 0 {
		return "its record got a dead letter that cannot be read"
	}
	d := &g.dead[0]
	if d.broken != "" {
		return d.at.in(topics.DeadLetters) + ": " + d.broken
	}
	s := d.word + ": " + d.at.in(topics.DeadLetters) + " of " + d.source.in(topics.Intents)
	switch o := g.answer(); {
	case o == nil:
	case o.is(isCreated):
		s += "; the intent has a link"
	default:
		s += "; the intent failed: " + o.word
	}
	return s + andMore(g.count(deadLetter)-1, "dead letters")
}

// decide adds what the gateway says: found, or a payment that does not exist. A nil
// answer is none.
func (m *matter) decide(a *answer, why string) (class Class, detail string, gatewayPayment int64) {
	class, detail = m.class, m.detail
	switch {
	case !m.ask:
		return class, detail, 0
	case a == nil && m.state == open:
		return class, join2(detail, "the gateway was not asked: "+why), 0
	case a == nil:
		return Unasked, join2(detail, why), 0
	case !a.Found && m.state == created:
		return NotAtGateway, join2(detail, "the gateway knows no such order"), 0
	case !a.Found:
		return class, detail, 0
	}
	says := "the gateway says " + a.State
	switch m.state {
	case open:
		return class + 1, join2(detail, says), a.Payment // the class with _but_exists
	case failed:
		return FailedButExists, join2(detail, says), a.Payment
	}
	switch {
	case a.Payment != m.entry.payment:
		return OtherPayment, join2(detail, says), a.Payment
	case !payment.Money(m.entry.amount).Equal(payment.Money(a.Amount)):
		return Differs, join2(detail, fmt.Sprintf("amount %s at the gateway; %s", clip(a.Amount), says)), a.Payment
	case m.entry.currency != "" && a.Currency != m.entry.currency:
		return Differs, join2(detail, fmt.Sprintf("currency %s at the gateway; %s", clip(a.Currency), says)), a.Payment
	}
	return class, detail, a.Payment
}

func join2(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// clip bounds a word of the gateway.
func clip(s string) string { return s[:min(len(s), 32)] }
