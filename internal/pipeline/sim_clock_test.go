package pipeline

import (
	"testing"
	"time"
	"unsafe"
)

// simStart is when every simulated history begins, by a right wall clock.
var simStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// bothClocks is a time.Time as the runtime makes it: seconds since 1885 and
// nanoseconds of the wall clock, and the monotonic clock. There is no other way to
// make one whose two clocks differ; TestSimulatedTimesHaveBothClocks would notice
// if package time changed.
type bothClocks struct {
	wall uint64
	ext  int64
	loc  *time.Location
}

const (
	hasMonotonic = 1 << 63
	from1885     = 2682288000 // seconds from 1885 to 1970, as package time counts them
)

// clocksAt is a time with that wall clock, and so much on the monotonic one.
func clocksAt(wall time.Time, mono time.Duration) time.Time {
	b := bothClocks{wall: hasMonotonic | uint64(wall.Unix()+from1885)<<30 | uint64(wall.Nanosecond()), ext: int64(mono)}
	return *(*time.Time)(unsafe.Pointer(&b))
}

func TestSimulatedTimesHaveBothClocks(t *testing.T) {
	early := clocksAt(simStart.Add(time.Hour), time.Second)
	late := clocksAt(simStart, time.Minute) // the wall clock was set back
	if d := late.Sub(early); d != 59*time.Second {
		t.Errorf("by the monotonic clock: %v, want 59s", d)
	}
	if d := late.Round(0).Sub(early.Round(0)); d != -time.Hour {
		t.Errorf("by the wall clock: %v, want -1h", d)
	}
	if !late.Round(0).Equal(simStart) || late.UnixNano() != simStart.UnixNano() {
		t.Errorf("wall clock %v, want %v", late.Round(0).UTC(), simStart)
	}
	if d := late.Add(time.Second).Sub(late); d != time.Second {
		t.Errorf("a second later: %v", d)
	}
}
