package kafkaio

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"paylink/internal/kafkawire"
)

// wallJump returns t as it is when the wall clock has gone further than the
// monotonic one, as over a suspend. Go has no way to make such a time, so this
// reaches into it; the caller checks that it still does what it says.
func wallJump(t time.Time, d time.Duration) time.Time {
	const seconds = 30 // of time.Time.wall, above the nanoseconds
	(*[1]uint64)(unsafe.Pointer(&t))[0] += uint64(d/time.Second) << seconds
	return t
}

func TestElapsedGoesByTheClockThatWentFurther(t *testing.T) {
	from := time.Now()
	slept := wallJump(from.Add(time.Second), time.Hour)
	if slept.Sub(from) != time.Second || slept.Round(0).Sub(from.Round(0)) != time.Hour+time.Second {
		t.Fatal("the helper does not make a suspend on this Go release")
	}
	for _, c := range []struct {
		name string
		to   time.Time
		want time.Duration
	}{
		{"both alike", from.Add(5 * time.Second), 5 * time.Second},
		{"suspended for an hour", slept, time.Hour + time.Second},
		{"wall clock set back", wallJump(from.Add(5*time.Second), -time.Hour), 5 * time.Second},
	} {
		if got := elapsed(from, c.to); got != c.want {
			t.Errorf("%s: elapsed %v, want %v", c.name, got, c.want)
		}
	}
}

func TestLeaseLastsASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lease{session: 6 * time.Second, rebalance: time.Minute}
		check := func(when string, want bool) {
			t.Helper()
			if got := l.live(); got != want {
				t.Errorf("%s: live %v, want %v", when, got, want)
			}
		}
		check("never renewed", false)
		sent := time.Now()
		time.Sleep(time.Second) // the answer took a while
		l.settle(sent)
		check("settled", true)
		time.Sleep(5*time.Second - time.Nanosecond)
		check("just within the session of the heartbeat's start", true)
		time.Sleep(time.Nanosecond)
		check("a session after it", false)
		l.settle(time.Now())
		l.settle(sent) // a late answer to an older heartbeat
		check("an older heartbeat does not shorten it", true)
		l.end()
		check("ended", false)
	})
}

func TestLeaseEndsWithTheRebalance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lease{session: 6 * time.Second, rebalance: time.Minute}
		l.renew(time.Now())
		if l.live() {
			t.Error("live before the group was ever found at rest")
		}
		l.settle(time.Now())
		for range 59 { // hearts beat all the while
			time.Sleep(time.Second)
			l.renew(time.Now())
		}
		time.Sleep(time.Second - time.Nanosecond)
		if !l.live() {
			t.Error("not live within the rebalance timeout")
		}
		time.Sleep(time.Nanosecond)
		if l.live() {
			t.Error("live when the rebalance may have ended without us")
		}
		l.settle(time.Now())
		if !l.live() {
			t.Error("not live with the group at rest")
		}
	})
}

func TestLeaseEndsOverASuspend(t *testing.T) {
	l := lease{session: 6 * time.Second, rebalance: time.Minute}
	now := time.Now()
	l.settle(wallJump(now, -10*time.Second)) // by the wall clock ten seconds ago, by the other just now
	if l.live() {
		t.Error("live after a suspend longer than the session")
	}
}

func TestNoteKeepsWhoFencedAndWhen(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	n := fenceNote{producer: -1}.fenced(77, now)
	if got := parseNote(n.String()); got.producer != 77 || !got.due.Equal(n.due) {
		t.Errorf("note %+v read back as %+v", n, got)
	}
	n.intents, n.outcomes, n.since = kafkawire.TopicID{1}, kafkawire.TopicID{2}, now
	if got := parseNote(n.String()); got.intents != n.intents || got.outcomes != n.outcomes || !got.since.Equal(now) {
		t.Errorf("note %+v read back as %+v", n, got)
	}
	if got := parseNote("fence 77 1790000010"); got.producer != 77 || got.intents != (kafkawire.TopicID{}) || !got.since.IsZero() {
		t.Errorf("a note of the version before is read as %+v", got)
	}
	for _, other := range []string{"", "b1:AAAA", "fence", "fence x y", "fence 12"} {
		if got := parseNote(other); got.producer != -1 || got.wait(now) != 0 {
			t.Errorf("%q read as %+v, want no note", other, got)
		}
	}
}

func TestFencesAreRationed(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	n, began := fenceNote{producer: -1}, now
	for i := range 100 { // a process that dies right after each fence
		w := n.wait(now)
		if i < fenceBurst && w != 0 {
			t.Errorf("fence %d of a deployment waits %v, want none", i+1, w)
		}
		now = now.Add(w)
		n = n.fenced(7, now)
	}
	if took, want := now.Sub(began), (100-fenceBurst)*fencePace; took < want {
		t.Errorf("100 fences took %v, want %v at least", took, want)
	}
	if w := n.wait(now.Add(2 * fenceBurst * fencePace)); w != 0 {
		t.Errorf("a fence after a quiet while waits %v, want none", w)
	}
	crazy := fenceNote{producer: 1, due: now.Add(1000 * time.Hour)} // a member's clock was wrong
	if w := crazy.wait(now); w > fencePace {
		t.Errorf("a note from the far future makes wait %v, want %v at most", w, fencePace)
	}
	if w := crazy.fenced(1, now).wait(now.Add(fencePace)); w != 0 {
		t.Errorf("after it the next fence waits %v, want none: one wait is enough", w)
	}
}
