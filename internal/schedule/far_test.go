package schedule_test

import (
	"testing"
	"time"

	"paylink/internal/schedule"
)

// farTimes are those that records carry by mistake, by malice, or in another unit.
var farTimes = map[string]time.Time{
	"the zero time":            {},
	"a moment after it":        time.Time{}.Add(1),
	"giveUp before it":         time.Time{}.Add(-giveUp),
	"year 1":                   year(1),
	"year 1500":                year(1500),
	"292 years before noon":    noon.Add(-1 << 63),
	"a moment later than that": noon.Add(-1<<63 + 1),
	"1 ms before 1970":         time.UnixMilli(-1),
	"1970":                     time.UnixMilli(0),
	"292 years after noon":     noon.Add(1<<63 - 1),
	"year 2262, the last that nanoseconds can tell": time.Unix(0, 1<<63-1),
	"year 9999":                        year(9999),
	"the last that milliseconds tell":  time.UnixMilli(1<<63 - 1),
	"the first that milliseconds tell": time.UnixMilli(-1 << 63),
}

func year(y int) time.Time { return time.Date(y, 6, 1, 0, 0, 0, 0, time.UTC) }

// TestNextComesToAnEndForAnyTimes, queued and backing off, on hold and not.
func TestNextComesToAnEndForAnyTimes(t *testing.T) {
	holds := []struct {
		name  string
		begin func(*story)
	}{
		{"no hold", func(*story) {}},
		{"a hold", func(st *story) { st.call("1", "a", answered); st.hold("1") }},
		{"a hold that was found", func(st *story) { st.hold("1") }},
		{"two holds that were found", func(st *story) {
			st.call("1", "a", denied)
			st.s.Mended(st.lane("1"), st.now)
			st.call("1", "b", denied)
		}},
	}
	for at, recordTime := range farTimes {
		for _, expires := range []string{"the zero time", "a moment after it", "year 1500", "1 ms before 1970", "year 9999"} {
			for _, hold := range holds {
				t.Run(at+", expires "+expires+", "+hold.name, func(t *testing.T) {
					if !returns(func() { begin(t, 10).far(recordTime, farTimes[expires], hold.begin) }) {
						t.Error("it does not")
					}
				})
			}
		}
	}
}

// far plays a day of work of such times.
func (st *story) far(at, expires time.Time, hold func(*story)) {
	hold(st)
	for _, name := range []string{"queued", "backs off"} {
		w := st.make("1", name)
		w.At, w.ExpiresAt = at, expires
		if name == "queued" {
			st.s.Queue(w, schedule.First, st.now)
			continue
		}
		st.s.BackOff(w, schedule.Again, time.Hour, st.now)
	}
	for range 1000 {
		for st.s.Next(st.now).Kind != schedule.Nothing {
		}
		wake := st.s.Wake(st.now)
		if !wake.After(st.now) {
			st.Errorf("at %v: Wake = %v although there is nothing to do: whoever asks when told to never rests", st.clock(), wake)
			return
		}
		st.now = wake
	}
}

// returns reports whether f comes to an end. What does not is left behind, as
// nothing can end it: the process ends soon.
func returns(f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-time.After(5 * time.Second):
		return false
	}
}

// TestFarTimesAreSettledAsTheyAre: what is old is given up, what is of the future
// waits.
func TestFarTimesAreSettledAsTheyAre(t *testing.T) {
	for name, at := range farTimes {
		st := begin(t, 10)
		w := st.make("1", "a")
		w.At = at
		st.s.Queue(w, schedule.First, st.now)
		want := "gave_up a"
		if at.After(noon) {
			want = "start a"
		}
		t.Run("of "+name, func(t *testing.T) { st.T = t; st.want(want) })

		st = begin(t, 10)
		w = st.make("1", "a")
		w.ExpiresAt = at
		st.s.Queue(w, schedule.First, st.now)
		want = "expired a"
		if at.After(noon) || at.IsZero() {
			want = "start a"
		}
		t.Run("expires "+name, func(t *testing.T) { st.T = t; st.want(want) })
	}
}
