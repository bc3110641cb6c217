package reconcile

import (
	"fmt"
	"slices"
	"time"
)

// A Group is all that a range says of one intent, or of one record that names none.
// It is valid until yield returns.
type Group struct {
	key                     string
	outcomes, dead, emitted []entry // in the order of their places
	more                    [3]int  // that were only counted, by sort

	// What settle finds.
	orphans []entry // outcomes whose intent's record is not there
	others  []entry // outcomes that name another merchant than their intent's record
	lost    []entry // emitted, below the committed offset, without an answer
	waiting bool    // emitted, and neither answered nor lost
	beyond  bool    // emitted, neither lost nor waiting, and what answered it may have been deleted
	buried  bool    // a record of it got a dead letter
	head    entry   // whose merchant, order and amount speak for the intent
}

func (g *Group) restart(key string) {
	*g = Group{key: key, outcomes: g.outcomes[:0], dead: g.dead[:0], emitted: g.emitted[:0]}
}

// add takes an entry in. A group that is larger than any honest one is cut, so that
// one intent id cannot take all memory.
func (g *Group) add(e entry) {
	list := [...]*[]entry{outcome: &g.outcomes, deadLetter: &g.dead, emitted: &g.emitted}[e.sort]
	if len(*list) == mostOfASort {
		g.more[e.sort]++
		return
	}
	*list = append(*list, e)
}

func (g *Group) count(s sort) int {
	return len([...][]entry{outcome: g.outcomes, deadLetter: g.dead, emitted: g.emitted}[s]) + g.more[s]
}

// nameless reports whether no intent id can be read.
func (g *Group) nameless() bool { return g.key[0] == nameless }

// settle judges what the group holds. False: nothing of it is of the range.
func (g *Group) settle(j *join) bool {
	concerns := len(g.emitted) > 0 || len(g.dead) > 0
	for i := range g.outcomes {
		o := &g.outcomes[i]
		switch {
		case !o.is(inRange):
		case o.is(isGarbled):
			concerns = true
		case j.spans.stillHolds(o.source):
			concerns = true
			switch of := g.recordAt(o.source); {
			case of == nil && g.more[emitted] == 0:
				g.orphans = append(g.orphans, *o)
			case of != nil && of.isOfOther(o):
				g.others = append(g.others, *o)
			}
		}
	}
	g.buried = len(g.dead) > 0
	g.judgeEmitted(j)
	g.head = g.speaker()
	return concerns
}

// judgeEmitted finds records without an answer.
func (g *Group) judgeEmitted(j *join) {
	for i := range g.emitted {
		e := &g.emitted[i]
		switch {
		case slices.ContainsFunc(g.dead, func(d entry) bool { return d.source == e.at }):
		case j.isBuried(e.at):
			g.buried = true
		case g.isRepeat(e):
		case j.archive.Range.Committed != nil && e.at.offset < j.archive.Range.Committed[e.at.partition]:
			if j.isBeyondReach(e) {
				g.beyond = true
				continue
			}
			g.lost = append(g.lost, *e)
		case len(g.outcomes) == 0:
			g.waiting = true
		}
	}
	g.waiting = g.waiting && len(g.lost) == 0
	g.beyond = g.beyond && len(g.lost) == 0 && !g.waiting
}

// isRepeat reports whether an outcome answers a record: it says the same as the
// record that was answered, or nothing proves that it does not.
func (g *Group) isRepeat(e *entry) bool {
	other := false
	for i := range g.outcomes {
		o := &g.outcomes[i]
		answered := g.recordAt(o.source)
		if o.is(isGarbled) || answered == nil || answered.digest == e.digest || o.digest == e.digest {
			return true
		}
		other = true
	}
	return !other && len(g.outcomes) > 0
}

// isOfOther reports whether an intent's record names another merchant than its outcome.
// One that names none says nothing: the default merchant may have been another one then.
func (e *entry) isOfOther(o *entry) bool {
	return !e.is(isOfDefault) && e.merchant != "" && o.merchant != "" && e.merchant != o.merchant
}

func (g *Group) recordAt(at spot) *entry {
	for i := range g.emitted {
		if g.emitted[i].at == at {
			return &g.emitted[i]
		}
	}
	return nil
}

// answer returns the outcome that speaks for the intent, or nil: the first that can
// be understood.
func (g *Group) answer() *entry {
	for i := range g.outcomes {
		if !g.outcomes[i].is(isGarbled) {
			return &g.outcomes[i]
		}
	}
	return nil
}

// speaker chooses whose fields to show: the outcome's, else those of the first
// record. Whose order it is, the record says that was answered. The time is the
// intent's, if it is there.
func (g *Group) speaker() entry {
	var head entry
	switch o := g.answer(); {
	case o != nil:
		head = *o
		if in := g.recordAt(o.source); in != nil {
			head.askAs(in)
		}
	case len(g.emitted) > 0:
		head = g.emitted[0]
	case len(g.dead) > 0:
		head = g.dead[0]
	default:
		head = g.outcomes[0]
	}
	if len(g.emitted) > 0 {
		in := &g.emitted[0]
		head.time = in.time
		if head.merchant == "" {
			head.merchant = in.merchant
		}
		if head.order == "" {
			head.order = in.order
		}
		if head.amount == "" {
			head.amount, head.currency = in.amount, in.currency
		}
	}
	return head
}

// askAs takes merchant and order from the record that an outcome answers: a payment that
// was made for it is there, whatever the outcome says. The default merchant of today was
// perhaps another one then: the outcome knows better.
func (e *entry) askAs(in *entry) {
	if in.merchant != "" && !in.is(isOfDefault) {
		e.merchant = in.merchant
	}
	if in.order != "" {
		e.order = in.order
	}
}

func (g *Group) age(moment time.Time) time.Duration {
	if g.head.time.IsZero() {
		return 0
	}
	return max(0, moment.Sub(g.head.time))
}

// wants reports whether a group passes the filter.
func (f Filter) wants(g *Group) bool {
	return (f.Intent == "" || f.Intent == g.head.id) && (f.Merchant == "" || f.Merchant == g.head.merchant) &&
		(f.Order == "" || f.Order == g.head.order)
}

func (s spot) in(topic string) string { return fmt.Sprintf("%s/%d@%d", topic, s.partition, s.offset) }

// andMore says that there are n more of something, if there are.
func andMore(n int, what string) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf("; and %d more %s", n, what)
}
