package pipeline_test

import (
	"fmt"
	"testing"
	"time"

	"paylink/internal/pipeline"
)

// What may wait without being loaded is bounded for all partitions together; beyond it partitions are read
// on as there is room again, and nothing is lost.
func TestWhatIsBackloggedIsBoundedForTheProcess(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		_, p, _ := l.one(func(c *pipeline.Config) { c.WindowCount, c.MostBacklog, c.Concurrency = 10, 40, 2 })
		for i := range 300 {
			p.emit("k", intent(fmt.Sprint("i", i)))
		}
		l.settles(10 * time.Minute)
		same(t, "outcomes", len(p.order()), 300)
	})
}
