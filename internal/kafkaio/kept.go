package kafkaio

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/answered"
	"paylink/internal/kafkawire"
	"paylink/internal/shelf"
)

// # Ledgers on disk
//
// With LedgerDir a ledger is kept on disk as it was at an offset, so that who begins
// anew reads what came since. One flat file per outcome partition is the smallest way:
// the tables stand in it as in memory, and are read without a look at an entry. A
// database would hand out ten million entries one by one.
//
// A file is proven before it is believed, and before the fence is made. It must be
// whole, of this topic by its id, and reach back at least as far as the log would be
// read. And the log must hold, where the file ends, the very batch that was read last,
// by its checksum: a log that was cut off, or restored from elsewhere, does not. What
// came since is read to our own marker, as ever: nothing in a file stands for a marker.
//
// Files are written whole. So they are written when the log has grown by a sixteenth of
// what is known, and what is written in the long run is seventeen times what is
// answered, not the past again and again. A restart reads a sixteenth at most.
const (
	savedShare  = 16
	saveFrom    = 4096 // outcomes; fewer are read in no time
	keepEvery   = time.Minute
	saveTimeout = 30 * time.Second
)

// A batchMark tells a batch of a log from any other.
type batchMark struct {
	Base, Last int64
	Sum        uint32
}

// A ledgerStart is where a ledger was found to begin in the log.
type ledgerStart struct {
	has   offsetRange
	since time.Time // from which on every outcome is in it
}

// A keptLedger is what a file says of itself before the answers.
type keptLedger struct {
	Topic     string // its id
	Name      string
	Partition int32
	Next      int64 // offset to read on from
	Last      batchMark
	Reach     time.Time // from which on every outcome is known; zero: all there ever were
	Producers []int64   // whose markers were read
	Pieces    int       // of the answers
}

// mostHead bounds the size of a keptLedger: a partition may have had thousands of owners.
const mostHead = 16 << 20

// openShelf takes the folder, if there is one to take.
func (ls *ledgers) openShelf() {
	dir := ls.source.cfg.LedgerDir
	if dir == "" {
		return
	}
	s, err := shelf.Open(dir)
	if err != nil {
		ls.source.log.WithError(err).Error("PAYLINK_LEDGER_DIR cannot be used: going on without it, answered intents are read from Kafka")
		return
	}
	ls.shelf = s
}

func (ls *ledgers) closeShelf() {
	if ls.shelf != nil {
		ls.shelf.Close()
	}
}

func (l *ledger) fileName() string { return label(l.partition) + ".ledger" }

// errOld says that a file is of no use, though nobody has harmed it.
var errOld = errors.New("it does not fit the log")

// restore takes in what is on the shelf, if this process has read nothing yet. It is
// called before the fence, as begin is. An error means that the log could not be asked.
func (l *ledger) restore(ctx context.Context) error {
	if l.s.ledgers.shelf == nil {
		return nil
	}
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if l.isShort() || l.size() > 0 || l.next != l.begun.has.since || l.topic == (kafkawire.TopicID{}) {
		return nil
	}
	began := time.Now()
	var head keptLedger
	known := answered.New(l.s.cfg.LedgerWindow + clockSlack)
	err := l.s.ledgers.shelf.Read(l.fileName(), func(r io.Reader, size int64) (err error) {
		if head, err = readHead(r); err != nil {
			return err
		}
		if err := l.prove(ctx, head); err != nil {
			return err
		}
		return known.Read(r, head.Pieces, size)
	})
	switch {
	case err == nil:
		l.resume(head, known)
		l.log.WithField("known", known.Len()).WithField("offset", head.Next).
			WithField("took", time.Since(began).Round(time.Millisecond).String()).Debug("ledger read from disk")
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errAsking):
		return err
	}
	aside := l.s.ledgers.shelf.PutAside(l.fileName())
	l.log.WithError(err).WithField("put_aside", aside == nil).
		Warn("a ledger on disk is not believed, and put aside: the outcomes are read from Kafka")
	return nil
}

// errAsking says that brokers did not answer.
var errAsking = errors.New("asking the log")

func readHead(r io.Reader) (head keptLedger, err error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return head, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > mostHead {
		return head, shelf.ErrDamaged
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return head, err
	}
	return head, json.Unmarshal(text, &head)
}

// prove compares what a file says with the log.
func (l *ledger) prove(ctx context.Context, head keptLedger) error {
	has := l.begun.has
	switch {
	case head.Topic != l.topic.String() || head.Partition != l.partition:
		return fmt.Errorf("%w: it is of partition %d of %s with id %s, the topic has %s", errOld, head.Partition, head.Name, head.Topic, l.topic)
	case head.Next <= has.first || head.Next > has.last || head.Last.Last != head.Next-1:
		return fmt.Errorf("%w: it ends at offset %d, the log holds %d to %d", errOld, head.Next, has.first, has.last)
	case head.Reach.After(l.begun.since):
		return fmt.Errorf("%w: it reaches back to %s only", errOld, head.Reach.UTC().Format(time.RFC3339))
	}
	p, err := l.s.fetchFrom(ctx, TopicPartition{l.s.cfg.OutcomeTopic, l.partition}, head.Next-1, maxSettledFetch, kafkawire.ReadUncommitted)
	if errors.Is(err, kafka.OffsetOutOfRange) {
		return fmt.Errorf("%w: the log has lost offset %d", errOld, head.Next-1)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errAsking, err)
	}
	defer p.Records.Release()
	if p.Records.Busy {
		return fmt.Errorf("%w: %w", errAsking, errLargeBusy)
	}
	b, err := p.Records.Next()
	if err != nil || b == nil || (batchMark{b.Base, b.Last, b.Sum}) != head.Last {
		return fmt.Errorf("%w: another batch stands at offset %d", errOld, head.Next-1)
	}
	return nil
}

// resume goes on from what a file holds.
func (l *ledger) resume(head keptLedger, known *answered.Set) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next, l.last, l.first, l.empty = head.Next, head.Last, false, time.Time{}
	l.known, l.reach = known, head.Reach
	for _, id := range head.Producers {
		l.marked[id] = -1 // that there was one, of no epoch: a marker is only what the log shows
	}
	l.saved.Store(head.Next)
	l.tip.Store(head.Next)
	l.due.Store(max(0, l.begun.has.last-head.Next))
}

// isDue says that it is time to write the ledger.
func (l *ledger) isDue() bool {
	if !l.whole.Load() || l.isShort() {
		return false
	}
	size, more := int64(l.size()), l.s.saveFrom
	if saved := l.saved.Load(); saved >= 0 {
		return l.tip.Load()-saved >= max(size/savedShare, more)
	}
	return size >= more
}

// keep writes ledgers when it is time, until ctx ends.
func (ls *ledgers) keep(ctx context.Context) {
	for {
		t := time.NewTimer(keepEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-ls.loaded:
		case <-t.C:
		}
		t.Stop()
		ls.save(ctx)
	}
}

// wake has keep look at once.
func (ls *ledgers) wake() {
	select {
	case ls.loaded <- struct{}{}:
	default:
	}
}

// saveLast is save at the end, when all claims have ended.
func (ls *ledgers) saveLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	ls.save(ctx)
}

// save writes the ledgers that it is time to write.
func (ls *ledgers) save(ctx context.Context) {
	if ls.shelf == nil {
		return
	}
	for _, l := range ls.list() {
		if !l.isDue() || ctx.Err() != nil {
			continue
		}
		err := l.save(ctx)
		if failed := err != nil && ctx.Err() == nil; l.failed.Swap(failed) != failed {
			if failed {
				l.log.WithError(err).Error("a ledger cannot be written to PAYLINK_LEDGER_DIR: going on without, a restart reads more of Kafka")
			} else if err == nil {
				l.log.Info("a ledger can be written to PAYLINK_LEDGER_DIR again")
			}
		}
	}
}

// save writes the ledger. It reads the log on first: a file holds what was read, up to
// an offset, and nothing that nobody has seen in the log. Nobody waits for it, but who
// would read the log on meanwhile.
func (l *ledger) save(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	if err := l.catchUp(ctx); err != nil {
		return err
	}
	head, all, ok, err := l.image(ctx)
	if err != nil || !ok {
		return err
	}
	err = l.s.ledgers.shelf.Write(l.fileName(), func(w io.Writer) error {
		text, err := json.Marshal(head)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)); err != nil {
			return err
		}
		var piece []byte
		for i := range all.Len() {
			l.mu.RLock()
			piece = all.Append(piece[:0], i)
			l.mu.RUnlock()
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		l.saved.Store(head.Next)
	}
	return err
}

// image is what there is to write.
func (l *ledger) image(ctx context.Context) (head keptLedger, all answered.Copy, ok bool, err error) {
	if err := l.lock(ctx); err != nil {
		return head, all, false, err
	}
	defer l.unlock()
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.short || l.last == (batchMark{}) || l.topic == (kafkawire.TopicID{}) {
		return head, all, false, nil
	}
	all = l.known.Copy()
	return keptLedger{
		Topic: l.topic.String(), Name: l.s.cfg.OutcomeTopic, Partition: l.partition, Next: l.next, Last: l.last, Reach: l.reach,
		Producers: slices.Sorted(maps.Keys(l.marked)), Pieces: all.Len(),
	}, all, true, nil
}
