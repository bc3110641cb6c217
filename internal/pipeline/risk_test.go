package pipeline_test

import (
	"fmt"
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

func TestWhatIsAtRisk(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.opens["doubt"] = []answer{lost, later(58 * time.Minute)}
		l.gate.opens["sure"] = []answer{unsent, later(56 * time.Minute).slow(time.Minute)}
		m, p, _ := l.one()
		began := time.Now()
		p.emit("", `{"intent_id":"doubt","amount":"1500.5","currency":"KZT","description":"x"}`)
		after(time.Second)
		p.emit("", intent("sure"))
		after(3 * time.Second)
		r := m.Risk(10 * time.Minute)
		same(t, "waiting", r.Waiting, 2)
		same(t, "in doubt", r.InDoubt, 1)
		same(t, "the oldest in doubt", r.DoubtSince.Sub(began), 0*time.Second)
		same(t, "amounts", r.Amounts, map[string]int64{"KZT": 150050})
		same(t, "soon given up", r.Ending, 0)
		same(t, "not published", r.Unpublished, 0)
		after(51 * time.Minute) // both are in doubt now, and back off
		r = m.Risk(10 * time.Minute)
		same(t, "in doubt", r.InDoubt, 2)
		same(t, "soon given up", r.Ending, 2)
		l.settles(2 * time.Hour)
		same(t, "at the end", m.Risk(10*time.Minute).Waiting, 0)
	})
}

func TestFailuresThatMayHaveAPaymentAreCounted(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = func(payment.Intent, bool) answer { return lost }
		l.gate.opens["refused"] = []answer{refused}
		m, p, _ := l.one()
		p.emit("", intent("lost"))
		p.emit("", intent("refused"))
		l.settles(2 * time.Hour)
		same(t, "outcomes", len(m.State().Recent), 2)
		same(t, "failed though a payment may exist", m.Counts().MayExist, uint64(1))
	})
}

func TestAnAnswerThatKafkaDoesNotTakeIsAtRisk(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		stall := make(chan struct{})
		m := l.start()
		m.source.kind = func(c *claim) { c.stall = stall }
		m.source.take(0)
		began := time.Now()
		l.topic.parts[0].emit("", intent("a"))
		after(time.Minute)
		r := m.Risk(time.Minute)
		same(t, "not published", r.Unpublished, 1)
		same(t, "since", r.PublishedBy.Sub(began) < time.Second && !r.PublishedBy.IsZero(), true)
		same(t, "in doubt", r.InDoubt, 0)
		close(stall)
		after(time.Second)
		same(t, "not published", m.Risk(time.Minute).Unpublished, 0)
	})
}

// TestTheBacklogIsGivenUpSoon, unless its merchant is on hold.
func TestTheBacklogIsGivenUpSoon(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one(rated(pace.Rate{Events: 1, Per: time.Minute, Burst: 1}))
		held := false
		l.gate.otherwise = func(payment.Intent, bool) answer {
			if held {
				return ours
			}
			return ok
		}
		for i := range 200 {
			p.emit("", intent(string(rune('a'+i%26))+string(rune('a'+i/26))))
		}
		after(30 * time.Minute)
		same(t, "soon given up", m.Risk(10*time.Minute).Ending, 0)
		after(25 * time.Minute)
		r := m.Risk(10 * time.Minute)
		same(t, "all that wait are soon given up", r.Ending, r.Waiting)
		same(t, "there are many", r.Waiting > 100, true)
		l.gate.mu.Lock()
		held = true
		l.gate.mu.Unlock()
		after(4 * time.Minute)
		same(t, "on hold", m.Lanes()[0].OnHold, true)
		same(t, "soon given up, on hold", m.Risk(10*time.Minute).Ending, 0)
		m.Renew(func(payment.MerchantID) bool { return true })
	})
}

func TestHowLongIntentsTook(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = 3 * time.Second
		m, p, _ := l.one()
		for _, id := range []string{"a", "b", "c"} {
			p.emit("", intent(id))
		}
		l.settles(time.Minute)
		s := m.Spread()
		same(t, "settled", s.Total, uint64(3))
		for i, within := range s.Within {
			want := uint64(0)
			if within >= 3 {
				want = 3
			}
			same(t, "settled within", s.N[i], want)
		}
		same(t, "bounds", len(s.Within) > 5, true)
	})
}

func TestWhatIsRememberedOfAnIntent(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.opens["waits"] = []answer{later(30 * time.Minute)}
		m, p, _ := l.one()
		p.emit("", `{"intent_id":"waits","order_id":"order-1","amount":"1","description":"x"}`)
		p.emit("", `{"intent_id":"done","order_id":"order-2","amount":"1","description":"x"}`)
		p.emit("", "junk")
		after(time.Minute)
		byOrder, byID := m.Find("order-1"), m.Find("waits")
		same(t, "by order and by intent", byOrder, byID)
		same(t, "found", len(byID), 1)
		same(t, "its order", byID[0].Order, "order-1")
		s := m.State()
		same(t, "outcome", s.Recent[0].Order, "order-2")
		same(t, "its place", s.Recent[0].Offset, int64(1))
		same(t, "dead letters", len(s.Dead), 1)
		same(t, "why", s.Dead[0].Reason, "not_json")
		same(t, "where", s.Dead[0].Offset, int64(2))
	})
}

// TestAmountsAtRiskAreFew: whatever currencies emitters name, a page can show the sums.
func TestAmountsAtRiskAreFew(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = func(payment.Intent, bool) answer { return lost }
		m, p, _ := l.one()
		p.emit("", intent("own"))
		for i := range 60 {
			p.emit("", priced(fmt.Sprint("i-", i), "1.5", fmt.Sprintf("X%c%c", 'A'+i%26, 'A'+i/26)))
		}
		after(500 * time.Millisecond)
		r, sum := m.Risk(time.Minute), int64(0)
		for _, n := range r.Amounts {
			sum += n
		}
		if n := int64(r.InDoubt); n < 30 || sum != 1000+(n-1)*150 || len(r.Amounts) > 21 { // the breaker spares the rest
			t.Errorf("%d in doubt, %d in %d currencies; want 21 currencies at most", n, sum, len(r.Amounts))
		}
	})
}
