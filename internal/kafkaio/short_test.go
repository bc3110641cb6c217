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
