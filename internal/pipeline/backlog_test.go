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

// A partition that is not read on, because too much waits for a merchant's turns, is said
// to be so: nothing of what is behind, of whatever merchant, shows otherwise.
func TestAPartitionThatIsNotReadOnIsSaid(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		m, p, _ := l.one(fastAmongSlow, func(c *pipeline.Config) { c.WindowCount, c.MostBacklog = 10, 40 })
		m.source.take(1)
		full := func() (which []bool) {
			for _, p := range m.State().Partitions {
				which = append(which, p.Full)
			}
			return which
		}
		for i := range 120 {
			p.emit("", of("1", fmt.Sprint("slow-", i)))
		}
		p.emit("", of("9", "fast"))
		l.topic.parts[1].emit("", of("9", "beside"))
		after(10 * time.Second)
		same(t, "full", full(), []bool{true, false})
		same(t, "lines", len(m.log.lines("the partition is not read on")), 1)
		same(t, "outcomes beside it", len(l.topic.parts[1].order()), 1)
		l.settles(10 * time.Minute)
		same(t, "full at the end", full(), []bool{false, false})
	})
}
