package kafkaio

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

// commitEvery is how often offsets are committed. What a crash repeats because
// of it costs reading only: the ledger knows the answers.
const commitEvery = 100 * time.Millisecond

// progress is how far a claim is settled and committed; guarded by claim.mu.
type progress struct {
	settled   int64 // -1: where the claim begins is not known yet
	committed int64
	noted     string // the fence's note, as it was committed
	note      string // as it is

	// again is when to commit once more, if not zero: a commit got no answer, and
	// may still be on its way, to put the offset back when it arrives.
	again time.Time
}

// lateCommit is how late a commit may arrive that got no answer.
const lateCommit = 30 * time.Second

// due says that a commit is to be repeated.
func (p *progress) due(now time.Time) bool { return !p.again.IsZero() && !now.Before(p.again) }

// Commit implements pipeline.Claim.
func (c *claim) Commit(next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done.settled = max(c.done.settled, next)
	c.s.member.uncommitted.Store(true)
}

// startAt says where the claim begins. From now on the note of our fence, when
// it changes, is committed beside the offset: before the ledger is read, so that
// a process that dies of reading it leaves a trace of its fence.
func (c *claim) startAt(offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	note := c.note.String()
	c.done = progress{settled: offset, committed: offset, noted: note, note: note}
	c.input.next = offset
}

func (c *claim) setNote(n fenceNote) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note, c.done.note = n, n.String()
	c.s.member.uncommitted.Store(true)
}

// uncommitted returns what should be committed, if anything.
func (c *claim) uncommitted() (kafka.OffsetCommit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost || c.done.settled < 0 || c.done.settled == c.done.committed && c.done.noted == c.done.note &&
		!c.done.due(time.Now()) {
		return kafka.OffsetCommit{}, false
	}
	return kafka.OffsetCommit{Partition: int(c.partition), Offset: c.done.settled, Metadata: c.done.note}, true
}

// isUncommitted reports whether there is, or will be, something to commit.
func (c *claim) isUncommitted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.lost && c.done.settled >= 0 &&
		(c.done.settled != c.done.committed || c.done.noted != c.done.note || !c.done.again.IsZero())
}

func (c *claim) wasCommitted(o kafka.OffsetCommit, sent time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done.committed = max(c.done.committed, o.Offset)
	c.done.noted = o.Metadata
	if c.done.due(sent) {
		c.done.again = time.Time{}
	}
}

func (c *claim) commitAgain(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done.again = at
	c.s.member.uncommitted.Store(true)
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
		if _, open := c.uncommitted(); open && !Sleep(ctx, commitEvery) {
			c.log.Warn("could not commit before giving the partition up: the next owner reads some intents again, and skips " +
				"them")
			return
		}
	}
}

func (m *member) commitLoop(ctx context.Context) {
	alive := m.s.cfg.Pulse.Loop("commit", mostRound)
	defer alive.End()
	for Sleep(ctx, commitEvery) {
		if !m.uncommitted.Swap(false) {
			continue
		}
		alive.Busy()
		all := m.all()
		m.commit(ctx, all)
		if slices.ContainsFunc(all, (*claim).isUncommitted) {
			m.uncommitted.Store(true)
		}
		alive.Idle()
	}
}

// all returns the claims whose goroutine has not ended.
func (m *member) all() []*claim {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.claims))
}

// commit commits the claims' progress under our generation and member id, so
// that a member the group has given up cannot move an offset. There is one commit
// at a time: of two on their way the older could arrive last.
func (m *member) commit(ctx context.Context, claims []*claim) {
	select {
	case m.committing <- struct{}{}:
		defer func() { <-m.committing }()
	case <-ctx.Done():
		return
	}
	id, ok := m.identity()
	if !ok {
		return
	}
	var offsets []kafka.OffsetCommit
	committed, sent := map[int]func(){}, time.Now()
	for _, c := range claims {
		if o, ok := c.uncommitted(); ok {
			offsets = append(offsets, o)
			committed[o.Partition] = func() { c.wasCommitted(o, sent) }
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
		m.committed(err)
		for _, c := range claims {
			c.commitAgain(time.Now().Add(lateCommit))
		}
		return
	}
	var failed error
	for _, p := range res.Topics[topic] {
		if done := committed[p.Partition]; p.Error == nil && done != nil {
			done()
			continue
		}
		m.s.metrics.commitErrors.Inc()
		failed = cmp.Or(m.s.lacks(m.s.readsIntents(), p.Error), errNoVerdict)
		m.s.log.WithError(p.Error).WithField("partition", p.Partition).Debug("commit")
		switch Code(p.Error) {
		case kafka.UnknownMemberId, kafka.IllegalGeneration, kafka.FencedInstanceID:
			m.heartbeat(ctx) // who are we to the group?
		}
	}
	m.committed(failed)
}
