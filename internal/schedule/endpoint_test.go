package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// breakDown has a gateway fail until it is not called any more.
func (st *story) breakDown() {
	st.Helper()
	for i := range 8 {
		st.call("1", fmt.Sprint("broken ", i), unanswered)
	}
}

func TestAGatewayThatFailsBroadlyIsProbed(t *testing.T) {
	st := begin(t, 10)
	st.breakDown()
	if c := st.wantChanges(schedule.EndpointDown); len(c) == 1 && (c[0].Endpoint != "gateway" || c[0].State != "open") {
		t.Errorf("change %+v, want gateway open", c[0])
	}
	st.queue("1", "a", "b", "c")
	st.queue("2", "of another merchant") // they share the gateway's fate
	st.wantPlay(999 * time.Millisecond)
	got := st.play(4 * time.Second)
	if len(got) != 2 {
		t.Fatalf("%q, want a probe after a second, and one two seconds later", got)
	}
	for i, want := range []string{"1s start ", "3s start "} {
		if got[i][:len(want)] != want {
			t.Errorf("probe %d is %q, want %s…", i, got[i], want)
		}
	}
	st.end(got[0][len("1s start "):], answered)
	st.wantChanges(schedule.EndpointBack)
	if got := st.play(time.Second); len(got) != 2 {
		t.Errorf("%q, want all others as it answers", got)
	}
}

// TestProbesAreForFreshOnes: of a gateway that fails. Repeats may fail whatever it does.
func TestProbesAreForFreshOnes(t *testing.T) {
	st := begin(t, 10)
	st.s.Bind("1", schedule.Terms{Rate: perSecond(40), Endpoint: "gateway"}, false, st.now)
	st.pass(time.Second)
	st.failing("1")
	for i := range 20 {
		w := st.make("1", fmt.Sprint("again ", i))
		w.At = st.now.Add(-time.Minute)
		st.s.Queue(w, schedule.Again, st.now)
		st.queue("1", fmt.Sprint("fresh ", i))
	}
	fresh := 0
	for range 20 {
		for _, step := range st.play(2 * time.Second) {
			_, name, _ := strings.Cut(step, " start ")
			if st.end(name, unanswered); strings.HasPrefix(name, "fresh") {
				fresh++
			}
		}
	}
	if fresh < 17 {
		t.Errorf("%d of 20 probes were for fresh ones, want nine of ten", fresh)
	}
}

// TestProbesGoRound: among merchants of one gateway, however many calls one of them has
// to make.
func TestProbesGoRound(t *testing.T) {
	st := begin(t, 10)
	st.breakDown()
	for i := range 9 {
		for _, m := range []payment.MerchantID{"1", "2", "3"} {
			st.queue(m, fmt.Sprint(m, ".", i))
		}
	}
	probed := map[byte]int{}
	for range 9 {
		for _, step := range st.play(2 * time.Second) {
			_, name, _ := strings.Cut(step, " start ")
			probed[name[0]]++
			st.end(name, unanswered)
		}
	}
	if probed['1'] != 3 || probed['2'] != 3 || probed['3'] != 3 {
		t.Errorf("probes by merchant: %v, want 3 each", probed)
	}
}

// TestProbesAreFirstForWhoDidNotFail: many merchants that are never answered are not to
// take the probes from one that is.
func TestProbesAreFirstForWhoDidNotFail(t *testing.T) {
	st := begin(t, 20)
	fails := []payment.MerchantID{"1", "2", "3"}
	for i := range 9 {
		st.queue(fails[i%3], fmt.Sprint("fails ", i))
	}
	st.next()
	st.now = st.now.Add(time.Second)
	st.call("well", "before", answered)
	for i := range 9 {
		st.end(fmt.Sprint("fails ", i), unanswered)
	}
	st.wantChanges(schedule.EndpointDown)
	for _, m := range append(fails, "well") {
		st.queue(m, fmt.Sprint("probe of ", m))
	}
	st.wantPlay(2*time.Second, "2s start probe of well")
}

// TestAMerchantThatFailsAloneHasItsOwnBreaker, until its calls are answered.
func TestAMerchantThatFailsAloneHasItsOwnBreaker(t *testing.T) {
	st := begin(t, 10)
	fail := func(n int) {
		for i := range n {
			st.call("1", fmt.Sprint("fails ", n, i), unanswered)
		}
	}
	fail(4)
	for i := range 4 {
		st.call("2", fmt.Sprint("well ", i), answered)
	}
	fail(5)
	st.wantChanges(schedule.FailsAlone) // too often by now, but it shares no breaker
	fail(7)
	st.queue("1", "probe", "more")
	st.queue("2", "other")
	st.want("start other")
	st.end("other", answered)
	st.wantChanges()
	st.wantPlay(time.Second, "1s start probe")
	st.end("probe", answered)
	st.want("start more")
	st.pass(2 * time.Second)
	st.end("more", answered)
	st.wantChanges() // not yet: it may be one of few
	for i := range 6 {
		st.call("1", fmt.Sprint("well again ", i), answered)
	}
	st.wantChanges(schedule.AnsweredAgain)
}

// TestAMerchantOfWhichMostFailsHasItsOwnBreaker: nine of ten calls hang, beside few of
// another that are answered. The gateway is not down at any time.
func TestAMerchantOfWhichMostFailsHasItsOwnBreaker(t *testing.T) {
	st := begin(t, 64)
	var flights []flight
	alone := false
	for i := range 600 {
		for len(flights) > 0 && !flights[0].until.After(st.now) {
			st.end(flights[0].name, unanswered)
			flights = flights[1:]
		}
		if name := fmt.Sprint("ill ", i); i%10 == 0 {
			st.queue("ill", name)
			if got := st.next(); len(got) > 0 && got[len(got)-1] == "start "+name {
				st.end(name, answered)
			}
		} else if st.queue("ill", name); true {
			for _, step := range st.next() {
				flights = append(flights, flight{step[len("start "):], st.now.Add(30 * time.Second)})
			}
		}
		if i%5 == 0 {
			st.call("well", fmt.Sprint("well ", i), answered)
		}
		for _, c := range st.s.Changes() {
			alone = alone || c.Kind == schedule.FailsAlone
			if c.Kind == schedule.EndpointDown {
				t.Fatalf("at %v: the gateway is down", st.clock())
			}
		}
		st.now = st.now.Add(time.Second)
	}
	if !alone {
		t.Error("nobody is told that it alone fails")
	}
}

// TestNobodyFailsAloneOfAGatewayThatIsDown, also if some calls failed before.
func TestNobodyFailsAloneOfAGatewayThatIsDown(t *testing.T) {
	st := begin(t, 64)
	for i := range 200 {
		for _, m := range []payment.MerchantID{"1", "2", "3"} {
			r := answered
			if i%5 < 2 {
				r = unanswered
			}
			st.call(m, fmt.Sprint(m, i), r)
		}
		st.now = st.now.Add(time.Second)
	}
	st.wantChanges()
	for i := range 8 {
		for _, m := range []payment.MerchantID{"1", "2", "3"} {
			st.queue(m, fmt.Sprint("down ", m, i))
		}
		for _, step := range st.next() {
			st.end(step[len("start "):], unanswered)
		}
	}
	st.wantChanges(schedule.EndpointDown)
}

func TestAGatewayThatIsDownConcernsNoOther(t *testing.T) {
	st := begin(t, 10)
	st.s.Bind("2", schedule.Terms{Endpoint: "another gateway"}, false, st.now)
	st.breakDown()
	st.queue("1", "a")
	st.queue("2", "b")
	st.want("start b")
	st.wantChanges(schedule.EndpointDown)
	if l := st.lane("1"); !l.IsPaced() {
		t.Error("what waits for the gateway takes room from others")
	}
	if l := st.lane("2"); l.IsPaced() {
		t.Error("what waits for nothing takes no room")
	}
}

func TestNothingNeedsToBeFetchedWhileEveryGatewayIsDown(t *testing.T) {
	st := begin(t, 10)
	down := func(all int) bool { return st.s.IsDown(all, st.now) }
	if down(0) || down(1) {
		t.Error("down, and there is no gateway yet")
	}
	st.breakDown()
	if down(1) {
		t.Error("down, and there is nothing that was not called for yet: what was may be odd")
	}
	st.queue("1", "fresh", "more")
	if !down(1) {
		t.Error("not down after eight failures")
	}
	if down(2) || down(0) {
		t.Error("down, and not all gateways are known")
	}
	st.now = noon.Add(time.Second)
	if down(1) {
		t.Error("down, and a probe is due")
	}
	st.want("start fresh")
	st.end("fresh", unanswered)
	if !down(1) {
		t.Error("not down after a probe that failed")
	}
	st.s.Bind("2", schedule.Terms{Endpoint: "another gateway"}, false, st.now)
	if down(2) {
		t.Error("down, and one of two gateways works")
	}
}

// TestACredentialErrorIsAnAnswerOfAGatewayThatIsDown, but no more than that.
func TestACredentialErrorIsAnAnswerOfAGatewayThatIsDown(t *testing.T) {
	st := begin(t, 10)
	for i := range 20 {
		st.s.End(st.started(fmt.Sprint(i)), schedule.Result{How: schedule.Unasked}, st.now)
	}
	st.wantChanges()
	st.breakDown()
	st.wantChanges(schedule.EndpointDown)
	st.queue("1", "probe")
	st.wantPlay(time.Second, "1s start probe")
	st.end("probe", denied)
	if c := st.wantChanges(schedule.EndpointBack, schedule.HoldBegan); len(c) > 0 && c[0].State == "open" {
		t.Error("still open after an answer")
	}
}

// started queues work, and starts it.
func (st *story) started(name string) *schedule.Work {
	st.Helper()
	st.queue("1", name)
	st.want("start " + name)
	return st.works[name]
}

// slowDown has a gateway answer slowly until it takes half as many calls at once.
func (st *story) slowDown() {
	st.Helper()
	for i := range 40 {
		took := 50 * time.Millisecond
		if i >= 20 {
			took = time.Second
		}
		name := fmt.Sprint("sample ", i)
		st.queue("1", name)
		st.want("start " + name)
		st.now = st.now.Add(took)
		st.end(name, answered)
	}
}

func TestLanesWaitForACallOfAFullGatewayToEnd(t *testing.T) {
	st := begin(t, 8)
	st.s.Bind("other", schedule.Terms{Endpoint: "another gateway"}, false, st.now)
	st.slowDown()
	st.queue("1", "a1", "a2", "a3", "a4", "a5", "a6")
	st.want("start a1", "start a2", "start a3", "start a4")
	st.queue("2", "b1", "b2")
	st.queue("other", "o1")
	st.want("start o1")
	st.queue("3", "c1")
	st.pass(time.Second)
	for _, step := range []struct{ ends, starts string }{ // in the order in which they found it full
		{"a1", "start a5"}, {"a2", "start b1"}, {"a3", "start c1"}, {"a4", "start a6"}, {"b1", "start b2"}, {"a5", ""},
	} {
		st.end(step.ends, answered)
		if step.starts == "" {
			st.want()
			continue
		}
		st.want(step.starts)
	}
}

// TestRoomForACallIsNotLostOnWhoMakesNone: whoever it was given to is overdue, or
// taken away, and makes no call.
func TestRoomForACallIsNotLostOnWhoMakesNone(t *testing.T) {
	for name, vanish := range map[string]func(*story){
		"removed": func(st *story) { st.s.Remove(st.works["b"], st.now) },
		"overdue": func(st *story) {
			st.now = st.now.Add(2 * time.Minute)
			st.s.Next(st.now)
		},
		"gone": func(st *story) {
			st.s.Bind("2", schedule.Terms{}, true, st.now)
			st.s.Next(st.now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := begin(t, 8)
			st.slowDown()
			st.queue("1", "a1", "a2", "a3", "a4")
			st.want("start a1", "start a2", "start a3", "start a4")
			st.expiring("2", "b", time.Minute)
			st.queue("3", "c")
			st.want()
			st.end("a1", answered) // b may go
			vanish(st)
			st.want("start c")
		})
	}
}
