package pipeline

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
)

// A simHistory is what happened: what was emitted, called for, published, committed.
type simHistory struct {
	plan        *simPlan
	ids         int
	parts       []*simPartition
	emitted     []simEmitted
	calls       []simCall
	outcomes    []simOutcome
	dead        []simDead
	commits     []simCommit
	loans       []simLoan
	payments    []int64 // that the gateway has, by intent; 0: none
	broken      []simBreach
	rateChanged bool
	stuck       string
	ended       time.Duration
	events      uint64
}

type simEmitted struct {
	at   time.Duration
	part int32
	rec  *simRecord
}

type simCall struct {
	at, ended, began           time.Duration // began: its claim
	id, member, epoch, class   int
	offset                     int64
	part                       int32
	merchant                   payment.MerchantID
	digest                     event.Digest
	key                        string
	lentBy                     string // whose turn it was, if it was not its own
	find, compare, told, doubt bool
	verified                   bool // a link was given, and the answer arrived
	expired                    bool // by the caller's clock, when it began
	paid                       int64
	due                        time.Time
}

type simOutcome struct {
	at                time.Duration
	id, member, epoch int
	offset            int64
	part              int32
	digest            event.Digest
	created, mayExist bool
	timeless          bool
	payment           int64
	reason            payment.Reason
	due               time.Time
	wall              time.Time
}

type simDead struct {
	at     time.Duration
	part   int32
	offset int64
}

type simCommit struct {
	at   time.Duration
	part int32
	next int64
}

// A simLoan is a turn that was lent.
type simLoan struct {
	at       time.Duration
	by, to   string
	merchant payment.MerchantID
	used     bool
}

// A simBreach is a rule that a history breaks.
type simBreach struct {
	rule string
	id   int
	what string
}

func (b simBreach) String() string { return fmt.Sprintf("%s: %s (intent %d)", b.rule, b.what, b.id) }

// simRules are the judges, each a function over the history.
var simRules = []func(*simHistory) []simBreach{
	judgeS1, judgeS2, judgeS3, judgeS4, judgeS5, judgeLoans, judgeS6, judgeL1, judgeL3, judgeOnce, judgeExpiry,
}

// judgeSim returns what a history breaks.
func judgeSim(h *simHistory) (out []simBreach) {
	out = append(out, h.broken...)
	for _, rule := range simRules {
		out = append(out, rule(h)...)
	}
	switch h.plan.kind {
	case simOdd:
		out = append(out, judgeL2(h, simulate(h.plan.without()))...)
	case simMany, simSlow:
		out = append(out, judgeMany(h)...)
	}
	return out
}

// settledAt is when a record was settled: by the outcome of its intent, if that says
// the same, else by its dead letter.
type settledAt [][]time.Duration

const simNever = time.Duration(1<<63 - 1)

func (h *simHistory) settled() settledAt {
	out := make(settledAt, len(h.parts))
	answers := h.answers()
	for i, p := range h.parts {
		out[i] = make([]time.Duration, len(p.records))
		for j, rec := range p.records {
			out[i][j] = simNever
			if o := answers[rec.id]; o != nil && rec.dead == nil && o.digest == rec.dec.Digest {
				out[i][j] = o.at
			}
		}
	}
	for _, d := range h.dead {
		out[d.part][d.offset] = min(out[d.part][d.offset], d.at)
	}
	return out
}

// answers are the first outcomes of all intents.
func (h *simHistory) answers() []*simOutcome {
	out := make([]*simOutcome, h.ids)
	for i := range h.outcomes {
		if o := &h.outcomes[i]; out[o.id] == nil {
			out[o.id] = o
		}
	}
	return out
}

// judgeS1: no intent has two outcomes.
func judgeS1(h *simHistory) (out []simBreach) {
	seen := make([]bool, h.ids)
	for _, o := range h.outcomes {
		if seen[o.id] {
			out = append(out, simBreach{"S1", o.id, "two outcomes"})
		}
		seen[o.id] = true
	}
	return out
}

// judgeS2: nothing is committed before all below it is durable.
func judgeS2(h *simHistory) (out []simBreach) {
	settled := h.settled()
	for _, c := range h.commits {
		for i, at := range settled[c.part][:c.next] {
			if at > c.at {
				return append(out, simBreach{"S2", h.parts[c.part].records[i].id, fmt.Sprintf("committed to %d before %d is durable", c.next, i)})
			}
		}
	}
	return out
}

// judgeS3: what comes before under a key is settled before a call, or an outcome.
func judgeS3(h *simHistory) (out []simBreach) {
	settled := h.settled()
	answers := h.answers()
	check := func(part int32, offset int64, at time.Duration, what string) {
		p := h.parts[part]
		rec := p.records[offset]
		if rec.key == "" || rec.dead != nil {
			return
		}
		for i, other := range p.records[:offset] {
			if other.key == rec.key && other.dead == nil && settled[part][i] > at {
				out = append(out, simBreach{"S3", rec.id, fmt.Sprintf("%d@%d %s before %d is settled", part, offset, what, i)})
				return
			}
		}
	}
	for _, c := range h.calls {
		if o := answers[c.id]; o == nil || o.at > c.at {
			check(c.part, c.offset, c.at, "called for")
		}
	}
	for _, o := range h.outcomes {
		check(o.part, o.offset, o.at, "published")
	}
	return out
}

// judgeS4: all calls for an intent say the same.
func judgeS4(h *simHistory) (out []simBreach) {
	first := make([]*simCall, h.ids)
	for i := range h.calls {
		switch c := &h.calls[i]; {
		case first[c.id] == nil:
			first[c.id] = c
		case first[c.id].key != c.key || first[c.id].digest != c.digest:
			out = append(out, simBreach{"S4", c.id, "calls differ"})
		}
	}
	return out
}

// judgeS5: in every window w there are at most (w+J)/T' + max(burst, replicas) calls
// of a merchant, as pace.Limit states: replicas are those whose turns were used. Jumps of clocks, and a change of the rate, are
// beyond the bound for their moment: then it says nothing.
func judgeS5(h *simHistory) (out []simBreach) {
	if h.plan.world.clocks || h.rateChanged {
		return nil
	}
	for _, m := range h.plan.world.merchants {
		if m.rate == (pace.Rate{}) {
			continue
		}
		var of []*simCall
		for i := range h.calls {
			if h.calls[i].merchant == m.id {
				of = append(of, &h.calls[i])
			}
		}
		interval := m.rate.Interval()
		step := interval + interval/200
		slack := min(max(step/50, 5*time.Millisecond), 100*time.Millisecond)
		if interval < slack {
			slack *= 2
		}
		for i, from := range of {
			members := map[string]bool{}
			for j, to := range of[i:] {
				members[to.turn()] = true
				w := to.at - from.at + slack
				if n, most := j+1, int(w/step)+max(m.rate.Burst, 1, len(members)); n > most {
					return append(out, simBreach{"S5", to.id, fmt.Sprintf("%d calls of %s in %v, at most %d", n, m.id, to.at-from.at, most)})
				}
				if to.at-from.at > 10*time.Second+20*step {
					break
				}
			}
		}
	}
	return out
}

// turn is whose turn was used up for a call.
func (c *simCall) turn() string { return cmp.Or(c.lentBy, strconv.Itoa(c.member)) }

// judgeLoans: every call for a loan has one of its own, which is not over.
func judgeLoans(h *simHistory) (out []simBreach) {
	if h.plan.world.clocks {
		return nil
	}
	loans := slices.Clone(h.loans)
	for _, c := range h.calls {
		if c.lentBy == "" {
			continue
		}
		i := slices.IndexFunc(loans, func(x simLoan) bool {
			return !x.used && x.by == c.lentBy && x.to == strconv.Itoa(c.member) && x.merchant == c.merchant && x.at <= c.at && c.at <= x.at+pace.LoanFor
		})
		if i < 0 {
			return append(out, simBreach{"loans", c.id, fmt.Sprintf("called for at %v by a loan of %s that it has not", c.at, c.lentBy)})
		}
		loans[i].used = true
	}
	return out
}

// judgeS6: a link is published only if an answer that verified gave it, and a failure
// denies a payment only if there is none, and no call of its own claim was in doubt.
func judgeS6(h *simHistory) (out []simBreach) {
	calls := make([][]*simCall, h.ids)
	for i := range h.calls {
		calls[h.calls[i].id] = append(calls[h.calls[i].id], &h.calls[i])
	}
	for _, o := range h.outcomes {
		given, doubt := false, false
		for _, c := range calls[o.id] {
			given = given || c.verified && c.paid == o.payment && c.ended <= o.at
			doubt = doubt || c.doubt && c.epoch == o.epoch && c.member == o.member && c.ended <= o.at
		}
		switch {
		case o.created && !given:
			out = append(out, simBreach{"S6", o.id, "created without an answer that gives the link"})
		case !o.created && !o.mayExist && h.payments[o.id] != 0:
			out = append(out, simBreach{"S6", o.id, fmt.Sprintf("%s denies a payment that exists", o.reason)})
		case !o.created && !o.mayExist && doubt:
			out = append(out, simBreach{"S6", o.id, fmt.Sprintf("%s denies a payment after a call in doubt", o.reason)})
		}
	}
	return out
}

// judgeL1: once all is mended, all is settled and committed.
func judgeL1(h *simHistory) (out []simBreach) {
	for i, of := range h.settled() {
		for j, at := range of {
			if at == simNever {
				return append(out, simBreach{"L1", h.parts[i].records[j].id, fmt.Sprintf("%d@%d is not settled %s", i, j, h.stuck)})
			}
		}
		if p := h.parts[i]; p.committed < int64(len(p.records)) {
			return append(out, simBreach{"L1", -1, fmt.Sprintf("partition %d: committed to %d of %d %s", i, p.committed, len(p.records), h.stuck)})
		}
	}
	return out
}

// judgeL2: with a strange order or without it, all others have the same fate, and
// wait only for the calls that it took, and for how it was found to be alone.
func judgeL2(h, without *simHistory) (out []simBreach) {
	strange, calls := -1, 0
	for _, e := range h.emitted {
		if e.rec.strange {
			strange = e.rec.id
		}
	}
	for _, c := range h.calls {
		if c.id == strange {
			calls++
		}
	}
	w := &h.plan.world
	most := time.Duration(calls+2)*w.merchants[0].rate.Interval()*time.Duration(w.partitions) + 3*w.slowest + time.Second
	with := h.answers()
	for id, o := range without.answers() {
		if o == nil || id == strange {
			continue
		}
		switch x := with[id]; {
		case x == nil, x.created != o.created, x.reason != o.reason:
			out = append(out, simBreach{"L2", id, "another fate without the strange one"})
		case x.at > o.at+most:
			out = append(out, simBreach{"L2", id, fmt.Sprintf("%v later than without the strange one, at most %v", x.at-o.at, most)})
		}
	}
	return out
}

// How long an intent waits at most beside many odd ones: until they were found to be so,
// and beside their repeats; on hold that takes a probe for each.
const (
	mostMany    = 4 * time.Minute
	mostStrange = 5 * time.Minute
	mostSilent  = 100 * time.Second
	mostSlow    = 20 * time.Second // beside merchants whose calls hang: where they break a breaker together, until its probes are of others
)

// judgeMany: whatever many others are like, an intent has its link soon.
func judgeMany(h *simHistory) (out []simBreach) {
	answers, most := h.answers(), mostMany
	switch {
	case h.plan.kind == simSlow:
		most = mostSlow
	case slices.ContainsFunc(h.plan.emits, func(e simEmit) bool { return e.strange }):
		most = mostStrange
	case len(h.plan.faults) > 0:
		most = mostSilent
	}
	for _, e := range h.emitted {
		if e.rec.odd != oddNot || e.rec.strange || h.isSilent(e.rec) || strings.HasPrefix(e.rec.key, simFollows) {
			continue
		}
		switch o := answers[e.rec.id]; {
		case o == nil, !o.created:
			out = append(out, simBreach{"L2", e.rec.id, "no link beside odd ones"})
		case o.at > e.at+most:
			out = append(out, simBreach{"L2", e.rec.id, fmt.Sprintf("%v beside odd ones, at most %v", o.at-e.at, most)})
		}
	}
	return out
}

// isSilent reports whether no call is answered of a record's merchant, or calls of it may
// hang: of all but the last.
func (h *simHistory) isSilent(rec *simRecord) bool {
	if ms := h.plan.world.merchants; h.plan.kind == simSlow {
		return rec.dec.Intent.Merchant != ms[len(ms)-1].id
	}
	return slices.ContainsFunc(h.plan.faults, func(f simFault) bool {
		return f.kind == simSilent && h.plan.world.merchants[f.who].id == rec.dec.Intent.Merchant
	})
}

// overtakes is how many calls may overtake an intent whose time is up before theirs:
// the one that is made while it is read.
const overtakes = 1

// judgeL3: nobody gives up before its time, and where there is peace only if no call
// was free for it: all the rate gives was used, for those whose time was up before.
func judgeL3(h *simHistory) (out []simBreach) {
	for _, o := range h.outcomes {
		if o.reason != payment.GaveUp && o.reason != payment.Expired {
			continue
		}
		rec := h.parts[o.part].records[o.offset]
		if !o.timeless && o.reason == payment.GaveUp && o.wall.Round(0).Before(rec.Time.Add(h.plan.world.giveUp)) && !h.plan.world.clocks {
			out = append(out, simBreach{"L3", o.id, "given up before its time"})
		}
		if h.plan.kind != simCrowd {
			continue
		}
		came := h.cameAt(rec)
		until := max(came, rec.due.Sub(simStart))
		used, overtaken := 0, 0
		for _, c := range h.calls {
			if c.at < came || c.at > until {
				continue
			}
			if used++; c.due.After(rec.due) {
				overtaken++
			}
		}
		step := h.plan.world.merchants[0].rate.Interval() * 201 / 200
		if free := int((until-came)/step) - 2; used < free {
			out = append(out, simBreach{"L3", o.id, fmt.Sprintf("%s after %v, with %d calls of %d used", o.reason, until-came, used, free)})
		}
		if overtaken > overtakes {
			out = append(out, simBreach{"L3", o.id, fmt.Sprintf("%s, overtaken by %d", o.reason, overtaken)})
		}
	}
	return out
}

func (h *simHistory) cameAt(rec *simRecord) time.Duration {
	for _, e := range h.emitted {
		if e.rec == rec {
			return e.at
		}
	}
	return 0
}

// judgeOnce: nobody asks for a payment of an intent whose outcome it can know: as it was
// there before its claim began, or as it has been told that its own was taken.
func judgeOnce(h *simHistory) (out []simBreach) {
	answers := h.answers()
	for _, c := range h.calls {
		o := answers[c.id]
		if o == nil || c.find {
			continue
		}
		own := o.epoch == c.epoch && o.member == c.member && o.part == c.part && o.at+h.plan.world.appends < c.at
		if own || o.at < c.began {
			out = append(out, simBreach{"once", c.id, "called for after its outcome"})
		}
	}
	return out
}

// judgeExpiry: nobody asks for a payment after its intent has expired.
func judgeExpiry(h *simHistory) (out []simBreach) {
	for _, c := range h.calls {
		if c.expired && !c.find {
			out = append(out, simBreach{"expiry", c.id, "called for after it expired"})
		}
	}
	return out
}

// sum is a hash of the whole history: every call, outcome, dead letter and commit,
// with its time.
func (h *simHistory) sum() uint64 {
	f := fnv.New64a()
	put := func(xs ...int64) {
		for _, x := range xs {
			_ = binary.Write(f, binary.LittleEndian, x)
		}
	}
	for _, c := range h.calls {
		put(int64(c.at), int64(c.ended), int64(c.id), int64(c.member), int64(c.class), c.paid)
		_, _ = io.WriteString(f, c.lentBy)
	}
	for _, o := range h.outcomes {
		put(int64(o.at), int64(o.id), o.payment, int64(o.wall.UnixNano()))
		_, _ = io.WriteString(f, string(o.reason))
	}
	for _, d := range h.dead {
		put(int64(d.at), int64(d.part), d.offset)
	}
	for _, c := range h.commits {
		put(int64(c.at), int64(c.part), c.next)
	}
	put(int64(h.ended), int64(h.events))
	return f.Sum64()
}

// without is the plan without its strange order.
func (p *simPlan) without() *simPlan {
	q := *p
	q.kind, q.emits = simStorm, nil
	for _, e := range p.emits {
		if !e.strange {
			q.emits = append(q.emits, e)
		}
	}
	return &q
}
