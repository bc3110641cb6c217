package history

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The rules: the promises of internal/README.md by their numbers, and some that
// they rest on.
const (
	S1 = "S1" // at most one outcome per intent, for either isolation level
	S2 = "S2" // no commit before everything below it is durable
	S3 = "S3" // records of one key are settled in order
	S4 = "S4" // every call of an intent says the same under the same key
	S5 = "S5" // a merchant's rate is never exceeded
	S6 = "S6" // created only after a signed answer; "nothing exists" only if so
	S7 = "S7" // what a reader of committed records cannot see is never acted on
	L1 = "L1" // every intent gets an outcome, every other record a dead letter, and all is committed
	L2 = "L2" // an intent's fate depends on no other intent, but on those before it under its key, and its merchant's rate
	L3 = "L3" // an intent gives up only if a call for it was not free in time
	M1 = "M1" // memory is bounded

	Once    = "once"    // what has its outcome gets no Init again
	Lease   = "lease"   // no call in a time of silence
	Repeats = "repeats" // a call is repeated only after a fault of who made it
	Expiry  = "expiry"  // no Init after the intent's expires_at
	Bound   = "bound"   // a member has so many calls in flight, and no more
)

// Rules lists all rules.
func Rules() []string {
	return []string{S1, S2, S3, S4, S5, S6, S7, L1, L2, L3, M1, Once, Lease, Repeats, Expiry, Bound}
}

// A Verdict is what Judge finds.
type Verdict struct {
	Violations []Violation
	Counts     Counts
	Lost       map[Place]bool // records of the intent topic that have neither outcome nor dead letter
}

// A Violation is one broken rule.
type Violation struct {
	Rule  string
	Story string // what happened, and the records involved; several lines
}

// Counts are facts that break no rule by themselves.
type Counts struct {
	Intents         int // different ids that were to be settled
	Outcomes        int
	DeadLetters     int
	Calls           int // Init and look-ups
	Repeated        int // Init calls beyond the first of their intent
	RepeatedIntents int
	MostCalls       int // Init calls of one intent
	SecondPayments  int // payments beyond the first of their intent
	Faults          int
}

// String says the counts in one line.
func (c Counts) String() string {
	return fmt.Sprintf("%d intents, %d outcomes, %d dead letters, %d calls, %d repeated (of %d intents, at most %d of one), %d second payments, %d faults",
		c.Intents, c.Outcomes, c.DeadLetters, c.Calls, c.Repeated, c.RepeatedIntents, c.MostCalls, c.SecondPayments, c.Faults)
}

// Broken returns the violations of one rule.
func (v Verdict) Broken(rule string) []Violation {
	return slices.DeleteFunc(slices.Clone(v.Violations), func(x Violation) bool { return x.Rule != rule })
}

// Rules names the rules that are broken: those of Rules first, in their order, then
// those that somebody else has added.
func (v Verdict) Rules() (broken []string) {
	all := Rules()
	for _, x := range v.Violations {
		if !slices.Contains(all, x.Rule) {
			all = append(all, x.Rule)
		}
	}
	return slices.DeleteFunc(all, func(rule string) bool { return len(v.Broken(rule)) == 0 })
}

// String says how many times each rule is broken and tells the first stories of
// each; it is empty when all is well.
func (v Verdict) String() string {
	const told = 3
	var b strings.Builder
	for _, rule := range v.Rules() {
		broken := v.Broken(rule)
		fmt.Fprintf(&b, "%s is broken %d times\n", rule, len(broken))
		for _, x := range broken[:min(told, len(broken))] {
			b.WriteString("  " + strings.ReplaceAll(strings.TrimSpace(x.Story), "\n", "\n  ") + "\n")
		}
	}
	return b.String()
}

// Judge holds a history against every rule.
func Judge(r Run) Verdict {
	j := newJudge(r)
	for _, rule := range []func(){j.one, j.commits, j.order, j.sameCalls, j.rates, j.links, j.hidden, j.settled, j.once, j.silences, j.repeats, j.expiries, j.bound, j.alone, j.givenUp, j.memory} {
		rule()
	}
	v := j.verdict
	v.Counts = j.count()
	return v
}

// A judge is a history with its indexes.
type judge struct {
	run      Run
	intents  map[string][]Intent // by id, hidden ones left out, in order of offsets
	hiddenID map[string]Intent
	calls    map[string][]Call
	payments map[string][]Payment
	outcomes map[string][]Outcome
	dead     map[Place][]DeadLetter
	first    map[string]time.Time // the earliest time of an intent's outcomes
	verdict  Verdict
}

func newJudge(r Run) *judge {
	j := &judge{
		run: r, intents: map[string][]Intent{}, hiddenID: map[string]Intent{}, calls: map[string][]Call{},
		payments: map[string][]Payment{}, outcomes: map[string][]Outcome{}, dead: map[Place][]DeadLetter{}, first: map[string]time.Time{},
		verdict: Verdict{Lost: map[Place]bool{}},
	}
	j.run.Intents = slices.Clone(r.Intents)
	slices.SortFunc(j.run.Intents, func(a, b Intent) int { return a.At.Compare(b.At) })
	j.run.Calls = slices.Clone(r.Calls)
	slices.SortStableFunc(j.run.Calls, func(a, b Call) int { return a.At.Compare(b.At) })
	for _, in := range j.run.Intents {
		if in.Hidden {
			j.hiddenID[in.ID] = in
		} else if in.ID != "" {
			j.intents[in.ID] = append(j.intents[in.ID], in)
		}
	}
	for _, c := range j.run.Calls {
		j.calls[c.Intent] = append(j.calls[c.Intent], c)
	}
	for _, p := range r.Payments {
		j.payments[p.Intent] = append(j.payments[p.Intent], p)
	}
	for _, o := range r.Outcomes {
		j.outcomes[o.Intent] = append(j.outcomes[o.Intent], o)
		if t, ok := j.first[o.Intent]; !ok || o.Time.Before(t) {
			j.first[o.Intent] = o.Time
		}
	}
	for _, d := range r.DeadLetters {
		j.dead[d.Source] = append(j.dead[d.Source], d)
	}
	return j
}

// Compare orders places by partition, then offset.
func (p Place) Compare(q Place) int {
	if p.Partition != q.Partition {
		return int(p.Partition) - int(q.Partition)
	}
	switch {
	case p.Offset < q.Offset:
		return -1
	case p.Offset > q.Offset:
		return 1
	}
	return 0
}

// String is partition and offset, as in 3@1042.
func (p Place) String() string { return fmt.Sprintf("%d@%d", p.Partition, p.Offset) }

// inits returns the Init calls of an intent.
func (j *judge) inits(id string) []Call {
	return slices.DeleteFunc(slices.Clone(j.calls[id]), func(c Call) bool { return c.Lookup })
}

// conflicts reports whether a record repeats an id with other content.
func (j *judge) conflicts(in Intent) bool { return in.Content != j.intents[in.ID][0].Content }

func (j *judge) count() Counts {
	c := Counts{Intents: len(j.intents), Outcomes: len(j.run.Outcomes), DeadLetters: len(j.run.DeadLetters), Calls: len(j.run.Calls), Faults: len(j.run.Faults)}
	for id := range j.calls {
		n := len(j.inits(id))
		c.MostCalls = max(c.MostCalls, n)
		if n > 1 {
			c.RepeatedIntents++
			c.Repeated += n - 1
		}
	}
	for _, ps := range j.payments {
		c.SecondPayments += len(ps) - 1
	}
	return c
}

// breaks notes a violation: what is wrong, and all that is known of the intent.
func (j *judge) breaks(rule, id, format string, args ...any) {
	j.verdict.Violations = append(j.verdict.Violations, Violation{Rule: rule, Story: fmt.Sprintf(format, args...) + j.story(id)})
}

const clock = "15:04:05.000"

// story tells what is known of an intent, in order of time as far as it is known.
func (j *judge) story(id string) string {
	if id == "" {
		return ""
	}
	var b strings.Builder
	for _, in := range j.run.Intents {
		if in.ID == id {
			fmt.Fprintf(&b, "\n  intent   %s key %q%s", in.At, in.Key, map[bool]string{true: " hidden"}[in.Hidden])
		}
	}
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	for _, c := range j.calls[id] {
		what := map[bool]string{true: "lookup", false: "call"}[c.Lookup]
		lines = append(lines, line{c.At, fmt.Sprintf("%-8s %s by %s, key %s, link %d", what, c.At.Format(clock), c.Member, c.Key, c.Link)})
	}
	for _, o := range j.outcomes[id] {
		lines = append(lines, line{o.Time, fmt.Sprintf("outcome  %s at %s, source %s, created %t, payment %d", o.Time.Format(clock), o.At, o.Source, o.Created, o.Payment)})
	}
	for _, f := range j.run.Faults {
		if len(lines) > 0 && len(j.run.Faults) <= 20 {
			lines = append(lines, line{f.At, fmt.Sprintf("fault    %s %s %s", f.At.Format(clock), f.Member, f.What)})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	for _, l := range lines {
		b.WriteString("\n  " + l.text)
	}
	for _, p := range j.payments[id] {
		fmt.Fprintf(&b, "\n  payment  %d", p.ID)
	}
	return b.String()
}
