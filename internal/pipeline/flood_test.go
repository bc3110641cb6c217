package pipeline_test

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// TestAFloodOfJunkFillsNoLog: neither records that are no intents nor intents that
// break every rule, which no rate holds back. Each reason is told, and the counts
// of what is written and what is only counted add up.
func TestAFloodOfJunkFillsNoLog(t *testing.T) {
	const each, partitions = 50_000, 10
	inLab(t, partitions, func(l *lab) {
		var out bytes.Buffer
		m := l.start(func(c *pipeline.Config) {
			log := c.Log.(*logrus.Logger)
			log.SetOutput(&out)
			log.SetFormatter(&logrus.JSONFormatter{})
		})
		for i := range each {
			p := l.topic.parts[i%partitions]
			p.emit("", "junk")
			p.emit("", fmt.Sprintf(`{"intent_id":"i-%d","amount":"0","description":"x"}`, i))
		}
		committed := func() (n int64) {
			for _, p := range l.topic.parts {
				n += p.committedOffset()
			}
			return n
		}
		for i := range partitions {
			m.source.take(int32(i))
		}
		for end := time.Now().Add(time.Hour); committed() < 2*each && time.Now().Before(end); after(time.Second) {
		}
		m.leave(t)
		if n := committed(); n != 2*each {
			t.Fatalf("committed %d of %d", n, 2*each)
		}
		if out.Len() > 1<<20 {
			t.Errorf("%d bytes of log for %d junk records, want less than a megabyte", out.Len(), 2*each)
		}
		counts := map[string]int{}
		for _, e := range m.log.lines("") {
			what, more := strings.CutPrefix(e.Message, "more of the same in ten seconds: ")
			if more {
				counts[what+" "+e.Data["kind"].(string)] += e.Data["more"].(int)
			} else if r, ok := e.Data["reason"].(string); ok {
				counts[what+" "+r]++
			}
		}
		same(t, "told", counts, map[string]int{"dead letter not_json": each, "settled invalid_intent": each})
		same(t, "dead letters counted", m.metric(t, "paylink_dead_letters_total", "reason", "not_json"), float64(each))
		same(t, "outcomes counted", m.metric(t, "paylink_intents_settled_total", "reason", "invalid_intent"), float64(each))
	})
}

// TestAFloodOfTroubleFillsNoLog: nor do records, or orders, that are tried again and again.
func TestAFloodOfTroubleFillsNoLog(t *testing.T) {
	const each = 300
	isGood := func(in payment.Intent) bool { return len(in.ID) == len("i-123") }
	for name, tt := range map[string]struct {
		what, value string
		set         func(*lab, *member)
	}{
		"not even by reference": {"the dead letter topic takes not even", "junk", func(_ *lab, m *member) {
			m.source.kind = func(c *claim) { c.buryFails = func(event.Message) error { return pipeline.ErrTooLarge } }
		}},
		"strange orders": {"the gateway refuses our credentials or set-up for one", "", func(l *lab, _ *member) {
			l.gate.otherwise = func(in payment.Intent, _ bool) answer {
				if isGood(in) {
					return ok
				}
				return ours
			}
		}},
		"payments of others": {"the gateway answers with a payment", "", func(l *lab, _ *member) {
			for i := range 100 {
				l.gate.made[payment.IntentID(fmt.Sprint("i-", i))] = 7
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				m, p := l.start(), l.topic.parts[0]
				tt.set(l, m)
				for i := range each {
					p.emit("", cmp.Or(tt.value, intent(fmt.Sprint("i-", i))))
				}
				m.source.take(0)
				after(3 * time.Minute)
				first, all := len(m.log.lines(tt.what)), 0
				for _, e := range m.log.lines("more of the same in ten seconds: " + tt.what) {
					all += e.Data["more"].(int)
				}
				t.Logf("%d lines, %d more", first, all)
				if first == 0 || first > 5*19 || all < first {
					t.Errorf("%d lines, and %d more are counted; want few and many", first, all)
				}
			})
		})
	}
}
