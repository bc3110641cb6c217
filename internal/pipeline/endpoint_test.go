package pipeline_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"paylink/internal/pace"
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
					return pipeline.Terms{Endpoint: name}
				}
				return pipeline.Terms{}
			}
			c.Endpoints = func() []string { return []string{name} }
			c.Merchants = func() int { return 1 }
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
		m.Renew(everybody)
		after(20 * time.Second)
		same(t, "gateways down", m.metric(t, "paylink_gateway_down"), 1)
		same(t, "gateways told of", m.series(t, "paylink_gateway_down"), 1)
		for i := range 300 {
			p.emit("", intent(fmt.Sprint("j-", i)))
			after(100 * time.Millisecond)
		}
		if n := m.State().Partitions[0].Unfinished; n > 150 {
			t.Errorf("%d unfinished intents are taken while the only gateway is down, want few more than one read brings", n)
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

// TestSlowGatewayHasFewerCallsInFlight: when latency grows tenfold the calls in
// flight fall, so that none runs into its timeout; they come back when it does.
func TestSlowGatewayHasFewerCallsInFlight(t *testing.T) {
	slowGateway(t, 1, 64)
}

// TestSlowGatewayHasFewerCallsInFlightOfAllMerchants: a few are kept for those that have none.
func TestSlowGatewayHasFewerCallsInFlightOfAllMerchants(t *testing.T) {
	slowGateway(t, 3, 60)
}

// slowGateway has a gateway of so many merchants, and so many calls at once, be slow.
func slowGateway(t *testing.T, merchants, calls int) {
	t.Helper()
	inLab(t, 1, func(l *lab) {
		l.gate.takes = 100 * time.Millisecond
		_, p, _ := l.one()
		for i := range 2500 {
			p.emit("", of(fmt.Sprint(1+i%merchants), fmt.Sprint("i-", i)))
		}
		inFlight := func(takes, wait time.Duration) int {
			l.gate.mu.Lock()
			l.gate.takes = takes
			l.gate.mu.Unlock()
			after(wait)
			l.gate.mu.Lock()
			defer l.gate.mu.Unlock()
			return l.gate.inFlight
		}
		same(t, "in flight toward a quick gateway", inFlight(100*time.Millisecond, time.Second), calls)
		if n := inFlight(time.Second, 20*time.Second); n > 64/8 {
			t.Errorf("%d in flight toward a slow gateway, want few", n)
		}
		if n := inFlight(100*time.Millisecond, 4*time.Second); n < 64/2 {
			t.Errorf("%d in flight 4 s after it is quick again, want most of 64", n)
		}
		l.settles(time.Minute)
		for id, v := range p.views() {
			if _, ok := v.Outcome.(payment.Created); !ok {
				t.Fatalf("%s: %+v, want created", id, v.Outcome)
			}
		}
	})
}

// TestAGatewayThatFailsIsToldWithHow its calls end: nobody else says what to mend.
func TestAGatewayThatFailsIsToldWithHow(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		refused := &payment.GatewayError{Class: payment.NotSent, Cause: "proxy", Err: errors.New("the proxy answered CONNECT with 407")}
		l.gate.otherwise = func(payment.Intent, bool) answer { return answer{err: refused}.slow(10 * time.Millisecond) }
		m, p, _ := l.one()
		for i := range 10 {
			p.emit("", intent(fmt.Sprint("i-", i)))
		}
		after(10 * time.Second)
		told := m.log.lines("the gateway fails broadly: calling it only to see whether it is back; intents wait")
		if len(told) == 0 || told[0].Data["last_error"] != "not sent: proxy: the proxy answered CONNECT with 407" {
			t.Errorf("told %v, want how the calls end", told)
		}
		l.gate.mu.Lock()
		l.gate.otherwise = nil
		l.gate.mu.Unlock()
		l.settles(time.Minute)
	})
}

// TestOutageLongerThanTheIntentsLife: those that are too old by its end are given
// up, honestly; the others, and all that come after it, get their links.
func TestOutageLongerThanTheIntentsLife(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		l.gate.otherwise = func(payment.Intent, bool) answer { return lost.slow(100 * time.Millisecond) }
		m := l.start(rated(pace.Rate{Events: 40, Per: time.Second, Burst: 1}), func(c *pipeline.Config) {
			c.Partitions = func() int { return 3 }
		})
		for i := range 3 {
			m.source.take(int32(i))
		}
		emitted := map[payment.IntentID]time.Time{}
		emit := func(i int) {
			id := fmt.Sprint("i-", i)
			emitted[payment.IntentID(id)] = time.Now()
			l.topic.parts[i%3].emit("", intent(id))
		}
		for i := range 120 {
			emit(i)
			after(time.Minute)
		}
		same(t, "gateways down", m.metric(t, "paylink_gateway_down"), 1)
		back := time.Now()
		l.gate.mu.Lock()
		l.gate.otherwise = nil
		called := map[payment.IntentID]bool{}
		for _, c := range l.gate.calls {
			called[c.intent] = true
		}
		l.gate.mu.Unlock()
		for i := 120; i < 150; i++ {
			emit(i)
		}
		l.settles(time.Minute)
		for _, p := range l.topic.parts {
			for id, v := range p.views() {
				old := back.Sub(emitted[id]) >= time.Hour
				switch o := v.Outcome.(type) {
				case payment.Created:
					if old {
						t.Errorf("%s: created, %v old when the gateway came back", id, back.Sub(emitted[id]))
					}
				case payment.Failed:
					if !old || o.Reason != payment.GaveUp || o.PaymentMayExist != called[id] {
						t.Errorf("%s, %v old when the gateway came back, called for: %v: %+v", id, back.Sub(emitted[id]), called[id], o)
					}
				}
			}
		}
	})
}
