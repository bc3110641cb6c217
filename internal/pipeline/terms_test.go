package pipeline_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A shop is a set of merchants that are configured.
type shop struct {
	merchants []payment.MerchantID
	rate      pace.Rate
}

func (s *shop) knows(m payment.MerchantID) bool { return slices.Contains(s.merchants, m) }

func (s *shop) terms(c *pipeline.Config) {
	c.Decoder = event.NewDecoder(event.DecoderConfig{KnownMerchant: s.knows})
	c.Partitions = func() int { return 1 }
	c.Terms = func(m payment.MerchantID) pipeline.Terms {
		if !s.knows(m) {
			return pipeline.Terms{}
		}
		return pipeline.Terms{Rate: s.rate, Endpoint: "gateway"}
	}
}

// unknownMerchant is the outcome of an intent of a merchant that is not configured.
func unknownMerchant(attempts int, mayExist bool) payment.Failed {
	return payment.Failed{
		Reason: payment.InvalidIntent, Attempts: attempts, PaymentMayExist: mayExist,
		Violations: []payment.Violation{{Field: "merchant_id", Rule: "must be a merchant that this service is configured for"}},
	}
}

// TestRemovedMerchantIsNotCalled: what waits of it is settled, honestly, and
// goes on if the merchant comes back in time.
func TestRemovedMerchantIsNotCalled(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		s := &shop{merchants: []payment.MerchantID{"1", "2"}, rate: pace.Rate{Events: 1, Per: 5 * time.Second, Burst: 1}}
		l.gate.opens["doubt"] = []answer{later(time.Hour)}
		l.gate.opens["calling"] = []answer{ok.slow(20 * time.Second)}
		m, p, _ := l.one(s.terms)
		for _, id := range []string{"doubt", "calling"} {
			p.emit("", of("1", id))
		}
		for i := range 100 {
			p.emit(fmt.Sprint("k", i%90), of("1", fmt.Sprint("waits-", i)))
		}
		p.emit("", of("2", "other"))
		for len(callsOfMerchant(l, "1")) < 2 {
			after(time.Second)
		}
		if n := m.Lanes()[0].Backlog; n == 0 {
			t.Fatal("nothing is in the backlog")
		}
		s.merchants = s.merchants[1:]
		m.Renew(everybody)
		after(time.Second)
		p.emit("", of("1", "new"))
		l.settles(30 * time.Second)
		for i := range 100 {
			l.failed(p, fmt.Sprint("waits-", i), unknownMerchant(0, false))
		}
		l.failed(p, "doubt", unknownMerchant(1, true))
		l.failed(p, "new", unknownMerchant(0, false))
		l.created(p, "calling", 1)
		l.created(p, "other", 1)
		same(t, "calls", len(callsOfMerchant(l, "1")), 2)
		s.merchants = append(s.merchants, "1")
		m.Renew(everybody)
		p.emit("", of("1", "again"))
		l.settles(30 * time.Second)
		l.created(p, "again", 1)
	})
}

// TestMerchantRemovedThisMoment: the gateway's client knows it before the engine.
func TestMerchantRemovedThisMoment(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		s := &shop{merchants: []payment.MerchantID{"1"}}
		l.gate.otherwise = func(payment.Intent, bool) answer {
			return answer{err: &payment.GatewayError{Class: payment.Misconfigured, Cause: "unknown_merchant", Err: payment.ErrUnknownMerchant}}
		}
		m, p, _ := l.one(s.terms)
		p.emit("", of("1", "i"))
		after(5 * time.Second)
		s.merchants = nil
		m.Renew(everybody)
		l.settles(time.Second)
		l.failed(p, "i", unknownMerchant(0, false))
		same(t, "merchants on hold", m.metric(t, "paylink_merchants_on_hold"), 0)
	})
}

// everybody is mended.
func everybody(payment.MerchantID) bool { return true }

// TestPartitionsAddedForOthers: a member that gains and loses nothing has a smaller
// share of the rate all the same.
func TestPartitionsAddedForOthers(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		total := 1
		var mu sync.Mutex
		_, p, _ := l.one(rated(pace.Rate{Events: 10, Per: time.Second, Burst: 1}), func(c *pipeline.Config) {
			c.Partitions = func() int { mu.Lock(); defer mu.Unlock(); return total }
		})
		for i := range 400 {
			p.emit("", intent(fmt.Sprint("i-", i)))
		}
		calls := func() int { l.gate.mu.Lock(); defer l.gate.mu.Unlock(); return len(l.gate.calls) }
		after(10 * time.Second)
		alone := calls()
		mu.Lock()
		total = 4
		mu.Unlock()
		after(10 * time.Second)
		if shared := calls() - alone; alone < 90 || shared < 20 || shared > 26 {
			t.Errorf("%d calls in 10 s at 10/s alone, then %d with a quarter of the partitions; want about 100 and 25", alone, shared)
		}
	})
}

// TestTheFirstIntentOfEachMerchantGoesAtOnce: of as many merchants as there are, once the
// partition is ours for long; a rate of its own holds up none but the second.
func TestTheFirstIntentOfEachMerchantGoesAtOnce(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		_, p, _ := l.one(rated(pace.Rate{Events: 1, Per: 1500 * time.Millisecond, Burst: 1}))
		after(time.Minute)
		for i := range 100 {
			for j := range 2 {
				p.emit("", of(fmt.Sprint(1+i), fmt.Sprintf("i-%d-%d", i, j)))
			}
		}
		after(100 * time.Millisecond)
		same(t, "outcomes at once", len(p.order()), 100)
		after(3 * time.Second)
		same(t, "outcomes", len(p.order()), 200)
	})
}
