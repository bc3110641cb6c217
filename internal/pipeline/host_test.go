package pipeline_test

import (
	"fmt"
	"testing"
	"time"

	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// TestOnlyGatewaysInForceCount: while all gateways are down nothing is fetched.
// One that no terms name any more, and an intent of a merchant that none name,
// change nothing of that.
func TestOnlyGatewaysInForceCount(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		name := "old"
		m, p, _ := l.one(func(c *pipeline.Config) {
			c.Terms = func(m payment.MerchantID) pipeline.Terms {
				if m == "540001" {
					return pipeline.Terms{Host: name}
				}
				return pipeline.Terms{}
			}
			c.Hosts = func() int { return 1 }
		})
		p.emit("", `{"intent_id":"broken","merchant_id":"7"}`)
		p.emit("", intent("first"))
		after(time.Second)
		l.gate.mu.Lock()
		l.gate.otherwise = func(payment.Intent, bool) answer { return unsent.slow(10 * time.Millisecond) }
		l.gate.mu.Unlock()
		for i := range 10 {
			p.emit("", intent(fmt.Sprint("i-", i)))
		}
		after(10 * time.Second)
		same(t, "old gateway down", m.metric(t, "paylink_gateway_down", "gateway", "old"), 1)
		name = "new"
		m.Renew()
		after(20 * time.Second)
		same(t, "gateways down", m.metric(t, "paylink_gateway_down"), 1)
		same(t, "gateways told of", m.series(t, "paylink_gateway_down"), 1)
		for i := range 300 {
			p.emit("", intent(fmt.Sprint("j-", i)))
			after(100 * time.Millisecond)
		}
		if n := m.State().Desks[0].Unfinished; n > 100 {
			t.Errorf("%d unfinished intents are taken while the only gateway is down, want few", n)
		}
		l.gate.mu.Lock()
		l.gate.otherwise = nil
		l.gate.mu.Unlock()
		l.settles(time.Minute)
	})
}

// series counts the series of a metric.
func (m *member) series(t *testing.T, name string) int {
	t.Helper()
	families, err := m.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return len(f.GetMetric())
		}
	}
	return 0
}
