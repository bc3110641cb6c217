package kafkaio

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// sayFailingAfter is how long brokers may refuse what we cannot do without before it is
// said. A leader or coordinator that moves takes less.
const sayFailingAfter = 15 * time.Second

// A failing is since when something fails, and why; the zero value: it does not.
type failing struct {
	since time.Time
	cause error
}

// note notes that it failed once more, and reports whether that is to be said.
func (f *failing) note(err error) bool {
	if f.since.IsZero() {
		f.since = time.Now()
	}
	cut := errors.Is(f.cause, io.EOF) || errors.Is(f.cause, io.ErrUnexpectedEOF) // and why shows when we come again
	if f.cause == nil || cut || Code(err) != Code(f.cause) {                     // its words may differ each time: ports, times
		f.cause = err
	}
	return time.Since(f.since) >= sayFailingAfter
}

// unread is told that no records could be fetched, and why. It is loud when that lasts.
func (c *claim) unread(err error) {
	c.mu.Lock()
	say := c.failing.note(err) && c.ctx.Err() == nil
	f := c.failing
	c.mu.Unlock()
	if !say || told(err) {
		return
	}
	c.s.troubles.stand(Trouble{
		Kind: InputBlocked, About: c.name(), Since: f.since,
		What: fmt.Sprintf("Partition %d of %s: the brokers give no records: %v", c.partition, c.s.cfg.IntentTopic, f.cause),
		Mend: "See what the partition's leader says, and give it another one if need be (kafka-topics.sh --describe). Reading " +
			"goes on by itself then.",
	})
}

// stuck is told how a step of a take-over, or of a fence that is renewed, went; nil: well.
// It is loud when they fail for long: the partition stands still meanwhile.
func (c *claim) stuck(step string, err error) {
	c.mu.Lock()
	failed := !c.takeOver.since.IsZero()
	if err == nil {
		c.takeOver = failing{}
	}
	say := err != nil && c.takeOver.note(err) && c.ctx.Err() == nil
	f := c.takeOver
	c.mu.Unlock()
	switch {
	case err == nil && failed:
		c.s.troubles.pass(TakeOverBlocked, c.name())
	case say && !told(err):
		c.s.troubles.stand(Trouble{
			Kind: TakeOverBlocked, About: c.name(), Since: f.since,
			What: fmt.Sprintf("Partition %d of %s stands still, because we cannot take it over: %s: %v", c.partition,
				c.s.cfg.IntentTopic, step, f.cause),
			Mend: "See what the brokers say: of the ledger the leader of the outcome partition, of the fence the transaction " +
				"coordinator, of the committed offset that of the group. It goes on by itself.",
		})
	}
}

// heard is told that a fetch was answered.
func (c *claim) heard() {
	c.mu.Lock()
	failed := !c.failing.since.IsZero()
	c.failing = failing{}
	c.mu.Unlock()
	if failed {
		c.s.troubles.pass(InputBlocked, c.name())
	}
}

// committed is told how a commit ended; nil: well. It is loud when they fail for long.
func (m *member) committed(err error) {
	m.mu.Lock()
	if err == nil {
		m.commits = failing{}
	}
	say := err != nil && m.commits.note(err)
	f := m.commits
	m.mu.Unlock()
	switch {
	case err == nil:
		m.s.troubles.pass(CommitBlocked, m.s.cfg.Group)
	case say && !told(err):
		m.s.troubles.stand(Trouble{
			Kind: CommitBlocked, About: m.s.cfg.Group, Since: f.since,
			What: fmt.Sprintf("The brokers take no offsets of group %s: %v", m.s.cfg.Group, f.cause),
			Mend: "See what the group's coordinator says. Intents get their outcomes meanwhile; after a restart those since then are " +
				"read again, and skipped.",
		})
	}
}
