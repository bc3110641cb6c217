package kafkaio

import (
	"fmt"
	"time"
)

// sayHangingAfter is how long a transaction of an emitter may stand open before it
// is said. Brokers end one that hangs after its transaction.timeout.ms, a minute by
// default, unless they have lost track of it.
const sayHangingAfter = 90 * time.Second

// A hanging is an open transaction at which reading stands: whatever comes after it,
// also of other emitters, is hidden until it ends.
type hanging struct {
	at    int64 // the last stable offset
	since time.Time
}

// stable is told, at each fetch, where the records end that may be read, and how far
// we have read. It is loud about a transaction that does not end.
func (c *claim) stable(stable, end, next int64) {
	if stable < 0 || stable >= end || next < stable {
		c.mu.Lock()
		c.hanging = hanging{}
		c.mu.Unlock()
		c.s.troubles.pass(InputBlocked, c.name())
		return
	}
	c.mu.Lock()
	if c.hanging.since.IsZero() || c.hanging.at != stable {
		c.hanging = hanging{stable, time.Now()}
	}
	h, over := c.hanging, c.ctx.Err() != nil
	c.mu.Unlock()
	if over || time.Since(h.since) < sayHangingAfter {
		return
	}
	c.s.troubles.stand(Trouble{
		Kind: InputBlocked, About: c.name(), Since: h.since,
		What: fmt.Sprintf("Partition %d of %s: a transaction that began at offset %d has been open for more than %s, and "+
			"hides what comes after it", c.partition, c.s.cfg.IntentTopic, h.at, sayHangingAfter),
		Mend: "Find the emitter that left it open (kafka-transactions.sh find-hanging), or abort it (kafka-transactions.sh " +
			"abort). Reading goes on by itself then.",
	})
}

// name is the intent partition's.
func (c *claim) name() string { return TopicPartition{c.s.cfg.IntentTopic, c.partition}.String() }
