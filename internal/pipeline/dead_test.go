package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

func TestUnreadableGoesToTheDeadLetters(t *testing.T) {
	values := map[string]string{
		"":                         "empty",
		"no JSON":                  "not_json",
		`{"amount":"1"}`:           "no_intent_id",
		`{"intent_id":"a b"}`:      "bad_intent_id",
		`{"intent_id":"a","x":nil`: "not_json",
	}
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one()
		want := map[int64]string{}
		for value, reason := range values {
			want[p.emit("k", value)] = reason
		}
		l.settles(time.Second)
		same(t, "reasons", p.reasons(), want)
		for _, d := range p.dead {
			r := p.from(d.offset)[0]
			if string(d.Key) != "k" || string(d.Value) != string(r.Value) || !d.Time.Equal(d.at) {
				t.Errorf("dead letter %q → %q at %v, want the record's own bytes, and now", d.Key, d.Value, d.Time)
			}
		}
		l.wantCalls("")
		same(t, "log lines", len(m.log.lines("dead letter")), len(values))
		for value, reason := range values {
			if n := m.metric(t, "paylink_dead_letters_total", "reason", reason); n < 1 {
				t.Errorf("%v dead letters counted for %q, want %s", n, value, reason)
			}
		}
	})
}

func TestUnreadableDisturbsNoOrder(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = time.Second
		_, p, _ := l.one()
		for _, v := range []string{intent("a"), "junk", intent("b"), "junk", intent("c"), "junk"} {
			p.emit("k", v)
		}
		l.settles(time.Minute)
		same(t, "outcomes", p.order(), []string{"a", "b", "c"})
		same(t, "dead letters", p.reasons(), map[int64]string{1: "not_json", 3: "not_json", 5: "not_json"})
	})
}

func TestConflictAndTooOld(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start()
		reach := time.Now().Add(-24 * time.Hour)
		m.source.kind = func(c *claim) { c.reach = reach }
		p := l.topic.parts[0]
		m.source.take(0)
		p.emit("k", intent("i"))
		p.emit("k", intent("i", `"param1":"other"`))
		p.emit("other", intent("i", `"param1":"another"`))
		p.emit("other", intent("i", `"metadata":{"a":"b"}`)) // says the gateway the same
		p.emitAt(reach.Add(-time.Millisecond), "k", intent("old"))
		p.emitAt(reach, "k", intent("not-too-old"))
		p.emitAt(reach.Add(-time.Hour), "k", intent("i")) // old, but known
		l.settles(time.Minute)
		same(t, "dead letters", p.reasons(), map[int64]string{1: "conflict", 2: "conflict", 4: "too_old"})
		same(t, "calls", l.gate.log(), []string{"open i"})
		l.failed(p, "not-too-old", payment.Failed{Reason: payment.GaveUp, Retryable: true})
	})
}

// TestWhatCameFirstIsTheIntent: its key is busy, and other content comes under another
// key. An owner before us may have called for the first one.
func TestWhatCameFirstIsTheIntent(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = time.Second
		_, p, _ := l.one()
		p.emit("k", intent("before"))
		p.emit("k", intent("i"))
		p.emit("other", intent("i", `"param1":"other"`))
		l.settles(time.Minute)
		same(t, "dead letters", p.reasons(), map[int64]string{2: "conflict"})
		same(t, "calls", l.gate.log(), []string{"open before", "open i"})
		l.created(p, "i", 1)
	})
}

func TestOutcomeTooLargeGoesToTheDeadLetters(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start()
		m.source.kind = func(c *claim) {
			c.appendFails = func(o pipeline.Answer) error {
				if o.ID == "big" {
					return pipeline.ErrTooLarge
				}
				return nil
			}
		}
		p := l.topic.parts[0]
		m.source.take(0)
		p.emit("k", intent("big"))
		p.emit("k", intent("i"))
		l.settles(time.Second)
		same(t, "dead letters", p.reasons(), map[int64]string{0: "too_large"})
		same(t, "outcomes", p.order(), []string{"i"})
		same(t, "settled lines", len(m.log.lines("settled")), 1)
	})
}

// A repeat of an intent whose link could not be published must not say that no
// payment exists.
func TestARepeatOfWhatCouldNotBePublishedIsInDoubt(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start()
		fits := false
		m.source.kind = func(c *claim) {
			c.appendFails = func(pipeline.Answer) error {
				if fits {
					return nil
				}
				return pipeline.ErrTooLarge
			}
		}
		p := l.topic.parts[0]
		m.source.take(0)
		big, fresh := intent("big", expires(time.Minute)), intent("new", expires(time.Minute))
		p.emit("k", big)
		after(2 * time.Minute)
		same(t, "dead letters", p.reasons(), map[int64]string{0: "too_large"})
		fits = true
		p.emit("k", big)
		p.emit("k", fresh)
		l.settles(time.Minute)
		for id, mayExist := range map[string]bool{"big": true, "new": false} {
			if f, ok := p.views()[payment.IntentID(id)].Outcome.(payment.Failed); !ok || f.Reason != payment.Expired || f.PaymentMayExist != mayExist {
				t.Errorf("%s: %+v, want expired, a payment may exist: %v", id, p.views()[payment.IntentID(id)].Outcome, mayExist)
			}
		}
	})
}

func TestDeadLetterTooLargeGoesByReference(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start()
		m.source.kind = func(c *claim) {
			c.buryFails = func(m event.Message) error {
				if len(m.Value) > 1000 {
					return pipeline.ErrTooLarge
				}
				return nil
			}
		}
		p := l.topic.parts[0]
		m.source.take(0)
		p.emit("k", strings.Repeat("x", 2000))
		p.emit("k", intent("i"))
		l.settles(time.Second)
		same(t, "dead letters", p.reasons(), map[int64]string{0: "not_json"})
		d := p.dead[0]
		if d.Value != nil || string(d.Header(event.HeaderByReference)) != "true" || string(d.Header(event.HeaderSourceSize)) != "2000" {
			t.Errorf("dead letter %.20q, headers %v; want one by reference", d.Value, d.Headers)
		}
	})
}

func TestDeadLetterThatCannotBeWrittenIsNotLost(t *testing.T) {
	t.Run("while the topic takes nothing", func(t *testing.T) {
		inLab(t, 1, func(l *lab) {
			m := l.start()
			stall := make(chan struct{})
			m.source.kind = func(c *claim) { c.stall = stall }
			p := l.topic.parts[0]
			c := m.source.take(0)
			p.emit("k", "junk")
			after(time.Hour)
			same(t, "committed", p.committedOffset(), int64(0))
			c.lose()
			after(time.Second)
			close(stall)
			m.source.take(0)
			l.settles(time.Second)
			same(t, "dead letters", p.reasons(), map[int64]string{0: "not_json"})
		})
	})
	t.Run("if even a reference is too large", func(t *testing.T) {
		inLab(t, 1, func(l *lab) {
			m := l.start()
			fails := pipeline.ErrTooLarge
			m.source.kind = func(c *claim) { c.buryFails = func(event.Message) error { return fails } }
			p := l.topic.parts[0]
			c := m.source.take(0)
			p.emit("k", "junk")
			p.emit("k", intent("i"))
			after(time.Minute)
			same(t, "committed", p.committedOffset(), int64(0))
			same(t, "outcomes", p.order(), []string{"i"})
			if n := len(m.log.lines("the dead letter topic takes not even")); n < 5 || n > 30 {
				t.Errorf("%d alarms in a minute, want one per try, which grow rare", n)
			}
			c.drain()
			after(time.Second)
			same(t, "given up", isClosed(c.served), true)
			m.leave(t)
			m = l.start()
			m.source.kind = func(c *claim) { c.buryFails = func(event.Message) error { return fails } }
			m.source.take(0)
			p.emit("k", intent("j"))
			after(time.Minute)
			same(t, "committed", p.committedOffset(), int64(0))
			fails = nil // somebody has raised the limit
			l.settles(10 * time.Second)
			same(t, "dead letters", p.reasons(), map[int64]string{0: "not_json"})
		})
	})
}
