package kafkaio

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkawire"
)

// beat sends heartbeats until ctx ends.
func (m *member) beat(ctx context.Context) {
	alive := m.s.cfg.Pulse.Loop("heartbeat", m.s.cfg.SessionTimeout+mostRound)
	defer alive.End()
	for silent := false; Sleep(ctx, m.s.cfg.heartbeatEvery()); alive.Idle() {
		alive.Busy()
		err := m.heartbeat(ctx)
		switch live := m.s.lease.live(); {
		case live && silent:
			silent = false
			m.s.log.Info("the group counts us in again: calling and publishing go on")
		case err != nil && ctx.Err() == nil && !live:
			silent = true
			m.s.bursts.Say("heartbeat", func() {
				m.s.log.WithError(err).Warn("no heartbeat for a session timeout: neither calling nor publishing until the group " +
					"answers")
			}, func(more int) {
				m.s.log.WithError(err).WithField("more", more).Warn("more heartbeats failed: nothing was called or published meanwhile")
			})
		}
	}
}

// heartbeat sends one heartbeat and acts on the answer: nil means that the group still
// counts us in, with the partitions we own.
func (m *member) heartbeat(ctx context.Context) error {
	id, ok := m.identity()
	if !ok {
		return nil
	}
	sent := time.Now()
	_, err := call(ctx, m.s.cfg.SessionTimeout/2, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, kafkawire.Heartbeat(ctx, m.s.tr, m.s.addr, id)
	})
	m.mu.Lock()
	stale := m.id != id || m.joining && Code(err) == kafka.IllegalGeneration
	m.mu.Unlock()
	if stale {
		return err // the answer to an older self
	}
	err = m.s.lacks(m.s.readsIntents(), err)
	m.noteTrouble(err)
	switch Code(err) {
	case 0:
		if err == nil {
			m.alive(sent)
		}
	case kafka.RebalanceInProgress:
		m.aliveInRebalance(sent)
		m.mu.Lock()
		if !m.joining { // else what the group asks for is on its way
			m.wakeLocked(true)
		}
		m.mu.Unlock()
		return nil
	case kafka.UnknownMemberId, kafka.IllegalGeneration, kafka.GroupIdNotFound:
		m.lose(fmt.Errorf("heartbeat: %w", err))
	case kafka.FencedInstanceID:
		m.replaced(id.ID, fmt.Errorf("heartbeat: %w", err))
	}
	return err
}

// alive renews the lease: the coordinator counts us in, as of then at least. That it
// finds nothing to say shows a group at rest, unless it may wait for our sync.
func (m *member) alive(sent time.Time) {
	m.mu.Lock()
	unsynced := m.unsynced
	m.mu.Unlock()
	if unsynced {
		m.s.lease.renew(sent)
		return
	}
	m.s.lease.settle(sent)
}

// aliveInRebalance renews the lease, but for no longer than the coordinator
// waits for members to join again: those that have not, it drops without a word,
// however well their hearts beat.
func (m *member) aliveInRebalance(sent time.Time) {
	m.mu.Lock()
	if !m.unsynced && sent.After(m.gathering) {
		m.gathering = sent
	}
	m.mu.Unlock()
	m.s.lease.renew(sent)
}

// replaced is told that somebody joined under our instance id after the member that we
// were. The first time it may have been ourselves, by a request that was late on its way:
// we join again. Soon after that it is another process, and one of the two must end, or
// each would end the other for ever. Heartbeats and joins may each be told it of one
// member: that is once.
func (m *member) replaced(was string, why error) {
	now := time.Now()
	m.mu.Lock()
	if m.id.ID != was {
		m.mu.Unlock()
		return
	}
	if !m.replacedAt.IsZero() && now.Sub(m.replacedAt) < replacedAgain {
		m.over = fatalError{fmt.Errorf("another member runs with the group instance id %q: %w", m.s.cfg.InstanceID, why)}
	}
	m.replacedAt = now
	m.mu.Unlock()
	m.lose(why)
}

// replacedAgain is how soon a second replacement shows that there are two of us.
const replacedAgain = time.Minute
