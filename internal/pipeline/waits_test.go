package pipeline_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// found returns why the only unsettled record of an intent waits.
func (m *member) found(t *testing.T, id string) pipeline.IntentWait {
	t.Helper()
	ws := m.Find(payment.IntentID(id))
	if len(ws) != 1 {
		t.Fatalf("%s: %d unsettled records, want one", id, len(ws))
	}
	return ws[0]
}

func TestWhyAnIntentWaitsCanBeAskedDuringADrain(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = 20 * time.Second
		m, p, c := l.one(rated(pace.Rate{Events: 1, Per: 30 * time.Second, Burst: 1}))
		p.emit("", intent("calling"))
		p.emit("", intent("waits"))
		for len(l.gate.log()) == 0 {
			after(time.Second)
		}
		same(t, "state", m.found(t, "waits").State, "paced")
		c.drain()
		after(time.Second)
		same(t, "state of one called for", m.found(t, "calling").State, "calling")
		if w := m.found(t, "waits"); w.State != "handed over" || time.Since(w.Since) != time.Second {
			t.Errorf("while the partition is handed over it waits as %+v", w)
		}
	})
}

// lane returns why a merchant's intents wait.
func (m *member) lane(t *testing.T, merchant payment.MerchantID) pipeline.Lane {
	t.Helper()
	for _, l := range m.Lanes() {
		if l.Merchant == merchant {
			return l
		}
	}
	t.Fatalf("no lane of merchant %s", merchant)
	return pipeline.Lane{}
}

// A why is a Wait, with times from the start of the test on.
type why struct {
	state        string
	since, until time.Duration
	attempts     int
	last         string
}

// What is not told in a why, and what is not looked at closely.
const (
	untold = -1 * time.Second
	some   = -2 * time.Second
)

// waitsAs compares a Wait with what it should be; to a second, for paces have
// slots of their own.
func waitsAs(t *testing.T, what string, began time.Time, got pipeline.Wait, want why) {
	t.Helper()
	span := func(at time.Time, want time.Duration) time.Duration {
		switch d := at.Sub(began); {
		case at.IsZero():
			return untold
		case want == some || d >= want && d < want+time.Second:
			return want
		default:
			return d
		}
	}
	if want.attempts == int(some) { // whose turn is next is left to chance
		got.Attempts = want.attempts
	}
	same(t, what, fmt.Sprint(why{got.State, span(got.Since, want.since), span(got.Until, want.until), got.Attempts, got.LastError}), fmt.Sprint(want))
}

func TestWhyItWaits(t *testing.T) {
	slow := rated(pace.Rate{Events: 1, Per: 10 * time.Second, Burst: 1})
	all := func(a answer) func(*lab, *member) {
		return func(l *lab, _ *member) { l.gate.otherwise = func(payment.Intent, bool) answer { return a } }
	}
	tests := map[string]struct {
		cfg    func(*pipeline.Config)
		script func(*lab, *member)
		keys   string        // the intents' keys, one a second; -: none
		after  time.Duration // how long it takes, in all
		lane   why
		id     string // looked at besides
		intent why
	}{
		"free": {nil, nil, "-", 2 * time.Second, why{"free", untold, untold, 0, ""}, "", why{}},
		"calling": {nil, all(ok.slow(time.Minute)), "-", 5 * time.Second,
			why{"free", untold, untold, 0, ""}, "i-0", why{"calling", 0, untold, 1, ""}},
		"calling again": {nil, func(l *lab, _ *member) { l.gate.opens["i-0"] = []answer{later(20 * time.Second), ok.slow(time.Minute)} }, "-", 30 * time.Second,
			why{"free", untold, untold, 0, "in doubt: http_429"}, "i-0", why{"calling", 20 * time.Second, untold, 2, "in doubt: http_429"}},
		"publishing": {nil, func(_ *lab, m *member) {
			stall := make(chan struct{})
			time.AfterFunc(time.Minute, func() { close(stall) })
			m.source.kind = func(c *claim) { c.stall = stall }
		}, "-", 5 * time.Second,
			why{"free", untold, untold, 0, ""}, "i-0", why{"publishing", 0, untold, 1, ""}},
		"backing off": {nil, all(later(time.Minute)), "-", 10 * time.Second,
			why{"backing off", 0, time.Minute, 1, "in doubt: http_429"}, "i-0", why{"backing off", 0, time.Minute, 1, "in doubt: http_429"}},
		"behind its key": {nil, all(ok.slow(time.Minute)), "kk", 5 * time.Second,
			why{"free", untold, untold, 0, ""}, "i-1", why{"behind its key", time.Second, untold, 0, ""}},
		"in the backlog behind its key": {nil, all(ok.slow(time.Minute)), "kkkkkkk", 10 * time.Second,
			why{"free", untold, untold, 0, ""}, "i-6", why{"in the backlog behind its key", 6 * time.Second, untold, 0, ""}},
		"paced": {slow, nil, "--", 2 * time.Second,
			why{"paced", 0, 17 * time.Second, 0, ""}, "i-1", why{"paced", time.Second, 17 * time.Second, 0, ""}},
		"in the backlog behind its merchant's pace": {slow, func(l *lab, _ *member) {
			for i := range 40 {
				l.topic.parts[0].emit("", intent(fmt.Sprint("before-", i)))
			}
		}, "-", time.Second,
			why{"paced", 0, 17 * time.Second, 0, ""}, "i-0", why{"in the backlog behind its merchant's pace", 0, 419 * time.Second, 0, ""}},
		"busy by what the gateway can take": {func(c *pipeline.Config) { c.Concurrency = 1 }, all(ok.slow(time.Minute)), "--", 5 * time.Second,
			why{"busy", time.Second, untold, 0, ""}, "i-1", why{"busy", time.Second, untold, 0, ""}},
		"busy by what the process may": {func(c *pipeline.Config) {
			c.Concurrency = 1
			c.Terms = func(m payment.MerchantID) pipeline.Terms { return pipeline.Terms{Endpoint: string(m)} }
		}, func(l *lab, _ *member) {
			l.gate.opens["other"] = []answer{ok.slow(time.Minute)}
			l.topic.parts[0].emit("", of("2", "other"))
		}, "--", 5 * time.Second,
			why{"busy", 0, untold, 0, ""}, "i-1", why{"busy", time.Second, untold, 0, ""}},
		"held": {nil, all(ours), "--", 5 * time.Second,
			why{"held", 0, 11 * time.Second, 1, "misconfigured: 9998"}, "i-1", why{"held", time.Second, 11 * time.Second, 1, "misconfigured: credentials: 9998"}},
		"breaker open": {nil, all(lost), "------------", 13 * time.Second,
			why{"breaker open", some, some, int(some), "in doubt: timeout"}, "i-11", why{"breaker open", 11 * time.Second, some, 0, "in doubt: timeout"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				began := time.Now()
				var change []func(*pipeline.Config)
				if tt.cfg != nil {
					change = append(change, tt.cfg)
				}
				m := l.start(change...)
				if tt.script != nil {
					tt.script(l, m)
				}
				m.source.take(0)
				for i, key := range strings.Split(tt.keys, "") {
					after(time.Until(began.Add(time.Duration(i) * time.Second)))
					l.topic.parts[0].emit(strings.Trim(key, "-"), intent(fmt.Sprint("i-", i)))
				}
				after(time.Until(began.Add(tt.after)))
				waitsAs(t, "lane", began, m.lane(t, "540001").Wait, tt.lane)
				if tt.id != "" {
					w := m.found(t, tt.id)
					waitsAs(t, tt.id, began, w.Wait, tt.intent)
					same(t, "merchant", w.Merchant, "540001")
				}
			})
		})
	}
}
