package pipeline_test

import (
	"fmt"
	"testing"
	"time"

	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// TestEveryAnswerHasItsEnd is "Gateway behaviour → what we do" (internal/README.md) through the engine: a
// script of answers, the calls that it leads to, and the outcome.
func TestEveryAnswerHasItsEnd(t *testing.T) {
	gaveUp := func(attempts int, mayExist bool) *payment.Failed {
		return &payment.Failed{Reason: payment.GaveUp, Retryable: true, PaymentMayExist: mayExist, Attempts: attempts}
	}
	dup := payment.Failed{Reason: payment.Duplicate, ErrorCode: "350", PaymentMayExist: true}
	with := func(f payment.Failed, change func(*payment.Failed)) *payment.Failed { change(&f); return &f }
	refusedThen := func(mayExist bool, attempts int) *payment.Failed {
		return &payment.Failed{Reason: payment.Refused, ErrorCode: "340", ErrorDescription: "amount too small", PaymentMayExist: mayExist, Attempts: attempts}
	}
	unsignedThen := func(mayExist bool, attempts int) *payment.Failed {
		return &payment.Failed{Reason: payment.Refused, ErrorCode: "341", ErrorDescription: "says somebody", PaymentMayExist: mayExist, Attempts: attempts}
	}
	tests := []struct {
		name     string
		opens    []answer
		finds    []answer
		calls    string // o: Init, f: status look-up
		attempts int    // of created
		failed   *payment.Failed
	}{
		{name: "a link at once", opens: []answer{ok}, calls: "o", attempts: 1},
		{name: "lost, then a link", opens: []answer{lost, lostMade, ok}, calls: "ooof", attempts: 3},
		{name: "not sent, then a link", opens: []answer{unsent, ok}, calls: "oo", attempts: 2},
		{name: "an error of no class, then a link", opens: []answer{puzzling, ok}, calls: "oof", attempts: 2},
		{name: "refused", opens: []answer{refused}, calls: "o", failed: refusedThen(false, 1)},
		{name: "not sent, then refused", opens: []answer{unsent, refused}, calls: "oo", failed: refusedThen(false, 2)},
		{name: "lost, then refused", opens: []answer{lostMade, refused}, calls: "oo", failed: refusedThen(true, 2)},
		{name: "unsigned refusal, nothing there", opens: []answer{unsigned}, finds: []answer{notFound}, calls: "of", failed: unsignedThen(false, 1)},
		{name: "lost, unsigned refusal, nothing there yet", opens: []answer{lostMade, unsigned}, finds: []answer{notFound}, calls: "oof", failed: unsignedThen(true, 2)},
		{name: "unsigned refusal, status lost, nothing there", opens: []answer{unsigned}, finds: []answer{lost, unsent, notFound}, calls: "offf", failed: unsignedThen(false, 1)},
		{name: "unsigned refusal of a payment that is there", opens: []answer{unsigned, ok}, finds: []answer{ok}, calls: "ofof", attempts: 2},
		{name: "unsigned refusal of a payment that is there, then refused", opens: []answer{unsigned, refused}, finds: []answer{ok}, calls: "ofo", failed: refusedThen(true, 2)},
		{name: "duplicate", opens: []answer{duplicate}, finds: []answer{ok}, calls: "of",
			failed: with(dup, func(f *payment.Failed) { f.Attempts, f.PaymentID = 1, 7 })},
		{name: "duplicate that nobody knows", opens: []answer{duplicate}, finds: []answer{notFound}, calls: "of",
			failed: with(dup, func(f *payment.Failed) { f.Attempts = 1 })},
		{name: "lost after creation, then duplicate", opens: []answer{lostMade, duplicate}, finds: []answer{lost, ok}, calls: "ooff",
			failed: with(dup, func(f *payment.Failed) { f.Attempts, f.PaymentID = 2, 1<<32 })},
		{name: "duplicate whose status is never told", opens: []answer{duplicate}, finds: []answer{lost}, calls: "of…", failed: gaveUp(1, true)},
		{name: "never sent", opens: []answer{unsent}, calls: "oo…", failed: gaveUp(-1, false)},
		{name: "never answered", opens: []answer{lost}, calls: "oo…", failed: gaveUp(-1, true)},
		{name: "our set-up, says one unsigned answer", opens: []answer{oursMaybe, ok}, calls: "oof", attempts: 2},
		{name: "our set-up, signed, then mended", opens: []answer{ours, ok}, calls: "oo", attempts: 2},
		{name: "our set-up, signed, then refused", opens: []answer{ours, refused}, calls: "oo", failed: refusedThen(false, 2)},
		{name: "our set-up during a lookup", opens: []answer{duplicate}, finds: []answer{ours, notFound}, calls: "off",
			failed: with(dup, func(f *payment.Failed) { f.Attempts = 1 })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				_, p, _ := l.one()
				l.gate.opens["i"], l.gate.finds["i"] = tt.opens, tt.finds
				p.emit("k", intent("i"))
				l.settles(2 * time.Hour)
				l.wantCalls(tt.calls)
				if tt.failed == nil {
					l.created(p, "i", tt.attempts)
					return
				}
				if f, ok := p.views()["i"].Outcome.(payment.Failed); ok && tt.failed.Attempts < 0 {
					tt.failed.Attempts = len(l.gate.log())
					tt.failed.ErrorCode, tt.failed.ErrorDescription = f.ErrorCode, f.ErrorDescription
				}
				l.failed(p, "i", *tt.failed)
			})
		})
	}
}

// wantCalls compares the kinds of calls; "…" stands for more of the last kind.
func (l *lab) wantCalls(want string) {
	l.t.Helper()
	got := ""
	for _, c := range l.gate.log() {
		got += c[:1]
	}
	if w, more := cutTail(want, "…"); more {
		for len(w) < len(got) {
			w += w[len(w)-1:]
		}
		want = w
	}
	if got != want {
		l.t.Errorf("calls %.80s, want %.80s", got, want)
	}
}

func cutTail(s, tail string) (string, bool) {
	if n := len(s) - len(tail); n >= 0 && s[n:] == tail {
		return s[:n], true
	}
	return s, false
}

func TestBackoffSpreadsAndGrows(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		_, p, _ := l.one()
		l.gate.opens["i"] = []answer{lost}
		p.emit("", intent("i"))
		after(30 * time.Minute)
		calls := l.gate.callsOf(func(call) bool { return true })
		for i := 1; i < len(calls); i++ {
			most := min(time.Second<<min(i-1, 3), 8*time.Second)
			if gap := calls[i].at.Sub(calls[i-1].at); gap > most+time.Millisecond {
				t.Errorf("repeat %d came after %v, want at most %v", i, gap, most)
			}
		}
		if n := len(calls); n < 250 || n > 1500 {
			t.Errorf("%d calls in half an hour, of which a repeat is due every 4s on average", n)
		}
		if l.gate.most != 1 {
			t.Errorf("%d calls at a time for one intent", l.gate.most)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		_, p, _ := l.one()
		l.gate.opens["i"] = []answer{later(90 * time.Second), ok}
		l.gate.opens["j"] = []answer{unsigned, ok}
		l.gate.finds["j"] = []answer{later(2 * time.Minute), ok}
		began := time.Now()
		p.emit("k", intent("i"))
		p.emit("j", intent("j"))
		p.emit("k", intent("behind"))
		l.settles(time.Hour)
		got := l.gate.callsOf(func(c call) bool { return c.intent == "i" })
		if gap := got[1].at.Sub(began); len(got) != 3 || !got[2].find || gap < 90*time.Second || gap > 99*time.Second {
			t.Errorf("%d calls, the repeat after %v; want 2 and a look, after 90s and a jitter", len(got), gap)
		}
		got = l.gate.callsOf(func(c call) bool { return c.intent == "j" && c.find })
		if gap := got[1].at.Sub(began); len(got) != 3 || gap < 2*time.Minute {
			t.Errorf("%d lookups, the repeat after %v; want 2, after 2m, and one after the link", len(got), gap)
		}
		same(t, "outcomes", p.order(), []string{"i", "behind", "j"})
	})
}

func TestRepeatSaysTheSame(t *testing.T) {
	inLab(t, 1, func(l *lab) { // the gateway watches S4
		m, p, c := l.one()
		l.gate.opens["i"] = []answer{lost, lost, lost, unsigned, lost, ok}
		l.gate.finds["i"] = []answer{ok}
		p.emit("k", intent("i", `"user_phone":"77771234567","metadata":{"a":"b"}`))
		after(3 * time.Second)
		c.drain()
		after(time.Second)
		m.source.take(0)
		l.settles(time.Hour)
	})
}

func TestNoLinkIsAskedForAfterExpiresAt(t *testing.T) {
	at := func(d time.Duration) string {
		return `"expires_at":"` + time.Now().Add(d).UTC().Format(time.RFC3339) + `"`
	}
	t.Run("before the first call", func(t *testing.T) {
		inLab(t, 1, func(l *lab) {
			_, p, _ := l.one()
			p.emit("", intent("i", at(-time.Second)))
			l.settles(time.Second)
			l.wantCalls("")
			l.failed(p, "i", payment.Failed{Reason: payment.Expired})
		})
	})
	t.Run("after a call in doubt", func(t *testing.T) {
		inLab(t, 1, func(l *lab) {
			_, p, _ := l.one()
			l.gate.opens["i"] = []answer{lostMade}
			p.emit("", intent("i", at(time.Minute)))
			l.settles(2 * time.Minute)
			l.failed(p, "i", payment.Failed{Reason: payment.Expired, PaymentMayExist: true, Attempts: len(l.gate.log())})
		})
	})
	t.Run("after a call that was not sent", func(t *testing.T) {
		inLab(t, 1, func(l *lab) {
			_, p, _ := l.one()
			l.gate.opens["i"] = []answer{unsent}
			p.emit("", intent("i", at(time.Minute)))
			l.settles(2 * time.Minute)
			l.failed(p, "i", payment.Failed{Reason: payment.Expired, Attempts: len(l.gate.log())})
		})
	})
	t.Run("while on hold, within a probe's time", func(t *testing.T) {
		inLab(t, 1, func(l *lab) {
			_, p, _ := l.one()
			l.gate.otherwise = func(payment.Intent, bool) answer { return ours }
			p.emit("", intent("i", at(time.Minute)))
			p.emit("", intent("j"))
			after(6 * time.Minute)
			l.failed(p, "i", payment.Failed{Reason: payment.Expired, ErrorCode: p.views()["i"].Outcome.(payment.Failed).ErrorCode, Attempts: p.views()["i"].Attempts()})
			same(t, "outcomes", p.order(), []string{"i"})
			l.gate.otherwise = nil
			l.settles(time.Hour)
		})
	})
}

func TestAnIntentIsGivenUpAtItsAge(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		_, p, _ := l.one(func(c *pipeline.Config) { c.GiveUpAfter = 10 * time.Minute })
		l.gate.opens["i"] = []answer{lost}
		began := time.Now()
		p.emit("k", intent("i"))
		p.emitAt(began.Add(-time.Hour), "old", intent("old"))
		for i := range 10 {
			p.emit("k", intent(fmt.Sprint("behind-", i)))
		}
		after(9 * time.Minute)
		same(t, "outcomes", p.order(), []string{"old"})
		l.settles(2 * time.Minute)
		l.failed(p, "old", payment.Failed{Reason: payment.GaveUp, Retryable: true})
		l.failed(p, "i", payment.Failed{Reason: payment.GaveUp, Retryable: true, PaymentMayExist: true, Attempts: len(l.gate.callsOf(func(c call) bool { return c.intent == "i" }))})
		if at := p.views()["i"].At(); at.Sub(began) < 10*time.Minute || at.Sub(began) > 10*time.Minute+8*time.Second {
			t.Errorf("given up after %v, want 10m and a wait", at.Sub(began))
		}
	})
}

func TestInvalidIntentIsNeverSent(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		_, p, c := l.one()
		c.setLive(false) // nor does it need a lease for a call
		p.emit("", `{"intent_id":"i","amount":"0.001","user_phone":"+7"}`)
		l.settles(time.Second)
		l.wantCalls("")
		l.failed(p, "i", payment.Failed{Reason: payment.InvalidIntent, Violations: []payment.Violation{
			{Field: "amount", Rule: "must have at most 2 digits after the point, has 3"}, {Field: "amount", Rule: "must be between 0.01 and 99999999"},
			{Field: "description", Rule: "is required"}, {Field: "user_phone", Rule: "must match ^[0-9]+$"},
		}})
	})
}

// TestSecondPaymentIsTold: a gateway that does not honour the key makes a payment
// for each call. One link is published all the same, and that there is another
// payment is told.
func TestSecondPaymentIsTold(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one()
		l.gate.opens["i"] = []answer{lost, ok}
		l.gate.shows = map[payment.IntentID]int64{"i": 99}
		p.emit("k", intent("i"))
		p.emit("k", intent("behind"))
		l.settles(time.Hour)
		same(t, "outcomes", p.order(), []string{"i", "behind"})
		same(t, "second payments", m.metric(t, "paylink_second_payments_total"), 1.0)
		same(t, "told", len(m.log.lines("the gateway shows another payment")), 1)
	})
}

// TestRetryAfterPostponesNoEnd: an intent that backs off for long is settled when
// its time is up, and its key goes on.
func TestRetryAfterPostponesNoEnd(t *testing.T) {
	tests := map[string]struct {
		within time.Duration // it expires; an hour: after it is given up
		want   payment.Failed
	}{
		"expires":  {5 * time.Minute, payment.Failed{Reason: payment.Expired, PaymentMayExist: true, Attempts: 1}},
		"given up": {time.Hour, payment.Failed{Reason: payment.GaveUp, Retryable: true, PaymentMayExist: true, Attempts: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				l.gate.opens["i"] = []answer{later(time.Hour)}
				_, p, _ := l.one(func(c *pipeline.Config) { c.GiveUpAfter = 5*time.Minute + time.Millisecond })
				p.emit("k", intent("i", expires(tt.within)))
				after(4 * time.Minute)
				p.emit("k", intent("behind"))
				after(time.Minute - time.Second)
				same(t, "outcomes before its time is up", len(p.order()), 0)
				after(2 * time.Second)
				l.failed(p, "i", tt.want)
				l.created(p, "behind", 1)
			})
		})
	}
}
