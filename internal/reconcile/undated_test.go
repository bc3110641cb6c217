package reconcile_test

import (
	"testing"
	"testing/synctest"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaops"
	"paylink/internal/reconcile"
)

// TestARangeHasRecordsWithoutATime: brokers do not find them by a time. What answered them
// may be of any time, too.
func TestARangeHasRecordsWithoutATime(t *testing.T) {
	none, seconds := time.UnixMilli(-1), func(at time.Time) time.Time { return time.UnixMilli(at.Unix()) }
	for _, tt := range []struct {
		name                  string
		before, within        func(now time.Time) time.Time // when records say to be written that stand before the range, and in it
		intents, outcomesFrom int64
	}{
		{"no times at all", func(time.Time) time.Time { return none }, func(time.Time) time.Time { return none }, 0, 0},
		{"none before", func(time.Time) time.Time { return none }, func(now time.Time) time.Time { return now }, 0, 0},
		{"seconds", seconds, seconds, 0, 0},
		{"all have times", func(now time.Time) time.Time { return now.Add(-2 * time.Hour) }, func(now time.Time) time.Time { return now }, 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, reader := brokerInBubble(t)
				now := time.Now()
				for _, at := range []time.Time{tt.before(now), tt.before(now), tt.within(now), tt.within(now)} {
					must(t, k.EmitTo(t.Context(), devstack.Intents, 0, event.Message{Value: []byte("{}"), Time: at}))
				}
				must(t, k.EmitTo(t.Context(), devstack.Outcomes, 0, event.Message{Value: []byte("{}"), Time: now.Add(-24 * time.Hour)}))
				r, err := reconcile.Fix(t.Context(), reader, reconcile.Want{
					Topics: topics, Moment: now, LedgerWindow: time.Hour, Begin: &kafkaops.Bound{At: now.Add(-time.Hour)},
				})
				must(t, err)
				if in, out := r.Intents[0], r.Outcomes[0]; in.From != tt.intents || in.To != 4 || out.From != tt.outcomesFrom {
					t.Errorf("it reads the intents %+v and the outcomes %+v; want from %d to 4, and from %d", in, out, tt.intents, tt.outcomesFrom)
				}
			})
		})
	}
}
