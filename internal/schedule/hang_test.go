package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// many queues so much new work of a merchant.
func (st *story) many(m payment.MerchantID, n int) {
	for i := range n {
		st.queue(m, fmt.Sprint(m, " ", st.clock(), " ", i))
	}
}

// flight is a call in flight that hangs until a time.
type flight struct {
	name  string
	until time.Time
}

// TestCallsThatHangLeaveRoom: of all merchants but one every call hangs for 30 s, and
// they have work for ever. The one is called for at once, at any time. Each has a gateway
// of its own, so that no breaker keeps anybody from calling.
func TestCallsThatHangLeaveRoom(t *testing.T) {
	for _, c := range []struct{ concurrency, ill int }{{2, 1}, {8, 1}, {8, 2}, {64, 1}, {64, 3}, {64, 20}, {256, 5}} {
		t.Run(fmt.Sprint(c.concurrency, " calls, ", c.ill, " merchants"), func(t *testing.T) {
			st := begin(t, c.concurrency)
			st.call("well", "seen before", answered)
			var flights []flight
			for m := range c.ill {
				id := payment.MerchantID(fmt.Sprint("ill ", m))
				st.s.Bind(id, schedule.Terms{Endpoint: string(id)}, false, st.now)
				st.many(id, 1000)
			}
			called := 0
			for second := range 300 {
				for _, step := range st.next() {
					called++
					flights = append(flights, flight{step[len("start "):], st.now.Add(30 * time.Second)})
				}
				st.call("well", fmt.Sprint("quick ", second), answered)
				st.now = st.now.Add(time.Second)
				for len(flights) > 0 && !flights[0].until.After(st.now) {
					st.end(flights[0].name, unanswered)
					flights = flights[1:]
				}
			}
			if called < c.concurrency {
				t.Errorf("%d calls of those that hang in 5 minutes, want %d at least", called, c.concurrency)
			}
		})
	}
}

// TestWhoIsAloneLeavesNoRoom, whatever its calls do; it does where others may come.
func TestWhoIsAloneLeavesNoRoom(t *testing.T) {
	for merchants, want := range map[int]int{1: 64, 2: 48} {
		st := &story{T: t, now: noon, works: map[string]*schedule.Work{}}
		st.s = schedule.New(schedule.Config{Concurrency: 64, GiveUpAfter: giveUp, Window: 1000, Merchants: func() int { return merchants }})
		st.s.Share([]int32{0}, 1, 1, noon)
		st.queue("1", "hangs")
		st.want("start hangs")
		st.pass(3 * time.Second)
		st.many("1", 100)
		st.next()
		if n := st.s.InFlight(); n != want {
			t.Errorf("%d calls in flight of the only one of %d merchants that has work, want %d", n, merchants, want)
		}
	}
}

// TestWhatHangsIsInNobodysWay: what waits behind calls that hang takes no room of what
// is read, from when that is seen on; also if nothing else happens.
func TestWhatHangsIsInNobodysWay(t *testing.T) {
	st := begin(t, 8)
	st.call("well", "seen before", answered)
	st.many("ill", 20)
	st.next()
	if st.lane("ill").IsPaced() {
		t.Error("its calls are young")
	}
	st.play(3 * time.Second)
	st.wantChanges(schedule.Crowds)
	if !st.lane("ill").IsPaced() {
		t.Error("what waits for calls that hang takes room from others")
	}
	if v := st.s.View(st.lane("ill"), func(*schedule.Work) time.Time { return noon }, st.now); v.Wait.State != "busy" {
		t.Errorf("it waits for %q, want busy", v.Wait.State)
	}
}

// TestOneQuickCallMakesNoMerchantQuick: nine in ten hang.
func TestOneQuickCallMakesNoMerchantQuick(t *testing.T) {
	st := begin(t, 8)
	st.call("well", "seen before", answered)
	var hung []string
	for i := range 6 {
		name := fmt.Sprint("hangs ", i)
		st.queue("ill", name)
		st.want("start " + name)
		hung = append(hung, name)
	}
	st.play(30 * time.Second)
	for _, name := range hung {
		st.end(name, unanswered)
	}
	st.call("ill", "quick", answered)
	st.many("ill", 20)
	st.next()
	if n := st.s.InFlight(); n != 6 {
		t.Errorf("%d calls of 8 in flight of a merchant most of whose calls hang, want 6", n)
	}
}

// TestThoseThatHangDoNotFillASlowerGateway: it can take fewer than hang.
func TestThoseThatHangDoNotFillASlowerGateway(t *testing.T) {
	st := begin(t, 8)
	st.call("well", "seen before", answered)
	for i := range 20 { // 50 ms are usual
		st.queue("ill", fmt.Sprint("usual ", i))
		st.next()
		st.now = st.now.Add(50 * time.Millisecond)
		st.end(fmt.Sprint("usual ", i), answered)
	}
	st.queue("ill", "a", "b", "c", "d", "e", "f")
	st.next()
	st.play(20 * time.Second)
	st.now = noon.Add(30 * time.Second)
	for i := range 60 { // those of another merchant are slow, too
		name := fmt.Sprint("slow ", i)
		st.queue("slow", name)
		st.want("start " + name)
		st.now = st.now.Add(time.Second)
		st.end(name, answered)
	}
	st.queue("ill", "g")
	st.want()
	st.end("a", unanswered)
	st.want() // the gateway is slow by now
	st.call("well", "quick", answered)
}
