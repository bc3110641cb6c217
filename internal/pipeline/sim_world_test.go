package pipeline

import (
	"strconv"
	"time"

	"paylink/internal/answered"
	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
)

// A simPartition is what outlives every member: the records of one partition, and
// what was ever published for them.
type simPartition struct {
	number    int32
	records   []*simRecord
	committed int64
	epoch     int       // of the newest fence
	owner     *simClaim // as the group has it; nil: nobody
	coming    bool      // somebody is about to claim it
	outcomes  []simPublished
}

// A simPublished is a record of the outcome partition.
type simPublished struct {
	answered.Outcome
	by *simClaim
}

// A simRecord is one record, decoded.
type simRecord struct {
	Record
	dec     event.Decoded
	dead    *event.Unreadable
	id      int
	key     string
	strange bool
	odd     simOddity
	host    string
	due     time.Time // when its age is up, or it expires
	buried  bool
}

// A simLedger is what one process knows of an outcome partition, as a ledger of
// kafkaio does.
type simLedger struct {
	known *answered.Set
	next  int // to be read of the partition
	reach time.Time
}

// simSlack is how far clocks may differ before an outcome could be missed.
const simSlack = 10 * time.Minute

// ledger is a member's, of a partition.
func (m *simMember) ledger(p *simPartition) *simLedger {
	l := m.ledgers[p.number]
	if l == nil {
		window := m.s.plan.world.reach
		l = &simLedger{known: answered.New(simAlways)}
		if window > 0 {
			l = &simLedger{known: answered.New(window + simSlack), reach: simStart.Add(m.s.now - window)}
		}
		m.ledgers[p.number] = l
	}
	return l
}

// simAlways is a window that is never over.
const simAlways = 1000 * time.Hour

// read reads on to the end of the partition. Whoever fences does: nobody before it
// can append any more.
func (l *simLedger) read(m *simMember, p *simPartition) {
	for _, o := range p.outcomes[l.next:] {
		o.Ours = o.by.m == m && o.by.life == m.life
		l.known.Add(o.Outcome)
	}
	l.next = len(p.outcomes)
	l.trim(m)
}

func (l *simLedger) trim(m *simMember) {
	if reach := l.known.Trim(m.time()); !reach.IsZero() {
		l.reach = reach.Add(simSlack)
	}
}

// A simClaim is one partition in a member's hands. It is the Claim of the core's
// worker.
type simClaim struct {
	Claim    // what the core does not ask for
	s        *sim
	m        *simMember
	life     int
	part     *simPartition
	w        *worker
	epoch    int
	ledger   *simLedger
	fresh    int64
	began    time.Duration
	next     int64 // to be polled
	pending  []*task
	waiting  bool          // for a record, in Poll
	down     time.Duration // since when it waits for a gateway; 0: it does not
	admits   bool          // an admission is on its way
	draining bool
	drained  bool
	lost     bool
	closed   bool
	lastLand time.Duration
	calls    []*simFlight
}

func (c *simClaim) Partition() int32 { return c.part.number }
func (c *simClaim) Reach() time.Time { return c.ledger.reach }
func (c *simClaim) Fresh() int64     { return c.fresh }
func (c *simClaim) Continues() bool  { return true }
func (c *simClaim) Live() bool       { return !c.lost && c.s.now < c.m.lease }

func (c *simClaim) Look(id payment.IntentID, d event.Digest) Known {
	return c.ledger.known.Look([]byte(id), d)
}

// simTurns are a member's name. What it says is taken from its todo.
type simTurns struct {
	Turns
	name string
}

func (t simTurns) Name() string { return t.name }

// say brings a note to all other members, or to the one that it is to: late, twice or
// not at all. Those that Kafka does not hear say it later, and hear it later.
func (s *sim) say(from *simMember, n pace.Note) {
	if n.Kind == pace.Loan {
		s.h.loans = append(s.h.loans, simLoan{at: s.now, by: n.From, to: n.To, merchant: n.Merchant})
	}
	w := s.plan.world.notes
	for _, m := range s.members {
		drawn := s.next()
		if m == from || s.roll(simRollNote, m.number, uint64(drawn))%100 < uint64(w.lost) {
			continue
		}
		copies := 1
		if s.roll(simRollNote, m.number+100, uint64(drawn))%100 < uint64(w.doubled) {
			copies = 2
		}
		for range copies {
			var arrive func()
			arrive = func() {
				switch {
				case !m.alive || n.To != "" && n.To != strconv.Itoa(m.id()):
				case m.frozen > 0 || from.frozen > 0:
					s.after(100*time.Millisecond, arrive)
				default:
					m.do(func(now time.Time) { m.core.hear(n, now) })
				}
			}
			s.after(s.between(simRollNote, m.number+200, s.next(), w.quickest, w.slowest), arrive)
		}
	}
}

// A simFlight is a call of the gateway.
type simFlight struct {
	task  *task
	claim *simClaim
	in    payment.Intent
	log   int // in the history
	find  bool
	over  bool // the caller knows how it ended
}

// errSim makes the errors of the gateway's client.
func errSim(c payment.Class, cause string, signed bool) *payment.GatewayError {
	return &payment.GatewayError{Class: c, Cause: cause, Signed: signed}
}

var (
	simTimeout   = errSim(payment.InDoubt, "timeout", false)
	simUnsigned  = errSim(payment.InDoubt, "unsigned_ok", false)
	simDial      = errSim(payment.NotSent, "dial", false)
	simRefusal   = errSim(payment.RefusedForGood, "refused", true)
	simProxy     = errSim(payment.RefusedForGood, "refused", false)
	simTaken     = errSim(payment.IsDuplicate, "duplicate", true)
	simOurs      = errSim(payment.Misconfigured, "credentials", true)
	simPerhaps   = errSim(payment.Misconfigured, "credentials", false)
	simCancelled = errSim(payment.InDoubt, "cancelled", false)
)

// call makes a call for a task: it is with the gateway after a while, and its answer
// is back after another.
func (s *sim) call(c *simClaim, t *task) {
	in := t.dec.Intent
	rec := c.part.records[t.rec.Offset]
	f := &simFlight{task: t, claim: c, in: in, find: t.try.IsLookUp(), log: len(s.h.calls)}
	n := s.callsOf[rec.id]
	s.callsOf[rec.id]++
	wall := c.m.time()
	s.h.calls = append(s.h.calls, simCall{
		at: s.now, id: rec.id, offset: t.rec.Offset, part: c.part.number, member: c.m.number*1000 + c.life, lentBy: t.work.LentBy(), merchant: in.Merchant, digest: t.dec.Digest, key: in.IdempotencyKey,
		find: f.find, compare: t.try.IsLinked(), epoch: c.epoch, began: c.began, expired: !in.ExpiresAt.IsZero() && !wall.Before(in.ExpiresAt), due: rec.due,
	})
	c.calls = append(c.calls, f)
	if c.m.flying++; c.m.flying > c.m.cfg.Concurrency && c.m.fewer == 0 {
		s.h.broken = append(s.h.broken, simBreach{"bound", rec.id, "more calls are in flight than there may be"})
	}
	w := &s.plan.world
	host := rec.host
	mood, roll := s.mood(rec, uint64(n), f.find)
	there := w.quickest + s.between(simRollThere, rec.id, n, 0, w.slowest/2)
	back := s.between(simRollBack, rec.id, n, 0, w.slowest/2)
	switch {
	case rec.odd != oddNot:
		s.oddly(f, rec, there)
		return
	case s.hangs[in.Merchant] > int(roll%100) && w.slow > 0:
		there = w.slow
	case s.hangs[in.Merchant] > int(roll%100), s.silent[in.Merchant] > 0 && roll%2 == 0:
		s.after(w.callTimeout, func() { s.answer(f, answer{err: simTimeout}) })
		return
	case s.silent[in.Merchant] > 0, s.down[host] > 0 && roll%3 > 0:
		s.after(there, func() { s.answer(f, answer{err: simDial}) })
		return
	case s.down[host] > 0, mood == simMoodLost:
		s.after(w.callTimeout, func() { s.answer(f, answer{err: simTimeout}) })
		return
	case mood == simMoodUnsent:
		s.after(there, func() { s.answer(f, answer{err: simDial}) })
		return
	case mood == simMoodProxy && !f.find:
		// Somebody on the way answers in the gateway's place, which may have the call all
		// the same, or have it later, when a look-up has found nothing.
		switch roll % 8 {
		case 0:
			s.after(there, func() { s.arrive(f, rec, mood, roll) })
		case 1:
			s.after(s.between(simRollThere, rec.id, n, 0, w.callTimeout), func() { s.arrive(f, rec, mood, roll) })
		}
		s.after(there, func() { s.answer(f, answer{err: simProxy}) })
		return
	case mood == simMoodEaten:
		if roll%2 == 0 { // it arrives when nobody waits any more
			there = s.between(simRollThere, rec.id, n, 0, w.callTimeout)
		}
		s.after(there, func() { s.arrive(f, rec, mood, roll) })
		told := w.callTimeout
		if roll%4 == 1 {
			told = max(there, w.callTimeout/4)
		}
		s.after(told, func() { s.answer(f, answer{err: simTimeout}) })
		return
	}
	s.after(min(there, w.callTimeout), func() {
		a := s.arrive(f, rec, mood, roll)
		s.after(back, func() { s.answer(f, a) })
	})
}

// oddly answers a call for an order that is odd.
func (s *sim) oddly(f *simFlight, rec *simRecord, there time.Duration) {
	a, wait := answer{err: simTimeout}, there
	switch {
	case f.find && (rec.odd == oddDuplicate || rec.odd == oddRefused):
		a.err = simOurs
	case rec.odd == oddSilent, f.find && rec.odd == oddUnknown:
		wait = s.plan.world.callTimeout
	case rec.odd == oddUnsent:
		a.err = simDial
	case rec.odd == oddLater:
		a.err = &payment.GatewayError{Class: payment.InDoubt, Cause: "http_429", RetryAfter: time.Hour}
	case rec.odd == oddDuplicate, rec.odd == oddUnknown:
		a.err = simTaken
	case f.find:
		s.payments[rec.id] = max(1, s.payments[rec.id])
		a = answer{status: payment.Status{PaymentID: s.payments[rec.id], OrderID: f.in.OrderID, State: "new"}}
	default:
		a.err = simProxy
	}
	s.after(wait, func() { s.answer(f, a) })
}

// arrive is the gateway's side of a call.
func (s *sim) arrive(f *simFlight, rec *simRecord, mood simMood, roll uint64) answer {
	m := rec.dec.Intent.Merchant
	paid := &s.payments[rec.id]
	switch {
	case rec.strange && (s.now <= s.mended || s.plan.kind == simOdd), s.deny[m] > 0:
		if s.denyUnsigned[m] > 0 || rec.strange && roll%2 == 0 {
			return answer{err: simPerhaps}
		}
		return answer{err: simOurs}
	case f.find && s.blind[m] > 0:
		return answer{err: simOurs}
	case mood == simMoodWait:
		return answer{err: &payment.GatewayError{Class: payment.InDoubt, Cause: "http_429", RetryAfter: time.Duration(roll%20_000) * time.Millisecond}}
	case f.find && *paid == 0:
		return answer{err: payment.ErrNotFound}
	case f.find:
		return answer{status: payment.Status{PaymentID: *paid, OrderID: f.in.OrderID, State: "new"}}
	case s.refuses(rec, s.callsOf[rec.id]):
		return answer{err: simRefusal}
	}
	switch {
	case *paid == 0, s.plan.world.repeated == paysAgain:
		s.made++
		*paid = s.made
	case s.plan.world.repeated == saysDuplicate:
		return answer{err: simTaken}
	}
	if mood == simMoodUnsigned {
		return answer{err: simUnsigned}
	}
	s.h.calls[f.log].paid = *paid
	return answer{link: payment.Link{PaymentID: *paid, RedirectURL: "https://pay.example/", RedirectURLType: payment.URLNeedData}}
}

// refuses reports whether the gateway refuses an intent for good: always, or, as it
// may where it does not honour keys, from some call on.
func (s *sim) refuses(rec *simRecord, call int) bool {
	if s.payments[rec.id] != 0 && s.plan.world.repeated == answersAgain {
		return false
	}
	from := int(s.roll(simRollRefuse, rec.id, 1) % 3)
	return call > from && int(s.roll(simRollRefuse, rec.id, 0)%100) < s.plan.world.moods.refused
}

// answer tells the caller how its call ended, once.
func (s *sim) answer(f *simFlight, a answer) {
	c := f.claim
	if f.over || !c.m.alive || c.life != c.m.life {
		return
	}
	f.over = true
	for i, other := range c.calls {
		if other == f {
			c.calls = append(c.calls[:i], c.calls[i+1:]...)
			break
		}
	}
	c.m.flying--
	a.lookUp = f.find
	call := &s.h.calls[f.log]
	call.ended, call.told = s.now, true
	if ge, ok := a.err.(*payment.GatewayError); ok {
		call.doubt = !f.find && (ge.Class == payment.InDoubt || ge.Class == payment.Misconfigured && !ge.Signed)
		call.paid = 0
		call.class = int(ge.Class) + 1
	} else if a.err != nil {
		call.class = 9
	}
	call.verified = call.paid != 0
	c.m.do(func(now time.Time) { c.m.core.answered(f.task, a, c.lost, now) })
}

type simMood int

const (
	simMoodWell simMood = iota
	simMoodLost
	simMoodEaten
	simMoodUnsent
	simMoodWait
	simMoodUnsigned
	simMoodProxy
)

// mood is how the gateway takes a call. When all is mended it is well.
func (s *sim) mood(rec *simRecord, n uint64, find bool) (simMood, uint64) {
	roll := s.roll(simRollMood, rec.id, n)
	if s.now > s.mended {
		return simMoodWell, roll >> 8
	}
	x, m := int(roll%100), s.plan.world.moods
	for i, part := range [...]int{m.lost, m.eaten, m.unsent, m.wait, m.unsigned, m.proxy} {
		if x -= part; x < 0 {
			return simMood(i + 1), roll >> 8
		}
	}
	return simMoodWell, roll >> 8
}

// append makes an outcome durable after a while, unless the fence is broken.
func (s *sim) append(c *simClaim, p publication) {
	rec := c.part.records[p.task.rec.Offset]
	published := answered.Outcome{ID: []byte(p.task.rec.ID), Digest: p.task.dec.Digest, Ours: true, At: c.m.time().Round(0)}
	s.land(c, rec, func() error {
		if c.m.alive && c.life == c.m.life && c.Look(p.task.rec.ID, p.task.dec.Digest) != Unknown {
			return ErrAnswered // as an appender finds before it sends
		}
		c.part.outcomes = append(c.part.outcomes, simPublished{published, c})
		o := simOutcome{at: s.now, id: rec.id, offset: rec.Offset, part: c.part.number, member: c.m.number*1000 + c.life, epoch: c.epoch, digest: p.task.dec.Digest, due: rec.due, wall: c.m.time(), timeless: p.task.timeless}
		switch out := p.outcome.(type) {
		case payment.Created:
			o.created, o.payment = true, out.PaymentID
		case payment.Failed:
			o.reason, o.mayExist = out.Reason, out.PaymentMayExist
		}
		s.h.outcomes = append(s.h.outcomes, o)
		return nil
	}, func(err error) {
		if err == nil {
			c.ledger.known.Add(published)
			c.ledger.trim(c.m)
		}
		c.m.do(func(now time.Time) {
			if err == ErrAnswered {
				c.m.core.withheld(p.task, now)
				return
			}
			c.m.core.published(p.task, p.outcome, err, now)
		})
	})
}

// bury makes a dead letter durable after a while. Those are not fenced.
func (s *sim) bury(c *simClaim, b burial) {
	rec := c.part.records[b.task.rec.Offset]
	wait := s.between(simRollBury, rec.id, int(rec.Offset), time.Millisecond, s.plan.world.appends)
	s.after(wait, func() {
		if !c.m.alive || c.life != c.m.life {
			return
		}
		var err error
		if c.lost {
			err = ErrLost
		} else {
			rec.buried = true
			s.h.dead = append(s.h.dead, simDead{at: s.now, part: c.part.number, offset: rec.Offset})
		}
		c.m.do(func(now time.Time) { c.m.core.buried(b.task, err, now) })
	})
}

// land lets an append arrive, in the order of its claim's appends, and tells the
// claim so. What a member sent before it died may arrive after that.
func (s *sim) land(c *simClaim, rec *simRecord, put func() error, done func(error)) {
	n := s.next()
	at := max(c.lastLand+1, s.now+s.between(simRollLand, rec.id, n, time.Millisecond, s.plan.world.appends))
	c.lastLand = at
	mine := func() bool { return c.m.alive && c.life == c.m.life }
	var arrive func()
	arrive = func() {
		switch {
		case !mine() && s.roll(simRollDead, rec.id, uint64(n))%2 == 0:
			return
		case mine() && c.lost:
			done(ErrLost)
			return
		case mine() && (c.m.frozen > 0 || !c.Live()):
			s.after(50*time.Millisecond, arrive)
			return
		case c.epoch < c.part.epoch && c.part.owner == c && mine(): // a stranger's: fence anew
			c.part.epoch++
			c.epoch = c.part.epoch
			c.ledger.read(c.m, c.part)
			s.after(20*time.Millisecond, arrive)
			return
		case c.epoch < c.part.epoch:
			if mine() {
				s.lose(c)
				done(ErrLost)
			}
			return
		}
		err := put()
		s.after(s.between(simRollAck, rec.id, n, 0, s.plan.world.appends), func() {
			if mine() {
				if c.lost {
					err = ErrLost
				}
				done(err)
			}
		})
	}
	s.after(at-s.now, arrive)
}

// commit moves the group's committed offset, if the claim still counts.
func (s *sim) commit(c *simClaim, next int64) {
	wait := s.between(simRollCommit, int(c.part.number), s.next(), 0, 50*time.Millisecond)
	if c.draining {
		wait = 0 // before it is handed over
	}
	var arrive func()
	arrive = func() {
		if c.part.owner != c || !c.m.alive || c.life != c.m.life || next <= c.part.committed {
			return
		}
		if c.m.frozen > 0 {
			s.after(100*time.Millisecond, arrive)
			return
		}
		c.part.committed = next
		s.h.commits = append(s.h.commits, simCommit{s.now, c.part.number, next})
	}
	s.after(wait, arrive)
}

// read reads records again.
func (s *sim) read(c *simClaim, r reading) {
	s.after(s.between(simRollRead, int(c.part.number), s.next(), time.Millisecond, 50*time.Millisecond), func() {
		if c.lost || c.closed || !c.m.alive || c.life != c.m.life {
			return
		}
		byOffset := make(map[int64]*task, len(r.offsets))
		for _, o := range r.offsets {
			byOffset[o] = c.part.records[o].task(c.w)
		}
		c.m.do(func(now time.Time) { c.m.core.reread(r, byOffset, now) })
	})
}

// task makes a task of a record.
func (rec *simRecord) task(w *worker) *task {
	t := newTask(w, rec.Record)
	if rec.dead != nil {
		t.unreadable(rec.dead)
	} else {
		dec := rec.dec
		if w.claim.(*simClaim).s.tight[dec.Intent.Merchant] > 0 && len(dec.Violations) == 0 {
			dec.Violations, dec.BySettings = []payment.Violation{{Field: "result_url", Rule: "must be"}}, true
		}
		t.decoded(dec)
	}
	return t
}
