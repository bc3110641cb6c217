package pipeline_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// of returns an intent of a merchant.
func of(merchant, id string, more ...string) string {
	return intent(id, append(more, `"merchant_id":"`+merchant+`"`)...)
}

// expires is the member of an intent that expires after d.
func expires(d time.Duration) string {
	return `"expires_at":"` + time.Now().Add(d).UTC().Format(time.RFC3339Nano) + `"`
}

// rated gives every merchant a rate, at a gateway of which there is one.
func rated(r pace.Rate) func(*pipeline.Config) {
	return func(c *pipeline.Config) {
		c.Terms = func(payment.MerchantID) pipeline.Terms { return pipeline.Terms{Rate: r, Endpoint: "gateway"} }
		c.Endpoints = func() []string { return []string{"gateway"} }
		c.Partitions = func() int { return 1 }
	}
}

// wrongSecret makes every call of merchant 1 fail as Misconfigured.
func wrongSecret(in payment.Intent, _ bool) answer {
	if in.Merchant == "1" {
		return ours.slow(100 * time.Millisecond)
	}
	return ok.slow(100 * time.Millisecond)
}

func callsOfMerchant(l *lab, m payment.MerchantID) []call {
	return l.gate.callsOf(func(c call) bool { return c.merchant == m })
}

func TestHoldStopsOneMerchantOnly(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = wrongSecret
		m, p, _ := l.one(func(c *pipeline.Config) { c.Concurrency, c.WindowCount = 4, 100 })
		for i := range 500 {
			p.emit(fmt.Sprint("a", i), of("1", fmt.Sprint("held-", i)))
		}
		for i := range 500 {
			p.emit(fmt.Sprint("b", i), of("2", fmt.Sprint("free-", i)))
		}
		after(time.Minute)
		if n := len(callsOfMerchant(l, "1")); n > 4+3 {
			t.Errorf("%d calls of the held merchant in a minute, want those in flight and a few probes", n)
		}
		if n := len(p.order()); n != 500 {
			t.Errorf("%d outcomes, want the 500 of the other merchant", n)
		}
		if n := m.metric(t, "paylink_merchants_on_hold"); n != 1 {
			t.Errorf("metric says %v on hold, want 1", n)
		}
		i := slices.IndexFunc(m.State().Lanes, func(s pipeline.Lane) bool { return s.Merchant == "1" })
		if s := m.State().Lanes[i]; !s.OnHold || s.Code != "9998" || s.Queued == 0 || !s.NextCall.After(time.Now()) {
			t.Errorf("State says %+v, want on hold with the code and the next probe", s)
		}
		alarms := m.log.lines("merchant on hold")
		if len(alarms) == 0 || alarms[0].Data["code"] != "9998" || alarms[0].Data["merchant_id"] != "1" {
			t.Errorf("%d alarms, want one with code and merchant", len(alarms))
		}
		l.gate.mu.Lock()
		l.gate.otherwise = nil
		l.gate.mu.Unlock()
		l.settles(10 * time.Minute)
		views := p.views()
		for i := range 500 {
			if _, ok := views[payment.IntentID(fmt.Sprint("held-", i))].Outcome.(payment.Created); !ok {
				t.Fatalf("held-%d: no link", i)
			}
		}
		if n := m.metric(t, "paylink_merchants_on_hold"); n != 0 {
			t.Errorf("metric says %v on hold at the end, want 0", n)
		}
	})
}

func TestHoldProbesOneCallAtATime(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = wrongSecret
		_, p, _ := l.one()
		p.emit("", of("1", "i-first"))
		after(5 * time.Second)
		for i := range 100 {
			p.emit("", of("1", fmt.Sprint("i-", i)))
		}
		after(time.Hour)
		calls := callsOfMerchant(l, "1")
		for i := 2; i < len(calls); i++ { // the first other intent shows at once whether it is the merchant
			if gap := calls[i].at.Sub(calls[i-1].at); gap < 10*time.Second {
				t.Errorf("probe %d came %v after the one before", i, gap)
			}
		}
		if n := len(calls); n < 20 || n > 40 {
			t.Errorf("%d probes in an hour, want one every two minutes at last", n)
		}
		same(t, "outcomes", len(p.order()), 0)
	})
}

func TestTimeOnHoldDoesNotCountForGivingUp(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = wrongSecret
		_, p, _ := l.one()
		for i := range 100 { // some of them in the backlog
			p.emit(fmt.Sprint("k", i%50), of("1", fmt.Sprint("i-", i)))
		}
		after(12 * time.Hour)
		same(t, "outcomes on hold", len(p.order()), 0)
		l.gate.mu.Lock()
		l.gate.otherwise = nil
		l.gate.mu.Unlock()
		l.settles(10 * time.Minute)
		for id, v := range p.views() {
			if _, ok := v.Outcome.(payment.Created); !ok {
				t.Errorf("%s: %+v after the hold, want created", id, v.Outcome)
			}
		}
	})
}

// TestAStrangeOrderThatIsTheLastIsGivenUp: it is refused for our credentials, and
// nobody comes after it.
func TestAStrangeOrderThatIsTheLastIsGivenUp(t *testing.T) {
	for name, before := range map[string]int{"the only one": 0, "the last": 3} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				_, p, _ := l.one()
				for i := range before {
					p.emit("", of("1", fmt.Sprint("before-", i)))
				}
				after(time.Minute)
				l.gate.mu.Lock()
				l.gate.otherwise = wrongSecret
				l.gate.mu.Unlock()
				p.emit("", of("1", "i"))
				l.settles(61 * time.Minute)
				f, _ := p.views()["i"].Outcome.(payment.Failed)
				if f.Reason != payment.GaveUp || !f.Retryable || !f.PaymentMayExist {
					t.Errorf("%+v, want given up, and that a payment may exist", f)
				}
			})
		})
	}
}

func TestHoldThroughAHandOverFailsNobody(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = wrongSecret
		m, p, c := l.one()
		p.emit("", of("1", "i"))
		p.emit("", of("1", "j")) // alone, one would be given up
		after(3 * time.Hour)
		c.drain()
		after(time.Second)
		m2 := l.start()
		m.leave(t)
		m2.source.take(0)
		after(time.Hour)
		same(t, "outcomes on hold", len(p.order()), 0)
		l.gate.mu.Lock()
		l.gate.otherwise = nil
		l.gate.mu.Unlock()
		l.settles(5 * time.Minute)
		if _, ok := p.views()["i"].Outcome.(payment.Created); !ok {
			t.Errorf("%+v after the hold, want created", p.views()["i"].Outcome)
		}
	})
}

func TestHoldEndsWithAnyAnswerThatKnowsUs(t *testing.T) {
	for name, a := range map[string]answer{"refused": refused, "unsigned refusal": unsigned, "duplicate": duplicate} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				l.gate.opens["i"] = []answer{ours, a, a, ok}
				l.gate.finds["i"] = []answer{notFound}
				m, p, _ := l.one()
				p.emit("", intent("i"))
				after(5 * time.Second)
				p.emit("", intent("j"))
				l.settles(15 * time.Second)
				l.created(p, "j", 1)
				same(t, "words at the end", len(m.log.lines("merchant no longer on hold")), 1)
			})
		})
	}
}

func TestProbeInDoubtKeepsTheHold(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		script := []answer{ours, lost, unsent, ours, lost, ok}
		l.gate.otherwise = func(payment.Intent, bool) answer {
			a := script[0]
			script = script[min(1, len(script)-1):]
			return a
		}
		m, p, _ := l.one()
		p.emit("", intent("i"))
		after(time.Second)
		for i := range 50 {
			p.emit("", intent(fmt.Sprint("j-", i)))
		}
		after(30 * time.Second)
		if n := len(l.gate.log()); n > 4 {
			t.Errorf("%d calls within half a minute on hold, want the first and a few probes", n)
		}
		same(t, "holds that ended", len(m.log.lines("merchant no longer on hold")), 0)
		l.settles(10 * time.Minute)
		same(t, "holds that ended", len(m.log.lines("merchant no longer on hold")), 1)
		same(t, "calls", len(l.gate.log()), 57) // with a look after the link that was in doubt
	})
}

// TestFailingMerchantDelaysNobodyElse: an intent that backs off takes no room
// from other merchants.
func TestFailingMerchantDelaysNobodyElse(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = func(in payment.Intent, _ bool) answer {
			if in.Merchant == "1" {
				return later(10 * time.Minute)
			}
			return ok
		}
		m := l.start(func(c *pipeline.Config) { // a gateway of its own: hosts fail as a whole
			c.Terms = func(id payment.MerchantID) pipeline.Terms { return pipeline.Terms{Endpoint: string(id)} }
		})
		p, _ := l.topic.parts[0], m.source.take(0)
		for i := range 5000 {
			p.emit(fmt.Sprint("a", i), of("1", fmt.Sprint("bad-", i)))
		}
		for i := range 500 {
			p.emit(fmt.Sprint("b", i), of("2", fmt.Sprint("good-", i)))
		}
		after(5 * time.Second)
		same(t, "outcomes of the other merchant", len(p.order()), 500)
	})
}

// TestAMerchantOnHoldShowsThatTheGatewayIsBack: all others' intents have expired
// during the outage. That our credentials are wrong is an answer too.
func TestAMerchantOnHoldShowsThatTheGatewayIsBack(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		down := false
		l.gate.otherwise = func(in payment.Intent, find bool) answer {
			if down {
				return unsent
			}
			return wrongSecret(in, find)
		}
		m, p, _ := l.one(func(c *pipeline.Config) { c.Endpoints = func() []string { return []string{""} } })
		p.emit("", of("1", "held"))
		after(5 * time.Second)
		l.gate.mu.Lock()
		down = true
		l.gate.mu.Unlock()
		for i := range 10 {
			p.emit("", intent(fmt.Sprint("i-", i), `"merchant_id":"2"`, expires(time.Minute)))
		}
		after(10 * time.Minute)
		same(t, "outcomes", len(p.order()), 10)
		same(t, "gateways down", m.metric(t, "paylink_gateway_down"), 1)
		l.gate.mu.Lock()
		down = false
		l.gate.mu.Unlock()
		after(3 * time.Minute)
		same(t, "gateways down once a probe was answered", m.metric(t, "paylink_gateway_down"), 0)
	})
}

// TestIntentExpiresOnHoldInTime: time on hold does not count for giving up, for
// expires_at it does; also behind an intent that would have been given up.
func TestIntentExpiresOnHoldInTime(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = wrongSecret
		_, p, _ := l.one(func(c *pipeline.Config) { c.GiveUpAfter = 10 * time.Minute })
		p.emit("", of("1", "old"))
		after(5 * time.Minute)
		expiresAt := time.Now().Add(8 * time.Minute)
		p.emit("", intent("i", `"merchant_id":"1"`, expires(8*time.Minute)))
		after(2 * time.Hour)
		same(t, "outcomes on hold", p.order(), []string{"i"})
		l.failed(p, "i", payment.Failed{Reason: payment.Expired, ErrorCode: "9998", Attempts: 4})
		if late := p.outcomes[0].at.Sub(expiresAt); late > time.Second {
			t.Errorf("it was settled %v after it had expired", late)
		}
	})
}

// TestNobodyWaitsForALastLook: of intents that another owner may have called for,
// each is looked up before it is given up, with a tenth of the merchant's pace. What
// was never called for expires meanwhile in time.
func TestNobodyWaitsForALastLook(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		slow := rated(pace.Rate{Events: 1, Per: 10 * time.Second, Burst: 1})
		l.gate.otherwise = func(_ payment.Intent, find bool) answer {
			if find {
				return notFound
			}
			return lost
		}
		m, p, _ := l.one(slow)
		for i := range 20 {
			p.emit("", intent(fmt.Sprint("i-", i), expires(5*time.Minute)))
		}
		after(time.Minute)
		m.leave(t)
		after(10 * time.Minute)
		m = l.start(slow)
		m.source.take(0)
		after(time.Second)
		p.emit("", intent("new", expires(5*time.Second)))
		after(6 * time.Second)
		l.failed(p, "new", payment.Failed{Reason: payment.Expired})
		l.settles(40 * time.Minute)
	})
}

// TestParkedIntentsExpireOnHoldInTime: also those of which only the offset is
// remembered, and whoever waits behind their key.
func TestParkedIntentsExpireOnHoldInTime(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = wrongSecret
		m, p, _ := l.one()
		p.emit("", of("1", "first"))
		after(5 * time.Second)
		began := time.Now()
		for i := range 300 {
			p.emit("", intent(fmt.Sprint("late-", i), `"merchant_id":"1"`, expires(30*time.Minute)))
		}
		for i := range 100 {
			p.emit(fmt.Sprint("k", i%50), intent(fmt.Sprint("soon-", i), `"merchant_id":"1"`, expires(20*time.Minute)))
		}
		after(10 * time.Second)
		if n := m.Lanes()[0].Backlog; n < 300 {
			t.Fatalf("%d are in the backlog, want most", n)
		}
		after(20 * time.Minute)
		same(t, "outcomes after 20 min", len(p.order()), 100)
		after(10 * time.Minute)
		same(t, "outcomes after 30 min", len(p.order()), 400)
		for _, o := range p.outcomes {
			want := began.Add(30 * time.Minute)
			if o.offset > 300 {
				want = began.Add(20 * time.Minute)
			}
			if late := o.at.Sub(want); late > 2*time.Second {
				t.Fatalf("%d was settled %v after it had expired", o.offset, late)
			}
		}
	})
}

// TestWhatNeedsNoCallWaitsForNoHold: broken intents and conflicts are settled at
// once, unless an intent of their key waits.
func TestWhatNeedsNoCallWaitsForNoHold(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one()
		p.emit("", of("1", "known"))
		after(time.Second)
		l.gate.mu.Lock()
		l.gate.otherwise = wrongSecret
		l.gate.mu.Unlock()
		for i := range 120 {
			p.emit(fmt.Sprint("k", i), of("1", fmt.Sprint("i-", i)))
			after(time.Second)
		}
		if n := m.Lanes()[0].Backlog; n == 0 {
			t.Fatal("nothing is in the backlog")
		}
		p.emit("", `{"intent_id":"broken","merchant_id":"1"}`)
		after(time.Second)
		p.emit("a", `{"intent_id":"broken-too","merchant_id":"1"}`)
		conflict := p.emit("b", intent("known", `"merchant_id":"1"`, `"currency":"USD"`))
		for _, key := range []string{"k0", "k119"} { // loaded, in the backlog
			p.emit(key, `{"intent_id":"behind-`+key+`","merchant_id":"1"}`)
		}
		after(time.Second)
		same(t, "outcomes on hold", p.order(), []string{"known", "broken", "broken-too"})
		same(t, "dead letters", p.reasons(), map[int64]string{conflict: "conflict"})
		l.gate.mu.Lock()
		l.gate.otherwise = nil
		l.gate.mu.Unlock()
		l.settles(10 * time.Minute)
	})
}

// TestExpiredIntentsUseUpNoProbe: intents that expired on hold, and for which an owner
// before us may have called, are looked up once before they are settled. That is
// no probe: those that can still have a link go on as soon as one shows that it is
// all right again.
func TestExpiredIntentsUseUpNoProbe(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = wrongSecret
		m, p, c := l.one()
		for i := range 8 {
			p.emit("", of("1", fmt.Sprint("old-", i), expires(time.Minute)))
		}
		p.emit("", of("1", "i"))
		after(5 * time.Second)
		c.drain()
		after(5 * time.Second)
		m.source.take(0) // from now on they are somebody else's from before
		after(3 * time.Minute)
		l.gate.mu.Lock()
		l.gate.otherwise = nil
		l.gate.mu.Unlock()
		l.settles(3 * time.Minute)
		if v := p.views()["i"].Outcome; !isCreated(v) {
			t.Errorf("i: %+v, want created", v)
		}
	})
}

func isCreated(o payment.Outcome) bool {
	_, ok := o.(payment.Created)
	return ok
}
