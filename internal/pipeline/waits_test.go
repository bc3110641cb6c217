package pipeline_test

import (
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// found returns why the only unsettled record of an intent waits.
func (m *member) found(t *testing.T, id string) pipeline.IntentWait {
	t.Helper()
	ws := m.Find(payment.IntentID(id))
	if len(ws) != 1 {
		t.Fatalf("%s: %d unsettled records, want one", id, len(ws))
	}
	return ws[0]
}

func TestWhyAnIntentWaitsCanBeAskedDuringADrain(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.takes = 20 * time.Second
		m, p, c := l.one(rated(pace.Rate{Events: 1, Per: 30 * time.Second, Burst: 1}))
		p.emit("", intent("calling"))
		p.emit("", intent("waits"))
		for len(l.gate.log()) == 0 {
			after(time.Second)
		}
		same(t, "state", m.found(t, "waits").State, "paced")
		c.drain()
		after(time.Second)
		same(t, "state of one called for", m.found(t, "calling").State, "calling")
		if w := m.found(t, "waits"); w.State != "handed over" || time.Since(w.Since) != time.Second {
			t.Errorf("while the partition is handed over it waits as %+v", w)
		}
	})
}
