package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A mutant is the service with one deliberate mistake in it.
type mutant struct {
	name  string
	edits []edit
}

// mutants are compiled into laboratories of their own: no hook for them exists in
// the service.
var mutants = []mutant{
	{"committed before it is acknowledged", []edit{{"kafkaio/claim.go",
		"rec: wireRecord(o.Message), done: done})",
		"rec: wireRecord(o.Message), done: func(error) {}})\n\tgo done(nil)"}}},
	{"no fence", []edit{
		{"kafkaio/fence.go", "\tvar p kafkawire.Producer\n", "\tvar p kafkawire.Producer\n\tif err := f.patiently(ctx, \"\", func(ctx context.Context) (err error) { p, err = initProducer(ctx, c, \"\"); return err }); err != nil || p.ID >= 0 {\n\t\treturn p, err\n\t}\n"},
		{"kafkaio/ledger.go", "case l.next >= high && l.starts.Load() != starts:\n\t\t\treturn false, errMarkerGone", "case l.next >= high:\n\t\t\treturn true, nil"},
		{"kafkaio/claim.go", "return p.ID != c.note.producer", "return false"}}},
	{"ledger not read to the marker", []edit{{"kafkaio/ledger.go", "ok && e >= p.Epoch", "ok || e == 0"}}},
	{"any marker of ours will do", []edit{{"kafkaio/ledger.go", "ok && e >= p.Epoch", "ok && e >= 0"}}},
	{"ledger not asked before a call", []edit{
		{"pipeline/core.go", "\tswitch known := t.worker.claim.Look(t.rec.ID, t.dec.Digest); known {\n\tcase Answered, Repeated:\n", "\tswitch known := t.worker.claim.Look(t.rec.ID, t.dec.Digest); known {\n\tcase Repeated:\n"},
		{"pipeline/arrive.go", "\tswitch known := w.claim.Look(t.rec.ID, t.dec.Digest); known {\n\tcase Answered, Repeated:\n", "\tswitch known := w.claim.Look(t.rec.ID, t.dec.Digest); known {\n\tcase Repeated:\n"}}},
	{"a new key for every call", []edit{{"freedompay/wire.go", `"pg_idempotency_key", in.IdempotencyKey)`, `"pg_idempotency_key", in.IdempotencyKey+salt)`}}},
	{"a wrong signature believed", []edit{{"freedompay/classify.go", "verified := claimed && Verify(q.script, m, q.secret)", "verified := claimed"}}},
	{"an unsigned answer believed", []edit{{"freedompay/classify.go", "\tcase !verified:\n", "\tcase m == nil:\n"}}},
	{"a link not looked at", []edit{{"freedompay/classify.go", "wrong := q.links.rule(l.RedirectURL)", "wrong := \"\""}}},
	{"share of the rate kept when it is revoked", []edit{{"pace/limit.go", "l.stages[i].share = l.stages[i].share.and(s)", "_ = i"}}},
	{"dead letter not waited for", []edit{{"kafkaio/claim.go",
		"c.deadLetters.add(entry{rec: wireRecord(m), done: done})",
		"c.deadLetters.add(entry{rec: wireRecord(m), done: func(error) {}})\n\tgo done(nil)"}}},
	{"dead letter's error ignored", []edit{{"kafkaio/verdict.go", "case verdict == 0, verdict == kafka.DuplicateSequenceNumber:", "case verdict == 0, verdict == kafka.DuplicateSequenceNumber, !a.fenced:"}}},
	{"calls in flight not bounded", []edit{
		{"schedule/scheduler.go", "return s.inFlight < s.cfg.Concurrency && s.inFlight+s.unsettled < 2*s.cfg.Concurrency", "return true"},
		{"schedule/endpoint.go", "return p.inFlight >= p.adaptive.Allowed()", "return false"}}},
	{"aborted records passed on", []edit{{"kafkawire/filter.go", "return b.InTxn && f.dead[b.Producer.ID]", "return false"}}},
	{"control records passed on", []edit{{"kafkawire/filter.go", "\t\tdelete(f.dead, b.Producer.ID)\n\t\treturn true\n", "\t\tdelete(f.dead, b.Producer.ID)\n"}}},
	{"intents read uncommitted", []edit{{"kafkaio/fetch.go", "Isolation: kafkawire.ReadCommitted", "Isolation: kafkawire.ReadUncommitted"}}},
	{"lease always live", []edit{{"kafkaio/lease.go", "return !sent.IsZero() && elapsed(sent, now) < l.session && elapsed(settled, now) < l.rebalance", "return !sent.IsZero() || now.IsZero() || !settled.IsZero() || l.session > 0"}}},
	{"drain does not wait", []edit{{"pipeline/worker.go", "\tif active > 0 {\n", "\tif active < 0 {\n"}}},
	{"doubt forgotten", []edit{{"attempt/attempt.go", "\ts.Doubt = Standing\n\treturn s, Repeat{AtLeast: ge.RetryAfter}", "\treturn s, Repeat{AtLeast: ge.RetryAfter}"}}},
	{"conflict not noticed", []edit{{"answered/answered.go", "case !e.content.same(contentOf(digest, false)):", "case !e.content.same(contentOf(digest, false)) && len(id) == 0:"}}},
	{"order of keys ignored", []edit{{"pipeline/task.go", "t.rec.Key = partition.HashOf(r.Key)", "t.rec.Key = 0 * partition.HashOf(r.Key)"}}},
	{"committed ahead of a gap", []edit{{"partition/partition.go", "\tif p.open.Len() > 0 {\n\t\tw = min", "\tif p.open.Len() > 3 {\n\t\tw = min"}}},
	{"repeated under a new sequence", []edit{{"kafkaio/verdict.go", "\ta.attempts++\n", "\ta.attempts++\n\ta.seq, a.raw = kafkawire.NextSequence(a.seq, len(a.flight)), nil\n"}}},
	{"answers in hand dropped when the fence is made anew", []edit{{"kafkaio/append.go", "a.queue = append(slices.Clone(a.flight), a.queue...)", "a.queue = a.queue[:0:0]"}}},
	{"a duplicate denies the payment", []edit{{"attempt/attempt.go", "PaymentMayExist: true, PaymentID: id,", "PaymentMayExist: false, PaymentID: id,"}}},
	{"expires_at ignored", []edit{
		{"schedule/work.go", "!w.ExpiresAt.IsZero() && !now.Before(w.ExpiresAt)", "!w.ExpiresAt.IsZero() && now.IsZero()"},
		{"schedule/work.go", "if !expires.IsZero() && expires.Before(by) {", "if !expires.IsZero() && by.IsZero() {"}}},
	{"an unsigned refusal believed", []edit{{"attempt/attempt.go", "if ge.Signed && s.Doubt != Inherited {", "if s.Doubt != Inherited {"}}},
	{"calls of an owner before forgotten", []edit{{"attempt/attempt.go", "if ge.Signed && s.Doubt != Inherited {", "if ge.Signed {"}}},
	{"a registry that is down takes a schema for unknown", []edit{{"registry/lookup.go", "if ok && re.StatusCode == http.StatusNotFound && re.ErrorCode >= 40401 && re.ErrorCode <= 40406 {", "if ok || re == nil || re.StatusCode == http.StatusNotFound {"}}},
	{"a proxy's 404 takes a schema for unknown", []edit{{"registry/lookup.go", " && re.ErrorCode >= 40401 && re.ErrorCode <= 40406 {", " {"}}},
	{"lease by the wall clock alone", []edit{{"kafkaio/lease.go", "return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))", "return to.Round(0).Sub(from.Round(0))"}}},
	{"deadlines by the wall clock alone", []edit{{"schedule/doc.go", "return now.Add(deadline.Sub(now)) }", "return deadline }"}}},
	{"without a commit, from the end", []edit{{"kafkaio/claim.go", "\tcase committed < 0:\n\t\treturn has.first\n", "\tcase committed < 0:\n\t\treturn has.last\n"}}},
	{"a strange order holds its merchant", []edit{
		{"schedule/ended.go", "alone := w.denied > 0 && l.proofs >= w.denied", "alone := w.denied > 0 && l.proofs > 1<<40"},
		{"schedule/ended.go", "\t\tcase !l.proven: // nothing speaks for it yet\n", "\t\tcase l.since == now:\n"},
		{"schedule/hold.go", "probing{at: now}, probing{at: now}", "probing{at: now.Add(10 * time.Second)}, probing{at: now.Add(10 * time.Second)}"},
		{"schedule/hold.go", "if l.fresh > 0 {", "if l.fresh < 0 {"},
		{"pipeline/core.go", "c.again(t, pace.HoldProbes().Delay(d.Denials, 1), now)", "c.queue(t, now)\n\t\t_ = pace.HoldProbes().Delay(d.Denials, 1)"}}},
	{"a refused look-up holds the lane", []edit{
		{"attempt/attempt.go", "\ts.Next = Init{}\n\tswitch {\n\tcase err == nil:\n", "\tif err != nil && payment.AsGatewayError(err).Class == payment.Misconfigured {\n\t\treturn s, Proceed{}\n\t}\n\ts.Next = Init{}\n\tswitch {\n\tcase err == nil:\n"},
		{"schedule/ended.go", "\tcase denied && !l.proven:\n", "\tcase denied:\n"},
		{"schedule/lane.go", "\tif last.Len() > 0 {\n\t\tcalls, ok", "\tif last.Len() > 0 && l.hold.on {\n\t\treturn last.Peek()\n\t}\n\tif last.Len() > 0 {\n\t\tcalls, ok"}}},
	{"last looks take the whole rate", []edit{
		{"schedule/lane.go", "if !ok || calls.After(now) && !l.mayLook(now).After(now) {", "if !ok || !calls.IsZero() {"},
		{"schedule/lane.go", "return later(now, l.looked.Add(lookShare*l.limit.Interval()))", "return later(now, l.looked.Add(l.limit.Interval()/lookShare))"}}},
	{"times of records taken as they are", []edit{{"pipeline/task.go", "if t.timeless = at.Before(now.Add(-mostBehind)) || at.After(now.Add(mostAhead)); t.timeless {",
		"if t.timeless = at.IsZero() && (at.Before(now.Add(-mostBehind)) || at.After(now.Add(mostAhead))); t.timeless {"}}},
	{"too large at once, though it may have landed", []edit{{"kafkaio/verdict.go", "case isTooLarge(verdict) && a.attempts == 0:", "case isTooLarge(verdict):"}}},
	{"an emptied log knows everything", []edit{
		{"kafkaio/ledger.go", "\tcase lost:\n\t\tl.reach = time.Now()\n", "\tcase lost:\n"},
		{"kafkaio/ledger.go", "if at := time.UnixMilli(b.Newest); at.After(l.reach) {", "if at := time.UnixMilli(b.Newest); at.IsZero() {"}}},
	{"a ledger on disk believed beyond its end", []edit{{"kafkaio/kept.go", "l.next, l.last, l.first, l.empty = head.Next,", "l.next, l.last, l.first, l.empty = l.begun.has.last,"}}},
	{"large records stay held", []edit{{"pipeline/task.go", "\tt.msg.Lease.Release()\n\tt.msg.Value", "\tt.msg.Value"},
		{"pipeline/task.go", "\tt.msg.Lease.Shrink(left)\n", ""}}},
	{"a new secret not taken up", []edit{{"service/reload.go", "\t\ts.merchants.replace(next.Merchants)\n", ""}}},
	{"a new login not taken up", []edit{{"kafkaio/login.go", "\tl.now, l.before = next, &before\n", "\tl.before = &before\n"}}},
	{"verify takes a second outcome for none", []edit{{"reconcile/verify.go", "\t\tif i > 0 {\n", "\t\tif i > 1 {\n"}}},
	{"verify takes a conflict for a repeat", []edit{{"reconcile/group.go", "answered == nil || answered.digest == e.digest ||", "answered != nil ||"}}},
	{"verify overlooks answers to nobody", []edit{{"reconcile/group.go", "case of == nil && g.more[emitted] == 0:", "case of == nil && g.more[emitted] > 0:"}}},
	{"verify calls nothing lost", []edit{{"reconcile/group.go", "e.at.offset < j.archive.Range.Committed[e.at.partition]:", "e.at.offset < 0:"}}},
	{"reconcile matches another payment", []edit{{"reconcile/class.go", "case a.Payment != m.entry.payment:", "case a.Payment == 0:"}}},
	{"reconcile overlooks payments without outcome", []edit{{"reconcile/class.go", "return class + 1, join2", "return class, join2"}}},
	{"reconcile overlooks payments of failed intents", []edit{{"reconcile/class.go", "return FailedButExists, join2", "return class, join2"}}},
	{"the verbs read uncommitted", []edit{{"kafkaops/scan.go", "Topic: at.Topic, Isolation: kafkawire.ReadCommitted", "Topic: at.Topic, Isolation: kafkawire.ReadUncommitted"}}},
	{"replay emits what is answered", []edit{{"replay/unanswered.go", "ids[keyOf(payment.IntentID(id))] = answered", "ids[keyOf(payment.IntentID(id))] = open"}}},
	{"redrive forgets its notes", []edit{{"replay/redrive.go", "if noted.has(at.Offset) {", "if at.Offset < 0 {"}}},
	{"what is emitted again was never called for", []edit{{"pipeline/task.go", "t.isInherited() || t.again ||", "t.isInherited() ||"}}},
	{"a turn that is lent is kept too", []edit{{"pace/lend.go", "\tl.tokens--\n\tl.tat = max(until", "\tl.tat = max(until"}}},
	{"the verbs do not see that outcomes were made again", []edit{{"kafkaio/setback.go", "if differs(n.outcomes, outcomes) {", "if differs(n.outcomes, outcomes) && now.IsZero() {"}}},
	{"what nobody asked for answers the next call", []edit{
		{"freedompay/flight.go", "clean := !info.Reused || g.awaitRest(ctx)", "clean := true"},
		{"pipeline/links.go", "return of == hash", "return of > 0 || hash > 0"}}},
	{"not found clears the doubt at once", []edit{{"attempt/attempt.go", "early := onWay > 0", "early := onWay < 0"}}},
}

// TestMutants proves that the laboratory can fail: it finds every mutant.
func TestMutants(t *testing.T) {
	within := os.Getenv("LAB_MUTANTS") // how many seeds a mutant may survive
	if within == "" {
		t.Skip("it takes minutes: make mutants")
	}
	var mu sync.Mutex
	table := make([]string, len(mutants))
	t.Cleanup(func() {
		t.Logf("mutation, seeds until found, broken rules, seconds with compiling\n%s", strings.Join(table, "\n"))
	})
	t.Run("all", func(t *testing.T) {
		for i, m := range mutants {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				seed, rules := m.hunt(t, within)
				mu.Lock()
				defer mu.Unlock()
				table[i] = fmt.Sprintf("//	%-52s %4s  %-28s %3.0f s", m.name, seed, rules, time.Since(began).Seconds())
			})
		}
	})
}

var foundLine = regexp.MustCompile(`seed (\d+): found by ([^\n]*)`)

// hunt compiles the laboratory around the mutant, and runs seeds until one of
// them finds it.
func (m mutant) hunt(t *testing.T, within string) (seed, rules string) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "lab.test")
	if err := build(dir, bin, m.edits); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "-test.run=^TestLab$", "-test.failfast")
	cmd.Env = append(os.Environ(), "LAB_MUTANT=1", "LAB_MUTANTS=", "LAB_SEED=", "LAB_MINUTES=", "LAB_SEEDS="+within, "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	found := foundLine.FindSubmatch(out)
	switch {
	case found != nil:
		return string(found[1]), string(found[2])
	case err == nil:
		t.Errorf("%s seeds did not find it", within)
		return "-", ""
	}
	t.Errorf("%v: %s", err, out[max(0, len(out)-2000):])
	return "?", ""
}
