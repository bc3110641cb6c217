package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

// good is a history in which all is well: six intents of three keys on two
// partitions, a duplicate, a conflict, garbage and an aborted record among them,
// one refusal, and a member that was killed with a call in flight.
func good() Run {
	var r Run
	for i := range 6 {
		id, part, off := fmt.Sprintf("i-%d", i), int32(i%2), int64(i/2)
		key := fmt.Sprintf("key-%d", i%3)
		if i%3 == 2 {
			key = ""
		}
		link := fmt.Sprintf("https://pay/%d", 100+i)
		at0 := at(100 * i)
		r.Intents = append(r.Intents, Intent{At: Place{part, off}, ID: id, Key: key, Content: id, Merchant: "540001", Seen: at(100*i - 10)})
		r.Calls = append(r.Calls, Call{At: at0, Intent: id, Merchant: "540001", Member: "a", Key: "k-" + id, Params: "p=" + id, Link: int64(100 + i)})
		r.Payments = append(r.Payments, Payment{ID: int64(100 + i), Intent: id, Link: link})
		r.Outcomes = append(r.Outcomes, Outcome{At: Place{part, off}, Time: at(100*i + 50), Key: key, Intent: id, Source: Place{part, off}, Created: true, Payment: int64(100 + i), Link: link})
	}
	// i-4's first call came to nothing: its member was killed.
	last := r.Calls[4]
	last.Link = 0
	r.Calls = append(r.Calls, last)
	r.Calls[4].At, r.Calls[4].Member = at(430), "b"
	r.Faults = []Fault{{At: at(410), Member: "a", What: "killed"}}
	// Its link was in doubt, so it was looked up again.
	r.Calls = append(r.Calls, Call{At: at(480), Intent: "i-4", Merchant: "540001", Member: "b", Lookup: true, Link: 104})
	// i-5 was refused.
	r.Calls[5].Link, r.Calls[5].Refused, r.Payments = 0, true, r.Payments[:5]
	r.Outcomes[5] = Outcome{At: r.Outcomes[5].At, Time: r.Outcomes[5].Time, Key: r.Outcomes[5].Key, Intent: "i-5", Source: r.Outcomes[5].Source, Reason: "refused"}
	r.Intents = append(r.Intents,
		Intent{At: Place{0, 3}, ID: "i-0", Key: "key-0", Content: "i-0"},
		Intent{At: Place{0, 4}, ID: "i-0", Key: "key-0", Content: "other"},
		Intent{At: Place{0, 5}},
		Intent{At: Place{0, 6}, ID: "h-1", Content: "h-1", Hidden: true})
	r.DeadLetters = []DeadLetter{{At: Place{0, 0}, Source: Place{0, 4}}, {At: Place{0, 1}, Source: Place{0, 5}}}
	r.Committed = slices.Clone(r.Outcomes)
	r.Commits = []Commit{
		{Next: Place{0, 2}, Outcomes: map[int32]int64{0: 2, 1: 1}, DeadLetters: map[int32]int64{0: 0}},
		{Next: Place{0, 7}, Outcomes: map[int32]int64{0: 3, 1: 3}, DeadLetters: map[int32]int64{0: 2}},
		{Next: Place{1, 3}},
	}
	r.Silences = []Silence{{Member: "a", From: at(405), To: at(445), Why: "suspended"}}
	r.Rates = []Rate{{Merchant: "540001", Calls: 10, Per: time.Second, Burst: 3}}
	r.OutcomePartitions = 2
	r.Ends = map[int32]int64{0: 7, 1: 3}
	r.Intents[1].Expires = at(500)
	r.Concurrency = 1
	r.Alone, r.GiveUp, r.Mended, r.Partitions = true, time.Hour, at(500), 2
	r.Possible = []Span{{at(0), at(2 * 3600e3)}}
	r.Memory, r.MostMemory = 1<<20, 1<<30
	for i := range r.Calls {
		r.Calls[i].Until = r.Calls[i].At.Add(10 * time.Millisecond)
	}
	return r
}

// buriedAndFailed is a history in which i-1, whose payment exists, has a dead letter, and
// its second record an outcome by which none does.
func buriedAndFailed() Run {
	r := good()
	unanswered(&r, "too_large")
	r.Intents = append(r.Intents, Intent{At: Place{1, 3}, ID: "i-1", Key: "key-1", Content: "i-1"})
	r.Outcomes = append(r.Outcomes, Outcome{At: Place{1, 3}, Time: at(800), Key: "key-1", Intent: "i-1", Source: Place{1, 3}, Reason: "expired"})
	r.Committed, r.Ends[1], r.Commits[2].Next.Offset = slices.Clone(r.Outcomes), 4, 4
	return r
}

func TestAGoodHistoryBreaksNoRule(t *testing.T) {
	v := Judge(good())
	if s := v.String(); s != "" {
		t.Errorf("violations of a good history:\n%s", s)
	}
	want := Counts{Intents: 6, Outcomes: 6, DeadLetters: 2, Calls: 8, Repeated: 1, RepeatedIntents: 1, MostCalls: 2, Faults: 1}
	if v.Counts != want {
		t.Errorf("counts %+v, want %+v", v.Counts, want)
	}
}

// TestAnIllNetworkExcusesWhatItCauses: while it lasts, a call may be repeated,
// and one that was made before the outcome may arrive after it.
func TestAnIllNetworkExcusesWhatItCauses(t *testing.T) {
	repeated := good()
	repeated.Faults = []Fault{{At: at(390), Until: at(460), Member: "a", What: "timeout, gateway"}}
	late := good()
	late.Rates = nil // counted by arrival, a call more comes at once
	late.Calls[6].At = at(460)
	late.Faults = append(late.Faults, Fault{At: at(390), Until: at(450), Member: late.Calls[6].Member, What: "latency, gateway", Late: 50 * time.Millisecond})
	refused := good()
	refused.Faults[0].Member, refused.Tight = "b", []Span{{at(400), at(420)}}
	leapt := good()
	leapt.Faults[0].Member, leapt.Leaps = "b", []Fault{{At: at(405), Member: "a"}}
	for name, r := range map[string]Run{"a repeat": repeated, "a repeat of what was not taken": refused, "a late call": late, "a repeat of what a clock withheld": leapt} {
		if s := Judge(r).String(); s != "" {
			t.Errorf("%s during a fault is no violation, got\n%s", name, s)
		}
	}
}

// unanswered has i-1, the first of its partition, end with a dead letter.
func unanswered(r *Run, reason string) {
	r.Outcomes = slices.Delete(r.Outcomes, 1, 2)
	r.Committed = slices.Clone(r.Outcomes)
	r.Commits[0].Outcomes = map[int32]int64{0: 2}
	r.DeadLetters = append(r.DeadLetters, DeadLetter{At: Place{0, 2}, Source: Place{1, 0}, Reason: reason, Time: at(150)})
}

// TestMistakesMayBeHealed: what an operator passed over, or had buried, may get its
// outcome later. What is no intent stays without a dead letter; verify says so.
func TestMistakesMayBeHealed(t *testing.T) {
	buried, passed := good(), good()
	buried.DeadLetters = append(buried.DeadLetters, DeadLetter{At: Place{0, 2}, Source: Place{1, 0}, Reason: unknownSchema, Time: at(120)})
	buried.Misled = []Span{{at(100), at(140)}}
	passed.Commits[1].Outcomes, passed.Commits[1].DeadLetters = map[int32]int64{0: 0, 1: 0}, map[int32]int64{0: 0}
	passed.DeadLetters = passed.DeadLetters[:1]
	for i := range passed.Intents {
		passed.Intents[i].Passed = true
	}
	passed.Intents[4].Key, passed.Outcomes[4].Key = "key-0", "key-0" // as i-0's, which is answered after it
	passed.Outcomes[0].At, passed.Outcomes[4].At = passed.Outcomes[4].At, passed.Outcomes[0].At
	passed.Committed = slices.Clone(passed.Outcomes)
	for name, r := range map[string]Run{"buried": buried, "passed": passed} {
		v := Judge(r)
		if s := v.String(); s != "" {
			t.Errorf("%s is no violation, got\n%s", name, s)
		}
		if name == "passed" && !v.Lost[Place{0, 5}] {
			t.Errorf("lost are %v, want the garbage at 0@5 among them", v.Lost)
		}
	}
}

// overtaken is a history in which the registry denied the schema of i-0 to the owner a,
// which served i-2 of the same key. The dead letter did not land, and b could read it.
func overtaken() Run {
	r := good()
	r.Intents[0].Schema, r.Intents[2].Key, r.Outcomes[2].Key = true, "key-0", "key-0"
	r.Outcomes[0].At, r.Outcomes[2].At = r.Outcomes[2].At, r.Outcomes[0].At
	r.Outcomes[0].Time = at(290)
	r.Calls[0].At, r.Calls[0].Until, r.Calls[0].Member = at(270), at(280), "b"
	slices.SortStableFunc(r.Calls, func(a, b Call) int { return a.At.Compare(b.At) })
	r.Committed, r.Misled = slices.Clone(r.Outcomes), []Span{{at(-20), at(220)}}
	r.Rates = nil // counted by arrival, one call came later
	return r
}

// TestWhatCouldNotBeReadHoldsNobody: nor its key, if its dead letter did not land and a
// later owner can read it.
func TestWhatCouldNotBeReadHoldsNobody(t *testing.T) {
	const behind, before = "the outcome of the intent at 0@0 stands behind that of the one at 0@1", "i-2 was called before i-0"
	byA := func(r *Run) {
		i := slices.IndexFunc(r.Calls, func(c Call) bool { return c.Intent == "i-0" })
		r.Calls[i].Member = "a"
	}
	for name, c := range map[string]struct {
		spoil func(*Run)
		says  []string // none: nothing is broken
	}{
		"another owner reads it": {func(*Run) {}, nil},
		"so does the same, later": {func(r *Run) {
			byA(r)
			r.Faults = append(r.Faults, Fault{At: at(230), Until: at(260), Member: "a", What: "cut off from Kafka"})
		}, nil},
		"the other one expired uncalled": {func(r *Run) {
			r.fails(2, "expired", at(250))
			r.Calls = slices.DeleteFunc(r.Calls, func(c Call) bool { return c.Intent == "i-2" })
			r.Payments = slices.DeleteFunc(r.Payments, func(p Payment) bool { return p.Intent == "i-2" })
			r.Intents[2].Expires, r.Committed = at(240), slices.Clone(r.Outcomes)
		}, nil},
		"its owner could read it":         {byA, []string{behind, before}},
		"it names no schema":              {func(r *Run) { r.Intents[0].Schema = false }, []string{behind, before}},
		"the registry denied nothing yet": {func(r *Run) { r.Misled[0].From = at(210) }, []string{behind, before}},
		"one behind it is overtaken too": {func(r *Run) {
			r.Intents[4].Key, r.Outcomes[4].Key = "key-0", "key-0"
			r.Outcomes[2].At, r.Outcomes[0].At, r.Outcomes[4].At = Place{0, 2}, Place{0, 1}, Place{0, 0}
		}, []string{"the outcome of the intent at 0@1 stands behind that of the one at 0@2"}},
	} {
		r := overtaken()
		c.spoil(&r)
		v := Judge(r)
		if len(c.says) == 0 && len(v.Violations) > 0 {
			t.Errorf("%s: no violation, got\n%s", name, v)
		}
		for _, says := range c.says {
			if !slices.ContainsFunc(v.Broken(S3), func(x Violation) bool { return strings.Contains(x.Story, says) }) {
				t.Errorf("%s: not found broken with %q, only:\n%s", name, says, v)
			}
		}
	}
}

// TestADeadLetterMayEndAnIntent: if the topic took no outcome then, if answers of its time
// were deleted; and what was deleted itself ends in no way at all.
func TestADeadLetterMayEndAnIntent(t *testing.T) {
	large, old, deleted := good(), good(), good()
	unanswered(&large, "too_large")
	large.Tight = []Span{{at(100), at(140)}}
	within := large // the same millisecond, which is all that a record's time says
	within.Tight = []Span{{large.DeadLetters[len(large.DeadLetters)-1].Time.Add(time.Microsecond), at(140)}}
	unanswered(&old, "too_old")
	old.Forgotten = map[int32]time.Time{1: at(200)}
	unanswered(&deleted, "")
	deleted.DeadLetters = deleted.DeadLetters[:2]
	deleted.Intents[1].Deleted = true
	again := buriedAndFailed()
	again.Tight = []Span{{at(100), at(140)}}
	for name, r := range map[string]Run{"too large": large, "too large, at once": within, "too old": old, "deleted": deleted, "too large, and failed when it came again": again} {
		if s := Judge(r).String(); s != "" {
			t.Errorf("%s is no violation, got\n%s", name, s)
		}
	}
}

func TestEveryRuleIsFoundBroken(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range []struct {
		name, rule, says string
		spoil            func(*Run)
	}{
		{"too large for a topic that takes it", L1, "is an intent like any other, and has a dead letter", func(r *Run) {
			unanswered(r, "too_large")
			r.Tight = []Span{{at(200), at(300)}}
		}},
		{"too large, and published", L1, "is an intent like any other, and has a dead letter", func(r *Run) {
			r.Tight = []Span{{at(100), at(300)}}
			r.DeadLetters = append(r.DeadLetters, DeadLetter{At: Place{0, 2}, Source: Place{1, 0}, Reason: "too_large", Time: at(200)})
		}},
		{"too old, though it is younger than what was deleted", L1, "is an intent like any other, and has a dead letter", func(r *Run) {
			unanswered(r, "too_old")
			r.Intents[1].Time, r.Forgotten = at(90), map[int32]time.Time{1: at(50)}
		}},
		{"of an unknown schema that the registry had", L1, "is an intent like any other, and has a dead letter", func(r *Run) {
			r.DeadLetters = append(r.DeadLetters, DeadLetter{At: Place{0, 2}, Source: Place{1, 0}, Reason: unknownSchema, Time: at(200)})
		}},
		{"buried by a mistake, and not redriven", L1, "was buried by a mistake, and has no outcome in the end", func(r *Run) {
			unanswered(r, unknownSchema)
			r.Misled = []Span{{at(100), at(300)}}
		}},
		{"passed over, and not emitted again", L1, "i-1 has no outcome", func(r *Run) {
			unanswered(r, "")
			r.DeadLetters, r.Intents[1].Passed = r.DeadLetters[:2], true
		}},
		{"held though no memory has room for it", M1, "somebody has held it", func(r *Run) {
			r.Intents[8].Beyond, r.DeadLetters[1].Reason = true, "not_json"
		}},
		{"two outcomes, read uncommitted", S1, "i-1 has 2 outcomes, read uncommitted", func(r *Run) {
			o := r.Outcomes[1]
			o.At.Offset = 9
			r.Outcomes = append(r.Outcomes, o)
		}},
		{"two outcomes, read committed", S1, "i-1 has 2 outcomes, read committed", func(r *Run) { r.Committed = append(r.Committed, r.Committed[1]) }},
		{"a commit ahead of an outcome", S2, "the record at 0@1 had no outcome", func(r *Run) { r.Commits[0].Outcomes[0] = 1 }},
		{"a commit ahead of a dead letter", S2, "the record at 0@5 had no outcome and no dead letter", func(r *Run) { r.Commits[1].DeadLetters[0] = 1 }},
		{"an outcome out of order", S3, `key "key-0": the outcome of the intent at 0@0 stands behind that of the one at 0@3`, func(r *Run) {
			r.Outcomes[0].At.Offset = 7
			o := r.Outcomes[0]
			o.At.Offset, o.Source.Offset, o.Intent = 6, 3, "i-9"
			r.Outcomes = append(r.Outcomes, o)
		}},
		{"a call out of order", S3, `key "key-0": i-6 was called before i-0, which is ahead of it`, func(r *Run) {
			r.Intents = append(r.Intents, Intent{At: Place{0, 7}, ID: "i-6", Key: "key-0", Content: "i-6"})
			r.Calls = append(r.Calls, Call{At: at(10), Intent: "i-6", Merchant: "540001", Key: "k-i-6"})
		}},
		{"an outcome in another partition", S3, "belongs into partition 1", func(r *Run) { r.Outcomes[1].At.Partition = 0 }},
		{"another idempotency key", S4, "under the keys k-i-4 and new", func(r *Run) { r.Calls[4].Key = "new" }},
		{"other parameters", S4, "with other parameters: p=i-4, then p=5", func(r *Run) { r.Calls[4].Params = "p=5" }},
		{"no idempotency key", S4, "without an idempotency key", func(r *Run) { r.Calls[0].Key = "" }},
		{"a burst of calls", S5, "merchant 540001: the call at 12:00:00.000", func(r *Run) {
			r.Rates[0].Burst = 1
			r.Calls[1].At = r.Calls[0].At
		}},
		{"a rate exceeded slowly", S5, "calls over", func(r *Run) { r.Rates[0].Calls = 8 }},
		{"a link that no answer gave", S6, "which no signed answer gave", func(r *Run) { r.Calls[1].Link = 0 }},
		{"a link of somebody else", S6, "which the gateway did not make for it", func(r *Run) { r.Outcomes[1].Link = "https://pay/102" }},
		{"a denied payment", S6, "says that no payment exists; payment 105 does", func(r *Run) { r.Payments = append(r.Payments, Payment{ID: 105, Intent: "i-5"}) }},
		{"a denied payment of another record, whose outcome the topic would have taken", S6, "says that no payment exists; payment 101 does", func(r *Run) {
			*r = buriedAndFailed()
			r.Tight = []Span{{at(400), at(500)}}
		}},
		{"an aborted record called", S7, "h-1 was never committed, and was called", func(r *Run) {
			r.Calls = append(r.Calls, Call{At: at(900), Intent: "h-1", Key: "k"})
		}},
		{"an aborted record answered", S7, "h-1 was never committed, and has an outcome", func(r *Run) {
			r.DeadLetters = append(r.DeadLetters, DeadLetter{At: Place{0, 2}, Source: Place{0, 6}})
		}},
		{"an intent lost", L1, "i-3 has no outcome", func(r *Run) { r.Outcomes = slices.Delete(r.Outcomes, 3, 4) }},
		{"garbage lost", L1, "the record at 0@5 is no intent and has no dead letter", func(r *Run) { r.DeadLetters = r.DeadLetters[:1] }},
		{"a conflict lost", L1, "the record at 0@4 has the id of another intent", func(r *Run) { r.DeadLetters = r.DeadLetters[1:] }},
		{"an intent buried", L1, "the record at 0@3 is an intent like any other", func(r *Run) {
			r.DeadLetters = append(r.DeadLetters, DeadLetter{At: Place{0, 2}, Source: Place{0, 3}})
		}},
		{"an outcome nobody sees", L1, "readers of committed records see 5 of 6", func(r *Run) { r.Committed = r.Committed[:5] }},
		{"an answer to nobody", L1, "nobody emitted it", func(r *Run) { r.Outcomes[2].Intent = "x" }},
		{"a call after the outcome", Once, "i-4 was called at 12:00:00.460, after its outcome", func(r *Run) { r.Calls[6].At = at(460) }},
		{"a lookup of a member without a lease", Lease, "a called at 12:00:00.440", func(r *Run) { r.Calls[7].Member, r.Calls[7].At = "a", at(440) }},
		{"a call of a member without a lease", Lease, "a called at 12:00:00.430", func(r *Run) { r.Calls[4].Member = "a" }},
		{"a repeat without a fault", Repeats, "nothing had happened to a", func(r *Run) { r.Faults[0].Member = "b" }},
		{"a repeat after a fault that was mended", Repeats, "nothing had happened to a", func(r *Run) { r.Faults[0].At, r.Faults[0].Until = at(10), at(90) }},
		{"a repeat long after outcomes were not taken", Repeats, "nothing had happened to a", func(r *Run) {
			r.Faults[0].Member = "b"
			r.Tight = []Span{{at(-900), at(-300)}}
		}},
		{"a repeat after another member's clock was set", Repeats, "nothing had happened to a", func(r *Run) {
			r.Faults[0].Member, r.Leaps = "b", []Fault{{At: at(405), Member: "b"}}
		}},
		{"a repeat after a clock was set before the call", Repeats, "nothing had happened to a", func(r *Run) {
			r.Faults[0].Member, r.Leaps = "b", []Fault{{At: at(399), Member: "a"}}
		}},
		{"a repeat after a clock was set long after the answer", Repeats, "nothing had happened to a", func(r *Run) {
			r.Faults[0].Member, r.Leaps, r.Calls[4].At = "b", []Fault{{At: at(661), Member: "a"}}, at(900)
		}},
		{"a repeat of a member's own after its clock was set", Repeats, "nothing had happened to a", func(r *Run) {
			r.Faults[0].Member, r.Leaps, r.Calls[4].Member = "b", []Fault{{At: at(405), Member: "a"}}, "a"
		}},
		{"a repeat of what a member did not publish that went on", Repeats, "nothing had happened to a", func(r *Run) {
			r.Faults[0].Member, r.Leaps = "b", []Fault{{At: at(405), Member: "a"}}
			r.Calls[4].At, r.Calls[5].At = at(900), at(656)
		}},
		{"a call after the expiry", Expiry, "i-1 expired at 11:59:59.840", func(r *Run) { r.Intents[1].Expires = at(-160) }},
		{"too many calls at once", Bound, "a has 2 calls in flight at 12:00:00.100", func(r *Run) { r.Calls[0].Until = at(101) }},
		{"a control record buried", S7, "is of 1@2000, where no record stands", func(r *Run) {
			r.DeadLetters = append(r.DeadLetters, DeadLetter{At: Place{0, 2}, Source: Place{1, 2000}})
		}},
		{"not committed to the end", L1, "partition 1 ends at 4, and is committed up to 3", func(r *Run) { r.Ends[1] = 4 }},
		{"a window with more calls than members", S5, "8 calls of 2 members in the 500ms up to 12:00:00.500", func(r *Run) {
			r.Rates[0].Burst, r.Rates[0].PerMember, r.Rates[0].Calls = 1, true, 11
		}},
		{"a window with more calls than members, one of which lent late", S5, "8 calls of 2 members in the 500ms up to 12:00:00.500", func(r *Run) {
			r.Rates[0].Burst, r.Rates[0].PerMember, r.Rates[0].Calls = 1, true, 11
			r.Rates[0].Loan, r.Loans = 400*time.Millisecond, []Loan{
				{At: at(501), Merchant: "540001", By: "c", To: "a"}, {At: at(-651), Merchant: "540001", By: "c", To: "a"},
				{At: at(100), Merchant: "540002", By: "c", To: "a"}, {At: at(100), Merchant: "540001", By: "c", To: "d"},
			}
		}},
		{"a repeat after a fault that lasted", Repeats, "nothing had happened to a", func(r *Run) {
			r.Faults[0] = Fault{At: at(100), Until: at(149), Member: "a", What: "timeout, gateway"}
		}},
		{"a call after the outcome, later than it can have been held up", Once, "i-4 was called at 12:00:00.760", func(r *Run) {
			r.Calls[6].At = at(760)
			r.Faults = append(r.Faults, Fault{At: at(420), Until: at(800), Member: "a", What: "latency, gateway", Late: 50 * time.Millisecond})
		}},
		{"an ordinary intent that fails", L2, "i-3 is an intent like any other, and failed: expired", func(r *Run) { r.fails(3, "expired", at(390)) }},
		{"an ordinary intent that is late", L2, "i-3 had its outcome at 12:01:41.000, later than 12:01:30.900", func(r *Run) { r.Outcomes[3].Time = at(101e3) }},
		{"given up too early", L3, "i-3 gave up at 12:59:50.000, and had time until 13:00:00.290", func(r *Run) { r.fails(3, "gave_up", at(3590e3)) }},
		{"given up in vain", L3, "i-3 gave up, though", func(r *Run) { r.fails(3, "gave_up", at(3600e3+300)) }},
		{"a time that is none, taken as it is", L3, "i-3 gave up at 12:00:00.390", func(r *Run) { r.fails(3, "gave_up", at(390)) }},
		{"too much memory", M1, "2048 MiB were in use, at most 1024 may be", func(r *Run) { r.Memory = 2 << 30 }},
		{"a repeat before the fault", Repeats, "nothing had happened to a", func(r *Run) { r.Faults[0].At = at(440) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := good()
			c.spoil(&r)
			v := Judge(r)
			if !slices.ContainsFunc(v.Broken(c.rule), func(x Violation) bool { return strings.Contains(x.Story, c.says) }) {
				t.Errorf("%s not found broken with %q, only:\n%s", c.rule, c.says, v)
			}
		})
		tested[c.rule] = true
	}
	for _, rule := range Rules() {
		if !tested[rule] {
			t.Errorf("rule %s has no bad history", rule)
		}
	}
}

// A repeat takes the place of a record that was buried, with its own expiry.
func TestARepeatOfABuriedRecordMayBeCalled(t *testing.T) {
	r := good()
	first := &r.Intents[1]
	first.Expires = at(-160)
	r.DeadLetters = append(r.DeadLetters, DeadLetter{At: Place{0, 2}, Source: first.At})
	if got := Judge(r).Broken(Expiry); len(got) != 1 {
		t.Errorf("%d calls after the expiry found, want one", len(got))
	}
	again := *first
	again.At, again.Expires = Place{0, 9}, time.Time{}
	r.Intents = append(r.Intents, again)
	if got := Judge(r).Broken(Expiry); len(got) != 0 {
		t.Errorf("with a repeat that does not expire: %v, want none", got)
	}
}

func TestAViolationTellsTheRecordsInvolved(t *testing.T) {
	r := good()
	r.Faults[0].Member = "b"
	got := Judge(r).String()
	want := `repeats is broken 1 times
  i-4 was called again at 12:00:00.430, and nothing had happened to a since 12:00:00.400
    intent   0@2 key "key-1"
    call     12:00:00.400 by a, key k-i-4, link 0
    fault    12:00:00.410 b killed
    call     12:00:00.430 by b, key k-i-4, link 104
    outcome  12:00:00.450 at 0@2, source 0@2, created true, payment 104
    lookup   12:00:00.480 by b, key , link 104
    payment  104
`
	if got != want {
		t.Errorf("story\n%s\nwant\n%s", got, want)
	}
}

// TestWhatHasNoAnswerIsLost: an intent, garbage, and a conflict.
func TestWhatHasNoAnswerIsLost(t *testing.T) {
	r := good()
	r.DeadLetters = nil
	r.Outcomes = slices.Delete(r.Outcomes, 3, 4)
	want := map[Place]bool{{1, 1}: true, {0, 4}: true, {0, 5}: true}
	if got := Judge(r).Lost; !maps.Equal(got, want) {
		t.Errorf("lost: %v, want %v", got, want)
	}
}

// TestOthersMayAddRules to a verdict, and they are told.
func TestOthersMayAddRules(t *testing.T) {
	v := Verdict{Violations: []Violation{{"theirs", "a story"}, {L1, "another"}, {"theirs", "a third"}}}
	if got := v.Rules(); !slices.Equal(got, []string{L1, "theirs"}) || !strings.Contains(v.String(), "theirs is broken 2 times\n  a story") {
		t.Errorf("rules %q, told as\n%s", got, v)
	}
}

func TestCountsAreSaidInOneLine(t *testing.T) {
	got := Judge(good()).Counts.String()
	want := "6 intents, 6 outcomes, 2 dead letters, 8 calls, 1 repeated (of 1 intents, at most 2 of one), 0 second payments, 1 faults"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// fails gives the nth intent another outcome.
func (r *Run) fails(n int, reason string, at time.Time) {
	o := &r.Outcomes[n]
	r.Outcomes[n] = Outcome{At: o.At, Time: at, Key: o.Key, Intent: o.Intent, Source: o.Source, Reason: reason, MayExist: true}
}

// TestWhatIsNobodysFaultBreaksNoRule: histories that look like broken ones.
func TestWhatIsNobodysFaultBreaksNoRule(t *testing.T) {
	for name, spoil := range map[string]func(*Run){
		"a strange intent gives up": func(r *Run) { r.Intents[3].Strange = "denied"; r.fails(3, "gave_up", at(3600e3+300)) },
		"one behind a strange one gives up": func(r *Run) {
			r.Intents[0].Strange = "denied"
			r.Intents[3].Key, r.Intents[3].At = "key-0", Place{0, 8}
			r.Outcomes[3].Source, r.Outcomes[3].At, r.Outcomes[3].Key = Place{0, 8}, Place{0, 8}, "key-0"
			r.fails(3, "gave_up", at(3600e3+300))
			r.Intents = slices.DeleteFunc(r.Intents, func(in Intent) bool { return in.ID == "i-0" && in.At.Offset == 3 })
		},
		"no call was possible": func(r *Run) { r.Possible = nil; r.fails(3, "gave_up", at(3600e3+300)) },
		"calls were possible when its time was almost up": func(r *Run) {
			r.Possible = []Span{{at(3000e3), at(7200e3)}}
			r.fails(3, "gave_up", at(3600e3+300))
		},
		"an old one gives up at once":       func(r *Run) { r.Intents[3].Time = at(-7200e3); r.fails(3, "gave_up", at(390)) },
		"all is late after a fault":         func(r *Run) { r.Mended = at(100e3); r.Outcomes[3].Time = at(101e3) },
		"the gateway refuses whom it likes": func(r *Run) { r.Calls[3].Refused = true; r.fails(3, "refused", at(390)) },
	} {
		r := good()
		spoil(&r)
		r.Committed, r.Ends = nil, nil
		if v := Judge(r); len(v.Broken(L2))+len(v.Broken(L3)) > 0 {
			t.Errorf("%s:\n%s", name, v)
		}
	}
}

// TestServeIsEarliestDeadlineFirst: one call a second.
func TestServeIsEarliestDeadlineFirst(t *testing.T) {
	second := func(n int) time.Time { return at(1000 * n) }
	all := []arrival{
		{"late to come, soon due", second(2), second(12), 1},
		{"first", second(0), second(100), 1},
		{"many calls", second(0), second(101), 3},
		{"no time", second(0), second(1), 1},
		{"hardly in time", second(5), at(6100), 1},
	}
	for name, c := range map[string]struct {
		possible []Span
		want     []string
	}{
		"always":     {[]Span{{second(0), second(20)}}, []string{"first", "late to come, soon due", "many calls"}},
		"at the end": {[]Span{{second(50), second(51)}}, []string{"first"}},
		"twice":      {[]Span{{second(0), second(1)}, {second(10), second(13)}}, []string{"first"}},
		"never":      {nil, nil},
	} {
		var got []string
		for id, ok := range serve(all, time.Second, c.possible) {
			if ok {
				got = append(got, id)
			}
		}
		if slices.Sort(got); !slices.Equal(got, c.want) {
			t.Errorf("%s: served in time %q, want %q", name, got, c.want)
		}
	}
}

// A member that lent a turn counts as one that called.
func TestAWindowMayHoldACallMoreForEachThatLent(t *testing.T) {
	r := good()
	r.Rates[0].Burst, r.Rates[0].PerMember, r.Rates[0].Calls, r.Rates[0].Loan = 1, true, 11, 400*time.Millisecond
	r.Loans = []Loan{{At: at(90), Merchant: "540001", By: "c", To: "a"}, {At: at(425), Merchant: "540001", By: "c", To: "b"}}
	if broken := Judge(r).Broken(S5); len(broken) > 0 {
		t.Errorf("with a lender: %v", broken)
	}
}
