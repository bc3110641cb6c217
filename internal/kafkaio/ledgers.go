package kafkaio

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"paylink/internal/answered"
	"paylink/internal/kafkawire"
	"paylink/internal/shelf"
)

// ledgers keeps one ledger per outcome partition that a claim of ours needs, so that
// claims share it.
type ledgers struct {
	source *Source
	mu     sync.Mutex
	byPart map[int32]*ledger

	shelf  *shelf.Shelf  // nil: ledgers are not kept on disk; fixed before claims begin
	loaded chan struct{} // a ledger was read for the first time
}

// ledgerGrace is for how long the ledger of a partition that was given away is kept. In
// the rebalances of a deployment partitions come back within a minute, and are then
// read on from where they were left. Later it is memory for nothing.
const ledgerGrace = time.Minute

// ledgersEvery is how often to look whether a ledger can go, and how large they are.
const ledgersEvery = 5 * time.Second

// hold returns the ledger of a partition, for a claim. Its end releases it.
func (ls *ledgers) hold(partition int32) *ledger {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byPart[partition]
	if l == nil {
		l = &ledger{
			s: ls.source, partition: partition, next: -1, reading: make(chan struct{}, 1),
			log:    ls.source.log.WithField("outcome_partition", partition),
			known:  answered.New(ls.source.cfg.LedgerWindow + clockSlack),
			marked: map[int64]int16{}, mine: map[kafkawire.Producer]bool{},
		}
		l.saved.Store(-1)
		ls.byPart[partition] = l
	}
	l.claims++
	return l
}

func (ls *ledgers) release(l *ledger) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l.claims--
	l.left = time.Now()
}

// free forgets the ledgers that no claim has had for so long.
func (ls *ledgers) free(grace time.Duration) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for p, l := range ls.byPart {
		if l.claims == 0 && time.Since(l.left) >= grace {
			delete(ls.byPart, p)
			ls.source.metrics.ledgerSize.DeleteLabelValues(label(p))
		}
	}
}

// list returns all of them.
func (ls *ledgers) list() []*ledger {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Collect(maps.Values(ls.byPart))
}

// watch frees ledgers, and says in time that there are too many answers.
func (ls *ledgers) watch(ctx context.Context) {
	for Sleep(ctx, ledgersEvery) {
		ls.free(ledgerGrace)
		ls.measure()
	}
}

// # The bound
//
// What is known within the window must not be forgotten: an emitter may repeat an
// intent under a new time, and a second link would come of it. So at the bound no
// answer goes. No further partition is taken over, whose answers would come on top: it
// waits, and those that are owned go on. They grow by what they answer themselves,
// which is slow, and was said from four fifths of the bound on.

// fullFrom is the share of the bound from which on it is said, in percent.
const fullFrom = 80

// admit reports whether there is room for the ledger, as large as it can be. One that
// was read is in memory. If there is none, those that nobody owns go first.
func (ls *ledgers) admit(l *ledger) (ok bool, known, most int64) {
	for _, grace := range []time.Duration{ledgerGrace, 0} {
		ls.free(grace)
		ls.mu.Lock()
		size := int64(l.size())
		known = ls.sizeLocked(l)
		// Between two of its offsets there is one answer at most.
		most = size + l.due.Load()
		ok = ls.source.cfg.LedgerIntents == 0 || l.whole.Load() || known+most <= ls.source.cfg.LedgerIntents
		if ok {
			l.most.Store(most)
		}
		ls.mu.Unlock()
		if ok {
			break
		}
	}
	return ok, known, most
}

// sizeLocked is how many answers all ledgers know, or will when they are read, but for
// one of them.
func (ls *ledgers) sizeLocked(but *ledger) (n int64) {
	for _, l := range ls.byPart {
		if l == but {
			continue
		}
		size := int64(l.size())
		if !l.whole.Load() {
			size = max(size, l.most.Load())
		}
		n += size
	}
	return n
}

// measure says when the bound is near, and when it is passed.
func (ls *ledgers) measure() {
	most := ls.source.cfg.LedgerIntents
	if most == 0 {
		return
	}
	ls.mu.Lock()
	known := ls.sizeLocked(nil)
	ls.mu.Unlock()
	what := ""
	switch {
	case known >= most:
		what = fmt.Sprintf("This process remembers %d answered intents, which PAYLINK_LEDGER_INTENTS allows, and more: it takes "+
			"over no further partition. Those that it has go on, and take more memory", most)
	case known >= most*fullFrom/100:
		what = fmt.Sprintf("This process remembers %d %% of the %d answered intents that PAYLINK_LEDGER_INTENTS allows: at the "+
			"bound it takes over no further partition", fullFrom, most)
	default:
		ls.source.troubles.pass(LedgerFull, aboutAll)
		return
	}
	ls.source.troubles.stand(Trouble{Kind: LedgerFull, About: aboutAll, What: what, Mend: mendFull})
}

const (
	aboutAll = "all partitions"
	mendFull = "Raise PAYLINK_LEDGER_INTENTS, and the memory of the container with it, 36 bytes for each; or run more replicas; " +
		"or shorten PAYLINK_LEDGER_WINDOW"
)

// awaitRoom waits until there is room for the claim's ledger, which has begun.
func (c *claim) awaitRoom(ctx context.Context) error {
	if c.roomy {
		return nil
	}
	name := c.name()
	defer c.s.troubles.pass(LedgerFull, name)
	for {
		ok, known, most := c.s.ledgers.admit(c.ledger)
		if ok {
			c.roomy = true
			return nil
		}
		c.s.troubles.stand(Trouble{Kind: LedgerFull, About: name, Mend: mendFull,
			What: fmt.Sprintf("Partition %s is not taken over, its intents wait: its ledger may hold %d answered intents beside the "+
				"%d that this process remembers, and PAYLINK_LEDGER_INTENTS is %d", name, most, known, c.s.cfg.LedgerIntents)})
		if !Sleep(ctx, ledgersEvery) {
			return ctx.Err()
		}
		if err := c.ledger.begin(ctx); err != nil { // by now it may be less
			c.waits("ledger", err)
		}
	}
}

// LedgerBytes is how much memory the answered intents take.
func (s *Source) LedgerBytes() (n int64) {
	for _, l := range s.ledgers.list() {
		n += l.bytes()
	}
	return n
}
