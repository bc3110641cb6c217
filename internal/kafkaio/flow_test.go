package kafkaio_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/kafkaio"
	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

func rate(t *testing.T, text string) pace.Rate {
	t.Helper()
	var r pace.Rate
	if err := r.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return r
}

// at sets one rate for every merchant.
func at(t *testing.T, text string) func(*pipeline.Config) {
	r := rate(t, text)
	return func(c *pipeline.Config) {
		c.Terms = func(payment.MerchantID) pipeline.Terms { return pipeline.Terms{Rate: r} }
	}
}

// times returns when the gateway was called, in order.
func (g *gate) times() []time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]time.Time, len(g.log))
	for i, c := range g.log {
		out[i] = c.at
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// busiest is the most calls in any window.
func busiest(ts []time.Time, w time.Duration) (most int) {
	first := 0
	for i, t := range ts {
		for t.Sub(ts[first]) >= w {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// between counts the calls of a stretch of time.
func between(ts []time.Time, from, to time.Time) (n int) {
	for _, t := range ts {
		if !t.Before(from) && t.Before(to) {
			n++
		}
	}
	return n
}

func TestReplicasKeepTheRateThroughJoinLeaveAndKill(t *testing.T) {
	inLab(t, 12, func(l *lab) {
		l.flow = at(t, "40/s")
		l.emit(0, 6000)
		a, b := l.start("a"), l.start("b")
		time.Sleep(20 * time.Second)
		c := l.start("c")
		time.Sleep(20 * time.Second)
		b.leave(t)
		time.Sleep(20 * time.Second)
		l.kill("a", a)
		time.Sleep(20 * time.Second)
		d := l.start("d")
		l.judge(6000)
		ts := l.gate.times()
		if n := busiest(ts, 5*time.Second); n > 40*5+4 {
			t.Errorf("%d calls in 5 s, want at most %d", n, 40*5+4)
		}
		t.Logf("busiest 5 s: %d calls of 204 allowed", busiest(ts, 5*time.Second))
		c.leave(t)
		d.leave(t)
	})
}

func TestOneReplicaUsesItsRate(t *testing.T) {
	inLab(t, 12, func(l *lab) {
		l.flow = at(t, "40/s")
		l.emit(0, 4000)
		m := l.start("a")
		time.Sleep(20 * time.Second)
		from := time.Now()
		time.Sleep(60 * time.Second)
		n := between(l.gate.times(), from, time.Now())
		if n < 40*60*98/100 || n > 40*60+1 {
			t.Errorf("%d calls in a minute at 40/s, want 98 to 100 %%", n)
		}
		t.Logf("%.1f %% of the rate used", float64(n)/24)
		m.leave(t)
	})
}

func TestOutageCostsNoIntentAndLittleTime(t *testing.T) {
	inLab(t, 12, func(l *lab) {
		l.flow = func(c *pipeline.Config) {
			at(t, "200/s")(c)
			c.Concurrency, c.Endpoints = 512, func() []string { return []string{""} }
		}
		l.emit(0, 14_000)
		m := l.start("a")
		time.Sleep(30 * time.Second)
		down := time.Now()
		l.gate.mu.Lock()
		l.gate.says = func(payment.Intent) error {
			return &payment.GatewayError{Class: payment.InDoubt, Cause: "http_5xx", Status: 503}
		}
		l.gate.mu.Unlock()
		time.Sleep(60 * time.Second)
		up := time.Now()
		l.gate.mu.Lock()
		l.gate.says = nil
		l.gate.mu.Unlock()
		time.Sleep(30 * time.Second)
		ts := l.gate.times()
		if n := between(ts, down, up); n > 200*60/10 {
			t.Errorf("%d calls during the outage, want at most a tenth of 12000", n)
		}
		if n := between(ts, up.Add(5*time.Second), up.Add(15*time.Second)); n < 200*10*9/10 {
			t.Errorf("%d calls from 5 to 15 s after the outage, want at least 90 %% of 2000", n)
		}
		t.Logf("%d calls in the outage, %d in 10 s from 5 s after it", between(ts, down, up), between(ts, up.Add(5*time.Second), up.Add(15*time.Second)))
		l.judge(14_000)
		l.noneFailed()
		m.leave(t)
	})
}

// noneFailed checks that every outcome is a link.
func (l *lab) noneFailed() {
	l.t.Helper()
	recs, err := l.broker.Kafka().Read(context.Background(), devstack.Outcomes, devstack.ReadUncommitted)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, r := range recs {
		if string(r.Header("ce_type")) != "paylink.payment-created.v1" {
			l.t.Fatalf("an intent failed: %s", r.Value)
		}
	}
}

func TestWrongSecretFailsNobodyAndIsHardlyTried(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		l.flow = at(t, "1/1500ms")
		l.gate.says = func(payment.Intent) error {
			return &payment.GatewayError{Class: payment.Misconfigured, Cause: "bad_signature", Code: "1100"}
		}
		l.emit(0, 20)
		m := l.start("a")
		time.Sleep(60 * time.Second)
		if n := len(l.gate.times()); n < 1 || n > 5 {
			t.Errorf("%d calls in a minute with a wrong secret, want 1 to 5", n)
		}
		t.Logf("%d calls", len(l.gate.times()))
		l.gate.mu.Lock()
		l.gate.says = nil
		l.gate.mu.Unlock()
		l.judge(20)
		l.noneFailed()
		m.leave(t)
	})
}

func TestSlowMerchantDelaysNobody(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		l.flow = func(c *pipeline.Config) {
			slow, fast := rate(t, "1/s"), rate(t, "200/s")
			c.Terms = func(m payment.MerchantID) pipeline.Terms {
				if m == "1" {
					return pipeline.Terms{Rate: slow}
				}
				return pipeline.Terms{Rate: fast}
			}
			c.GiveUpAfter = 24 * time.Hour
		}
		l.emitFor("1", 5000)
		m := l.start("a")
		time.Sleep(30 * time.Second)
		began := time.Now()
		took := l.emitFor("2", 500)
		time.Sleep(10 * time.Second)
		l.gate.mu.Lock()
		var waits []time.Duration
		for _, c := range l.gate.log {
			if at, ok := took[c.id]; ok {
				waits = append(waits, c.done.Sub(at))
			}
		}
		l.gate.mu.Unlock()
		slices.Sort(waits)
		if len(waits) != 500 {
			t.Fatalf("%d of 500 intents of the fast merchant were called for in 10 s", len(waits))
		}
		// All 500 came at once: the last one's share of the rate is 2.5 s away.
		if p99 := waits[494] - 494*5*time.Millisecond; p99 > 2*time.Second {
			t.Errorf("p99 %v more than the merchant's own pace asks for, want less than 2s", p99)
		}
		t.Logf("p99 %v from record to answer, of which the merchant's own pace is %v", waits[494], 494*5*time.Millisecond)
		if n := between(l.gate.times(), began, began.Add(10*time.Second)); n < 500+9 || n > 500+11 {
			t.Errorf("%d calls in 10 s, want 500 of the fast merchant and 10 of the slow one", n)
		}
		m.leave(t)
	})
}

// emitFor publishes n intents of a merchant at once, and returns when.
func (l *lab) emitFor(merchant string, n int) map[payment.IntentID]time.Time {
	l.t.Helper()
	at := map[payment.IntentID]time.Time{}
	var recs []*kgo.Record
	for i := range n {
		id := fmt.Sprintf("m%s-%05d", merchant, i)
		at[payment.IntentID(id)] = time.Now()
		recs = append(recs, &kgo.Record{Topic: devstack.Intents, Key: []byte(id), Value: fmt.Appendf(nil, `{"intent_id":%q,"merchant_id":%q,"amount":"10.00","description":"x"}`, id, merchant)})
	}
	if err := l.client.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
	return at
}

func TestThousandsOfMerchantsHaveTheirOwnPace(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		l.flow = at(t, "1/s")
		const merchants, each = 1000, 3
		var recs []*kgo.Record
		for i := range merchants * each {
			id := fmt.Sprintf("t-%05d", i)
			recs = append(recs, &kgo.Record{Topic: devstack.Intents, Key: []byte(id), Value: fmt.Appendf(nil, `{"intent_id":%q,"merchant_id":"%d","amount":"10.00","description":"x"}`, id, 1+i%merchants)})
		}
		if err := l.client.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		m := l.start("a")
		if got := len(l.outcomes(merchants * each)); got != merchants*each {
			t.Fatalf("%d outcomes, want %d", got, merchants*each)
		}
		// Each merchant needs 3 s, after one interval of grace; 64 calls of 50 ms at
		// a time need 2.4 s for all of them.
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("all took %v, want about 5 to 8 s", took)
		}
		m.leave(t)
	})
}

// A broker that leads nothing of ours costs nothing, and is asked again when it does.
func TestAFetchLoopRunsWhileItsBrokerLeadsAPartitionOfOurs(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		lead := func(node int32) {
			t.Helper()
			for p := range int32(3) {
				if err := l.broker.MoveTopicPartition(devstack.Intents, p, node); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(500 * time.Millisecond) // who is told that it is the wrong broker has the metadata asked for at once
		}
		m := l.start("a")
		time.Sleep(5 * time.Second)
		for i, node := range []int32{0, 2, 1, 0} {
			lead(node)
			if got := m.source.Loops(); !slices.Equal(got, []int32{node}) {
				t.Errorf("broker %d leads all, and loops run for %v", node, got)
			}
			l.emit(i*20, 20)
			l.judge(i*20 + 20)
		}
		b := l.start("b", func(c *kafkaio.Config) { c.Group = "another" })
		time.Sleep(5 * time.Second)
		b.leave(t)
		if got := b.source.Loops(); len(got) != 0 {
			t.Errorf("loops run for %v after the end", got)
		}
		m.leave(t)
		l.calls(80, 1)
	})
}
