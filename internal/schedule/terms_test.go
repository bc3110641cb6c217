package schedule_test

import (
	"testing"
	"time"

	"paylink/internal/schedule"
)

func TestTheWorkOfAMerchantThatIsGoneIsDismissed(t *testing.T) {
	st := begin(t, 2)
	st.queue("1", "a", "b", "c")
	st.want("start a", "start b")
	st.s.BackOff(st.make("1", "backs off"), schedule.Again, 24*time.Hour, st.now)
	st.s.Queue(st.make("1", "looks"), schedule.Last, st.now)
	st.expiring("1", "expired", 0)
	st.queue("2", "of another merchant")
	st.s.Bind("1", schedule.Terms{}, true, st.now)
	st.s.Rebound(st.now)
	if !st.lane("1").IsGone() {
		t.Error("not gone")
	}
	st.want("expired expired", "dismiss c", "dismiss backs off", "dismiss looks") // no call is needed, and there is no room for one
	st.end("a", denied)
	if st.lane("1").IsHeld() {
		t.Error("a merchant that is gone is held")
	}
	st.want("start of another merchant")
	st.wantChanges()
	st.queue("1", "late")
	st.want("dismiss late")
	st.s.Bind("1", schedule.Terms{Endpoint: "gateway"}, false, st.now) // it is back
	st.end("b", answered)
	st.queue("1", "after all")
	st.want("start after all")
}

func TestAGatewayThatNobodyHasIsForgotten(t *testing.T) {
	st := begin(t, 10)
	st.queue("1", "a", "b")
	st.want("start a", "start b")
	st.s.Bind("1", schedule.Terms{Endpoint: "new gateway"}, false, st.now)
	st.s.Rebound(st.now)
	if c := st.wantChanges(schedule.EndpointGone); len(c) == 1 && c[0].Endpoint != "gateway" {
		t.Errorf("%q is gone, want gateway", c[0].Endpoint)
	}
	for _, name := range []string{"a", "b"} { // calls of it in flight end by themselves
		st.end(name, unanswered)
	}
	st.s.Rebound(st.now)
	st.wantChanges()
	st.queue("1", "c")
	st.want("start c")
	if got := st.lane("1").Endpoint(); got != "new gateway" {
		t.Errorf("Endpoint = %q, want new gateway", got)
	}
	if got := st.s.InFlight(); got != 1 {
		t.Errorf("InFlight = %d, want 1", got)
	}
}

func TestAMovedMerchantDoesNotWaitForItsOldGateway(t *testing.T) {
	st := begin(t, 8)
	st.slowDown()
	st.queue("1", "a", "b", "c", "d")
	st.want("start a", "start b", "start c", "start d")
	st.queue("2", "moves")
	st.want()
	st.s.Bind("2", schedule.Terms{Endpoint: "new gateway"}, false, st.now)
	st.want("start moves")
}

func TestALimitThatIsLiftedHoldsNothingBack(t *testing.T) {
	st := begin(t, 10)
	st.s.Bind("1", schedule.Terms{Rate: perSecond(1), Endpoint: "gateway"}, false, st.now)
	st.queue("1", "a", "b", "c")
	st.want()
	st.s.Bind("1", schedule.Terms{Endpoint: "gateway"}, false, st.now)
	st.want("start a", "start b", "start c")
}

func TestOnlySlowMerchantsArePaced(t *testing.T) {
	st := begin(t, 10)
	tests := []struct {
		rate  int // per second; 0: no limit
		paced bool
	}{{0, false}, {1, true}, {40, true}, {1000, false}}
	for _, tt := range tests {
		terms := schedule.Terms{Endpoint: "gateway"}
		if tt.rate > 0 {
			terms.Rate = perSecond(tt.rate)
		}
		if l := st.s.Bind("1", terms, false, st.now); l.IsPaced() != tt.paced {
			t.Errorf("%d/s: IsPaced = %v, want %v", tt.rate, l.IsPaced(), tt.paced)
		}
	}
}
