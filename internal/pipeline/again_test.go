package pipeline_test

import (
	"testing"
	"time"

	"paylink/internal/event"
	"paylink/internal/payment"
)

// TestWhatIsEmittedAgainMayHaveBeenCalled: an operator's verb puts an intent on the topic
// again that was passed over, perhaps after a call for it. Its outcome never says that
// nothing exists before the gateway was asked.
func TestWhatIsEmittedAgainMayHaveBeenCalled(t *testing.T) {
	expired := `"expires_at":"2000-01-01T00:00:30Z"`
	tests := []struct {
		name, header string
		finds        []answer
		calls        string
		mayExist     bool
	}{
		{"replayed, there is a payment", event.HeaderReplayedAt, []answer{ok}, "f", true},
		{"replayed, there is none", event.HeaderReplayedAt, []answer{notFound}, "f", false},
		{"redriven, there is a payment", event.HeaderRedriveCycles, []answer{ok}, "f", true},
		{"new", "", nil, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				_, p, _ := l.one()
				after(time.Minute) // whatever was on its way is there
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
