package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/sirupsen/logrus"

	"paylink/internal/answered"
	"paylink/internal/event"
	"paylink/internal/kafkawire"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A ledger is what is known of one outcome partition: the answered intents of
// the window, by headers only, and whose fences were seen.
type ledger struct {
	s         *Source
	log       logrus.FieldLogger
	partition int32
	reading   chan struct{} // has a token in it while somebody reads on; guards next to since
	next      int64         // offset to read on from; -1: not begun
	first     bool          // the oldest batch that exists is still to be seen
	empty     time.Time     // when it was found that the partition had never held anything, until held is told; zero: it had
	topic     kafkawire.TopicID
	since     time.Time // when it was found to have lost what it held before; zero: it has not
	last      batchMark // the batch before next; zero: none was read
	begun     ledgerStart

	mu     sync.RWMutex
	known  *answered.Set
	reach  time.Time                   // from which on every outcome is known; zero: all there ever were
	short  bool                        // answers were deleted that may be younger than the window
	marked map[int64]int16             // producer id → newest epoch whose marker was read
	mine   map[kafkawire.Producer]bool // the fences of this process: what it wrote itself
	loaded int64                       // records read, for the log

	starts atomic.Int64 // how often where it begins was fixed anew
	saved  atomic.Int64 // up to which offset it is on the shelf; -1: it is not
	tip    atomic.Int64 // the offset behind the last outcome that is known
	failed atomic.Bool  // it could not be saved when that was tried last

	due   atomic.Int64 // offsets to read, as it was begun last
	most  atomic.Int64 // answers that are known when it is whole, at most; 0: it is not read yet
	whole atomic.Bool  // it was read to a marker of ours once

	// Guarded by ledgers.mu.
	claims int       // that it belongs to
	left   time.Time // when the last one ended
}

// clockSlack is how far the clocks of members, emitters and brokers may differ
// before an outcome could be missed at the ledger's old end.
const clockSlack = 10 * time.Minute

// lock makes us the one that reads on. Another claim's reading, which we may
// have to wait for, can take long. The caller unlocks.
func (l *ledger) lock(ctx context.Context) error {
	select {
	case l.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *ledger) unlock() { <-l.reading }

func (l *ledger) look(id payment.IntentID, d event.Digest) pipeline.Known {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.known.Look([]byte(id), d)
}

func (l *ledger) reachTime() time.Time {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.reach
}

// isShort reports whether the log begins within the window: then an owner before us may
// have settled what its watermark had not reached, and we cannot know.
func (l *ledger) isShort() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.short
}

// epoch returns the newest epoch of a producer id whose marker was read.
func (l *ledger) epoch(producer int64) (int16, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	e, ok := l.marked[producer]
	return e, ok
}

// foreign reports whether anybody but this producer id left a marker.
func (l *ledger) foreign(producer int64) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n := len(l.marked)
	if _, ours := l.marked[producer]; ours {
		n--
	}
	return n > 0
}

// own notes a producer of ours. What it left in the log we have written ourselves.
func (l *ledger) own(p kafkawire.Producer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mine[p] = true
}

// add notes an outcome that we appended ourselves, at an offset; -1: nobody said which.
func (l *ledger) add(id payment.IntentID, d event.Digest, offset int64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known.Add(answered.Outcome{ID: []byte(id), Digest: d, Ours: true, Offset: offset, At: at})
	l.tip.Store(max(l.tip.Load(), offset+1))
	l.trimLocked()
}

func (l *ledger) trimLocked() {
	if reach := l.known.Trim(time.Now()); !reach.IsZero() {
		l.reach = reach.Add(clockSlack)
	}
}

// begin fixes where the ledger starts. It must be called before the fence: what
// lies between is then read for sure.
func (l *ledger) begin(ctx context.Context) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	return l.beginLocked(ctx)
}

// errCompacted says that a ledger is not begun. A trouble of its own says why.
var errCompacted = errors.New("the topic is compacted")

func (l *ledger) beginLocked(ctx context.Context) error {
	if l.s.troubles.stands(Compacted) {
		return fmt.Errorf("ledger of outcome partition %d: %w", l.partition, errCompacted)
	}
	// It is read from a little before the window on, so that a clock that is wrong
	// by less than the slack hides no outcome of the window.
	since := time.Now().Add(-l.s.cfg.LedgerWindow)
	ids, err := l.s.topics.read(ctx) // before the offsets: see claim.fetchCommitted
	if err != nil {
		return fmt.Errorf("ledger of outcome partition %d: %w", l.partition, err)
	}
	id := ids[l.s.cfg.OutcomeTopic]
	again := differs(l.topic, id)
	has, err := l.s.offsetRange(ctx, TopicPartition{l.s.cfg.OutcomeTopic, l.partition}, since.Add(-clockSlack))
	if err != nil {
		return fmt.Errorf("ledger of outcome partition %d: %w", l.partition, err)
	}
	if id != (kafkawire.TopicID{}) {
		l.topic = id
	}
	defer func() { l.due.Store(max(0, has.last-l.next)) }()
	if l.next >= 0 && l.next >= has.first && l.next <= has.last && !again {
		return nil // goes on where it was left
	}
	gap := again || l.next > has.last || l.next >= 0 && has.first == has.last
	if l.next >= 0 {
		l.log.WithField("read_to", l.next).WithField("first", has.first).WithField("last", has.last).
			Error("the outcome topic does not hold any more what was read of it (retention shorter than the ledger window, or " +
				"the topic was made again): reading it from its beginning")
	}
	if l.next >= 0 && l.next < has.first {
		has.since = has.first // what was deleted may have been younger than what is there: see oldest
	}
	lost := gap || has.first == has.last && has.first > 0
	l.beginAt(has, since, lost)
	if lost {
		l.since = time.Now()
		l.forgotten()
	}
	return nil
}

// beginAt notes where the ledger begins. If something was lost that we have not read,
// nobody knows what it was, and until when.
func (l *ledger) beginAt(has offsetRange, since time.Time, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// What was known stays known: those intents were answered, and other claims
	// are looking at it. Markers do not: epochs may have begun again.
	l.next, l.loaded, l.marked, l.last = has.since, 0, map[int64]int16{}, batchMark{}
	l.begun = ledgerStart{has: has, since: since}
	l.starts.Add(1)
	l.saved.Store(-1)
	l.first = has.since == has.first && has.first > 0 && has.first < has.last
	l.reach, l.empty, l.short = time.Time{}, time.Time{}, lost || l.first
	switch {
	case lost:
		l.reach = time.Now()
	case has.since > 0:
		l.reach = since
	case has.last == 0:
		l.empty = time.Now()
	}
}

// forgotten is loud about a partition that does not hold any more what it held.
func (l *ledger) forgotten() {
	topic := l.s.cfg.OutcomeTopic
	l.s.troubles.stand(Trouble{
		Kind: ShortLedger, About: fmt.Sprintf("%s/%d", topic, l.partition),
		What: fmt.Sprintf("Outcome partition %d of %s was emptied, by retention, by hand, or because the topic was made "+
			"again: no intent from before %s is called, each is refused as too_old", l.partition, topic,
			l.reachTime().UTC().Format(time.RFC3339)),
		Mend: "Keep outcomes for longer than the ledger window. \"paylink replay unanswered\" emits again what has no " +
			"outcome, once it is sure that it has none; this alarm ends when the service is started anew.",
	})
}

// held is told of the fence that was made here last, as it was known when the
// ledger's beginning was fixed. Who notes a fence has seen its marker. If the
// partition was then found never to have held anything, or is another topic's, it was
// made again. held returns the note with what is known of the ledger: the log itself
// does not tell the next owner that another one was there before.
func (l *ledger) held(ctx context.Context, last fenceNote) (fenceNote, error) {
	if err := l.lock(ctx); err != nil {
		return last, err
	}
	defer l.unlock()
	found := l.empty
	l.empty = time.Time{} // what is noted from now on came after it
	switch another := differs(last.outcomes, l.topic); {
	case another && l.since.IsZero():
		found = time.Now()
	case !another && last.since.After(l.since):
		l.since = last.since
		if most := time.Now().Add(clockSlack); l.since.After(most) {
			l.since = most // it was noted by a clock that was wrong: nothing is lost before it is there
		}
	}
	news := last.producer >= 0 && found.After(l.since)
	if news {
		l.since = found
	}
	l.mu.Lock()
	if l.since.After(l.reach) {
		l.reach, l.short = l.since, true
	}
	l.mu.Unlock()
	if news {
		l.forgotten()
	}
	if l.topic != (kafkawire.TopicID{}) {
		last.outcomes = l.topic
	}
	last.since = l.since
	return last, nil
}

// maxLedgerFetch is how much of a partition is asked for at a time.
const maxLedgerFetch = 1 << 20

// errLargeBusy says that an answer was too large to be held beside another one.
var errLargeBusy = errors.New("a large answer has to wait for another one")

// errMarkerGone says that the marker of a fence does not come: the log begins behind it.
var errMarkerGone = errors.New("what was to be read of the outcome partition is deleted, and the marker of the fence with it")

// errNoMarker says that all is read, and the marker of a fence is not there.
var errNoMarker = errors.New("the marker of our fence does not come: the partition takes none (do so many replicas live as " +
	"min.insync.replicas asks for?)")

// read reads on until the marker of the producer's epoch has come by. starts is how
// often the ledger had begun before that fence was made. went is told how each fetch went.
func (l *ledger) read(ctx context.Context, p kafkawire.Producer, starts int64, went func(error)) error {
	missing := false
	heard := func(err error) {
		if err == nil && missing {
			err = errNoMarker
		}
		went(err)
	}
	err := l.readUntil(ctx, heard, func(high int64) (bool, error) {
		e, ok := l.epoch(p.ID)
		switch {
		case ok && e >= p.Epoch:
			return true, nil
		case l.next >= high && l.starts.Load() != starts:
			return false, errMarkerGone
		}
		missing = l.next >= high
		return false, nil
	})
	if err == nil {
		went(nil)
	}
	return err
}

// catchUp reads on to the partition's end of now, most of which a member that
// owns the partition has written itself: so that a fence that is renewed, and
// stops the appender meanwhile, has little left to read.
func (l *ledger) catchUp(ctx context.Context) error {
	return l.readUntil(ctx, func(error) {}, func(high int64) (bool, error) { return l.next >= high, nil })
}

// readUntil reads on until done says so of where the partition ended at the last
// fetch, or fails.
func (l *ledger) readUntil(ctx context.Context, went func(error), done func(high int64) (bool, error)) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	l.beginLoad()
	began, said := time.Now(), time.Now()
	for high := int64(math.MaxInt64); ; {
		if all, err := done(high); err != nil {
			return err
		} else if all {
			l.done(began)
			return nil
		}
		end, err := l.fetch(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			high = end
		}
		if err != nil && errors.Is(err, kafka.OffsetOutOfRange) {
			high, err = math.MaxInt64, l.beginLocked(ctx)
		}
		went(l.s.lacks(l.s.readsOutcomes(), err))
		if time.Since(said) > 2*time.Second {
			said = time.Now()
			l.log.WithField("outcomes", l.loaded).WithField("offset", l.next).WithField("end", end).WithField("error", err).
				Info("reading the ledger")
		}
		if err != nil && !Sleep(ctx, l.afterError(err)) {
			return ctx.Err()
		}
	}
}

// afterError says how long to wait after an error of fetch, and is loud about
// what will not pass by itself.
func (l *ledger) afterError(err error) time.Duration {
	if !errors.Is(err, kafkawire.ErrCorrupt) {
		return 50 * time.Millisecond
	}
	l.s.metrics.corrupt.Inc()
	l.log.WithError(err).Error("the ledger stops here: outcomes cannot be read, and skipping them could answer " +
		"an intent twice; repair or delete the batch")
	return 10 * time.Second
}

// beginLoad has the first outcomes of a ledger added as many at once.
func (l *ledger) beginLoad() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known.Len() == 0 {
		l.known.BeginLoad()
	}
}

func (l *ledger) done(began time.Time) {
	l.mu.Lock()
	l.known.EndLoad()
	if !l.whole.Swap(true) {
		l.s.ledgers.wake()
	}
	l.trimLocked()
	n, size := l.loaded, l.known.Len()
	l.loaded = 0
	l.mu.Unlock()
	l.s.metrics.ledgerRead.Add(int64(n))
	l.s.metrics.ledgerSize.WithLabelValues(fmt.Sprint(l.partition)).Set(float64(size))
	l.log.WithField("outcomes", n).WithField("known", size).
		WithField("took", time.Since(began).Round(time.Millisecond).String()).Debug("ledger read")
}

// fetch reads one answer of the partition's leader into the ledger.
func (l *ledger) fetch(ctx context.Context) (high int64, err error) {
	select {
	case l.s.reading <- struct{}{}:
		defer func() { <-l.s.reading }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	p, err := l.s.fetchFrom(ctx, TopicPartition{l.s.cfg.OutcomeTopic, l.partition}, l.next, maxLedgerFetch,
		kafkawire.ReadUncommitted)
	if err != nil {
		return 0, err
	}
	defer p.Records.Release()
	return p.HighWatermark, l.take(&p.Records)
}

// take reads a record set. Where it ends for an error, next stays at the batch
// that cannot be read: to pass it over could answer an intent twice.
func (l *ledger) take(set *kafkawire.Raw) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if set.Busy {
		return errLargeBusy
	}
	for {
		b, err := set.Next()
		if err != nil || b == nil {
			return err
		}
		if b.Last < l.next {
			continue
		}
		l.oldest(b)
		if b.Control {
			if e, ok := l.marked[b.Producer.ID]; !ok || b.Producer.Epoch > e {
				l.marked[b.Producer.ID] = b.Producer.Epoch
			}
		} else if err := l.takeRecords(b); err != nil {
			return err
		}
		l.next, l.last = b.Last+1, batchMark{b.Base, b.Last, b.Sum}
		l.tip.Store(max(l.tip.Load(), l.next))
	}
}

// oldest is shown every batch. If the log once began before the first of them,
// nothing is known of the time before.
func (l *ledger) oldest(b *kafkawire.Batch) {
	if !l.first {
		return
	}
	l.first = false
	if at := time.UnixMilli(b.Newest); at.After(l.reach) {
		l.reach = at
	}
}

func (l *ledger) takeRecords(b *kafkawire.Batch) error {
	ours, now := l.mine[b.Producer], time.Now()
	return b.Headers(func(r *kafkawire.Record) error {
		l.takeRecord(r, ours, now)
		return nil
	}, event.HeaderIntentID, event.HeaderIntentDigest)
}

// takeRecord notes an outcome by its headers; a record without them is nobody's
// outcome and of no interest.
func (l *ledger) takeRecord(r *kafkawire.Record, ours bool, now time.Time) {
	at := time.UnixMilli(r.Millis)
	if at.After(now) {
		at = now // a wrong clock must not keep it, and what follows, for ever
	}
	var id, digest []byte
	for _, h := range r.Headers {
		switch string(h.Key) {
		case event.HeaderIntentID:
			id = h.Value
		case event.HeaderIntentDigest:
			digest = h.Value
		}
	}
	l.loaded++
	if d, err := event.ParseDigest(digest); err == nil && len(id) > 0 {
		l.known.Add(answered.Outcome{ID: id, Digest: d, Ours: ours, Offset: r.Offset, At: at})
	}
}

// size returns how many answered intents are known.
func (l *ledger) size() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.known.Len()
}

// bytes returns how much memory the answered intents take.
func (l *ledger) bytes() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.known.Bytes()
}
