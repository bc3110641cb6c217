package schedule_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/schedule"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const giveUp = time.Hour

// What calls show.
var (
	answered   = schedule.Result{How: schedule.Answered, Proves: true}
	unanswered = schedule.Result{How: schedule.Unanswered, Error: "in doubt: timeout"}
	denied     = schedule.Result{How: schedule.Denied, Code: "401", Cause: "signature", Error: "misconfigured: signature"}
)

// A story plays a Scheduler. Its clock is moved by the test alone; its work has
// names; what is started is begun at once, and ends when the test says so.
type story struct {
	*testing.T
	s     *schedule.Scheduler
	now   time.Time
	works map[string]*schedule.Work
}

// begin starts a story at noon, with room for so many calls and one partition that
// is ours. Merchants are made when they are first named, without a limit.
func begin(t *testing.T, concurrency int) *story {
	st := &story{T: t, now: noon, works: map[string]*schedule.Work{}}
	st.s = schedule.New(schedule.Config{Concurrency: concurrency, GiveUpAfter: giveUp, Window: 1000})
	st.s.Share([]int32{0}, 1, 1, noon)
	return st
}

// lane is a merchant's lane.
func (st *story) lane(m payment.MerchantID) *schedule.Lane {
	if l := st.s.Lane(m); l != nil {
		return l
	}
	return st.s.Bind(m, schedule.Terms{Endpoint: "gateway"}, false, st.now)
}

// make gives a merchant new work, of a record of now.
func (st *story) make(m payment.MerchantID, name string) *schedule.Work {
	w := &schedule.Work{ID: payment.IntentID(name), At: st.now, Owner: name}
	w.Own(st.lane(m))
	st.works[name] = w
	return w
}

// queue queues new work for its first call.
func (st *story) queue(m payment.MerchantID, names ...string) {
	for _, name := range names {
		st.s.Queue(st.make(m, name), schedule.First, st.now)
	}
}

// expiring queues new work that expires after d.
func (st *story) expiring(m payment.MerchantID, name string, d time.Duration) *schedule.Work {
	w := st.make(m, name)
	w.ExpiresAt = st.now.Add(d).Round(0)
	st.s.Queue(w, schedule.First, st.now)
	return w
}

// end ends a call.
func (st *story) end(name string, r schedule.Result) {
	st.Helper()
	st.s.End(st.works[name], r, st.now)
}

// call queues work, starts it, and ends it so at once.
func (st *story) call(m payment.MerchantID, name string, r schedule.Result) {
	st.Helper()
	st.queue(m, name)
	st.want("start " + name)
	st.end(name, r)
}

// hold has a merchant be on hold: two intents are denied.
func (st *story) hold(m payment.MerchantID) {
	st.Helper()
	for i := range 2 {
		st.call(m, fmt.Sprint("denied ", i), denied)
	}
	if !st.lane(m).IsHeld() {
		st.Errorf("at %v: merchant %s is not held", st.clock(), m)
	}
	st.s.Changes()
}

// next is all that is to be done now, in words.
func (st *story) next() (all []string) {
	st.Helper()
	for range 100_000 {
		step := st.s.Next(st.now)
		if step.Kind == schedule.Nothing {
			if wake := st.s.Wake(st.now); !wake.After(st.now) {
				st.Errorf("at %v: Wake = %v although there is nothing to do", st.clock(), wake)
			}
			return all
		}
		all = append(all, st.words(step))
		if step.Kind == schedule.Start {
			st.s.Begin(step.Work, st.now)
		}
	}
	st.Fatalf("at %v: Next does not come to an end: %v …", st.clock(), all[:10])
	return nil
}

func (st *story) words(step schedule.Step) string {
	name := step.Work.Owner
	switch step.Kind {
	case schedule.Start:
		return fmt.Sprint("start ", name)
	case schedule.Overdue:
		return fmt.Sprint(step.Why, " ", name)
	case schedule.Dismiss:
		return fmt.Sprint("dismiss ", name)
	}
	return fmt.Sprint("resume ", name)
}

// want asks for what is to be done now.
func (st *story) want(want ...string) {
	st.Helper()
	if got := st.next(); !slices.Equal(got, want) {
		st.Errorf("at %v: %q, want %q", st.clock(), got, want)
	}
}

// pass lets time go by in which nothing is to be done.
func (st *story) pass(d time.Duration) {
	st.Helper()
	for until := st.now.Add(d); st.now.Before(until); {
		st.want()
		st.now = earlier(st.s.Wake(st.now), until)
	}
}

// play lets time go by, and returns what is done, each with its time since noon.
func (st *story) play(d time.Duration) (log []string) {
	st.Helper()
	for until := st.now.Add(d); ; st.now = earlier(st.s.Wake(st.now), until) {
		for _, step := range st.next() {
			log = append(log, fmt.Sprint(st.clock(), " ", step))
		}
		if !st.now.Before(until) {
			return log
		}
	}
}

func (st *story) clock() time.Duration { return st.now.Sub(noon) }

// wantPlay plays, and asks for what is done.
func (st *story) wantPlay(d time.Duration, want ...string) {
	st.Helper()
	if got := st.play(d); !slices.Equal(got, want) {
		st.Errorf("by %v: %q, want %q", st.clock(), got, want)
	}
}

// wantChanges asks for the changes since it was asked for last, as far as their
// kinds go.
func (st *story) wantChanges(want ...schedule.ChangeKind) []schedule.Change {
	st.Helper()
	changes := st.s.Changes()
	var got []schedule.ChangeKind
	for _, c := range changes {
		got = append(got, c.Kind)
	}
	if !slices.Equal(got, want) {
		st.Errorf("at %v: changes %v, want %v", st.clock(), got, want)
	}
	return changes
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// perSecond is a rate.
func perSecond(n int) pace.Rate { return pace.Rate{Events: n, Per: time.Second} }
