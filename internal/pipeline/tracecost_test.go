package pipeline

import (
	"testing"

	"paylink/internal/event"
)

// untraced is all that is said of an intent that nobody traces.
func untraced() (say func()) {
	e, task, dec := &Engine{}, &task{worker: &worker{}}, event.Decoded{}
	c := core{todo: &todo{}}
	return func() {
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
			panic("there is a trace")
		}
	}
}

func TestWithoutTracesNothingIsAllocated(t *testing.T) {
	if n := testing.AllocsPerRun(100, untraced()); n != 0 {
		t.Errorf("%v allocations for an intent that nobody traces, want none", n)
	}
}

// BenchmarkUntraced is what traces cost that are off, per intent: compare BenchmarkSettle.
func BenchmarkUntraced(b *testing.B) {
	for say := untraced(); b.Loop(); {
		say()
	}
}
