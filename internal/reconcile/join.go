package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lanrat/extsort"
	"golang.org/x/sync/errgroup"

	"paylink/internal/event"
	"paylink/internal/kafkaops"
)

// What is read and held at a time.
const (
	parallelSpans = 6
	chunk         = 50_000 // entries that are sorted in memory
	mostOfASort   = 4096   // entries of one sort that a group holds; more of them are only counted
	countEvery    = 512    // records between two signs of progress of a span
)

// A join is one run over an archive.
type join struct {
	archive *Archive
	spans   places
	reach   []time.Time // from when on each outcome partition still has all outcomes; zero: it has every one

	mu     sync.Mutex
	buried map[int32][]int64 // sources of dead letters whose intent cannot be read
}

// Groups calls yield with every group of the range, in the order of their keys: one
// per intent, and one per record that names no intent. It reads all topics first.
func (a *Archive) Groups(ctx context.Context, yield func(*Group) error) error {
	j := &join{archive: a, spans: placesOf(a.Range.Intents), buried: map[int32][]int64{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := make(chan string, 4096)
	sorter, sorted, failed := extsort.Strings(in, &extsort.Config{
		ChunkSize: chunk, NumWorkers: 1, ChanBuffSize: 0, SortedChanBuffSize: 1024, TempFilesDir: a.Dir,
	})
	var reading error
	var wait sync.WaitGroup
	wait.Go(func() {
		defer close(in)
		if reading = j.read(ctx, in); reading != nil {
			cancel()
		}
	})
	sorter.Sort(ctx)
	wait.Wait()
	if reading == nil {
		reading = j.stillThere(ctx)
	}
	if reading == nil { // when all is read: what is deleted meanwhile is not missed
		j.reach, reading = a.reach(ctx)
	}
	for _, offsets := range j.buried {
		slices.Sort(offsets)
	}
	if reading == nil && j.archive.Joined != nil {
		j.archive.Joined()
	}
	if reading == nil {
		reading = j.merge(sorted, failed, yield)
	}
	cancel()
	for range sorted { // until the sorter has seen the end
	}
	return reading
}

// read reads all spans into the sorter.
func (j *join) read(ctx context.Context, in chan<- string) error {
	r := &j.archive.Range
	spans := slices.Concat(r.Intents, r.Outcomes, r.DeadLetters)
	buffers := sync.Pool{New: func() any { return new([]byte) }}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelSpans)
	for _, s := range spans {
		g.Go(func() error {
			count := 0
			b := buffers.Get().(*[]byte)
			defer buffers.Put(b)
			err := j.archive.Kafka.Each(ctx, []kafkaops.Span{s}, 1, func(at event.Place, m event.Message) error {
				if count++; count%countEvery == 0 {
					told(j.archive.Read, countEvery)
				}
				return j.record(ctx, at, m, b, in)
			})
			told(j.archive.Read, s.Records()-int64(count-count%countEvery)) // there may be fewer records than offsets
			return err
		})
	}
	return g.Wait()
}

func told(f func(int64), n int64) {
	if f != nil && n != 0 {
		f(n)
	}
}

// record hands one record on.
func (j *join) record(ctx context.Context, at event.Place, m event.Message, b *[]byte, in chan<- string) error {
	f, err := j.archive.Facts.Of(ctx, at, m)
	unreadable, ok := errors.AsType[*event.Unreadable](err)
	if err != nil && !ok {
		return fmt.Errorf("%s/%d@%d: %w", at.Topic, at.Partition, at.Offset, err)
	}
	e, use := j.entryOf(&f, unreadable)
	if !use || !j.archive.Filter.may(&e) {
		return nil
	}
	if e.sort == deadLetter && e.is(isNameless) && !e.is(sourceless) {
		j.mu.Lock()
		j.buried[e.source.partition] = append(j.buried[e.source.partition], e.source.offset)
		j.mu.Unlock()
	}
	*b = e.append((*b)[:0])
	select {
	case in <- string(*b):
		return nil
	default:
	}
	select {
	case in <- string(*b):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// may reports whether the group of an entry may pass the filter. Merchant and order
// are judged with the whole group.
func (f Filter) may(e *entry) bool {
	return (f.none() || !e.is(isNameless)) && (f.Intent == "" || f.Intent == e.id)
}

// merge puts the groups together.
func (j *join) merge(sorted <-chan string, failed <-chan error, yield func(*Group) error) error {
	var g Group
	end := func() error {
		if g.key == "" || !g.settle(j) || !j.archive.Filter.wants(&g) {
			return nil
		}
		return yield(&g)
	}
	for s := range sorted {
		if key := groupOf(s); key != g.key {
			if err := end(); err != nil {
				return err
			}
			g.restart(key)
		}
		g.add(readEntry(s))
	}
	if err := <-failed; err != nil {
		return fmt.Errorf("sort: %w", err)
	}
	return end()
}

// stillThere takes out of the range what retention has deleted since it was fixed.
func (j *join) stillThere(ctx context.Context) error {
	for topic := range topicsOf(j.archive.Range.Intents) {
		now, err := j.archive.Kafka.Spans(ctx, kafkaops.Range{Topic: topic, Partition: -1})
		if err != nil {
			return err
		}
		for _, s := range now {
			if own, ok := j.spans[place{s.Topic, s.Partition}]; ok && s.From > own.From {
				own.From = s.From
				j.spans[place{s.Topic, s.Partition}] = own
			}
		}
	}
	return nil
}

var errFirst = errors.New("the first record is read")

// reach finds from when on each outcome partition still has all outcomes: nothing was ever
// deleted, or else the time of the oldest that is left, or now.
func (a *Archive) reach(ctx context.Context) ([]time.Time, error) {
	logs, err := a.Kafka.Spans(ctx, kafkaops.Range{Topic: a.Facts.Topics.Outcomes, Partition: -1})
	if err != nil {
		return nil, err
	}
	since := make([]time.Time, len(logs))
	for i, s := range logs {
		if s.From == 0 {
			continue
		}
		since[i] = a.Range.Moment
		err := a.Kafka.Each(ctx, []kafkaops.Span{s}, 1, func(_ event.Place, m event.Message) error {
			if !m.Time.IsZero() {
				since[i] = m.Time
			}
			return errFirst
		})
		if err != nil && !errors.Is(err, errFirst) {
			return nil, err
		}
	}
	return since, nil
}

// isBeyondReach reports whether the outcome of a record may have been deleted: it is
// older than the oldest of its partition, or than what the service has noted of it. A
// record without a time may be, and one whose time is to come.
func (j *join) isBeyondReach(e *entry) bool {
	since := j.archive.Range.KnownSince[e.at.partition]
	if len(j.reach) > 0 {
		since = latest(since, j.reach[int(e.at.partition)%len(j.reach)])
	}
	return e.time.Before(since) || !since.IsZero() && e.time.After(j.archive.Range.Moment)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func topicsOf(spans []kafkaops.Span) map[string]bool {
	all := map[string]bool{}
	for _, s := range spans {
		all[s.Topic] = true
	}
	return all
}

// isBuried reports whether a dead letter without a readable intent answers a record.
func (j *join) isBuried(at spot) bool {
	_, ok := slices.BinarySearch(j.buried[at.partition], at.offset)
	return ok
}

// A place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// places are the spans of the range's intents.
type places map[place]kafkaops.Span

func placesOf(spans []kafkaops.Span) places {
	all := places{}
	for _, s := range spans {
		all[place{s.Topic, s.Partition}] = s
	}
	return all
}

// holds reports whether the range has a record's place, or would have it: a
// partition of the topic that does not exist.
func (p places) holds(at event.Place) bool {
	s, ok := p[place{at.Topic, at.Partition}]
	if ok {
		return at.Offset >= s.From && at.Offset < s.To
	}
	for k := range p {
		return k.topic == at.Topic
	}
	return false
}

// stillHolds is holds for a place of the intent topic, after stillThere.
func (p places) stillHolds(at spot) bool {
	for k := range p {
		return p.holds(event.Place{Topic: k.topic, Partition: at.partition, Offset: at.offset})
	}
	return false
}
