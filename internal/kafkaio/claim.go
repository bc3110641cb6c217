package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/sirupsen/logrus"

	"paylink/internal/budget"
	"paylink/internal/event"
	"paylink/internal/kafkawire"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A claim is one intent partition in our hands; see pipeline.Claim for what it
// promises. Its life is run: fence, ledger, serve, last commit.
//
// The fence does not bind everybody for ever:
//
//   - the leader forgets a silent producer id after producer.id.expiration.ms
//     (a day), so the fence is renewed every FenceRenewal;
//   - the coordinator forgets a silent transactional id after
//     transactional.id.expiration.ms (a week), and uses up its epochs after
//     32766 fences; then we get a new producer id, whose marker binds no batch
//     of the old one. The id is kept with the committed offset, so we notice,
//     wait until any older owner's lease has ended, and fence once more.
type claim struct {
	s           *Source
	log         logrus.FieldLogger
	partition   int32 // of the intent topic
	outcome     int32 // of the outcome topic
	ledger      *ledger
	outcomes    *appender  // fenced
	deadLetters *appender  // not fenced
	trouble     chan error // the fence was found broken
	account     *budget.Account

	ctx       context.Context // ends when the claim is lost, or has not drained in time
	cancel    context.CancelFunc
	undrained context.Context // ends when the claim drains, and with ctx
	draining  chan struct{}   // closed when the claim drains

	// Of the goroutine of run, which has written them before it calls serve.
	resumed bool  // the group had committed an offset before us
	ours    bool  // that offset was committed by this service: a tool that sets it back leaves no note
	fresh   int64 // the topic's end when the claim began
	roomy   bool  // there is room for its ledger

	mu       sync.Mutex
	lost     bool // the group or the log took it from us
	stage    PartitionState
	giveUp   func()      // ends undrained
	deadline *time.Timer // ends ctx when draining takes too long; nil: not draining
	input    input
	done     progress
	hanging  hanging
	failing  failing   // fetches
	takeOver failing   // fence and ledger
	note     fenceNote // only the goroutine that fences writes it, so that one may read it without mu
}

func newClaim(s *Source, ctx context.Context, partition int32) *claim {
	outcome := partition % int32(s.member.outcomePartitions)
	dead := partition % int32(max(1, s.routes.partitions(s.cfg.DeadLetterTopic)))
	c := &claim{
		s: s, partition: partition, outcome: outcome,
		log:      s.log.WithField("partition", partition),
		ledger:   s.ledgers.hold(outcome),
		trouble:  make(chan error, 1),
		draining: make(chan struct{}),
		stage:    Fencing,
		input:    input{ready: make(chan struct{}, 1), end: -1, told: time.Now()},
		done:     progress{settled: -1, committed: -1},
	}
	c.account = s.budget.Open()
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.undrained, c.giveUp = context.WithCancel(c.ctx)
	c.outcomes = s.appenders.open(c, TopicPartition{s.cfg.OutcomeTopic, outcome}, true)
	c.deadLetters = s.appenders.open(c, TopicPartition{s.cfg.DeadLetterTopic, dead}, false)
	return c
}

// run lives the claim's life. It returns when the partition may be given up.
func (c *claim) run(serve func(pipeline.Claim)) {
	defer c.end()
	done := c.s.takeOvers.enter(c.undrained)
	err := c.prepare(c.undrained)
	done()
	if err != nil {
		return // lost, or asked to hand it over, before it was ours
	}
	c.s.fetcher.add(c)
	defer c.s.fetcher.remove(c)
	serving, stop := context.WithCancel(c.ctx)
	kept := make(chan struct{})
	go func() { defer close(kept); c.keepFence(serving) }()
	c.setStage(Running)
	serve(c)
	stop()
	<-kept
	// Only now: what serve settled last must not be settled again by the next owner.
	c.commitLast()
}

// end leaves nothing behind that would act for the partition.
func (c *claim) end() {
	c.s.appenders.close(c.outcomes, c.deadLetters)
	c.s.ledgers.release(c.ledger)
	c.cancel()
	c.s.troubles.pass(InputBlocked, c.name())
	c.s.troubles.pass(TakeOverBlocked, c.name())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropSetsLocked()
	c.account.Close()
	if c.deadline != nil {
		c.deadline.Stop()
	}
}

// prepare makes the partition ours: it returns once no older owner can publish
// for it and everything that any of them published is known. Trouble is waited
// out, so an error means that ctx has ended.
func (c *claim) prepare(ctx context.Context) error {
	began := time.Now()
	from, err := c.committed(ctx)
	if err != nil {
		return err
	}
	c.startAt(from)
	reads := time.Now()
	producer, err := c.fenceAndRead(ctx)
	if err != nil {
		return err
	}
	c.s.metrics.ledgerLoad.WithLabelValues().Observe(time.Since(reads).Seconds())
	c.outcomes.resume(producer)
	c.log.WithField("from_offset", from).WithField("known", c.ledger.size()).
		WithField("took", time.Since(began).Round(time.Millisecond).String()).Info("partition taken over")
	return nil
}

// committed returns the offset to go on from, and notes who fenced last.
func (c *claim) committed(ctx context.Context) (int64, error) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		offset, note, err := c.fetchCommitted(ctx)
		if err == nil {
			c.stuck("", nil)
			c.setNote(note)
			return offset, nil
		}
		c.waits("committed offset", c.s.lacks(c.s.readsIntents(), err))
		if !Sleep(ctx, wait) {
			return 0, fmt.Errorf("committed offset: %w", err)
		}
	}
}

func (c *claim) fetchCommitted(ctx context.Context) (int64, fenceNote, error) {
	topic := c.s.cfg.IntentTopic
	res, err := call(ctx, 5*time.Second, func(ctx context.Context) (*kafka.OffsetFetchResponse, error) {
		return c.s.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{
			GroupID: c.s.cfg.Group, Topics: map[string][]int{topic: {int(c.partition)}},
		})
	})
	if err == nil {
		err = res.Error
	}
	if err == nil && len(res.Topics[topic]) != 1 {
		err = errors.New("offset fetch: empty answer")
	}
	if err != nil {
		return 0, fenceNote{}, err
	}
	got := res.Topics[topic][0]
	if got.Error != nil {
		return 0, fenceNote{}, got.Error
	}
	// The id comes before the offsets: those of a topic that is made again in between
	// are then taken for the old one's, which compare finds out. The other way round
	// nobody would.
	ids, err := c.s.topics.read(ctx)
	if err != nil {
		return 0, fenceNote{}, err
	}
	has, err := c.s.ends(ctx, TopicPartition{topic, c.partition})
	if err != nil {
		return 0, fenceNote{}, err
	}
	note := parseNote(got.Metadata)
	again := differs(note.intents, ids[topic])
	from := c.start(got.CommittedOffset, has, again)
	c.resumed, c.fresh = got.CommittedOffset >= 0, has.last
	c.ours = note.producer >= 0 && from == got.CommittedOffset && !again
	if id, ok := ids[topic]; ok {
		note.intents = id
	}
	return from, note, nil
}

// waits tells, once per burst, what a claim that is not served yet waits for.
func (c *claim) waits(step string, err error) {
	if c.ctx.Err() != nil {
		return
	}
	c.s.member.noteTrouble(err)
	c.stuck(step, err)
	if told(err) {
		return
	}
	c.s.bursts.Say(step+label(c.partition), func() {
		c.log.WithError(err).WithField("step", step).Info("taking the partition over: waiting for the brokers")
	}, func(more int) {
		c.log.WithField("step", step).WithField("more", more).Info("goes on waiting for the brokers to take the partition over")
	})
}

// start decides where to go on. A committed offset that the topic does not hold
// is never passed over in silence: what can still be read is read from its
// beginning, because the ledger skips what is answered. So is a topic that was made
// again: all that it holds came since. Brokers may have deleted the offsets with it.
func (c *claim) start(committed int64, has offsetRange, again bool) int64 {
	l := c.log.WithField("committed", committed).WithField("first", has.first).WithField("last", has.last)
	switch {
	case again, committed < 0 && c.s.topics.madeAgain(c.s.cfg.IntentTopic):
		c.sayMadeAgain()
		return has.first
	case committed < 0 && c.s.cfg.StartLatest:
		return has.last
	case committed < 0:
		return has.first
	case committed < has.first:
		c.s.metrics.lostRecords.Add(int64(has.first - committed))
		l.Error("the topic's retention passed the committed offset: intents may have been deleted before they were read; " +
			"going on with the oldest that is left")
		return has.first
	case committed > has.last:
		l.Error("the topic ends before the committed offset (was it deleted and made again?): reading it from its beginning")
		return has.first
	}
	return committed
}

// fenceAndRead fences the partition and reads the ledger up to the fence.
func (c *claim) fenceAndRead(ctx context.Context) (kafkawire.Producer, error) {
	waited := int64(-1) // the new producer id whose wait is over
	for {
		p, err := c.fenceOnce(ctx)
		switch {
		case errors.Is(err, errOutFenced) && ctx.Err() == nil:
			c.log.WithError(err).Warn("fenced by somebody else while fencing: asking the group whose the partition is")
			c.s.member.heartbeat(ctx) // not ours: ends ctx
			continue
		case errors.Is(err, errMarkerGone):
			c.log.WithError(err).Warn("fencing again")
			continue
		case err != nil:
			return p, err
		case p.ID == waited || !c.isNew(p):
			note := c.note
			note.producer = p.ID
			c.setNote(note)
			return p, nil
		}
		c.s.metrics.newProducers.Inc()
		c.log.WithField("producer", p.ID).Error("the coordinator knew the partition's transactional id no more and gave it " +
			"a new producer id, which does not shut out an older owner: waiting a session timeout, then fencing again (see " +
			"transactional.id.expiration.ms)")
		if !Sleep(ctx, c.s.cfg.SessionTimeout) {
			return p, ctx.Err()
		}
		waited = p.ID
	}
}

// isNew reports whether the coordinator forgot an older owner's producer id and
// made up this one. If the note that tells is gone too, because a tool reset
// the offsets, an id that was never used before is suspicious where others were.
func (c *claim) isNew(p kafkawire.Producer) bool {
	if c.note.producer >= 0 {
		return p.ID != c.note.producer
	}
	return p.Epoch == 0 && c.resumed && c.ledger.foreign(p.ID)
}

func (c *claim) fenceOnce(ctx context.Context) (kafkawire.Producer, error) {
	if d := c.note.wait(time.Now()); d > 0 {
		c.log.WithField("wait", d.Round(time.Second).String()).
			Warn("the partition is fenced too often (a crash loop?): waiting, to spare its epochs")
		if !Sleep(ctx, d) {
			return kafkawire.Producer{}, ctx.Err()
		}
	}
	// The ledger's beginning is fixed before the fence: what an older owner appends
	// between the two is then read. The other way round it could fall in between.
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := c.ledger.begin(ctx)
		if err == nil {
			var note fenceNote
			if note, err = c.ledger.held(ctx, c.note); err == nil {
				c.stuck("", nil)
				c.setNote(note)
				break
			}
		}
		c.waits("ledger", c.s.lacks(c.s.readsOutcomes(), err))
		if !Sleep(ctx, wait) {
			return kafkawire.Producer{}, err
		}
	}
	if err := c.awaitRoom(ctx); err != nil {
		return kafkawire.Producer{}, err
	}
	for err := c.ledger.restore(ctx); err != nil; err = c.ledger.restore(ctx) {
		c.waits("ledger", c.s.lacks(c.s.readsOutcomes(), err))
		if !Sleep(ctx, 100*time.Millisecond) {
			return kafkawire.Producer{}, err
		}
	}
	starts := c.ledger.starts.Load()
	p, err := c.fence(ctx)
	// The fence is counted also if it failed half-way, because it has used up an
	// epoch. Whose it is we note when the ledger was read: a producer id that was
	// noted and never waited for would look familiar to the next owner.
	c.setNote(c.note.fenced(c.note.producer, time.Now()))
	if err != nil {
		return p, err
	}
	c.setStage(Loading)
	c.ledger.own(p)
	return p, c.ledger.read(ctx, p, starts, func(err error) { c.stuck("ledger", err) })
}

// keepFence renews the fence in time, and makes a new one when the appender found
// ours broken. ctx ends with the claim. A broken fence is no reason to give the
// partition up: only the group says whose it is, and answers are in our hands
// that the new ledger may lack.
func (c *claim) keepFence(ctx context.Context) {
	renew := time.NewTimer(c.renewIn())
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
			if c.awaitLease(ctx) != nil || c.ledger.catchUp(ctx) != nil {
				return // the claim has ended
			}
			c.outcomes.pause()
		case err := <-c.trouble:
			if errors.Is(err, errMadeAgain) {
				c.log.WithError(err).Warn("its leader knows no fence of ours: fencing again, and reading its ledger from the beginning")
			} else if isTooLarge(err) || isInvalid(err) {
				c.log.WithError(err).Warn("a batch that may have landed is refused when it comes again: fencing again, to look " +
					"into the ledger")
			} else {
				c.log.WithError(err).WithField("runbook", "deploy/runbook.md#two-links").Warn("the fence is broken: asking the group whose the partition is, then fencing again")
				c.s.metrics.refences.Inc()
			}
			c.s.member.heartbeat(ctx)
			if err := c.awaitLease(ctx); err != nil {
				return
			}
		}
		p, err := c.fenceAndRead(ctx)
		if err != nil {
			return // the claim has ended
		}
		c.outcomes.resume(p)
		renew.Reset(c.renewIn())
	}
}

// awaitLease waits until the group counts us in: who has slept for a day would
// otherwise take the fence from the owner of now.
func (c *claim) awaitLease(ctx context.Context) error {
	for !c.s.lease.live() {
		if !Sleep(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// renewIn is when to renew the fence: not for all partitions at once.
func (c *claim) renewIn() time.Duration { return c.s.refence - rand.N(c.s.refence/10) }

// drain asks for the partition. What is still in flight after the drain timeout
// is given up: its results are not published, the next owner calls again with the
// same key.
func (c *claim) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline != nil {
		return
	}
	close(c.draining)
	c.giveUp()
	c.deadline = time.AfterFunc(c.s.cfg.DrainTimeout, c.stop)
}

// lose ends the claim at once: the partition is not ours any more.
func (c *claim) lose() {
	c.mu.Lock()
	c.lost = true
	c.mu.Unlock()
	c.stop()
}

// stop ends the claim, and has told so whoever waits for an append.
func (c *claim) stop() {
	c.cancel()
	c.s.appenders.wake()
}

func (c *claim) isLost() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

func (c *claim) isDraining() bool { return isClosed(c.draining) }

// setStage moves the claim on to a later stage of its life. A fence that is made
// anew while we serve does not lead back: what is loaded stays loaded.
func (c *claim) setStage(next PartitionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stage = max(c.stage, next)
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// Partition implements pipeline.Claim.
func (c *claim) Partition() int32 { return c.partition }

// Look implements pipeline.Claim.
func (c *claim) Look(id payment.IntentID, d event.Digest) pipeline.Known {
	return c.ledger.look(id, d)
}

// Reach implements pipeline.Claim.
func (c *claim) Reach() time.Time { return c.ledger.reachTime() }

// Fresh implements pipeline.Claim.
func (c *claim) Fresh() int64 { return c.fresh }

// Continues implements [pipeline.Claim].
func (c *claim) Continues() bool { return c.ours && !c.ledger.isShort() }

// Live implements pipeline.Claim.
func (c *claim) Live() bool { return c.ctx.Err() == nil && c.s.lease.live() }

// Draining implements pipeline.Claim.
func (c *claim) Draining() <-chan struct{} { return c.draining }

// Lost implements pipeline.Claim.
func (c *claim) Lost() <-chan struct{} { return c.ctx.Done() }

// Append implements pipeline.Claim.
func (c *claim) Append(o pipeline.Answer, done func(error)) {
	c.outcomes.add(entry{id: o.ID, digest: o.Digest, rec: wireRecord(o.Message), done: done})
}

// Bury implements pipeline.Claim.
func (c *claim) Bury(m event.Message, done func(error)) {
	c.deadLetters.add(entry{rec: wireRecord(m), done: done})
}

func wireRecord(m event.Message) kafkawire.Record {
	if m.Time.IsZero() {
		m.Time = time.Now() // brokers refuse what is before 1970
	}
	r := kafkawire.Record{Millis: m.Time.UnixMilli(), Key: m.Key, Value: m.Value}
	if len(m.Headers) > 0 {
		r.Headers = make([]kafkawire.Header, len(m.Headers))
		for i, h := range m.Headers {
			r.Headers[i] = kafkawire.Header{Key: []byte(h.Key), Value: h.Value}
		}
	}
	return r
}
