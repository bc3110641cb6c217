package service

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWhatTakesLongToReadIsReadAgainLater: a file with a mistake takes at most a
// hundredth of the time while nobody mends it, and a change of it is read as soon as ever.
func TestWhatTakesLongToReadIsReadAgainLater(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		time.Millisecond: 10 * time.Second, 1300 * time.Millisecond: 130 * time.Second, time.Minute: 5 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			r, began := rest{timer: time.NewTimer(time.Hour)}, time.Now()
			r.again(took)
			<-r.timer.C
			if got := time.Since(began); got != want {
				t.Errorf("read again %v after it took %v, want %v", got, took, want)
			}
			r.again(took)
			r.disturbed(time.Now())
			began = time.Now()
			<-r.timer.C
			if got := time.Since(began); got != fileRest {
				t.Errorf("a change is read after %v, want %v", got, fileRest)
			}
		})
	}
}
