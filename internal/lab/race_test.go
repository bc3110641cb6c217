//go:build race

package lab

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// All timers of a bubble share one context of the race detector, and the detector
// allows one thread at a time in a context. Two goroutines that receive from due
// timers at the same moment break it ("SIGSEGV" in __tsan::SlotLock, or "CHECK
// failed"; runtime/time.go, unlockAndRun, as of Go 1.26). Histories here do that;
// so with the race detector one thread runs them.
func init() { runtime.GOMAXPROCS(1) }

// TestTimersThatAreDueAtOnce kills the process within a tenth of a second where two
// threads run it.
func TestTimersThatAreDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 20_000 {
					select {
					case <-time.NewTimer(0).C:
					default:
						t.Error("a timer that is due does not fire")
					}
				}
			})
		}
		all.Wait()
	})
}
