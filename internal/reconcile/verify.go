package reconcile

import (
	"context"
	"fmt"

	"paylink/internal/facts"
)

// The findings of verify.
const (
	FoundSecond    = "second_outcome"
	FoundLost      = "lost"
	FoundMalformed = "malformed"
	FoundOrphan    = "outcome_without_intent"
	FoundOther     = "other_merchant"
)

// A Finding is one thing that breaks the promise. Partition and offset are those of
// the record that it is about.
type Finding struct {
	Kind      string `json:"kind"`
	Finding   string `json:"finding"`
	Intent    string `json:"intent_id"`
	Merchant  string `json:"merchant_id"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Detail    string `json:"detail"`
}

// Verified is the summary of verify.
type Verified struct {
	Kind        string         `json:"kind"`
	Records     int            `json:"records"` // of the intent topic
	Intents     int            `json:"intents"` // different ids
	Unreadable  int            `json:"unreadable"`
	Outcomes    int            `json:"outcomes"`
	Created     int            `json:"created"`
	Failed      int            `json:"failed"`
	DeadLetters int            `json:"dead_letters"`
	Waiting     int            `json:"waiting"`      // intents and unreadable records that nobody has answered yet
	BeyondReach int            `json:"beyond_reach"` // likewise, whose outcome may have been deleted: they are not judged
	Findings    map[string]int `json:"findings"`
}

// Clean reports whether nothing was found.
func (v *Verified) Clean() bool {
	for _, n := range v.Findings {
		if n > 0 {
			return false
		}
	}
	return true
}

// Lines is the summary for people.
func (v *Verified) Lines() []string {
	lines := []string{
		fmt.Sprintf("%d intents in %d records; %d records are no intents", v.Intents, v.Records, v.Unreadable),
		fmt.Sprintf("%d outcomes: %d created, %d failed", v.Outcomes, v.Created, v.Failed),
		fmt.Sprintf("%d dead letters, %d waiting", v.DeadLetters, v.Waiting),
	}
	if v.BeyondReach > 0 {
		lines = append(lines, fmt.Sprintf("%d without an answer are not judged: the outcome topic does not reach back to them", v.BeyondReach))
	}
	found := "findings:"
	for _, name := range [...]string{FoundSecond, FoundLost, FoundMalformed, FoundOrphan, FoundOther} {
		if n, ok := v.Findings[name]; ok {
			found += fmt.Sprintf(" %d %s,", n, name)
		}
	}
	return append(lines, found[:len(found)-1])
}

// Verify judges the promise over the archive's range, from the topics alone. Without
// the range's committed offsets it cannot tell what is lost, and does not.
func (a *Archive) Verify(ctx context.Context, yield func(Finding) error) (*Verified, error) {
	v := &verifier{yield: yield, topics: a.Facts.Topics}
	v.sum = Verified{Kind: "summary", Findings: map[string]int{FoundSecond: 0, FoundMalformed: 0, FoundOrphan: 0, FoundOther: 0}}
	if a.Range.Committed != nil {
		v.sum.Findings[FoundLost] = 0
	}
	if err := a.Groups(ctx, v.group); err != nil {
		return nil, err
	}
	return &v.sum, ctx.Err()
}

type verifier struct {
	yield  func(Finding) error
	topics facts.Topics
	sum    Verified
}

func (v *verifier) group(g *Group) error {
	v.counts(g)
	return v.findings(g)
}

func (v *verifier) counts(g *Group) {
	v.sum.Records += g.count(emitted)
	switch {
	case g.count(emitted) == 0:
	case g.nameless():
		v.sum.Unreadable += g.count(emitted)
	default:
		v.sum.Intents++
	}
	v.sum.Outcomes += g.count(outcome)
	for i := range g.outcomes {
		switch o := &g.outcomes[i]; {
		case o.is(isGarbled):
		case o.is(isCreated):
			v.sum.Created++
		default:
			v.sum.Failed++
		}
	}
	if g.count(deadLetter) > 0 && !g.dead[0].is(sourceless) {
		v.sum.DeadLetters += g.count(deadLetter)
	}
	if g.waiting {
		v.sum.Waiting++
	}
	if g.beyond {
		v.sum.BeyondReach++
	}
}

// findings tells what is wrong with a group.
func (v *verifier) findings(g *Group) error {
	for i := range g.outcomes {
		o := &g.outcomes[i]
		if i > 0 {
			if err := v.found(g, FoundSecond, o, fmt.Sprintf("%s is a further outcome; the first is %s",
				o.at.in(v.topics.Outcomes), g.outcomes[0].at.in(v.topics.Outcomes))); err != nil {
				return err
			}
		}
		if o.broken != "" && o.is(inRange) {
			if err := v.found(g, FoundMalformed, o, o.at.in(v.topics.Outcomes)+": "+o.broken); err != nil {
				return err
			}
		}
	}
	v.sum.Findings[FoundSecond] += g.more[outcome]
	for i := range g.orphans {
		o := &g.orphans[i]
		if err := v.found(g, FoundOrphan, o, fmt.Sprintf("%s answers %s, where no record of this intent is",
			o.at.in(v.topics.Outcomes), o.source.in(v.topics.Intents))); err != nil {
			return err
		}
	}
	for i := range g.others {
		if err := v.found(g, FoundOther, &g.others[i], g.otherDetail(i, v.topics)); err != nil {
			return err
		}
	}
	for i := range g.dead {
		if d := &g.dead[i]; d.broken != "" {
			if err := v.found(g, FoundMalformed, d, d.at.in(v.topics.DeadLetters)+": "+d.broken); err != nil {
				return err
			}
		}
	}
	if len(g.lost) > 0 {
		l := &g.lost[0]
		return v.found(g, FoundLost, l, l.at.in(v.topics.Intents)+" is below the committed offset and has neither outcome nor dead letter"+
			andMore(len(g.lost)-1, "records of it"))
	}
	return nil
}

// otherDetail says whose outcome it is, and whose intent.
func (g *Group) otherDetail(i int, topics facts.Topics) string {
	o := &g.others[i]
	return fmt.Sprintf("%s names merchant %s, and %s merchant %s", o.at.in(topics.Outcomes), o.merchant,
		o.source.in(topics.Intents), g.recordAt(o.source).merchant)
}

func (v *verifier) found(g *Group, what string, e *entry, detail string) error {
	v.sum.Findings[what]++
	return v.yield(Finding{Kind: "finding", Finding: what, Intent: e.id, Merchant: g.head.merchant,
		Partition: e.at.partition, Offset: e.at.offset, Detail: detail})
}
