package pipeline

import (
	"testing"

	"paylink/internal/event"
)

// TestWithoutTracesNothingIsPaid: no allocation, for all that is said of an intent.
func TestWithoutTracesNothingIsPaid(t *testing.T) {
	e, task, dec := &Engine{}, &task{worker: &worker{}}, event.Decoded{}
	c := core{todo: &todo{}}
	if n := testing.AllocsPerRun(100, func() {
		task.trail = e.trail(task)
		task.trail.read()
		_, told := task.trail.call(task, false)
		told(answer{})
		task.trail.sends("payment-outcomes")
		task.trail.carry(&dec)
		task.trail.sent(nil)
		task.trail.end("created", "", 1)
		c.ends(task, handedOver)
		if task.trail.seen() != nil || task.traceID() != "" {
			t.Error("there is a trace")
		}
	}); n != 0 {
		t.Errorf("%v allocations for an intent that nobody traces, want none", n)
	}
}
