package pipeline_test

import (
	"fmt"
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// priced returns an intent with an amount.
func priced(id, amount, currency string) string {
	return `{"intent_id":"` + id + `","amount":"` + amount + `","currency":"` + currency + `","description":"d"}`
}

// tells checks what metrics say: name, or name/value of its one label.
func (m *member) tells(t *testing.T, when string, want map[string]float64) {
	t.Helper()
	got := map[string]float64{}
	for key := range want {
		name, label, value := split(key)
		if label == "" {
			got[key] = m.metric(t, name)
		} else {
			got[key] = m.metric(t, name, label, value)
		}
	}
	same(t, when, got, want)
}

func split(key string) (name, label, value string) {
	if n, _ := fmt.Sscanf(key, "%s %s %s", &name, &label, &value); n == 0 {
		panic(key)
	}
	return name, label, value
}

// TestWhatIsInHandIsTold: from the first record until the last outcome, and nothing is
// left over.
func TestWhatIsInHandIsTold(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = func(payment.Intent, bool) answer { return ok.slow(10 * time.Second) }
		m, p, _ := l.one(func(c *pipeline.Config) { c.Concurrency = 2 })
		p.emit("k", priced("a", "10.50", "KZT"))
		p.emit("k", priced("b", "0.1", "KZT"))
		p.emit("", priced("c", "0.2", "KZT"))
		p.emit("", priced("d", "7", "USD"))
		after(5 * time.Second)
		m.tells(t, "while two are called for", map[string]float64{
			"paylink_intents_waiting state calling": 2, "paylink_intents_waiting state behind_key": 1, "paylink_intents_waiting state queued": 1,
			"paylink_amount_unanswered currency KZT": 10.8, "paylink_amount_unanswered currency USD": 7,
			"paylink_oldest_unanswered_seconds": 5, "paylink_useful_lag_seconds": 5, "paylink_intents_in_doubt": 0,
		})
		after(time.Minute)
		l.settles(time.Minute)
		m.tells(t, "when all are answered", map[string]float64{
			"paylink_intents_waiting": 0, "paylink_amount_unanswered": 0, "paylink_oldest_unanswered_seconds": 0, "paylink_useful_lag_seconds": 0,
			"paylink_stage_seconds stage call": 4, "paylink_stage_seconds stage wait": 4, "paylink_stage_seconds stage publish": 4,
		})
	})
}

func TestDoubtIsToldUntilItIsClearedUp(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = func(payment.Intent, bool) answer { return lost }
		m, p, _ := l.one()
		p.emit("", priced("a", "5", "KZT"))
		after(50 * time.Millisecond)
		m.tells(t, "after answers were lost", map[string]float64{
			"paylink_intents_in_doubt": 1, "paylink_intents_waiting state backing_off": 1,
			"paylink_gateway_retries_total class in_doubt": m.metric(t, "paylink_gateway_calls_total"),
		})
		l.gate.mu.Lock()
		l.gate.otherwise = nil
		l.gate.mu.Unlock()
		l.settles(time.Minute)
		m.tells(t, "after the link", map[string]float64{"paylink_intents_in_doubt": 0, "paylink_intents_waiting": 0, "paylink_amount_unanswered": 0})
	})
}

// TestPacedIntentsAreNoUsefulLag: more replicas would share the same rate.
func TestPacedIntentsAreNoUsefulLag(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one(rated(pace.Rate{Events: 1, Per: time.Second, Burst: 1}))
		for i := range 3000 {
			p.emit("", priced(fmt.Sprint("i-", i), "1", "KZT"))
		}
		after(100 * time.Second)
		if n := m.metric(t, "paylink_intents_waiting", "state", "backlog"); n < 1000 {
			t.Errorf("%v in the backlog, want most of them", n)
		}
		m.tells(t, "behind a rate", map[string]float64{"paylink_useful_lag_seconds": 0})
		if got, left := m.metric(t, "paylink_amount_unanswered"), float64(3000-len(p.views())); got != left {
			t.Errorf("%v owed, want one for each of %v", got, left)
		}
		// By how many were answered, of which each was emitted at the same time.
		if got := m.metric(t, "paylink_oldest_unanswered_seconds"); got < 99 || got > 101 {
			t.Errorf("the oldest is %v s old, want 100", got)
		}
	})
}

// TestCurrenciesAreBounded: whatever emitters write, labels are codes, and few.
func TestCurrenciesAreBounded(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = func(payment.Intent, bool) answer { return ok.slow(10 * time.Second) }
		m, p, _ := l.one(func(c *pipeline.Config) { c.Concurrency = 200 })
		for i := range 30 {
			p.emit("", priced(fmt.Sprint("i-", i), "1", fmt.Sprintf("X%c%c", 'A'+i%26, 'A'+i/26)))
		}
		p.emit("", priced("text", "1", "+77010000000"))
		after(time.Second)
		if n := m.series(t, "paylink_amount_unanswered"); n > 21 {
			t.Errorf("%d currencies, want 20 and the rest", n)
		}
		m.tells(t, "by a text that is no currency", map[string]float64{"paylink_amount_unanswered currency +77010000000": 0})
		l.settles(time.Minute)
		m.tells(t, "at the end", map[string]float64{"paylink_amount_unanswered": 0})
	})
}

// TestHandedOverIsNotInHand: whatever stood in a partition is the next owner's.
func TestHandedOverIsNotInHand(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m, p, c := l.one(rated(pace.Rate{Events: 1, Per: time.Second, Burst: 1}))
		for i := range 2000 {
			p.emit(fmt.Sprint("k", i%50), priced(fmt.Sprint("i-", i), "1", "KZT"))
		}
		after(10 * time.Second)
		if m.metric(t, "paylink_intents_waiting") == 0 {
			t.Error("nothing waits")
		}
		c.lose()
		after(10 * time.Second)
		m.tells(t, "after the partition was lost", map[string]float64{
			"paylink_intents_waiting": 0, "paylink_amount_unanswered": 0, "paylink_oldest_unanswered_seconds": 0, "paylink_intents_in_doubt": 0,
		})
	})
}

// TestMerchantsMakeNoSeries: 5,000 of them, and no more than 2,000 series.
func TestMerchantsMakeNoSeries(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one()
		for i := range 5000 {
			p.emit("", intent(fmt.Sprint("i-", i), fmt.Sprintf(`"merchant_id":"%d"`, i+1), fmt.Sprintf(`"currency":"%c%c%c"`, 'A'+i%26, 'A'+i/26%26, 'A'+i/676%26)))
		}
		l.settles(time.Minute)
		if n := len(m.State().Lanes); n != 5000 {
			t.Fatalf("%d lanes", n)
		}
		families, err := m.metrics.Gather()
		n := 0
		for _, f := range families {
			n += len(f.Metric)
		}
		if err != nil || n > 500 { // the source's and the process's come to it
			t.Errorf("%d series (%v), want 500 at most", n, err)
		}
	})
}

// TestLargeAmountsAreSummedUp: as many of the largest amount as would not fit a sum in
// millionths.
func TestLargeAmountsAreSummedUp(t *testing.T) {
	const n = 93_000
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one(rated(pace.Rate{Events: 1, Per: 24 * time.Hour, Burst: 1}))
		for i := range n {
			p.emit("", priced(fmt.Sprint("i-", i), "99999999", "UZS"))
		}
		after(time.Minute)
		m.tells(t, "in hand", map[string]float64{"paylink_amount_unanswered currency UZS": 99999999 * n})
	})
}
