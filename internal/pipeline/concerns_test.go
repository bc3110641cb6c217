package pipeline_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// What one does concerns only itself (L2), and an intent gives up only if no call
// was free for it in time (L3).

// gentle is the default rate.
var gentle = rated(pace.Rate{Events: 1, Per: 1500 * time.Millisecond})

// expects counts outcomes by the first letters of their intents' ids: so many of
// them have a link.
func (l *lab) expects(p *partition, want map[string]int) {
	l.t.Helper()
	got := map[string]int{}
	for id, v := range p.views() {
		var kind string
		_, _ = fmt.Sscanf(string(id), "%3s", &kind)
		if isCreated(v.Outcome) {
			got[kind]++
		} else {
			got[kind] += 0
		}
	}
	same(l.t, "links", got, want)
}

// TestABurstIsNotOvertaken: 500 at once, and then a little less than the rate. In
// the order of their times nobody waits longer than 13 minutes.
func TestABurstIsNotOvertaken(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start(gentle)
		m.source.take(0)
		after(5 * time.Second)
		p := l.topic.parts[0]
		for i := range 500 {
			p.emit("", intent(fmt.Sprint("burst-", i)))
		}
		for i := range 4000 {
			after(1667 * time.Millisecond)
			p.emit("", intent(fmt.Sprint("later-", i)))
		}
		l.settles(time.Hour)
		l.expects(p, map[string]int{"bur": 500, "lat": 4000})
	})
}

// TestAnOutageIsNotOvertaken: the gateway is away for 30 minutes, while intents
// arrive at nine tenths of the rate.
func TestAnOutageIsNotOvertaken(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		down := true
		l.gate.otherwise = func(payment.Intent, bool) answer {
			if down {
				return unsent
			}
			return ok
		}
		m := l.start(gentle)
		m.source.take(0)
		p := l.topic.parts[0]
		for i := range 4000 {
			after(1667 * time.Millisecond)
			if i == 1080 {
				down = false
			}
			p.emit("", intent(fmt.Sprint(map[bool]string{true: "during", false: "after-"}[i < 1080], "-", i)))
		}
		l.settles(time.Hour)
		l.expects(p, map[string]int{"dur": 1080, "aft": 2920})
	})
}

// TestOldOnesAreInNobodysWay: thousands that are too old for a link, and that an
// owner before us may have called for, can only be looked up.
func TestOldOnesAreInNobodysWay(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = func(_ payment.Intent, find bool) answer {
			if find {
				return notFound
			}
			return ok
		}
		m := l.start(gentle)
		p := l.topic.parts[0]
		began := time.Now()
		for i := range 2400 {
			p.emitAt(began.Add(-2*time.Hour), fmt.Sprint("k", i%7), intent(fmt.Sprint("old-", i)))
		}
		m.source.take(0)
		p.emit("", intent("new-first"))
		after(2 * time.Second)
		if v := p.views()["new-first"].Outcome; !isCreated(v) {
			t.Errorf("new-first: %+v after 2 s, want created", v)
		}
		for i := range 20 {
			p.emit("", intent(fmt.Sprint("new-", i)))
		}
		after(10 * time.Minute)
		finds := 0
		for _, c := range l.gate.log() {
			if strings.HasPrefix(c, "find ") {
				finds++
			}
		}
		if most := int(time.Since(began)/(15*time.Second)) + 1; finds > most || finds < most/2 {
			t.Errorf("%d look-ups in %v, want about a tenth of the rate, %d", finds, time.Since(began), most)
		}
		n := 0
		for id, v := range p.views() {
			if id[:3] == "new" && isCreated(v.Outcome) {
				n++
			}
		}
		same(t, "links of fresh ones", n, 21)
		after(11 * time.Hour)
		l.settles(time.Minute)
	})
}

// TestLookUpsThatAreNotAllowedStopNobody: status look-ups are refused for this
// merchant, Init works. What was to be looked up stays in doubt.
func TestLookUpsThatAreNotAllowedStopNobody(t *testing.T) {
	for name, doubt := range map[string]func(*lab, *member){
		"expired before we came": func(l *lab, m *member) {
			l.topic.parts[0].emit("", intent("odd", expires(-time.Second)))
			m.source.take(0)
		},
		"refused by nobody knows whom": func(l *lab, m *member) {
			l.gate.opens["odd"] = []answer{unsigned}
			m.source.take(0)
			l.topic.parts[0].emit("", intent("odd"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				l.gate.otherwise = func(_ payment.Intent, find bool) answer {
					if find {
						return ours
					}
					return ok
				}
				m := l.start()
				doubt(l, m)
				after(5 * time.Second)
				p := l.topic.parts[0]
				for i := range 20 {
					p.emit("", intent(fmt.Sprint("i-", i)))
					after(10 * time.Second)
					l.created(p, fmt.Sprint("i-", i), 1)
				}
				l.settles(2 * time.Hour)
				if f, ok := p.views()["odd"].Outcome.(payment.Failed); !ok || !f.PaymentMayExist {
					t.Errorf("odd: %+v, want failed, and a payment may exist", p.views()["odd"].Outcome)
				}
				same(t, "holds", m.metric(t, "paylink_merchants_on_hold"), 0.0)
			})
		})
	}
}

// TestOneStrangeOrderOfAThousand: the gateway speaks of our credentials for one
// order only, however often it is asked. The others are as fast as without it.
func TestOneStrangeOrderOfAThousand(t *testing.T) {
	for name, a := range map[string]answer{"signed": ours, "unsigned": {err: &payment.GatewayError{Class: payment.Misconfigured, Cause: "credentials", Code: "9997"}}} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				l.gate.otherwise = func(in payment.Intent, find bool) answer {
					switch {
					case in.ID == "strange":
						return a
					case find:
						return notFound
					}
					return ok
				}
				m, p, _ := l.one(gentle)
				p.emit("", intent("strange"))
				began := time.Now()
				for i := range 999 {
					p.emit("", intent(fmt.Sprint("i-", i)))
				}
				after(time.Duration(999+30) * 1510 * time.Millisecond)
				same(t, "outcomes of the others", len(p.order()), 999)
				if v := time.Since(began); v > 27*time.Minute {
					t.Errorf("it took %v", v)
				}
				l.settles(2 * time.Hour)
				if f, ok := p.views()["strange"].Outcome.(payment.Failed); !ok || f.Reason != payment.GaveUp || !f.PaymentMayExist {
					t.Errorf("strange: %+v, want given up, as any other in doubt", p.views()["strange"].Outcome)
				}
				told := m.log.lines("the gateway refuses our credentials or set-up for one intent only")
				if len(told) == 0 || told[0].Data["intent_id"] != "strange" {
					t.Errorf("told of %d, want of which order", len(told))
				}
			})
		})
	}
}

// TestManyStrangeOrdersStopNobody: more than are loaded at a time are answered so for
// ever. Who comes after them is called for at the merchant's pace.
func TestManyStrangeOrdersStopNobody(t *testing.T) {
	for name, says := range map[string]struct{ open, find answer }{
		"no answer":                 {lost, notFound},
		"not sent":                  {unsent, notFound},
		"come later":                {later(time.Hour), notFound},
		"duplicate, and no look-up": {duplicate, ours},
		"duplicate, and no answer":  {duplicate, lost},
		"refused, and no look-up":   {unsigned, ours},
		"refused, and it exists":    {unsigned, ok},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				l.gate.otherwise = func(in payment.Intent, find bool) answer {
					switch {
					case !strings.HasPrefix(string(in.ID), "odd"):
						return ok
					case find:
						return says.find
					}
					return says.open
				}
				_, p, _ := l.one(gentle)
				p.emit("", intent("first"))
				after(time.Second)
				for i := range 100 {
					p.emit("", intent(fmt.Sprint("odd-", i)))
					after(10 * time.Second)
				}
				for i := range 20 {
					p.emit("", intent(fmt.Sprint("new-", i)))
				}
				after(time.Minute)
				l.expects(p, map[string]int{"fir": 1, "new": 20})
				l.settles(2 * time.Hour)
			})
		})
	}
}

// TestAFewStrangeOrdersHoldNobody: the gateway speaks of our credentials for them alone.
// Nobody else was there when they came, so the merchant is on hold, until others come.
func TestAFewStrangeOrdersHoldNobody(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = func(in payment.Intent, find bool) answer {
			if strings.HasPrefix(string(in.ID), "odd") {
				return ours
			}
			return ok
		}
		m, p, _ := l.one(gentle)
		p.emit("", intent("first"))
		after(time.Second)
		for i := range 5 {
			p.emit("", intent(fmt.Sprint("odd-", i)))
		}
		after(10 * time.Minute)
		same(t, "holds", m.metric(t, "paylink_merchants_on_hold"), 1.0)
		for i := range 20 {
			p.emit("", intent(fmt.Sprint("new-", i)))
		}
		after(3 * time.Minute)
		l.expects(p, map[string]int{"fir": 1, "new": 20})
		same(t, "holds", m.metric(t, "paylink_merchants_on_hold"), 0.0)
		l.settles(2 * time.Hour)
	})
}

// TestMerchantsThatFailAloneStopNobody: the gateway answers no call of three merchants, and
// all of another at the same address.
func TestMerchantsThatFailAloneStopNobody(t *testing.T) {
	for name, a := range map[string]answer{"no answer": lost, "not sent": unsent, "come later": later(time.Hour), "no answer for long": lost.slow(30 * time.Second)} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				l.gate.otherwise = func(in payment.Intent, find bool) answer {
					if in.Merchant != "5" {
						return a
					}
					return ok
				}
				_, p, _ := l.one(func(c *pipeline.Config) {
					c.Terms = func(payment.MerchantID) pipeline.Terms {
						return pipeline.Terms{Rate: pace.Rate{Events: 5, Per: time.Second, Burst: 1}, Endpoint: "gateway"}
					}
					c.Endpoints = func() []string { return []string{"gateway"} }
				})
				for i := range 300 {
					p.emit("", of(fmt.Sprint(1+i%3), fmt.Sprint("odd-", i)))
				}
				after(time.Minute)
				for i := range 40 {
					p.emit("", of("5", fmt.Sprint("new-", i)))
				}
				after(2 * time.Minute)
				if n := len(p.order()); n != 40 {
					t.Errorf("%d of 40 have their links after two minutes", n)
				}
				l.settles(3 * time.Hour)
			})
		})
	}
}

// TestCallsThatHangKeepNobodyWaiting: of all merchants at a gateway but one many calls
// hang, or are answered after long. The one, which was there before, is as quick as ever.
func TestCallsThatHangKeepNobodyWaiting(t *testing.T) {
	never, late := lost.slow(30*time.Second), ok.slow(20*time.Second)
	for name, c := range map[string]struct {
		calls, ill, share, old int
		hang                   answer
	}{
		"half of the calls":          {64, 1, 50, 0, never},
		"nine in ten":                {64, 1, 90, 0, never},
		"all":                        {64, 1, 100, 0, never},
		"all, and nothing is sent":   {64, 1, 100, 0, unsent.slow(30 * time.Second)},
		"nine in ten of two":         {64, 2, 90, 0, never},
		"all of two, and few calls":  {8, 2, 100, 0, never},
		"nine in ten, and few calls": {8, 1, 90, 0, never},
		"all of many old ones":       {64, 1, 100, 500, never},
		"slow answers":               {64, 1, 100, 0, late},
		"slow answers, few calls":    {8, 2, 60, 0, late},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				n := 0
				l.gate.takes = 200 * time.Millisecond
				l.gate.otherwise = func(in payment.Intent, _ bool) answer {
					if n += 37; in.Merchant != "5" && n%100 < c.share {
						return c.hang
					}
					return ok
				}
				_, p, _ := l.one(func(cfg *pipeline.Config) {
					cfg.Concurrency = c.calls
					cfg.Terms = func(payment.MerchantID) pipeline.Terms {
						return pipeline.Terms{Rate: pace.Rate{Events: 20, Per: time.Second, Burst: 20}, Endpoint: "gateway"}
					}
					cfg.Endpoints = func() []string { return []string{"gateway"} }
				})
				p.emit("", of("5", "new-seen"))
				after(time.Second)
				for i := range c.old {
					p.emit("", of("1", fmt.Sprint("old-", i)))
				}
				for i := range 300 {
					for m := range c.ill {
						p.emit("", of(fmt.Sprint(1+m), fmt.Sprint("ill-", m, "-", i)))
					}
					p.emit("", of("5", fmt.Sprint("new-", i)))
					after(time.Second)
				}
				after(5 * time.Second)
				if d := l.slowest("new", p); d > 5*time.Second {
					t.Errorf("the slowest link of the other merchant took %v", d)
				}
			})
		})
	}
}

// slowest is how long the slowest link took of the intents whose ids start so; an hour,
// if one has none.
func (l *lab) slowest(start string, p *partition) (d time.Duration) {
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	at := map[int64]time.Time{}
	for _, o := range p.outcomes {
		at[o.offset] = o.at
	}
	for _, r := range p.records {
		if strings.HasPrefix(string(idOf(&r)), start) {
			done, ok := at[r.Offset]
			if !ok {
				return time.Hour
			}
			d = max(d, done.Sub(r.Time))
		}
	}
	return d
}

// TestTimesThatAreNone: whatever stands where a record's time belongs, and in
// expires_at, the intent has its outcome at once, and the one behind it, too.
func TestTimesThatAreNone(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		now := time.Now()
		times := map[string]time.Time{
			"absent": time.UnixMilli(-1), "zero": time.UnixMilli(0), "seconds": time.UnixMilli(now.Unix()),
			"microseconds": time.UnixMilli(now.UnixMicro()), "nanoseconds": time.UnixMilli(now.UnixNano()),
			"far past": time.UnixMilli(-1 << 62), "far future": time.UnixMilli(1<<63 - 1),
			"year 1": time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), "next year": now.AddDate(1, 0, 0), "years ago": now.AddDate(-30, 0, 0),
		}
		m := l.start(rated(pace.Rate{Events: 10, Per: time.Second}))
		p := l.topic.parts[0]
		for name, at := range times {
			p.emitAt(at, "", intent("before-"+name))
		}
		m.source.take(0)
		for name, at := range times {
			p.emitAt(at, name, intent("i-"+name))
			p.emit(name, intent("behind-"+name))
		}
		for _, year := range []int{1, 1500, 1677, 1969, 2263, 9999} {
			at := time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339)
			p.emit("", intent(fmt.Sprint("expires-", year), `"expires_at":"`+at+`"`))
		}
		l.settles(time.Minute)
		for id, v := range p.views() {
			created := isCreated(v.Outcome)
			f, _ := v.Outcome.(payment.Failed)
			if expired := f.Reason == payment.Expired || f.Reason == payment.InvalidIntent; id[:3] == "exp" && id < "expires-2" && !created && !expired {
				t.Errorf("%s: %+v, want expired", id, v.Outcome)
			} else if id[:3] != "exp" && !created {
				t.Errorf("%s: %+v, want created", id, v.Outcome)
			}
		}
	})
}

// TestGivingUpSaysFromWhenItCounts: where the record's time says nothing, or is to come.
func TestGivingUpSaysFromWhenItCounts(t *testing.T) {
	for why, at := range map[string]func() time.Time{
		"its timestamp is no time": func() time.Time { return time.UnixMilli(-1) },
		"its timestamp is later":   func() time.Time { return time.Now().Add(30 * time.Minute) },
	} {
		inLab(t, 1, func(l *lab) {
			l.gate.otherwise = func(payment.Intent, bool) answer { return lost }
			m := l.start(func(c *pipeline.Config) { c.GiveUpAfter = 10 * time.Minute })
			m.source.take(0)
			p := l.topic.parts[0]
			p.emitAt(at(), "", intent("i"))
			after(9 * time.Minute)
			same(t, "outcomes", len(p.order()), 0)
			l.settles(5 * time.Minute)
			f, _ := p.views()["i"].Outcome.(payment.Failed)
			if f.Reason != payment.GaveUp || f.ErrorDescription != "age counts from when the record was first seen: "+why {
				t.Errorf("%+v, want given up, and from when on its age counted", f)
			}
		})
	}
}

// TestNotFoundTooEarlyClearsNothing: right after a hand-over, a call of the former
// owner can still be on its way to the gateway.
func TestNotFoundTooEarlyClearsNothing(t *testing.T) {
	for late, want := range map[bool]bool{false: true, true: false} {
		inLab(t, 1, func(l *lab) {
			l.gate.otherwise = func(_ payment.Intent, find bool) answer {
				if find {
					return notFound
				}
				return ok
			}
			m := l.start(func(c *pipeline.Config) { c.CallTimeout = 30 * time.Second })
			p := l.topic.parts[0]
			age := time.Second
			if late {
				age = -40 * time.Second
			}
			p.emit("", intent("i", expires(-age)))
			m.source.take(0)
			l.settles(2 * time.Minute)
			f, ok := p.views()["i"].Outcome.(payment.Failed)
			if late && isCreated(p.views()["i"].Outcome) {
				return // it was called before it expired
			}
			if !ok || f.Reason != payment.Expired || f.PaymentMayExist != want {
				t.Errorf("late %v: %+v, want expired, a payment may exist: %v", late, p.views()["i"].Outcome, want)
			}
		})
	}
}

// TestAPaymentOfAnotherIsNotPublished: the gateway answers two intents with one
// payment. The first has its link; the second waits, in doubt, and somebody is told.
func TestAPaymentOfAnotherIsNotPublished(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m, p, _ := l.one(func(c *pipeline.Config) { c.GiveUpAfter = 10 * time.Minute })
		p.emit("", intent("first"))
		after(time.Second)
		l.gate.mu.Lock()
		l.gate.made["second"] = l.gate.made["first"]
		l.gate.mu.Unlock()
		p.emit("", intent("second"))
		p.emit("", intent("third"))
		after(time.Second)
		l.created(p, "first", 1)
		l.created(p, "third", 1)
		if n := m.metric(t, "paylink_shared_payments_total"); n == 0 {
			t.Error("nothing to alarm on")
		}
		l.settles(20 * time.Minute)
		if f, ok := p.views()["second"].Outcome.(payment.Failed); !ok || !f.PaymentMayExist || f.Reason != payment.GaveUp {
			t.Errorf("second: %+v, want given up, and a payment may exist", p.views()["second"].Outcome)
		}
	})
}

// TestGatewaysAtOneHostNumberTheirOwnPayments: behind a proxy that tells them apart by
// their paths, two may have a payment of the same number.
func TestGatewaysAtOneHostNumberTheirOwnPayments(t *testing.T) {
	for path, want := range map[string]int{"/kz": 1, "/uz": 2} {
		inLab(t, 1, func(l *lab) {
			l.gate.made["i-1"], l.gate.made["i-2"] = 7, 7
			_, p, _ := l.one(func(c *pipeline.Config) {
				c.Terms = func(m payment.MerchantID) pipeline.Terms {
					return pipeline.Terms{Endpoint: "proxy", Gateway: "https://proxy" + map[payment.MerchantID]string{"1": "/kz", "2": path}[m]}
				}
			})
			p.emit("", of("1", "i-1"))
			p.emit("", of("2", "i-2"))
			after(time.Minute)
			same(t, "links of gateways at /kz and "+path, len(p.order()), want)
			l.settles(2 * time.Hour)
		})
	}
}

// TestWithoutATimeOnlyAResetMakesARecordTooOld: what an owner before us had not
// settled is called, or called again, whatever its record's time. After a reset of
// the offsets it may be of any age, and the ledger reaches back only so far.
func TestWithoutATimeOnlyAResetMakesARecordTooOld(t *testing.T) {
	for _, reset := range []bool{false, true} {
		inLab(t, 1, func(l *lab) {
			m := l.start()
			m.source.kind = func(c *claim) { c.reach = time.Now().Add(-time.Hour) }
			p := l.topic.parts[0]
			p.wasReset = reset
			p.emitAt(time.UnixMilli(-1), "", intent("timeless"))
			p.emit("", intent("other"))
			p.emitAt(time.UnixMilli(-1), "", intent("behind"))
			m.source.take(0)
			l.settles(time.Minute)
			want := map[int64]string{}
			if reset {
				want[0] = "too_old"
			}
			same(t, fmt.Sprint("dead letters, reset ", reset), p.reasons(), want)
			l.created(p, "other", 1)
			l.created(p, "behind", 1) // it is younger than the one before it
		})
	}
}

// TestWithoutATimeWhatCameLaterSaysNothing: a record without a time that waits behind its
// key is as old as what stood before it, also if younger ones were taken meanwhile.
func TestWithoutATimeWhatCameLaterSaysNothing(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start()
		m.source.kind = func(c *claim) {
			c.reach = time.Now().Add(-time.Hour)
			began := time.Now()
			c.buryFails = func(event.Message) error {
				if time.Since(began) < 10*time.Second {
					return pipeline.ErrTooLarge
				}
				return nil
			}
		}
		p := l.topic.parts[0]
		p.wasReset = true
		p.emitAt(time.Now().Add(-2*time.Hour), "k", intent("old"))
		p.emitAt(time.UnixMilli(-1), "k", intent("timeless"))
		p.emit("", intent("other"))
		m.source.take(0)
		l.settles(5 * time.Minute)
		same(t, "dead letters", p.reasons(), map[int64]string{0: "too_old", 1: "too_old"})
		l.created(p, "other", 1)
	})
}
