package pulse_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"paylink/internal/pulse"
)

func TestALoopThatStandsStillIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pulse.Pulse
		want := func(when string, names ...string) {
			t.Helper()
			if got := p.Stuck(); !slices.Equal(got, names) {
				t.Errorf("%s: %v is stuck, want %v", when, got, names)
			}
		}
		engine, fetch, other := p.Loop("engine", time.Minute), p.Loop("fetch", time.Hour), p.Loop("fetch", time.Minute)
		time.Sleep(24 * time.Hour)
		want("before the first round")
		engine.Busy()
		fetch.Busy()
		other.Busy()
		time.Sleep(time.Minute)
		want("just in time")
		time.Sleep(time.Nanosecond)
		want("a moment later", "engine", "fetch")
		engine.Busy()
		want("after a new round", "fetch")
		time.Sleep(2 * time.Hour)
		want("much later", "engine", "fetch")
		engine.Idle()
		other.End()
		want("one waits, one ended", "fetch")
		fetch.End()
		want("at the end")
	})
}

func TestNobodyWatchesNil(t *testing.T) {
	var p *pulse.Pulse
	l := p.Loop("engine", time.Nanosecond)
	l.Busy()
	l.Idle()
	l.End()
	if got := p.Stuck(); got != nil {
		t.Errorf("%v is stuck, want nothing", got)
	}
}
