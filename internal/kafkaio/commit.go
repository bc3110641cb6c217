package kafkaio

import (
	"context"
	"time"

	"github.com/segmentio/kafka-go"
)

// commitEvery is how often offsets are committed. What a crash repeats because
// of it costs reading only: the ledger knows the answers.
const commitEvery = 100 * time.Millisecond

// progress is how far a claim is settled and committed; guarded by claim.mu.
type progress struct {
	settled   int64
	committed int64
	note      bool // the fence's note is still to be written
}

// Commit implements pipeline.Claim.
func (c *claim) Commit(next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done.settled = max(c.done.settled, next)
}

// commitNote has the note of our fence written beside the offset.
func (c *claim) commitNote(offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done.settled = max(c.done.settled, offset)
	c.done.note = true
}

// uncommitted returns what should be committed, if anything.
func (c *claim) uncommitted() (kafka.OffsetCommit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isLost() || c.done.settled < 0 || c.done.settled == c.done.committed && !c.done.note {
		return kafka.OffsetCommit{}, false
	}
	return kafka.OffsetCommit{Partition: int(c.partition), Offset: c.done.settled, Metadata: c.note.String()}, true
}

func (c *claim) wasCommitted(offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done.committed = max(c.done.committed, offset)
	c.done.note = false
}

// commitLast commits what is settled before the partition is given up, unless
// it was lost. If the coordinator cannot be reached, the next owner reads a
// little more than it would have to.
func (c *claim) commitLast() {
	ctx, cancel := context.WithTimeout(c.s.member.bg, 5*time.Second)
	defer cancel()
	for {
		if _, open := c.uncommitted(); !open {
			return
		}
		c.s.member.commit(ctx, []*claim{c})
		if _, open := c.uncommitted(); open && !sleep(ctx, commitEvery) {
			c.log.Warn("could not commit before giving the partition up: the next owner reads some intents again, and skips them")
			return
		}
	}
}

func (m *member) commitLoop(ctx context.Context) {
	for sleep(ctx, commitEvery) {
		m.mu.Lock()
		claims := make([]*claim, 0, len(m.claims))
		for _, c := range m.claims {
			claims = append(claims, c)
		}
		m.mu.Unlock()
		m.commit(ctx, claims)
	}
}

// commit commits the claims' progress under our generation and member id, so
// that a member the group has given up cannot move an offset.
func (m *member) commit(ctx context.Context, claims []*claim) {
	id, ok := m.identity()
	if !ok {
		return
	}
	var offsets []kafka.OffsetCommit
	byPart := map[int]*claim{}
	for _, c := range claims {
		if o, ok := c.uncommitted(); ok {
			offsets = append(offsets, o)
			byPart[o.Partition] = c
		}
	}
	if len(offsets) == 0 {
		return
	}
	topic := m.s.cfg.IntentTopic
	res, err := call(ctx, 5*time.Second, func(ctx context.Context) (*kafka.OffsetCommitResponse, error) {
		return m.s.client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
			GroupID: id.Group, GenerationID: int(id.Generation), MemberID: id.ID, InstanceID: id.InstanceID,
			Topics: map[string][]kafka.OffsetCommit{topic: offsets},
		})
	})
	if err != nil {
		m.s.metrics.commitErrors.Inc()
		m.s.log.WithError(err).Debug("commit")
		return
	}
	for i, p := range res.Topics[topic] {
		if p.Error == nil {
			byPart[p.Partition].wasCommitted(offsets[i].Offset)
			continue
		}
		m.s.metrics.commitErrors.Inc()
		m.s.log.WithError(p.Error).WithField("partition", p.Partition).Debug("commit")
		switch code(p.Error) {
		case kafka.UnknownMemberId, kafka.IllegalGeneration, kafka.FencedInstanceID:
			m.ask(ctx) // who are we to the group?
		}
	}
}
