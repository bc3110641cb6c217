package pipeline_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A source hands out claims on partitions of a topic when the test says so. It
// is the Source of one member; several may share a topic.
type source struct {
	topic *topic
	kind  func(*claim) // how its claims behave; nil: well

	mu      sync.Mutex
	serve   func(pipeline.Claim)
	ctx     context.Context
	serving sync.WaitGroup
	claims  map[*claim]bool
	ready   chan struct{}
}

func newSource(tp *topic) *source {
	return &source{topic: tp, claims: map[*claim]bool{}, ready: make(chan struct{})}
}

// Run implements pipeline.Source.
func (s *source) Run(ctx context.Context, serve func(pipeline.Claim)) error {
	s.serve, s.ctx = serve, ctx
	close(s.ready)
	<-ctx.Done()
	s.mu.Lock()
	for c := range s.claims {
		c.drain()
	}
	s.mu.Unlock()
	s.serving.Wait()
	return nil
}

// take gains a partition that nobody has, from its committed offset on.
func (s *source) take(n int32) *claim {
	<-s.ready
	p := s.topic.parts[n]
	c := &claim{
		p: p, live: true, batch: 100, next: -1, mine: map[payment.IntentID]bool{},
		draining: make(chan struct{}), gone: make(chan struct{}), served: make(chan struct{}),
	}
	if s.kind != nil {
		s.kind(c)
	}
	s.topic.mu.Lock()
	if p.claim != nil {
		s.topic.fault("the test gives partition %d to two members", n)
	}
	p.claim, c.at, c.fresh = c, p.committed, p.end
	s.topic.mu.Unlock()
	s.mu.Lock()
	s.claims[c] = true
	s.serving.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.serving.Done()
		s.serve(c)
		c.giveUp()
		s.mu.Lock()
		delete(s.claims, c)
		s.mu.Unlock()
	}()
	return c
}

// A claim is one partition in a source's hands. What the test may set before it
// is served: everything of the first group.
type claim struct {
	batch       int                           // records of one Poll at most
	appendTakes func() time.Duration          // nil: no time
	appendFails func(o pipeline.Answer) error // ErrTooLarge, ErrAnswered, or nil
	buryFails   func(m event.Message) error   // the same
	rereadTakes time.Duration                 //
	rereadRoom  int                           // for so many records at a time; zero: for all
	vanished    func(offset int64) bool       // Reread does not find it any more
	reach       time.Time                     //
	landing     *rand.Rand                    // whether appends in flight land when the claim is lost; nil: none does
	stall       chan struct{}                 // appends and burials wait until it is closed; nil: they do not
	polled      func(recs []pipeline.Record)  // told of each Poll
	p           *partition
	draining    chan struct{}
	gone        chan struct{} // lost
	served      chan struct{} // serve returned
	drainOnce   sync.Once

	fresh int64 // where the partition ended at first

	// The rest belongs to topic.mu.
	live    bool
	at      int64 // where Poll goes on
	next    int64 // what Poll said last
	mine    map[payment.IntentID]bool
	commit  int64
	closed  bool // lost, or handed over
	lost    bool
	appends int // ever asked for
	pending map[*inFlight]bool
}

// An inFlight is an append on its way.
type inFlight struct {
	land func() error // makes it durable
	end  chan struct{}
}

func (c *claim) Partition() int32          { return c.p.number }
func (c *claim) Reach() time.Time          { return c.reach }
func (c *claim) Fresh() int64              { return c.fresh }
func (c *claim) Continues() bool           { return !c.p.wasReset }
func (c *claim) Draining() <-chan struct{} { return c.draining }
func (c *claim) Lost() <-chan struct{}     { return c.gone }

func (c *claim) Live() bool {
	c.p.topic.mu.Lock()
	defer c.p.topic.mu.Unlock()
	return c.live && !c.lost
}

func (c *claim) setLive(live bool) {
	c.p.topic.mu.Lock()
	defer c.p.topic.mu.Unlock()
	c.live, c.p.stopped = live, time.Now()
}

// mayCall says whether a call of the gateway may start now; topic.mu held.
func (c *claim) mayCall() bool {
	select {
	case <-c.draining:
		return false
	default:
		return c.live && !c.closed
	}
}

func (c *claim) Poll(ctx context.Context) ([]pipeline.Record, int64, error) {
	for {
		recs, next, changed := c.read()
		select {
		case <-c.gone:
			return nil, 0, pipeline.ErrLost
		case <-c.draining:
			return nil, 0, pipeline.ErrDraining
		default:
		}
		if next >= 0 {
			if c.polled != nil {
				c.polled(recs)
			}
			return recs, next, nil
		}
		select {
		case <-changed:
		case <-c.gone:
		case <-c.draining:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// read returns what is there, and next -1 if that is nothing.
func (c *claim) read() (recs []pipeline.Record, next int64, changed chan struct{}) {
	p := c.p
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	if c.at >= p.end {
		return nil, -1, p.changed
	}
	recs = p.from(c.at)
	next = p.end
	if len(recs) > c.batch {
		next, recs = recs[c.batch].Offset, recs[:c.batch]
	}
	c.at, c.next = next, next
	return append([]pipeline.Record(nil), recs...), next, nil
}

func (c *claim) Reread(ctx context.Context, offsets []int64) ([]pipeline.Record, error) {
	if !wait(ctx.Done(), c.rereadTakes) {
		return nil, ctx.Err()
	}
	p := c.p
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	if c.lost {
		return nil, pipeline.ErrLost
	}
	var recs []pipeline.Record
	for _, o := range offsets {
		if rs := p.from(o); len(rs) > 0 && rs[0].Offset == o && (c.vanished == nil || !c.vanished(o)) {
			recs = append(recs, rs[0])
		}
		if c.rereadRoom > 0 && len(recs) == c.rereadRoom && o != offsets[len(offsets)-1] {
			return recs, pipeline.ErrFull
		}
	}
	return recs, nil
}

func (c *claim) Look(id payment.IntentID, d event.Digest) pipeline.Known {
	c.p.topic.mu.Lock()
	defer c.p.topic.mu.Unlock()
	known, ok := c.p.answered[id]
	switch {
	case !ok:
		return pipeline.Unknown
	case known != d:
		return pipeline.Differs
	case c.mine[id]:
		return pipeline.Repeated
	}
	return pipeline.Answered
}

func (c *claim) Append(o pipeline.Answer, done func(error)) {
	c.write(func() error {
		if c.appendFails == nil {
			return nil
		}
		return c.appendFails(o)
	}, func() error { c.mine[o.ID] = true; return c.p.outcome(o) }, done)
}

func (c *claim) Bury(m event.Message, done func(error)) {
	c.write(func() error {
		if c.buryFails == nil {
			return nil
		}
		return c.buryFails(m)
	}, func() error { c.p.bury(m); return nil }, done)
}

// write makes something durable after a while, unless the claim is lost first.
func (c *claim) write(fails func() error, land func() error, done func(error)) {
	f := &inFlight{land: land, end: make(chan struct{})}
	tp := c.p.topic
	tp.mu.Lock()
	c.appends++
	if c.closed && !c.lost {
		tp.fault("partition %d: published after it was handed over", c.p.number)
	}
	if c.pending == nil {
		c.pending = map[*inFlight]bool{}
	}
	c.pending[f] = true
	tp.mu.Unlock()
	go func() { done(c.landed(f, fails)) }()
}

func (c *claim) landed(f *inFlight, fails func() error) error {
	if c.stall != nil {
		select {
		case <-c.stall:
		case <-c.gone:
		}
	}
	if c.appendTakes != nil {
		wait(c.gone, c.appendTakes())
	}
	err := fails()
	tp := c.p.topic
	tp.mu.Lock()
	defer tp.mu.Unlock()
	delete(c.pending, f)
	switch {
	case c.lost:
		return pipeline.ErrLost
	case err == nil:
		err = f.land()
	}
	return err
}

func (c *claim) Commit(next int64) {
	p := c.p
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	if c.lost || next < p.committed {
		return // fenced off by the generation; or said before, by an older owner
	}
	if c.closed {
		p.topic.fault("partition %d: committed after it was handed over", p.number)
	}
	if next > c.next {
		p.topic.fault("S2: partition %d: %d is committed, %d was read", p.number, next, c.next)
	}
	if next < c.commit {
		p.topic.fault("S2: partition %d: committed %d, then %d", p.number, c.commit, next)
	}
	for i := range p.records {
		if r := &p.records[i]; r.Offset >= p.committed && r.Offset < next && !p.settled(r) {
			p.topic.fault("S2: partition %d: %d is committed, and record %d (%s) is not settled", p.number, next, r.Offset, idOf(r))
		}
	}
	c.commit, p.committed = next, next
}

// drain asks for the partition.
func (c *claim) drain() {
	c.p.topic.mu.Lock()
	defer c.p.topic.mu.Unlock()
	c.drainOnce.Do(func() { close(c.draining); c.p.stopped = time.Now() })
}

// lose takes the partition away. What was on its way has landed or has not.
func (c *claim) lose() {
	tp := c.p.topic
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if c.closed {
		return
	}
	for f := range c.pending {
		if c.landing != nil && c.landing.IntN(2) == 0 {
			f.land()
		}
	}
	c.closed, c.lost, c.p.claim, c.p.stopped = true, true, nil, time.Now()
	close(c.gone)
}

// giveUp is what happens when serve has returned.
func (c *claim) giveUp() {
	tp := c.p.topic
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if !c.closed {
		c.closed, c.p.claim = true, nil
		if n := len(c.pending); n > 0 {
			tp.fault("partition %d: handed over while %d appends are in flight", c.p.number, n)
		}
	}
	close(c.served)
}

func (c *claim) appendsAsked() int {
	c.p.topic.mu.Lock()
	defer c.p.topic.mu.Unlock()
	return c.appends
}

// wait reports false if it ended early.
func wait(end <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-end:
		return false
	}
}
