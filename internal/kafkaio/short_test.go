package kafkaio

import (
	"testing"
	"time"
)

// TestALogThatBeginsWithinTheWindowIsShort: answers of the window were deleted.
func TestALogThatBeginsWithinTheWindowIsShort(t *testing.T) {
	for _, c := range []struct {
		has  offsetRange
		lost bool
		want bool
	}{
		{offsetRange{first: 0, since: 0, last: 9}, false, false},
		{offsetRange{first: 5, since: 7, last: 9}, false, false},
		{offsetRange{first: 5, since: 5, last: 9}, false, true},
		{offsetRange{first: 9, since: 9, last: 9}, true, true},
	} {
		l := &ledger{marked: map[int64]int16{}}
		if l.beginAt(c.has, time.Now(), c.lost); l.isShort() != c.want {
			t.Errorf("%+v, lost %t: short %t, want %t", c.has, c.lost, l.isShort(), c.want)
		}
	}
}

// What a wrong clock has noted of a loss keeps nobody from being called for ever.
func TestALossIsNotOfTheFuture(t *testing.T) {
	l := &ledger{reading: make(chan struct{}, 1)}
	note, err := l.held(t.Context(), fenceNote{producer: 1, since: time.Now().AddDate(100, 0, 0)})
	latest := time.Now().Add(clockSlack)
	if err != nil || note.since.After(latest) || l.reachTime().After(latest) || l.reachTime().Before(latest.Add(-clockSlack)) {
		t.Errorf("lost until %v, known from %v on, %v; want about now", note.since, l.reachTime(), err)
	}
}
