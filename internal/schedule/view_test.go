package schedule_test

import (
	"testing"
	"time"

	"paylink/internal/payment"
	"paylink/internal/schedule"
)

func TestViewSaysWhyALaneWaits(t *testing.T) {
	since := noon.Add(-time.Minute)
	tests := []struct {
		name  string
		begin func(*story)
		want  schedule.Wait
		next  string // the work whose turn it is
	}{
		{"nothing to do", func(*story) {}, schedule.Wait{State: "free"}, ""},
		{"free", func(st *story) { st.queue("1", "a", "b") }, schedule.Wait{State: "free"}, "a"},
		{"on hold", func(st *story) { st.hold("1"); st.queue("1", "a") },
			schedule.Wait{State: "held", Since: noon, Until: noon.Add(10 * time.Second), LastError: "misconfigured: 401"}, "a"},
		{"the gateway is down", func(st *story) { st.breakDown(); st.queue("1", "a") },
			schedule.Wait{State: "breaker open", Since: noon, Until: noon.Add(time.Second), LastError: "in doubt: timeout"}, "a"},
		{"all back off", func(st *story) {
			st.s.BackOff(st.make("1", "late"), schedule.Again, time.Hour, st.now)
			st.s.BackOff(st.make("1", "a"), schedule.Again, time.Minute, st.now)
		}, schedule.Wait{State: "backing off", Since: since, Until: noon.Add(time.Minute)}, "a"},
		{"no share", func(st *story) {
			st.s.Bind("1", schedule.Terms{Rate: perSecond(1), Endpoint: "gateway"}, false, st.now)
			st.s.Share(nil, 1, 0, st.now)
			st.queue("1", "a")
		}, schedule.Wait{State: "paced", Since: since}, "a"},
		{"no room for a call to its gateway", func(st *story) {
			st.queue("1", "x", "y")
			st.want("start x", "start y")
			st.queue("1", "a")
			st.want()
		}, schedule.Wait{State: "busy", Since: noon}, "a"},
		{"no room for any call", func(st *story) {
			st.s.Publishing(4)
			st.queue("1", "a")
			st.want()
		}, schedule.Wait{State: "busy", Since: noon}, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := begin(t, 2)
			l := st.lane("1")
			tt.begin(st)
			v := st.s.View(l, func(*schedule.Work) time.Time { return since }, st.now)
			if v.Wait != tt.want {
				t.Errorf("Wait = %+v, want %+v", v.Wait, tt.want)
			}
			next := ""
			if v.Next != nil {
				next = v.Next.Owner.(string)
			}
			if next != tt.next || v.Merchant != "1" || v.Endpoint != "gateway" {
				t.Errorf("View = %s at %s, next %q; want 1 at gateway, %q", v.Merchant, v.Endpoint, next, tt.next)
			}
		})
	}
}

func TestAPacedLaneIsReckonedWith(t *testing.T) {
	st := begin(t, 10)
	l := st.s.Bind("1", schedule.Terms{Rate: perSecond(1), Endpoint: "gateway"}, false, st.now)
	st.queue("1", "a", "b", "c")
	v := st.s.View(l, func(*schedule.Work) time.Time { return noon }, st.now)
	if v.Wait.State != "paced" || v.Rate != "1/s" || v.Queued != 3 || !v.NextCall.Equal(v.Wait.Until) {
		t.Errorf("View = %+v", v)
	}
	interval := 1005 * time.Millisecond // a slot is a little longer than the rate says
	if got, want := st.s.Reckon(v, l, 10), v.Wait.Until.Add(13*interval); !got.Equal(want) {
		t.Errorf("Reckon = %v, want %v: after the three that are queued, and ten more", got, want)
	}
	v.Wait.State = "free"
	if got := st.s.Reckon(v, l, 10); !got.Equal(v.Wait.Until) {
		t.Errorf("Reckon = %v for a lane that does not wait for its pace", got)
	}
}

func TestLanesAreAllThatThereAre(t *testing.T) {
	st := begin(t, 10)
	want := map[payment.MerchantID]bool{"1": true, "2": true, "3": true}
	for m := range want {
		st.lane(m)
	}
	for l := range st.s.Lanes() {
		if !want[l.Merchant()] {
			t.Errorf("a lane of %s, or two", l.Merchant())
		}
		delete(want, l.Merchant())
	}
	if len(want) > 0 {
		t.Errorf("no lanes of %v", want)
	}
}

func TestWorkEndsLaterByTheTimeOnHold(t *testing.T) {
	st := begin(t, 10)
	by := st.now.Add(time.Hour)
	l := st.lane("1")
	if got := st.s.Ends(l, by, st.now); !got.Equal(by) {
		t.Errorf("it ends %s, want %s", got, by)
	}
	st.hold("1")
	if got := st.s.Ends(l, by, st.now); !got.IsZero() {
		t.Errorf("on hold it ends %s, want nobody to know", got)
	}
	st.pass(20 * time.Minute)
	st.prove("proof")
	if got := st.s.Ends(l, by, st.now).Sub(by); l.IsHeld() || got < 20*time.Minute || got > 21*time.Minute {
		t.Errorf("after a hold of 20 minutes (on: %v) it ends %s later", l.IsHeld(), got)
	}
}

func TestAllViewsSayWhatEachSays(t *testing.T) {
	st := begin(t, 10)
	st.hold("1")
	st.queue("2", "queued")
	for name, wait := range map[string]time.Duration{"late": 3 * time.Minute, "soon": time.Minute, "later": 2 * time.Minute} {
		st.s.BackOff(st.make("3", name), schedule.First, wait, st.now)
	}
	since, n := func(*schedule.Work) time.Time { return st.now }, 0
	for l, v := range st.s.Views(since, st.now) {
		n++
		if want := st.s.View(l, since, st.now); v != want {
			t.Errorf("of merchant %s it says %+v, alone %+v", l.Merchant(), v, want)
		}
		if l.Merchant() == "3" && (v.Next == nil || v.Next != st.works["soon"]) {
			t.Errorf("next of merchant 3 is %v", v.Next)
		}
	}
	if n != 3 {
		t.Errorf("%d lanes, want 3", n)
	}
}
