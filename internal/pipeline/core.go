package pipeline

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"paylink/internal/attempt"
	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// A core decides what becomes of every record that this process has in hand. It
// puts the deciding rooms together: a partition per claim, the scheduler of all
// merchants, an attempt per intent. It takes an event and the time, changes its
// state, and notes in its todo what has to be done. It makes no call, starts no
// goroutine, logs nothing and waits for nothing; what it asks of a claim (Look,
// Reach, Fresh, Continues, Live) is answered from memory.
//
// A core belongs to its Engine's lock.
type core struct {
	cfg     *Config
	sched   *schedule.Scheduler
	workers []*worker      // in the order they were opened
	chance  func() float64 // in [0, 1), for what must not come together
	turns   []*task        // whose turn has come, by key and by intent id
	going   int            // loaded records that could go but for the number of calls
	full    bool           // some worker has no room because of going
	tight   bool           // some worker has no room because of what waits without being loaded
	expiry  time.Time
	total   int // partitions of the intent topic, as the scheduler has them
	links   links
	inHand  inHand
	todo    *todo
}

const (
	// leaseWait is how soon to look again whether the group still counts us in.
	leaseWait = 50 * time.Millisecond

	// fairShare is what every worker may load, however much the others have.
	fairShare = 64

	// expireLook is how soon to look again for records of backlogs that have
	// expired, after all were looked at.
	expireLook = 500 * time.Millisecond

	// mostBacklog is how many records may wait without being loaded, in all partitions
	// of the process: half of it in even shares, the other half for whoever needs it.
	// Beyond it a partition is not read on.
	mostBacklog = 1 << 20

	// mostLoaded is how many bytes of records may be loaded that could go, in all
	// partitions of the process, and as many again of those that are patient: what the
	// claims' budget has room for, and an answer of the broker for each partition.
	mostLoaded = 64 << 20
)

func newCore(cfg *Config, chance func() float64) core {
	name := ""
	if cfg.Turns != nil {
		name = cfg.Turns.Name()
	}
	return core{
		cfg: cfg, chance: chance, todo: &todo{}, inHand: inHand{sums: map[string]int64{ownCurrency: 0}},
		sched: schedule.New(schedule.Config{Concurrency: cfg.Concurrency, GiveUpAfter: cfg.GiveUpAfter, Scope: cfg.Scope, Window: cfg.WindowCount, Name: name, Merchants: cfg.Merchants}),
	}
}

// pump decides all that can be decided now. It is called whenever something has
// changed, or a time has come.
func (c *core) pump(now time.Time) {
	if c.cfg.Partitions != nil && c.cfg.Partitions() != c.total { // added, and given to others
		c.renewShare(now)
	}
	if !c.expiry.IsZero() && !c.expiry.After(now) {
		c.expire(now)
	}
	for {
		c.takeTurns(now)
		step := c.sched.Next(now)
		if step.Kind == schedule.Nothing {
			break
		}
		t := step.Work.Owner.(*task)
		switch step.Kind {
		case schedule.Start:
			c.start(t, now)
		case schedule.Overdue:
			c.timeUp(t, step.Why, now)
		case schedule.Dismiss:
			c.dismiss(t, now)
		case schedule.Resume:
			c.bury(t, t.dead, now)
		}
	}
	c.takeChanges()
	c.todo.notes, c.todo.turns = c.sched.Notes()
}

// hear takes in what another member said about turns that are lent. Who is asked by
// one of a merchant of ours knows from then on what it could lend. Who may not call
// may not lend either: its slots may be another's by now.
func (c *core) hear(n pace.Note, now time.Time) {
	if n.Kind == pace.Ask {
		if len(c.workers) == 0 || slices.ContainsFunc(c.workers, func(w *worker) bool { return !w.claim.Live() }) {
			return
		}
		if c.sched.Lane(n.Merchant) == nil && c.cfg.terms(n.Merchant) != (Terms{}) {
			c.bind(n.Merchant, now)
		}
	}
	c.sched.Hear(n, now)
}

// wake is when to pump again, if nothing changes before.
func (c *core) wake(now time.Time) time.Time {
	wake := c.sched.Wake(now)
	if at := now.Add(c.expiry.Sub(now)); !c.expiry.IsZero() && at.Before(wake) {
		return at
	}
	return wake
}

// take returns what there is to do, and begins anew.
func (c *core) take() *todo {
	d := c.todo
	for _, w := range d.settled {
		w.settled = false
		if next := w.part.Watermark(); next >= 0 {
			d.commits = append(d.commits, commitment{w.claim, next})
		}
	}
	c.todo = todos.Get().(*todo)
	return d
}

// begin sets a task going whose turn it is: by its key, and by its intent id.
func (c *core) begin(t *task, now time.Time) {
	claim := t.worker.claim
	c.follows(t, false)
	switch {
	case t.dead != nil:
		c.bury(t, t.dead, now)
	case c.known(t, now):
	case t.conflict:
		c.bury(t, errConflict, now)
	case t.isTooOld():
		c.enter(t, publishing, now)
		c.todo.bury = append(c.todo.bury, burial{task: t, reach: claim.Reach()})
	case t.unfit != nil:
		c.bury(t, t.unfit, now)
	case len(t.dec.Violations) > 0:
		if t.dec.BySettings && t.mayBeCalled() { // by those of before it may have been called for
			t.try.Doubt = attempt.Inherited
		}
		c.publish(t, t.try.Invalid(t.dec.Violations, now), now)
	default:
		if t.mayBeCalled() {
			t.try.Doubt = attempt.Inherited
		}
		if t.work.Lane() == nil { // the ledger reached less far back when it arrived
			t.work.Own(c.lane(t.dec.Intent.Merchant, now))
		}
		c.queue(t, now)
	}
}

// unpublished is told that an outcome is too large to be published. The intent may be
// called for again, by a repeat of it or when it is redriven.
func (c *core) unpublished(t *task) {
	if w := t.worker; t.try.Calls > 0 || t.try.Doubt != 0 {
		if len(w.unpublished) < mostUnpublished {
			w.unpublished[t.rec.ID] = true
		} else {
			w.doubtful = true
		}
	}
}

// mostUnpublished bounds how many intents are remembered for that; beyond it, all
// may be among them.
const mostUnpublished = 10_000

// errConflict says that an intent id has come before with other content.
var errConflict = &event.Unreadable{Reason: event.Conflict, Text: "the intent id came before with other content: give the changed intent an id of its own"}

// known ends a task whose intent has an outcome already, and reports whether it
// has.
func (c *core) known(t *task, now time.Time) bool {
	switch known := t.worker.claim.Look(t.rec.ID, t.dec.Digest); known {
	case Answered, Repeated:
		c.todo.skipped[known]++
		c.ends(t, known.String())
		c.finish(t, now)
	case Differs:
		c.bury(t, errConflict, now)
	default:
		return false
	}
	return true
}

// queue has a task called for in its merchant's turn.
func (c *core) queue(t *task, now time.Time) {
	c.enter(t, queued, now)
	c.looks(t, t.class() == schedule.Last)
	t.work.LooksUp = t.try.IsLookUp()
	c.sched.Queue(&t.work, t.class(), now)
	if t.work.Lane().IsPaced() { // it must not fill the window, or others would not be read
		c.yield(t)
	}
}

// backOff puts a task aside for a while. Whoever waits for a time takes no room
// from those that could go.
func (c *core) backOff(t *task, wait time.Duration, now time.Time) {
	c.enter(t, backingOff, now)
	t.work.LooksUp = t.try.IsLookUp()
	c.sched.BackOff(&t.work, t.class(), wait, now)
	if t.backlog != nil {
		c.yield(t)
	}
}

// start calls for a task whose merchant may be called, unless the lease is gone,
// or the intent has its outcome: by a fence that was renewed while it waited, or
// by another partition's claim.
func (c *core) start(t *task, now time.Time) {
	if !t.worker.claim.Live() {
		c.backOff(t, leaseWait, now)
		return
	}
	if !t.try.IsLinked() && c.known(t, now) {
		return
	}
	c.enter(t, calling, now)
	if !t.try.IsLookUp() {
		t.asked = now
	}
	c.sched.Begin(&t.work, now)
	c.todo.calls = append(c.todo.calls, t)
}

// timeUp settles a task whose time is up, or has it looked up first.
func (c *core) timeUp(t *task, why payment.Reason, now time.Time) {
	var d attempt.Decision
	t.try, d = t.try.Over(why, t.work.Lane().Knows(&t.work), now)
	if s, ok := d.(attempt.Settle); ok {
		c.publish(t, t.explained(s.Outcome), now)
		return
	}
	c.looks(t, true)
	c.sched.LookFirst(&t.work, now)
	if t.work.IsQueued() {
		c.enter(t, queued, now)
	}
}

// dismiss settles a task whose merchant is not configured any more.
func (c *core) dismiss(t *task, now time.Time) {
	if t.try.IsLinked() { // there is nobody to ask whether there is another payment
		c.finish(t, now)
		return
	}
	c.publish(t, t.try.Dismissed(now), now)
}

// answered takes in how a call for a task has ended. lost says that the partition
// is not ours any more: the answer is nobody's.
func (c *core) answered(t *task, a answer, lost bool, now time.Time) {
	var d attempt.Decision
	if a.lookUp {
		t.try, d = t.try.Found(a.status, a.err, c.onWay(t, now), now)
	} else {
		if a.err == nil && !c.links.take(c.gatewayOf(t), a.link.PaymentID, t.rec.ID) {
			a.err = errShared
			c.todo.shared = append(c.todo.shared, t)
		}
		t.try, d = t.try.Opened(a.link, a.err, now)
		if a.isSigned() {
			t.asked = time.Time{}
		}
	}
	r := a.result(d)
	if r.Late = lost || t.worker.closed; lost {
		r.How = schedule.Unasked
	}
	// The scheduler is told in any case: what was learned of merchant and gateway is
	// true, whoever owns the partition now.
	c.sched.End(&t.work, r, now)
	c.takeChanges()
	switch d := d.(type) {
	case attempt.Compared:
		if d.Second && !lost {
			c.todo.second = append(c.todo.second, t)
		}
		if !lost {
			c.finish(t, now)
			return
		}
	case attempt.Settle:
		if !lost {
			c.publish(t, d.Outcome, now)
			return
		}
	}
	if lost || t.worker.closed {
		c.abandon(t, now)
		return
	}
	switch d := d.(type) {
	case attempt.Repeat:
		c.repeat(t, d.AtLeast, now)
	case attempt.PutAside:
		c.again(t, pace.HoldProbes().Delay(d.Denials, 1), now)
	default:
		c.queue(t, now)
	}
}

// gatewayOf names the gateway that a task's call went to.
func (c *core) gatewayOf(t *task) string {
	return cmp.Or(c.cfg.terms(t.dec.Intent.Merchant).Gateway, t.work.Lane().Endpoint())
}

// onWay is for how long a call for a task may still be on its way to the gateway: one
// of an owner before us, or one of ours that nobody has signed an answer to. It is more
// than zero too if one still was when the look-up began that has just been answered.
func (c *core) onWay(t *task, now time.Time) time.Duration {
	began := t.asked
	if t.try.Doubt == attempt.Inherited && t.worker.opened.After(began) {
		began = t.worker.opened
	}
	arrived := began.Add(c.cfg.CallTimeout)
	if began.IsZero() || !t.since.Before(arrived) {
		return 0
	}
	return max(time.Millisecond, arrived.Sub(now))
}

// looks counts a task in its backlog as waiting for its last look, or not any more.
func (c *core) looks(t *task, on bool) {
	if t.looking == on || t.backlog == nil {
		return
	}
	if t.looking = on; on {
		c.repeats(t, false)
		t.backlog.Looks(1)
	} else {
		t.backlog.Looks(-1)
	}
}

// repeats counts a task in its backlog as one that has to be called for again, or not
// any more.
func (c *core) repeats(t *task, on bool) {
	if t.repeats == on || t.backlog == nil || on && t.looking {
		return
	}
	if t.repeats = on; on {
		t.backlog.Repeats(1)
	} else {
		t.backlog.Repeats(-1)
	}
}

// follows counts a task in its backlog as one that is behind another of its key, or
// intent id, or not any more.
func (c *core) follows(t *task, on bool) {
	if t.follows == on || t.backlog == nil {
		return
	}
	if t.follows = on; on {
		t.backlog.Follows(1)
	} else {
		t.backlog.Follows(-1)
	}
}

// repeat has a task wait, and call again.
func (c *core) repeat(t *task, atLeast time.Duration, now time.Time) {
	wait := max(atLeast, c.cfg.Backoff.Delay(t.try.Repeats, c.chance()))
	t.try.Repeats++
	r := repetition{task: t, wait: wait, class: "other"}
	if t.try.Last != nil {
		r.cause, r.class = t.try.Last.Cause, strings.ReplaceAll(t.try.Last.Class.String(), " ", "_")
	}
	c.todo.repeated = append(c.todo.repeated, r)
	c.again(t, wait, now)
}

// again has a task wait that has to be called for again. Others may be read meanwhile.
func (c *core) again(t *task, wait time.Duration, now time.Time) {
	c.backOff(t, wait, now)
	c.repeats(t, true)
	if t.backlog != nil {
		c.readBacklog(t.worker, t.backlog, now)
	}
}

// enter moves a task to another stage.
func (c *core) enter(t *task, s stage, now time.Time) {
	w := t.worker
	if t.stage.isActive() {
		w.active--
	}
	if s.isActive() {
		w.active++
	}
	switch {
	case t.stage != publishing && s == publishing:
		c.sched.Publishing(1)
	case t.stage == publishing && s != publishing:
		c.sched.Publishing(-1)
	}
	t.spent[t.stage] += now.Sub(t.since)
	t.stage, t.since = s, now
	c.inHand.recount(t)
}

// yield gives a task's room, and that of those behind it, to those that could go now.
func (c *core) yield(t *task) {
	if n := t.worker.part.Yield(&t.rec); n > 0 {
		c.leaveRoom(t.worker, n)
	}
}

// leaveRoom tells whoever waits for room that so many tasks take none any more.
func (c *core) leaveRoom(w *worker, n int) {
	c.going -= n
	tell(w.room)
	if c.full {
		c.full = false
		for _, other := range c.workers {
			tell(other.room)
		}
	}
}

// takeChanges takes in what has changed with merchants and endpoints: what waits
// now for something other than room gives its room to others.
func (c *core) takeChanges() {
	for _, ch := range c.sched.Changes() {
		switch ch.Kind {
		case schedule.HoldBegan, schedule.Crowds:
			c.yieldLane(c.sched.Lane(ch.Merchant))
		case schedule.EndpointDown:
			for l := range c.sched.Lanes() {
				if l.Endpoint() == ch.Endpoint {
					c.yieldLane(l)
				}
			}
		}
		c.todo.changes = append(c.todo.changes, ch)
	}
}

func (c *core) yieldLane(l *schedule.Lane) {
	for w := range l.Queued() {
		c.yield(w.Owner.(*task))
	}
}

// tell wakes whoever waits on a channel that holds one token.
func tell(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
