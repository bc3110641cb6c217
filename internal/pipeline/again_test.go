package pipeline_test

import (
	"fmt"
	"testing"
	"time"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// TestWhatIsEmittedAgainMayHaveBeenCalled: an operator's verb puts an intent on the topic
// again that was passed over, perhaps after a call for it. Its outcome never says that
// nothing exists before the gateway was asked.
func TestWhatIsEmittedAgainMayHaveBeenCalled(t *testing.T) {
	expired := `"expires_at":"1999-12-31T23:59:59Z"`
	tests := []struct {
		name, header string
		owned        time.Duration // the partition, before
		finds        []answer
		calls        string
		mayExist     bool
	}{
		{"replayed, there is a payment", event.HeaderReplayedAt, time.Minute, []answer{ok}, "f", true},
		{"replayed, there is none", event.HeaderReplayedAt, time.Minute, []answer{notFound}, "f", false},
		{"replayed, there is none yet: a call of the owner before may be on its way", event.HeaderReplayedAt, time.Second, []answer{notFound}, "f", true},
		{"redriven, there is a payment", event.HeaderRedriveCycles, time.Minute, []answer{ok}, "f", true},
		{"new", "", time.Minute, nil, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				_, p, _ := l.one(func(c *pipeline.Config) { c.CallTimeout = 30 * time.Second })
				after(tt.owned)
				l.gate.finds["i"] = tt.finds
				p.emitWith(event.Header{Key: tt.header, Value: []byte("1")}, "k", intent("i", expired))
				l.settles(time.Hour)
				l.wantCalls(tt.calls)
				f, failed := p.views()["i"].Outcome.(payment.Failed)
				if !failed || f.Reason != payment.Expired || f.PaymentMayExist != tt.mayExist {
					t.Errorf("outcome %+v, want expired, a payment may exist %t", p.views()["i"].Outcome, tt.mayExist)
				}
			})
		})
	}
}

// TestAConflictThatIsReadAgainIsOneStill: it waits unloaded behind its key, and is read
// again before what came first, under another key, has ended, and ended without an
// outcome that would tell.
func TestAConflictThatIsReadAgainIsOneStill(t *testing.T) {
	inLab(t, 1, func(l *lab) { // the gateway watches S4
		m := l.start(func(c *pipeline.Config) { c.WindowCount = 8 })
		m.source.kind = func(c *claim) {
			c.appendFails = func(o pipeline.Answer) error {
				if o.ID == "i" {
					return pipeline.ErrTooLarge
				}
				return nil
			}
		}
		p := l.topic.parts[0]
		m.source.take(0)
		l.gate.opens["i"] = []answer{later(10 * time.Minute), ok}
		p.emit("a", intent("i"))
		for n := range 100 {
			p.emit("b", intent(fmt.Sprint("before-", n)))
		}
		conflict := p.emit("b", intent("i", `"param1":"other"`))
		after(5 * time.Minute)
		same(t, "outcomes while the first one waits", len(p.order()), 100)
		l.settles(time.Hour)
		same(t, "dead letters", p.reasons(), map[int64]string{0: "too_large", conflict: "conflict"})
	})
}
