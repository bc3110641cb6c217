package kafkaio

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkawire"
	"paylink/internal/pace"
	"paylink/internal/pipeline"
)

// What is fetched ahead per partition: enough for a round trip, and no more. A
// fetch may go over it once.
const (
	maxAheadBytes = 128 << 10
	maxFetchBytes = 4 << 20 // of all partitions of one broker
)

// input is what was fetched of a claim's partition and not polled yet; guarded
// by claim.mu.
type input struct {
	next     int64     // offset to fetch from
	polled   int64     // the offset that the last poll has read up to
	end      int64     // where the partition ended when a broker last told; -1: not known
	stable   int64     // where it ended for who reads what is committed
	told     time.Time // when that was; the claim's beginning, if none has
	sets     []*fetchedSet
	bytes    int  // of the sets
	fetching bool // a fetch is under way; another broker's loop must not start one
	large    bool // the last answer was a large one: nothing is fetched but for a poll that waits
	waiting  bool // a poll waits
	retryAt  time.Time
	ready    chan struct{}
}

// Poll implements pipeline.Claim.
func (c *claim) Poll(ctx context.Context) ([]pipeline.Record, int64, error) {
	for {
		switch {
		case c.ctx.Err() != nil:
			return nil, 0, pipeline.ErrLost
		case c.isDraining():
			return nil, 0, pipeline.ErrDraining
		case ctx.Err() != nil:
			return nil, 0, ctx.Err()
		}
		set, next, ok := c.takeInput()
		if set != nil {
			if recs, next := c.unpack(ctx, set); len(recs) > 0 {
				c.s.fetcher.wake()
				return recs, next, nil
			}
			continue
		}
		if ok {
			c.s.fetcher.wake()
			return nil, next, nil
		}
		c.awaitLarge()
		select {
		case <-c.input.ready:
		case <-c.draining:
		case <-c.ctx.Done():
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// awaitLarge has a large answer fetched, if that is what comes next: a poll waits.
func (c *claim) awaitLarge() {
	c.mu.Lock()
	large := c.input.large
	c.mu.Unlock()
	if large {
		c.s.fetcher.wake()
	}
}

// takeInput returns the set to read on in, if there is one; if none, and offsets
// were passed since the last poll, how far.
func (c *claim) takeInput() (set *fetchedSet, next int64, passed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := &c.input
	in.waiting = len(in.sets) == 0
	switch {
	case len(in.sets) > 0:
		return in.sets[0], 0, true
	case in.next == in.polled:
		return nil, 0, false
	}
	in.polled = in.next
	return nil, in.next, true
}

// startFetch marks the claim as being fetched, if it has room, and says from
// where. Until fetched is called nobody else fetches for it, so that no record
// comes twice or out of order when its leader moves meanwhile.
func (c *claim) startFetch(now time.Time) (from int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := &c.input
	if in.fetching || c.deadline != nil || in.bytes >= maxAheadBytes || in.large && !in.waiting || now.Before(in.retryAt) {
		return 0, false
	}
	in.fetching = true
	return in.next, true
}

// fetched takes what a fetch from an offset has brought, or a wait before the next
// one.
func (c *claim) fetched(from int64, set *fetchedSet, next int64, wait time.Duration) {
	c.mu.Lock()
	in := &c.input
	in.fetching = false
	switch {
	case in.next != from || c.ctx.Err() != nil: // reading goes on elsewhere, or nowhere
		set.drop()
	case set != nil && len(set.batches) > 0:
		in.sets, in.bytes = append(in.sets, set), in.bytes+set.bytes
		in.next, in.large = max(in.next, next), set.isLarge()
	default:
		set.drop()
		in.next = max(in.next, next)
	}
	if wait > 0 {
		in.retryAt = time.Now().Add(wait)
	}
	idle := in.next == from && len(in.sets) == 0 && !in.large
	c.mu.Unlock()
	if idle {
		return // nothing that a poll could take
	}
	select {
	case c.input.ready <- struct{}{}:
	default:
	}
}

// unchanged ends a fetch of which the broker had nothing to tell: the partition is as
// it was.
func (c *claim) unchanged(from int64, now time.Time) {
	c.mu.Lock()
	in := &c.input
	in.fetching = false
	if in.next == from && c.ctx.Err() == nil {
		in.told = now
	}
	hangs, stable, end := !c.hanging.since.IsZero(), in.stable, in.end
	c.mu.Unlock()
	c.heard()
	if hangs {
		c.stable(stable, end, from)
	}
}

// A fetcher reads the partitions of the claims, by one loop per broker: a fetch
// that waits at one broker for records must not delay those of the others.
//
// A loop runs while its broker leads a partition of ours. It ends by itself when
// that is over, so that a broker that has left the cluster costs nothing; run
// starts it again when it is needed. Both look under mu, so that no claim falls
// between the two.
type fetcher struct {
	s *Source

	mu     sync.Mutex
	claims map[*claim]struct{}
	loops  map[int32]bool // brokers that have a loop
	woken  chan struct{}  // closed and replaced when there may be more to do
}

func newFetcher(s *Source) *fetcher {
	return &fetcher{s: s, claims: map[*claim]struct{}{}, loops: map[int32]bool{}, woken: make(chan struct{})}
}

func (f *fetcher) add(c *claim) {
	f.mu.Lock()
	f.claims[c] = struct{}{}
	f.mu.Unlock()
	f.wake()
}

func (f *fetcher) remove(c *claim) {
	f.mu.Lock()
	delete(f.claims, c)
	f.mu.Unlock()
	f.wake()
}

// wake has all loops, and run, look again.
func (f *fetcher) wake() {
	f.mu.Lock()
	close(f.woken)
	f.woken = make(chan struct{})
	f.mu.Unlock()
}

// run sees to it that every broker that leads a partition of ours has a loop. It
// waits for the loops that it started.
func (f *fetcher) run(ctx context.Context) {
	var loops sync.WaitGroup
	defer loops.Wait()
	for {
		f.mu.Lock()
		leads := f.s.routes.intentLeaders()
		for c := range f.claims {
			broker, ok := leader(leads, c)
			switch {
			case !ok:
				c.unread(f.s.routes.leaderless(f.s.cfg.IntentTopic))
			case !f.loops[broker]:
				f.loops[broker] = true
				loops.Go(func() { f.loop(ctx, broker) })
			}
		}
		woken := f.woken
		f.mu.Unlock()
		if !f.wait(ctx, woken, routesEvery) {
			return
		}
	}
}

// leader returns the broker that leads a claim's partition, if there is one.
func leader(leads []int32, c *claim) (int32, bool) {
	if int(c.partition) >= len(leads) || leads[c.partition] < 0 {
		return 0, false
	}
	return leads[c.partition], true
}

// wait waits to be woken, no longer than d; it reports false when ctx has ended.
func (f *fetcher) wait(ctx context.Context, woken <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-woken:
	case <-t.C:
	}
	return true
}

// loop fetches from one broker until it leads no partition of ours any more.
func (f *fetcher) loop(ctx context.Context, broker int32) {
	alive := f.s.cfg.Pulse.Loop("fetch", mostRound)
	defer alive.End()
	session, due := &fetchSession{}, map[int32]claimFetch{}
	for fails := 0; ; {
		alive.Busy()
		woken, ours := f.due(broker, due)
		switch {
		case !ours || ctx.Err() != nil:
			return
		case len(due) == 0:
			// All of them have read ahead enough, or wait after trouble. A Poll wakes
			// us; the time is for those whose wait is over.
			alive.Idle()
			f.wait(ctx, woken, 50*time.Millisecond)
			continue
		}
		if err := f.fetch(ctx, broker, session, due); err != nil {
			fails++
			f.s.metrics.fetchErrors.Inc()
			f.s.routes.doubt()
			Sleep(ctx, pace.Backoff{Base: 20 * time.Millisecond, Max: time.Second}.Delay(fails, 1))
			continue
		}
		fails = 0
	}
}

// A claimFetch is where to read on for a claim.
type claimFetch struct {
	claim *claim
	from  int64
}

// due fills in the claims that this broker should be asked for now, and returns what
// tells of more to do. When it leads no partition of ours, the loop is taken off the
// list and has to end.
func (f *fetcher) due(broker int32, due map[int32]claimFetch) (woken <-chan struct{}, ours bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, leads := time.Now(), f.s.routes.intentLeaders()
	clear(due)
	for c := range f.claims {
		if leads, ok := leader(leads, c); !ok || leads != broker {
			continue
		}
		ours = true
		if from, ok := c.startFetch(now); ok {
			due[c.partition] = claimFetch{c, from}
		}
	}
	if !ours {
		delete(f.loops, broker)
	}
	return f.woken, ours
}

// fetch sends one request and gives each claim what came for it. A claim that got
// no answer is told so, too: it waits for its fetch to end.
func (f *fetcher) fetch(ctx context.Context, broker int32, session *fetchSession, due map[int32]claimFetch) error {
	req := FetchRequest{
		Leader: broker, Topic: f.s.cfg.IntentTopic, MaxBytes: maxFetchBytes, Isolation: kafkawire.ReadCommitted,
		Partitions: make([]FetchFrom, 0, len(due)),
	}
	for p, d := range due {
		req.Partitions = append(req.Partitions, FetchFrom{p, d.from, maxAheadBytes})
	}
	known := session.epoch != newSession // by the broker: it answers for what has changed
	got, err := req.fetch(ctx, f.s.client, session)
	for i := range got {
		if d, ok := due[got[i].Partition]; ok {
			f.take(ctx, d, &got[i])
			delete(due, d.claim.partition)
		}
	}
	now := time.Now()
	for _, d := range due {
		if known && err == nil {
			d.claim.unchanged(d.from, now)
		} else {
			d.claim.unread(cmp.Or(err, errNoRecords))
			d.claim.fetched(d.from, nil, 0, 0)
		}
	}
	return err
}

// errNoRecords says that an answer leaves a partition out.
var errNoRecords = errors.New("the broker's answer says nothing of it")

// take gives a claim what was fetched for it.
func (f *fetcher) take(ctx context.Context, a claimFetch, res *kafkawire.FetchPartitionResponse) {
	c := a.claim
	switch err := kafka.Error(res.ErrorCode); err {
	case 0:
	case kafka.OffsetOutOfRange:
		f.outOfRange(ctx, c, a.from)
		return
	default: // not leader, unknown partition, …: the next metadata tells
		f.s.metrics.fetchErrors.Inc()
		c.unread(err)
		if err == kafka.TopicAuthorizationFailed {
			f.s.lacks(f.s.readsIntents(), err)
			c.fetched(a.from, nil, 0, 2*time.Second)
			return
		}
		c.log.WithError(err).Debug("fetch")
		f.s.routes.doubt()
		c.fetched(a.from, nil, 0, 50*time.Millisecond)
		return
	}
	c.heard()
	if res.Records.Busy {
		c.setLarge()
		c.fetched(a.from, nil, 0, 100*time.Millisecond)
		return
	}
	set, next, err := openSet(a.from, res)
	wait := time.Duration(0)
	if err != nil {
		wait = c.unreadable(err)
	}
	if !set.count(c.account) {
		set, next, wait = nil, a.from, fullWait
	}
	c.fetched(a.from, set, next, wait)
	c.seen(res.HighWatermark, next)
	c.mu.Lock()
	c.input.stable = res.LastStableOffset
	c.mu.Unlock()
	c.stable(res.LastStableOffset, res.HighWatermark, next)
}

// fullWait is when to fetch again what there was no room for.
const fullWait = 200 * time.Millisecond

// setLarge has nothing fetched but for a poll that waits.
func (c *claim) setLarge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.input.large = true
}

// seen notes where the partition ends, as a broker tells now; read up to next.
func (c *claim) seen(end, next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	c.input.end, c.input.told = max(end, next), time.Now()
}

// unreadable is loud about records that cannot be read, and says when to look
// again.
func (c *claim) unreadable(err error) time.Duration {
	c.s.metrics.corrupt.Inc()
	c.log.WithError(err).Error("the partition stops here: its records cannot be read, and skipping them would lose " +
		"intents; repair or delete the batch")
	return 10 * time.Second
}

// outOfRange goes on where the log holds no record to read on from. What is in
// flight is finished in any case: those intents are called already.
func (f *fetcher) outOfRange(ctx context.Context, c *claim, from int64) {
	has, err := f.s.ends(ctx, TopicPartition{f.s.cfg.IntentTopic, c.partition})
	l := c.log.WithField("offset", from).WithField("first", has.first).WithField("last", has.last)
	switch {
	case err != nil || from >= has.first && from <= has.last: // as of now it does
		c.fetched(from, nil, 0, time.Second)
	case from < has.first:
		f.s.metrics.lostRecords.Add(int64(has.first - from))
		l.Error("the topic's retention overtook us: intents were deleted before they were read; going on with the oldest " +
			"that is left")
		c.fetched(from, nil, has.first, 0)
	default:
		l.Error("the topic ends before the offset to read on from (was it deleted and made again?): taking the partition " +
			"over anew")
		c.fetched(from, nil, 0, time.Second)
		c.drain()
	}
}
