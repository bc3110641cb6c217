package schedule_test

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"paylink/internal/schedule"
)

// A clocks is what time.Now is made of: a wall clock, which may be set, and a
// monotonic one, which may not.
type clocks struct {
	wall time.Time
	mono time.Duration // since the process began
}

// pass lets time go by, which both clocks see.
func (c *clocks) pass(d time.Duration) {
	c.wall = c.wall.Add(d)
	c.mono += d
}

// now is a time that knows both clocks. Package time makes such times of its own
// clocks only, so they are put together by hand.
func (c *clocks) now() time.Time {
	t := time.Now()
	raw := (*struct {
		wall uint64 // one bit: it knows both; 33 bits: seconds since 1885; 30 bits: nanoseconds
		ext  int64  // nanoseconds of the monotonic clock
		loc  *time.Location
	})(unsafe.Pointer(&t))
	year1885 := time.Date(1885, 1, 1, 0, 0, 0, 0, time.UTC)
	since := c.wall.Unix() - year1885.Unix()
	raw.wall = 1<<63 | uint64(since)<<30 | uint64(c.wall.Nanosecond())
	raw.ext = int64(c.mono) + int64(time.Hour)
	return t
}

func TestTimesMadeByHandKnowBothClocks(t *testing.T) {
	c := clocks{wall: noon.Add(123456789)}
	before := c.now()
	if !before.Round(0).Equal(c.wall) {
		t.Fatalf("the wall clock says %v, want %v", before.Round(0), c.wall)
	}
	c.pass(time.Minute)
	c.wall = c.wall.Add(-time.Hour) // set back
	after := c.now()
	if got := after.Sub(before); got != time.Minute {
		t.Errorf("%v have passed, want a minute", got)
	}
	if got := after.Round(0).Sub(before.Round(0)); got != time.Minute-time.Hour {
		t.Errorf("%v have passed by the wall clock, want an hour less than a minute", got)
	}
}

// clocked is a story whose clock is set back while it goes on.
type clocked struct {
	*story
	clocks
}

func beginClocked(t *testing.T, concurrency int) *clocked {
	c := &clocked{begin(t, concurrency), clocks{wall: noon}}
	c.story.now = c.clocks.now()
	c.s.Share([]int32{0}, 1, 1, c.story.now)
	return c
}

// run lets time go by second for second, as far as the scheduler does not want to
// be asked earlier, and returns what is done, with the time that has passed.
func (c *clocked) run(d time.Duration) (log []string) {
	c.Helper()
	for until := c.mono + d; ; {
		for _, step := range c.next() {
			log = append(log, c.mono.String()+" "+step)
		}
		if c.mono >= until {
			return log
		}
		c.clocks.pass(min(until-c.mono, max(1, c.s.Wake(c.story.now).Sub(c.story.now))))
		c.story.now = c.clocks.now()
	}
}

// set sets the wall clock.
func (c *clocked) set(by time.Duration) {
	c.wall = c.wall.Add(by)
	c.story.now = c.clocks.now()
}

func (c *clocked) wantRun(d time.Duration, want ...string) {
	c.Helper()
	if got := strings.Join(c.run(d), ", "); got != strings.Join(want, ", ") {
		c.Errorf("by %v: %s, want %s", c.mono, got, strings.Join(want, ", "))
	}
}

func TestAWaitEndsInTimeThoughTheClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{-24 * time.Hour, -time.Hour, -time.Second, time.Second, 40 * time.Minute} {
		t.Run(by.String(), func(t *testing.T) {
			c := beginClocked(t, 10)
			c.s.BackOff(c.make("1", "a"), schedule.Again, 10*time.Minute, c.story.now)
			c.wantRun(time.Minute)
			c.set(by)
			c.s.BackOff(c.make("1", "b"), schedule.Again, 5*time.Minute, c.story.now)
			c.wantRun(20*time.Minute, "6m0s start b", "10m0s start a")
		})
	}
}

// TestDeadlinesAreOfTheWallClock: they come from records. What is behind one is
// not held up.
func TestDeadlinesAreOfTheWallClock(t *testing.T) {
	c := beginClocked(t, 10)
	w := c.make("1", "a")
	w.ExpiresAt = noon.Add(30 * time.Minute)
	c.s.BackOff(w, schedule.Again, 24*time.Hour, c.story.now)
	c.wantRun(10 * time.Minute)
	c.set(-time.Hour)
	c.s.BackOff(c.make("1", "b"), schedule.Again, 40*time.Minute, c.story.now)
	c.wantRun(2*time.Hour, "50m0s start b", "1h30m0s expired a")
}

func TestQueuedDeadlinesAreOfTheWallClock(t *testing.T) {
	c := beginClocked(t, 10)
	c.s.Bind("1", schedule.Terms{Rate: perSecond(1), Endpoint: "gateway"}, false, c.story.now)
	c.s.Share(nil, 1, 0, c.story.now) // nothing is called
	c.expiring("1", "a", 30*time.Minute)
	c.wantRun(10 * time.Minute)
	c.set(-time.Hour)
	c.expiring("1", "b", 5*time.Minute) // before a, by the new clock
	c.wantRun(2*time.Hour, "15m0s expired b", "1h30m0s expired a")
}

func TestTheClockIsSetBackOnHold(t *testing.T) {
	c := beginClocked(t, 10)
	c.hold("1")
	c.queue("1", "probe")
	c.wantRun(5 * time.Second)
	c.set(-time.Hour)
	c.wantRun(time.Minute, "10s start probe")
}

func TestAPaceGoesOnAfterTheClockIsSetBack(t *testing.T) {
	c := beginClocked(t, 10)
	c.s.Bind("1", schedule.Terms{Rate: perSecond(1), Endpoint: "gateway"}, false, c.story.now)
	c.queue("1", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
	n := len(c.run(3 * time.Second))
	c.set(-time.Hour)
	if n += len(c.run(10 * time.Second)); n < 9 {
		t.Errorf("%d calls in 13 s at 1/s, with the clock set back by an hour", n)
	}
}

// TestAClockThatWasAheadLengthensNoLife: in a hold that began by that clock, and that
// nobody is left to end.
func TestAClockThatWasAheadLengthensNoLife(t *testing.T) {
	c := beginClocked(t, 10)
	c.set(2 * time.Hour)
	c.hold("1")
	c.set(-2 * time.Hour)
	w := c.make("1", "looks")
	w.At, w.LooksUp = noon, true
	c.s.BackOff(w, schedule.Again, 24*time.Hour, c.story.now)
	c.wantRun(2*time.Hour, "1h0m0s gave_up looks")
}
