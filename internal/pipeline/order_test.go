package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

func TestOneOutcomePerIntent(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		l.gate.takes = 50 * time.Millisecond
		m := l.start()
		for i, p := range l.topic.parts {
			for k := range 200 {
				p.emit(fmt.Sprint("k", k), intent(fmt.Sprintf("i-%d-%d", i, k)))
			}
			m.source.take(int32(i))
		}
		l.settles(time.Minute)
		for _, p := range l.topic.parts {
			if n := len(p.order()); n != 200 {
				t.Errorf("partition %d: %d outcomes, want 200", p.number, n)
			}
		}
		if n := len(l.gate.log()); n != 600 {
			t.Errorf("%d calls, want 600", n)
		}
		l.created(l.topic.parts[0], "i-0-0", 1)
	})
}

func TestOneKeyInOrderWhileOthersGoOn(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = time.Second
		_, p, _ := l.one()
		for i := range 20 {
			p.emit("slow", intent(fmt.Sprintf("slow-%02d", i)))
			p.emit(fmt.Sprint("k", i), intent(fmt.Sprintf("fast-%02d", i)))
			p.emit("", intent(fmt.Sprintf("none-%02d", i)))
		}
		after(1500 * time.Millisecond)
		if n := len(p.order()); n != 41 {
			t.Errorf("%d outcomes after a call's time, want 41: one of the key, and all others", n)
		}
		l.settles(time.Minute)
		got := slices.DeleteFunc(p.order(), func(id string) bool { return !strings.HasPrefix(id, "slow") })
		if !slices.IsSorted(got) || len(got) != 20 {
			t.Errorf("the key's outcomes came as %v", got)
		}
	})
}

func TestStuckKeyStopsNobodyElse(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.opens["stuck-000"] = []answer{lost}
		_, p, c := l.one(func(cfg *pipeline.Config) { cfg.WindowCount = 50 })
		first := p.emit("stuck", intent("stuck-000"))
		for i := range 400 {
			p.emit("stuck", intent(fmt.Sprintf("stuck-%03d", i+1)))
		}
		for i := range 1000 {
			p.emit(fmt.Sprint("k", i), intent(fmt.Sprint("i-", i)))
		}
		after(10 * time.Second)
		if n := len(p.order()); n != 1000 {
			t.Errorf("%d outcomes while one key is stuck, want 1000", n)
		}
		if at := p.committedOffset(); at != first {
			t.Errorf("committed %d, want %d, where the stuck intent stands", at, first)
		}
		l.gate.mu.Lock()
		l.gate.opens["stuck-000"] = []answer{ok}
		l.gate.mu.Unlock()
		l.settles(time.Minute)
		_ = c
	})
}

func TestRecordsReadAgainKeepTheirOrder(t *testing.T) { testReadAgain(t, 0) }

// Where there is no room for all of them at a time, they come piece by piece.
func TestRecordsReadAgainNeedNotFitAtOnce(t *testing.T) { testReadAgain(t, 3) }

func testReadAgain(t *testing.T, room int) {
	t.Helper()
	inLab(t, 1, func(l *lab) {
		l.gate.takes = 100 * time.Millisecond
		m := l.start()
		p := l.topic.parts[0]
		m.source.kind = func(c *claim) { c.rereadTakes, c.rereadRoom = 250*time.Millisecond, room }
		m.source.take(0)
		for i := range 200 { // some arrive while earlier ones of their key are being read again
			p.emit("k", intent(fmt.Sprintf("i-%03d", i)))
			after(time.Duration(i%7) * 30 * time.Millisecond)
		}
		l.settles(time.Minute)
		if got := p.order(); !slices.IsSorted(got) || len(got) != 200 {
			t.Errorf("outcomes came as %v", got)
		}
	})
}

func TestDuplicateUnderAnotherKeyWaitsForTheFirst(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = time.Second
		m, p, _ := l.one()
		for _, key := range []string{"a", "b", "", "a", "c"} {
			p.emit(key, intent("i"))
		}
		p.emit("b", intent("j")) // behind a duplicate
		after(1500 * time.Millisecond)
		same(t, "calls", l.gate.log(), []string{"open i", "open j"})
		l.settles(time.Second)
		same(t, "outcomes", p.order(), []string{"i", "j"})
		if n := m.metric(t, "paylink_skipped_total", "kind", "repeated"); n != 4 {
			t.Errorf("%v skips as repeated, want 4", n)
		}
	})
}

func TestDuplicateOfAFailedIntentGetsNothingMore(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.opens["i"] = []answer{refused, ok}
		_, p, _ := l.one()
		p.emit("a", intent("i"))
		p.emit("b", intent("i"))
		l.settles(time.Second)
		same(t, "calls", l.gate.log(), []string{"open i"})
		l.failed(p, "i", payment.Failed{Reason: payment.Refused, ErrorCode: "340", ErrorDescription: "amount too small", Attempts: 1})
	})
}

func TestCommitOnlyTheUnbrokenRun(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.opens["i-2"] = []answer{ok.slow(10 * time.Second)}
		_, p, _ := l.one()
		for i := range 5 {
			p.emit("", intent(fmt.Sprint("i-", i)))
		}
		after(time.Second)
		if at := p.committedOffset(); at != 2 || len(p.order()) != 4 {
			t.Errorf("committed %d with outcomes %v; want 2 with all but i-2", at, p.order())
		}
		after(10 * time.Second)
		if at := p.committedOffset(); at != 5 {
			t.Errorf("committed %d, want 5", at)
		}
	})
}

func TestCommitOnlyWhatIsDurable(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start()
		stall := make(chan struct{})
		m.source.kind = func(c *claim) { c.stall = stall }
		p := l.topic.parts[0]
		m.source.take(0)
		p.emit("", intent("i"))
		p.emit("", "no JSON")
		after(time.Minute)
		if at := p.committedOffset(); at != 0 {
			t.Errorf("committed %d while nothing is durable", at)
		}
		close(stall)
		l.settles(time.Second)
	})
}

func TestControlRecordsAreCommittedOver(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.opens["slow"] = []answer{ok.slow(10 * time.Second)}
		_, p, _ := l.one()
		p.control(3)
		synctest.Wait()
		if at := p.committedOffset(); at != 3 {
			t.Errorf("committed %d over control records alone, want 3", at)
		}
		p.emit("", intent("i"))
		p.control(2)
		slow := p.emit("", intent("slow"))
		p.control(2)
		p.emit("", intent("j"))
		p.control(1)
		after(time.Second)
		if at := p.committedOffset(); at != slow {
			t.Errorf("committed %d, want %d, before the unfinished record", at, slow)
		}
		l.settles(time.Minute)
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		l.gate.takes = time.Second
		m := l.start(func(c *pipeline.Config) { c.Concurrency = 8 })
		for i, p := range l.topic.parts {
			for k := range 40 {
				p.emit("", intent(fmt.Sprintf("i-%d-%d", i, k)))
			}
			m.source.take(int32(i))
		}
		after(500 * time.Millisecond)
		if n := m.metric(t, "paylink_gateway_calls_in_flight"); n != 8 {
			t.Errorf("metric says %v in flight, want 8", n)
		}
		began := time.Now()
		l.settles(time.Minute)
		if l.gate.most != 8 {
			t.Errorf("%d calls in flight at most, want 8", l.gate.most)
		}
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("80 calls of a second took %v with 8 in flight", took)
		}
	})
}

func TestRoomForACallIsNotLostOnWhoMakesNone(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		l.gate.takes = 10 * time.Second
		m := l.start(func(c *pipeline.Config) { c.Concurrency = 1 })
		m.source.take(0)
		l.topic.parts[0].emit("", of("1", "calls"))
		after(time.Second)
		m.source.take(1).setLive(false)
		l.topic.parts[1].emit("", of("2", "may-not"))
		after(time.Second)
		l.topic.parts[0].emit("", of("3", "waits"))
		after(20 * time.Second)
		same(t, "calls", l.gate.log(), []string{"open calls", "open waits"})
	})
}

func TestCallsWaitWhileNothingCanBePublished(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start(func(c *pipeline.Config) { c.Concurrency = 8 })
		stall := make(chan struct{})
		m.source.kind = func(c *claim) { c.stall = stall }
		p := l.topic.parts[0]
		for k := range 100 {
			p.emit("", intent(fmt.Sprint("i-", k)))
		}
		m.source.take(0)
		after(time.Minute)
		if n := len(l.gate.log()); n > 16 {
			t.Errorf("%d calls while no outcome can be published, want at most 16", n)
		}
		close(stall)
		l.settles(time.Minute)
	})
}

func TestWhatExpiresSoonestGoesFirst(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = time.Second
		m := l.start(func(c *pipeline.Config) { c.Concurrency = 1 })
		p := l.topic.parts[0]
		at := func(d time.Duration) string {
			return `"expires_at":"` + time.Now().Add(d).UTC().Format(time.RFC3339) + `"`
		}
		p.emit("", intent("first"))
		p.emit("", intent("whenever"))
		p.emit("", intent("late", at(time.Hour/2)))
		p.emit("", intent("soon", at(time.Minute)))
		m.source.take(0)
		l.settles(time.Minute)
		got := p.order()
		if i, j, k := slices.Index(got, "soon"), slices.Index(got, "late"), slices.Index(got, "whenever"); i > j || j > k {
			t.Errorf("outcomes came as %v, want what expires soonest first", got)
		}
	})
}

// TestWhatExpiresSoonestOvertakesABacklog: also one of which only the offsets are
// remembered, whether its intents expire or not.
func TestWhatExpiresSoonestOvertakesABacklog(t *testing.T) {
	for name, within := range map[string]time.Duration{"that does not expire": 0, "that expires later": 50 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				m, p, _ := l.one(rated(pace.Rate{Events: 1, Per: 1500 * time.Millisecond, Burst: 1}))
				var more []string
				if within > 0 {
					more = append(more, expires(within))
				}
				for i := range 200 {
					p.emit(fmt.Sprint("k", i%150), intent(fmt.Sprint("s-", i), more...))
				}
				after(200 * time.Millisecond)
				if n := m.Lanes()[0].Backlog; n < 100 {
					t.Fatalf("%d are in the backlog, want most", n)
				}
				for i := range 5 {
					p.emit("", intent(fmt.Sprint("urgent-", i), expires(20*time.Second)))
					after(200 * time.Millisecond)
				}
				p.emit("", intent("very-urgent", expires(8*time.Second)))
				after(30 * time.Second)
				for i := range 5 {
					l.created(p, fmt.Sprint("urgent-", i), 1)
				}
				l.created(p, "very-urgent", 1)
				l.settles(10 * time.Minute)
			})
		})
	}
}
