package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/schedule"
)

func TestWhatMustBeSettledFirstGoesFirst(t *testing.T) {
	st := begin(t, 1)
	st.queue("1", "blocker")
	st.want("start blocker")
	st.queue("1", "patient 1", "patient 2")
	st.expiring("1", "in a minute", time.Minute)
	st.expiring("1", "in a day", 24*time.Hour) // given up before, like those that never expire
	st.expiring("1", "in a second", time.Second)
	st.expiring("1", "in a minute too", time.Minute)
	for i, name := range []string{"blocker", "in a second", "in a minute", "in a minute too", "patient 1", "patient 2", "in a day"} {
		if i > 0 {
			st.want("start " + name)
		}
		st.end(name, answered)
	}
	st.want()
}

func TestMerchantsDoNotWaitForEachOther(t *testing.T) {
	st := begin(t, 10)
	st.s.Bind("slow", schedule.Terms{Rate: pace.Rate{Events: 1, Per: time.Hour}, Endpoint: "gateway"}, false, st.now)
	for i := range 100 {
		st.queue("slow", fmt.Sprint("slow ", i))
	}
	st.queue("quick", "a", "b")
	st.want("start a", "start b")
}

func TestNothingBeforeItsTurn(t *testing.T) {
	for _, rate := range []pace.Rate{perSecond(1), perSecond(40), {Events: 1, Per: 1500 * time.Millisecond}, {Events: 2, Per: time.Minute}} {
		t.Run(rate.String(), func(t *testing.T) {
			st := begin(t, 1000)
			st.s.Bind("1", schedule.Terms{Rate: rate, Endpoint: "gateway"}, false, st.now)
			const calls = 50
			for i := range calls {
				st.queue("1", fmt.Sprint(i))
			}
			var began []time.Time
			for range 10 * calls {
				for range st.next() {
					began = append(began, st.now)
				}
				if len(began) == calls {
					break
				}
				wake := st.s.Wake(st.now)
				st.now = wake.Add(-1)
				st.want() // a moment before its turn
				st.now = wake
			}
			if len(began) != calls {
				t.Fatalf("%d calls in %v, want %d", len(began), st.clock(), calls)
			}
			for i := 1; i < calls; i++ {
				if gap := began[i].Sub(began[i-1]); gap < rate.Interval() {
					t.Errorf("call %d comes %v after the one before, want at least %v", i, gap, rate.Interval())
				}
			}
			if took, most := st.clock(), (calls+2)*rate.Interval()*102/100; took > most {
				t.Errorf("%d calls took %v, want at most %v: no turn is to be lost", calls, took, most)
			}
		})
	}
}

func TestNoShareNoCall(t *testing.T) {
	st := begin(t, 10)
	st.s.Bind("1", schedule.Terms{Rate: perSecond(10), Endpoint: "gateway"}, false, st.now)
	st.s.Share(nil, 4, 0, st.now)
	st.queue("1", "a")
	st.expiring("1", "b", time.Minute)
	st.wantPlay(30*time.Minute, "1m0s expired b")
	st.s.Share([]int32{2}, 4, 1, st.now)
	if got := st.play(time.Minute); len(got) != 1 {
		t.Errorf("with a share: %q, want one call", got)
	}
}

// failing makes calls until the merchant's gateway fails broadly, but is not down.
func (st *story) failing(m payment.MerchantID) {
	st.Helper()
	for i := range 28 {
		r := answered
		if i%3 == 0 {
			r = unanswered
		}
		name := fmt.Sprint("early ", i)
		st.queue(m, name)
		if got := st.play(200 * time.Millisecond); len(got) != 1 {
			st.Fatalf("%q, want one call", got)
		}
		st.end(name, r)
	}
	st.wantChanges()
}

func TestRepeatsHaveABudgetWhileTheGatewayFails(t *testing.T) {
	for _, failing := range []bool{false, true} {
		st := begin(t, 1000)
		st.s.Bind("1", schedule.Terms{Rate: perSecond(10), Endpoint: "gateway"}, false, st.now)
		st.pass(time.Second)
		if failing {
			st.failing("1")
		}
		for i := range 40 { // their records are older: they must be settled first
			w := st.make("1", fmt.Sprint("again ", i))
			w.At = st.now.Add(-time.Minute)
			st.s.Queue(w, schedule.Again, st.now)
		}
		for i := range 1000 {
			st.queue("1", fmt.Sprint("first ", i))
		}
		var repeats, all int
		for _, step := range st.play(10 * time.Second) {
			all++
			var at, kind, class string
			if fmt.Sscan(step, &at, &kind, &class); class == "again" {
				repeats++
			}
		}
		if all < 95 {
			t.Errorf("failing %v: %d calls in 10 s at 10/s", failing, all)
		}
		if most := 11; failing && repeats > most || failing && repeats < most-3 {
			t.Errorf("%d repeats among %d calls while the gateway fails, want about a tenth", repeats, all)
		}
		if !failing && repeats != 40 {
			t.Errorf("%d repeats among %d calls, want all 40, which must be settled first", repeats, all)
		}
	}
}

func TestRepeatsGoOnWhereThereIsNothingElse(t *testing.T) {
	st := begin(t, 1000)
	st.s.Bind("1", schedule.Terms{Rate: perSecond(10), Endpoint: "gateway"}, false, st.now)
	st.pass(time.Second)
	st.failing("1")
	for i := range 5 {
		st.s.Queue(st.make("1", fmt.Sprint(i)), schedule.Again, st.now)
	}
	if got := st.play(20 * time.Second); len(got) != 5 {
		t.Errorf("%q, want five repeats", got)
	}
}

// TestOverdueIsSeenBehindALastLook: the look waits for its merchant's turn, what
// is overdue does not.
func TestOverdueIsSeenBehindALastLook(t *testing.T) {
	st := begin(t, 10)
	st.s.Bind("1", schedule.Terms{Rate: perSecond(10), Endpoint: "gateway"}, false, st.now)
	st.s.Share(nil, 1, 0, st.now) // its turn never comes
	st.expiring("1", "looks", time.Second)
	st.expiring("1", "a", 2*time.Second)
	st.queue("1", "b")
	st.wantPlay(time.Second, "1s expired looks")
	st.s.LookFirst(st.works["looks"], st.now)
	if !st.works["looks"].IsQueued() {
		t.Error("the look is not queued")
	}
	st.wantPlay(2*time.Hour, "2s expired a", "1h0m0s gave_up b")
	st.s.Share([]int32{0}, 1, 1, st.now)
	if got := st.play(time.Minute); len(got) != 1 {
		t.Errorf("%q, want the look", got)
	}
}

func TestALastLookKeepsTheWaitThatTheGatewayAskedFor(t *testing.T) {
	st := begin(t, 10)
	w := st.make("1", "a")
	w.ExpiresAt = noon.Add(time.Second)
	st.s.BackOff(w, schedule.Again, time.Minute, st.now)
	if !w.IsWaiting() || !w.Until().Equal(noon.Add(time.Minute)) {
		t.Errorf("IsWaiting, Until = %v, %v after BackOff", w.IsWaiting(), w.Until())
	}
	st.wantPlay(10*time.Second, "1s expired a")
	st.s.LookFirst(w, st.now)
	st.wantPlay(10*time.Minute, "1m0s start a")
}

func TestBackOffEndsInTime(t *testing.T) {
	tests := []struct {
		name    string
		wait    time.Duration
		expires time.Duration // 0: never
		want    []string
	}{
		{"no wait", 0, 0, []string{"0s start a"}},
		{"a wait", time.Minute, 0, []string{"1m0s start a"}},
		{"a wait, and it expires later", time.Minute, 2 * time.Minute, []string{"1m0s start a"}},
		{"it expires before", time.Minute, time.Second, []string{"1s expired a"}},
		{"it has expired", time.Minute, -time.Second, []string{"0s expired a"}},
		{"given up before", 2 * giveUp, 0, []string{"1h0m0s gave_up a"}},
		{"expired at the very moment", time.Minute, time.Minute, []string{"1m0s expired a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := begin(t, 10)
			w := st.make("1", "a")
			if tt.expires != 0 {
				w.ExpiresAt = noon.Add(tt.expires)
			}
			st.s.BackOff(w, schedule.Again, tt.wait, st.now)
			st.wantPlay(3*time.Hour, tt.want...)
		})
	}
}

func TestWhenTheTimeOfWorkIsUp(t *testing.T) {
	tests := []struct {
		name    string
		age     time.Duration // of the record
		expires time.Duration // from now
		never   bool          // it does not expire
		want    string
	}{
		{"young", giveUp - 1, 0, true, "start a"},
		{"young, expires later", giveUp - 1, 1, false, "start a"},
		{"of the very age", giveUp, 0, true, "gave_up a"},
		{"old", 9 * giveUp, 0, true, "gave_up a"},
		{"old, expires later", 9 * giveUp, 1, false, "gave_up a"},
		{"expires now", 0, 0, false, "expired a"},
		{"expired", 0, -1, false, "expired a"},
		{"expired and old", 2 * giveUp, 0, false, "expired a"},
		{"of the future", -giveUp, 0, true, "start a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := begin(t, 10)
			w := st.make("1", "a")
			w.At = noon.Add(-tt.age)
			if !tt.never {
				w.ExpiresAt = noon.Add(tt.expires)
			}
			st.s.Queue(w, schedule.First, st.now)
			st.want(tt.want)
		})
	}
}

func TestWhatIsPublishedIsNeverOverdue(t *testing.T) {
	st := begin(t, 10)
	st.s.Bind("1", schedule.Terms{Rate: perSecond(10), Endpoint: "gateway"}, false, st.now)
	st.s.Share(nil, 1, 0, st.now)
	w := st.make("1", "a")
	w.Endless, w.ExpiresAt = true, noon.Add(time.Minute)
	st.s.Queue(w, schedule.Again, st.now)
	st.pass(10 * time.Hour)
	st.s.Share([]int32{0}, 1, 1, st.now)
	if got := st.play(time.Minute); len(got) != 1 {
		t.Errorf("%q, want it started", got)
	}
}

// TestOverdueIsSettledWhileThereIsNoRoomForCalls whichever merchant's it is: it
// needs no call.
func TestOverdueIsSettledWhileThereIsNoRoomForCalls(t *testing.T) {
	tests := []struct {
		name string
		fill func(*story)
	}{
		{"all calls to one gateway", func(st *story) {
			st.queue("1", "a", "b", "more")
			st.want("start a", "start b")
		}},
		{"calls to two gateways", func(st *story) {
			st.s.Bind("other", schedule.Terms{Endpoint: "another gateway"}, false, st.now)
			st.queue("other", "a")
			st.queue("1", "b", "more")
			st.want("start a", "start b")
		}},
		{"nothing can be published", func(st *story) {
			st.s.Publishing(4)
			st.queue("1", "more")
			st.want()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := begin(t, 2)
			tt.fill(st)
			st.expiring("2", "c", time.Minute)
			st.wantPlay(10*time.Minute, "1m0s expired c")
		})
	}
}

func TestWorkWithoutAMerchantIsGivenBack(t *testing.T) {
	st := begin(t, 1)
	w := &schedule.Work{At: noon.Add(-24 * time.Hour), Owner: "dead"}
	st.s.BackOff(w, schedule.First, time.Minute, st.now)
	st.wantPlay(time.Hour, "1m0s resume dead")
	st.s.BackOff(w, schedule.First, time.Minute, st.now)
	st.s.Remove(w, st.now)
	st.pass(time.Hour)
}

func TestRemovedWorkDoesNotComeOut(t *testing.T) {
	st := begin(t, 1)
	st.queue("1", "a", "b", "c")
	st.s.BackOff(st.make("1", "d"), schedule.Again, time.Minute, st.now)
	for _, name := range []string{"a", "c", "d"} {
		st.s.Remove(st.works[name], st.now)
		if w := st.works[name]; w.IsQueued() || w.IsWaiting() {
			t.Errorf("%s is still queued, or waits", name)
		}
	}
	st.s.Remove(st.works["a"], st.now) // again: nothing to do
	st.wantPlay(time.Hour, "0s start b")
}

func TestConcurrency(t *testing.T) {
	st := begin(t, 2)
	st.queue("1", "a", "b", "c", "d", "e")
	st.want("start a", "start b")
	st.end("a", answered)
	st.want("start c")
	st.s.SetConcurrency(4, st.now)
	st.want("start d", "start e")
	st.s.SetConcurrency(1, st.now)
	st.queue("1", "f", "g")
	for _, name := range []string{"b", "c", "d"} {
		st.end(name, answered)
		st.want()
	}
	st.end("e", answered)
	st.want("start f")
	if got := st.s.InFlight(); got != 1 {
		t.Errorf("InFlight = %d, want 1", got)
	}
}

func TestCallsWaitWhileNothingCanBePublished(t *testing.T) {
	st := begin(t, 2)
	st.s.Publishing(4)
	st.queue("1", "a", "b", "c")
	st.pass(time.Minute)
	st.s.Publishing(-1)
	st.want("start a")
	st.end("a", answered)
	st.s.Publishing(1)
	st.want()
	st.s.Publishing(-4)
	st.want("start b", "start c")
}

func TestQueuedIsAllThatStandsInALane(t *testing.T) {
	st := begin(t, 1)
	st.queue("1", "a", "b")
	st.s.Queue(st.make("1", "c"), schedule.Again, st.now)
	st.s.Queue(st.make("1", "d"), schedule.Last, st.now)
	st.s.BackOff(st.make("1", "e"), schedule.Again, time.Minute, st.now)
	var got []string
	for w := range st.lane("1").Queued() {
		got = append(got, w.Owner.(string))
	}
	slices.Sort(got)
	if want := []string{"a", "b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("Queued = %q, want %q", got, want)
	}
	if got := st.s.BackingOff(); got != 1 {
		t.Errorf("BackingOff = %d, want 1", got)
	}
}

// TestLastLooksTakeATenthOfTheRate, and go only when nothing else may.
func TestLastLooksTakeATenthOfTheRate(t *testing.T) {
	st := begin(t, 1000)
	st.s.Bind("1", schedule.Terms{Rate: perSecond(10), Endpoint: "gateway"}, false, st.now)
	st.pass(time.Second)
	for i := range 30 {
		st.s.Queue(st.make("1", fmt.Sprint("looks ", i)), schedule.Last, st.now)
	}
	for i := range 20 {
		st.queue("1", fmt.Sprint("first ", i))
	}
	var calls, looks int
	for _, step := range st.play(12 * time.Second) {
		var at, kind, class string
		if fmt.Sscan(step, &at, &kind, &class); class == "first" {
			if calls++; looks > 0 {
				t.Errorf("%s: after %d last looks", step, looks)
			}
			continue
		}
		looks++
	}
	if calls != 20 || looks < 9 || looks > 11 {
		t.Errorf("%d calls and %d looks in 12 s at 10/s, want 20 in two, and ten in the other ten", calls, looks)
	}
}

// TestRepeatsInVainHaveATenth: some orders are answered so for ever, and are due sooner
// than all others. Of those, who was called for least goes first, and once repeats bring
// something again, what is due first.
func TestRepeatsInVainHaveATenth(t *testing.T) {
	st := begin(t, 100)
	st.s.Bind("1", schedule.Terms{Rate: perSecond(1), Endpoint: "gateway"}, false, st.now)
	again := func(name string, r schedule.Result) {
		st.end(name, r)
		if !r.Ends {
			st.s.BackOff(st.works[name], schedule.Again, time.Second, st.now)
		}
	}
	ends := answered
	ends.Ends = true
	for i := range 20 {
		st.s.BackOff(st.make("1", fmt.Sprint("odd ", i)), schedule.Again, time.Second, st.now)
	}
	n, firsts, repeats := 0, 0, 0
	step := func(r schedule.Result) string {
		st.queue("1", fmt.Sprint("new ", n))
		n++
		var started []string
		for len(started) == 0 {
			started = st.play(100 * time.Millisecond)
		}
		_, name, _ := strings.Cut(started[0], " start ")
		if strings.HasPrefix(name, "new") {
			firsts++
			again(name, ends)
			return name
		}
		repeats++
		again(name, r)
		return name
	}
	for range 10 {
		step(unanswered)
	}
	firsts, repeats = 0, 0
	for range 400 {
		step(duplicateLookUp)
	}
	if repeats < 36 || repeats > 44 {
		t.Errorf("%d repeats in vain and %d first calls, want a tenth", repeats, firsts)
	}
	late := st.make("1", "late")
	st.s.BackOff(late, schedule.Again, time.Second, st.now)
	for range 11 {
		if step(ends) == "late" {
			return
		}
	}
	t.Error("one that was called for least waits for those that were in vain")
}

// duplicateLookUp is a look-up that is refused, as of an order that exists already.
var duplicateLookUp = schedule.Result{How: schedule.Denied, LookUp: true}
