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
		task.story = e.story(task)
		task.story.read()
		_, told := task.story.call(task, false)
		told(answer{})
		task.story.sends("payment-outcomes")
		task.story.carry(&dec)
		task.story.sent(nil)
		task.story.end("created", "", 1)
		c.ends(task, handedOver)
		if task.story.seen() != nil || task.traceID() != "" {
			t.Error("there is a trace")
		}
	}); n != 0 {
		t.Errorf("%v allocations for an intent that nobody traces, want none", n)
	}
}
