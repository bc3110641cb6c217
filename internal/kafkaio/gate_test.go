package kafkaio

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAGateHoldsNobodyUpForLong: whatever becomes of those who are in.
func TestAGateHoldsNobodyUpForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, begin := make(gate, 2), time.Now()
		stuck := []func(){g.enter(t.Context()), g.enter(t.Context())}
		if time.Since(begin) != 0 {
			t.Errorf("there was room, and it took %v to enter", time.Since(begin))
		}
		g.enter(t.Context())()
		if took := time.Since(begin); took != gateWait {
			t.Errorf("entered after %v, want %v", took, gateWait)
		}
		for _, leave := range stuck {
			leave()
		}
		begin = time.Now()
		var all sync.WaitGroup
		for range 10 { // each stays for 100 ms, two at a time
			all.Go(func() {
				defer g.enter(t.Context())()
				time.Sleep(100 * time.Millisecond)
			})
		}
		all.Wait()
		if took := time.Since(begin); took != 500*time.Millisecond {
			t.Errorf("ten were through after %v, want 500ms", took)
		}
	})
}
