package pipeline_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

func TestOneLogLinePerIntent(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.opens["created"] = []answer{lost, ok}
		l.gate.opens["refused"] = []answer{refused}
		m, p, _ := l.one()
		p.emit("", intent("created", `"user_phone":"77771234567","user_contact_email":"payer@example.com","user_ip":"203.0.113.7"`))
		p.emit("", intent("refused"))
		p.emit("", `{"intent_id":"invalid"}`)
		l.settles(time.Minute)
		lines := map[any]*logrus.Entry{}
		for _, e := range m.log.lines("settled") {
			if lines[e.Data["intent_id"]] != nil {
				t.Errorf("two lines for %v", e.Data["intent_id"])
			}
			lines[e.Data["intent_id"]] = e
		}
		want := map[string]logrus.Fields{
			"created": {"outcome": "created", "attempts": 2, "payment_id": int64(1 << 32), "merchant_id": "540001", "partition": int32(0), "offset": int64(0)},
			"refused": {"outcome": "failed", "reason": "refused", "attempts": 1, "code": "340", "payment_may_exist": false, "offset": int64(1)},
			"invalid": {"outcome": "failed", "reason": "invalid_intent", "attempts": 0, "offset": int64(2)},
		}
		for id, e := range lines {
			same(t, fmt.Sprint("fields of ", id), slices.Sorted(maps.Keys(e.Data)), []string{
				"attempts", "call_ms", "code", "intent_id", "merchant_id", "offset", "order_id", "outcome", "partition", "payment_id", "payment_may_exist",
				"publish_ms", "reason", "took_ms", "topic_ms", "trace_id", "wait_ms",
			})
		}
		for id, fields := range want {
			for name, value := range fields {
				if e := lines[id]; e == nil || e.Data[name] != value || e.Level != logrus.InfoLevel {
					t.Errorf("%s: line %v, want %s = %v at level info", id, e, name, value)
				}
			}
		}
		for _, e := range m.log.lines("") {
			text, _ := e.String()
			for _, personal := range []string{"77771234567", "payer@example.com", "203.0.113.7", "https://pay.example"} {
				if strings.Contains(text, personal) {
					t.Errorf("log line %q holds %q", text, personal)
				}
			}
		}
	})
}

// The times of the stages add up to the time that the intent took.
func TestTheLineTellsWhereTheTimeWent(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = 2 * time.Second
		l.gate.opens["one"] = []answer{later(10 * time.Second), ok.slow(2 * time.Second)}
		l.topic.parts[0].emit("", intent("one", `"order_id":"order-1"`))
		after(3 * time.Second)
		m, _, _ := l.one()
		l.settles(time.Minute)
		got := m.log.lines("settled")[0].Data
		same(t, "order", got["order_id"], any("order-1"))
		for stage, want := range map[string]int64{"topic_ms": 3_000, "wait_ms": 10_000, "call_ms": 4_000, "publish_ms": 0, "took_ms": 17_000} {
			if n := got[stage].(int64); n < want || n > want+250 {
				t.Errorf("%s = %d, want %d", stage, n, want)
			}
		}
	})
}

// Under load lines are sampled: the first of a burst are written, and the rest is
// counted. What somebody has to look after is always written.
func TestLinesAreSampledUnderLoad(t *testing.T) {
	const n = 3000
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one()
		l.gate.otherwise = func(in payment.Intent, find bool) answer {
			if strings.HasPrefix(string(in.ID), "taken") && !find {
				return duplicate
			}
			return ok
		}
		for i := range n {
			p.emit("", intent(fmt.Sprint("i-", i)))
		}
		after(time.Second)
		lines := m.log.lines("settled")
		m.leave(t)
		if more := m.log.lines("more of the same in ten seconds: settled"); len(more) != 1 || len(lines)+more[0].Data["more"].(int) != n || len(lines) > n/2 {
			t.Errorf("%d lines for %d intents, and %v", len(lines), n, more)
		}
		m, p, _ = l.one()
		for i := range n {
			p.emit("", intent(fmt.Sprint("taken-", i)))
		}
		l.settles(time.Hour)
		if lines := m.log.lines("settled"); len(lines) != n || lines[0].Data["payment_may_exist"] != true {
			t.Errorf("%d lines for %d intents whose payment may exist, want all: %v", len(lines), n, lines[0].Data)
		}
	})
}

// An answer that came too late is none: it is neither counted nor logged as settled.
func TestAnAnswerThatIsWithheldIsNotSettled(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start()
		p := l.topic.parts[0]
		m.source.kind = func(c *claim) {
			c.appendFails = func(o pipeline.Answer) error {
				if o.ID != "late" && o.ID != "other" {
					return nil
				}
				if o.ID == "other" { // answered with other content
					o.Digest[0]++
				}
				l.topic.mu.Lock()
				defer l.topic.mu.Unlock()
				p.answered[o.ID] = o.Digest
				return pipeline.ErrAnswered
			}
		}
		m.source.take(0)
		for _, id := range []string{"late", "other", "own"} {
			p.emit("k", intent(id))
		}
		after(time.Minute)
		same(t, "lines of settled intents", len(m.log.lines("settled")), 1)
		same(t, "lines of withheld answers", len(m.log.lines("the intent was answered by somebody else")), 2)
		same(t, "redelivered", m.metric(t, "paylink_skipped_total", "kind", "redelivered"), 1)
		same(t, "dead letters", m.metric(t, "paylink_dead_letters_total", "reason", "conflict"), 1)
		same(t, "outcomes", len(p.order()), 1)
		same(t, "committed", p.committedOffset(), int64(3))
	})
}

func TestSkipsAreLoggedOncePerBurst(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one()
		for range 3 {
			for i := range 1000 {
				p.emit("", intent(fmt.Sprint("i-", i)))
			}
			after(time.Second)
		}
		if n := len(m.log.lines("skip")); n != 1 {
			t.Errorf("%d lines during a burst of 2000 skips, want 1", n)
		}
		m.leave(t)
		sums := m.log.lines("skipped intents")
		if len(sums) != 1 || sums[0].Data["repeated"] != 2000 {
			t.Errorf("sums %v, want one of 2000", sums)
		}
	})
}

func TestStateShowsWhatHappens(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		l.gate.opens["calling"] = []answer{ok.slow(time.Minute)}
		l.gate.opens["backing"] = []answer{later(10 * time.Minute)}
		m := l.start()
		p := l.topic.parts[1]
		c := m.source.take(1)
		m.source.take(0)
		p.emit("", intent("done"))
		p.emit("k", intent("calling"))
		p.emit("k", intent("behind"))
		p.emit("", intent("backing"))
		after(time.Second)
		s := m.State()
		if s.InFlight != 1 || s.BackingOff != 1 || len(s.Partitions) != 2 || len(s.Lanes) != 1 {
			t.Fatalf("State = %+v; want one in flight, one waiting, two partitions, one lane", s)
		}
		if d := s.Partitions[1]; d.Partition != 1 || d.Watermark != 1 || d.Unfinished != 3 || d.Active != 1 || d.Draining {
			t.Errorf("partition = %+v; want watermark 1, 3 unfinished, 1 active", d)
		}
		if d := s.Partitions[0]; d.Partition != 0 || d.Unfinished != 0 || d.Watermark != -1 {
			t.Errorf("partition = %+v; want nothing there yet", d)
		}
		if len(s.Recent) != 1 || s.Recent[0].Intent != "done" || s.Recent[0].Merchant != "540001" {
			t.Errorf("recent = %+v; want done", s.Recent)
		}
		if _, ok := s.Recent[0].Outcome.(payment.Created); !ok {
			t.Errorf("recent outcome = %+v; want created", s.Recent[0].Outcome)
		}
		c.drain()
		after(0)
		if d := m.State().Partitions[1]; !d.Draining {
			t.Errorf("partition = %+v; want it draining", d)
		}
	})
}

func TestRecentKeepsTheNewest(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one()
		for i := range 120 {
			p.emit("", intent(fmt.Sprintf("i-%03d", i)))
			after(time.Millisecond)
		}
		l.settles(time.Second)
		recent := m.State().Recent
		if len(recent) != 50 || recent[0].Intent != "i-119" || recent[49].Intent != "i-070" {
			t.Errorf("%d recent outcomes from %s to %s, want 50 from i-119 to i-070", len(recent), recent[0].Intent, recent[len(recent)-1].Intent)
		}
	})
}

func TestMetricsCount(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = 100 * time.Millisecond
		l.gate.opens["a"] = []answer{lost, puzzling, ok}
		l.gate.opens["b"] = []answer{refused}
		l.gate.opens["c"] = []answer{unsigned}
		l.gate.finds["c"] = []answer{notFound}
		l.gate.opens["d"] = []answer{duplicate}
		l.gate.finds["d"] = []answer{ok}
		m, p, _ := l.one()
		for _, id := range []string{"a", "b", "c", "d"} {
			p.emit(id, intent(id))
		}
		p.emit("", `{"intent_id":"e"}`)
		p.emit("", "junk")
		p.emit("a", intent("a"))
		l.settles(time.Minute)
		after(time.Second)
		tests := []struct {
			want   float64
			name   string
			labels []string
		}{
			{1, "paylink_intents_settled_total", []string{"outcome", "created"}},
			{4, "paylink_intents_settled_total", []string{"outcome", "failed"}},
			{2, "paylink_intents_settled_total", []string{"reason", "refused"}},
			{1, "paylink_intents_settled_total", []string{"reason", "duplicate"}},
			{1, "paylink_intents_settled_total", []string{"reason", "invalid_intent"}},
			{1, "paylink_skipped_total", []string{"kind", "repeated"}},
			{0, "paylink_skipped_total", []string{"kind", "redelivered"}},
			{1, "paylink_dead_letters_total", []string{"reason", "not_json"}},
			{6, "paylink_gateway_calls_total", []string{"call", "init"}},
			{1, "paylink_gateway_calls_total", []string{"call", "init", "result", "ok"}},
			{1, "paylink_gateway_calls_total", []string{"call", "init", "result", "timeout"}},
			{1, "paylink_gateway_calls_total", []string{"call", "init", "result", "unclassified"}},
			{1, "paylink_gateway_calls_total", []string{"call", "status", "result", "not_found"}},
			{2, "paylink_gateway_calls_total", []string{"call", "status", "result", "ok"}}, // a duplicate's, and one after a link in doubt
			{2, "paylink_gateway_repeats_total", nil},
			{0, "paylink_gateway_calls_in_flight", nil},
			{0, "paylink_merchants_on_hold", nil},
			{5, "paylink_intent_seconds", nil},
			{6, "paylink_gateway_call_seconds", []string{"call", "init"}},
			{3, "paylink_gateway_call_seconds", []string{"call", "status"}},
		}
		for _, tt := range tests {
			if got := m.metric(t, tt.name, tt.labels...); got != tt.want {
				t.Errorf("%s%v = %v, want %v", tt.name, tt.labels, got, tt.want)
			}
		}
	})
}

func TestVanishedIntentIsAlarmed(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = time.Second
		m := l.start()
		m.source.kind = func(c *claim) { c.vanished = func(o int64) bool { return o == 7 } }
		p := l.topic.parts[0]
		m.source.take(0)
		for i := range 20 {
			p.emit("k", intent(fmt.Sprintf("i-%02d", i)))
		}
		after(time.Minute)
		same(t, "outcomes", len(p.order()), 19)
		same(t, "metric", m.metric(t, "paylink_intents_vanished_total"), 1)
		same(t, "alarms", len(m.log.lines("the topic's retention deleted")), 1)
		l.topic.mu.Lock()
		l.topic.faults = nil // the topic holds it still, so order and commit look broken to it
		l.topic.mu.Unlock()
		same(t, "committed", p.committedOffset(), int64(20))
	})
}

// A blocking hook stalls whoever logs what starts so, until it is let go.
type blocking struct {
	start string
	let   chan struct{}
}

func (*blocking) Levels() []logrus.Level { return logrus.AllLevels }

func (b *blocking) Fire(e *logrus.Entry) error {
	if strings.HasPrefix(e.Message, b.start) {
		<-b.let
	}
	return nil
}

// TestALogThatStallsHoldsNoLock: who logs, logs with no lock held. What stalls him
// stops neither those who ask nor the intents of others.
func TestALogThatStallsHoldsNoLock(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		b := &blocking{start: "merchant on hold", let: make(chan struct{})}
		defer close(b.let)
		l.gate.opens["wrong"] = []answer{ours}
		m := l.start(func(c *pipeline.Config) { c.Log.(*logrus.Logger).AddHook(b) })
		m.source.take(0)
		m.source.take(1)
		l.topic.parts[0].emit("", intent("wrong", `"merchant_id":"1"`))
		after(time.Second)
		if lanes := m.Lanes(); len(lanes) != 1 || !lanes[0].OnHold {
			t.Fatalf("lanes %+v, want one on hold", lanes)
		}
		l.topic.parts[1].emit("", intent("right", `"merchant_id":"2"`))
		after(time.Second)
		l.created(l.topic.parts[1], "right", 1)
	})
}
