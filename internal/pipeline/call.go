package pipeline

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sirupsen/logrus"

	"paylink/internal/event"
	"paylink/internal/payment"
)

// leaseWait is how soon to look again whether the group still counts us in.
const leaseWait = 50 * time.Millisecond

// begin sets a task going whose turn it is: by its key, and by its intent id;
// mu held.
func (e *Engine) begin(t *task) {
	d, w := t.desk, t.work
	if w.dead != nil {
		e.startBurial(t, w.dead)
		return
	}
	if e.known(t) {
		return
	}
	now := time.Now()
	switch reach := d.claim.Reach(); {
	case t.at.Before(reach):
		e.startBurial(t, &event.Unreadable{Reason: event.TooOld, Text: fmt.Sprintf("the record is from %s, answered intents are known from %s on: check whether it has a link, then emit it again with a new time", t.at.UTC().Format(time.RFC3339), reach.UTC().Format(time.RFC3339))})
	case len(w.dec.Violations) > 0:
		e.startPublishing(t, invalid(w.dec.Violations, now))
	default:
		w.try.strange = t.offset < d.claim.Fresh()
		e.enqueue(t)
	}
}

// known ends a task whose intent has an outcome already, and reports whether it
// has; mu held.
func (e *Engine) known(t *task) bool {
	switch f := t.desk.claim.Look(t.id, t.work.dec.Digest); f {
	case Answered, Repeated:
		e.skip(f)
		e.finish(t)
	case Differs:
		e.startBurial(t, &event.Unreadable{Reason: event.Conflict, Text: "the intent id was answered before with other content: give the changed intent an id of its own"})
	default:
		return false
	}
	return true
}

// skip counts an intent that needs nothing any more; mu held.
func (e *Engine) skip(f Known) {
	e.skips.note(f)
	e.metrics.skipped[f].Inc()
}

// overdue returns the outcome of a task whose time is up. If it turns out not to
// be, because time on hold does not count, it returns nil, and the task's by is
// when to look again; mu held.
func (e *Engine) overdue(t *task, now time.Time) payment.Outcome {
	in, tr := t.work.dec.Intent, &t.work.try
	if tr.linked != 0 { // its outcome is published
		t.by = now.Add(e.cfg.GiveUpAfter).UnixNano()
		return nil
	}
	held := e.lane(in.Merchant).hold.heldSince(t.at, now)
	o := tr.overdue(in, age{record: t.at, giveUp: e.cfg.GiveUpAfter, held: held}, now)
	if o == nil {
		t.by = t.deadline(max(e.cfg.GiveUpAfter+held, now.Sub(t.at)+overdueLook))
	}
	return o
}

// overdueLook is how soon to look again at a task whose hold alone keeps it from
// being given up. When it expires is looked at in time.
const overdueLook = time.Second

// dismiss settles a task whose merchant is not configured any more; mu held.
func (e *Engine) dismiss(t *task, now time.Time) {
	if t.work.try.linked != 0 { // its outcome is published; there is nobody to ask whether there is another
		e.finish(t)
		return
	}
	e.startPublishing(t, t.work.try.dismissed(now))
}

// dispatch starts a call; mu held.
func (e *Engine) dispatch(t *task, l *lane, now time.Time) {
	if t.probe = l.hold.on; t.probe {
		l.hold.probe(now)
		e.reschedule(l, now)
	}
	t.told = t.work.try.told()
	if !t.work.try.asking {
		t.told.Attempts++
	}
	t.enter(calling)
	t.began, t.host, l.called = now, l.host, now
	t.host.began(now)
	e.inFlight++
	e.metrics.inFlight.Set(float64(e.inFlight))
	e.calls.Add(1)
	select {
	case e.handed <- t:
	default:
		go e.caller(t)
	}
}

// callerIdle is how long a caller waits for another task. Callers are kept
// because a fresh goroutine has to grow its stack for every call.
const callerIdle = time.Second

// caller makes calls, one after the other, as long as there are any.
func (e *Engine) caller(t *task) {
	idle := time.NewTimer(callerIdle)
	defer idle.Stop()
	for {
		e.call(t)
		idle.Reset(callerIdle)
		select {
		case t = <-e.handed:
		case <-idle.C:
			return
		}
	}
}

// call asks the gateway once and acts on its answer.
func (e *Engine) call(t *task) {
	defer e.calls.Done()
	v, err := e.ask(t)
	e.mu.Lock()
	e.inFlight--
	e.metrics.inFlight.Set(float64(e.inFlight))
	l := e.lane(t.work.dec.Intent.Merchant)
	t.host.ended(e, t, err, time.Now())
	v.hold = !l.gone && (v.hold || l.suspects(v, t.work.try.last))
	l.known = l.known || !v.hold
	if err == nil || isNotFound(err) || v.outcome != nil || v.ask { // whatever it says: our credentials were taken
		l.hold.end(e, l)
	}
	l.lastErr = ""
	if err != nil && !isNotFound(err) {
		l.lastErr = errorClass(payment.AsGatewayError(err))
	}
	switch {
	case t.desk.ctx.Err() != nil: // lost: the answer is nobody's
		e.abandon(t)
	case v.confirmed:
		e.confirmed(t, v.second)
	case v.outcome != nil:
		t.enter(appending)
		e.pump()
		e.mu.Unlock()
		e.publish(t, v.outcome)
		return
	case t.desk.closed:
		e.abandon(t)
	case v.hold:
		l.hold.begin(e, l, t)
		e.enqueue(t)
	case v.ask:
		e.enqueue(t)
	default:
		e.repeat(t, v.after)
	}
	e.pump()
	e.mu.Unlock()
}

// ask makes the call that is due: Init, or a status lookup.
func (e *Engine) ask(t *task) (verdict, error) {
	tr, in := &t.work.try, t.work.dec.Intent
	began, asking := time.Now(), tr.asking
	var v verdict
	var err error
	if asking {
		var st payment.Status
		st, err = e.cfg.Gateway.Find(t.desk.ctx, in)
		v = tr.afterFind(st, err, time.Now())
	} else {
		var link payment.Link
		link, err = e.cfg.Gateway.Open(t.desk.ctx, in)
		v = tr.afterOpen(link, err, time.Now())
	}
	e.metrics.called(asking, err, time.Since(began))
	return v, err
}

// repeat has a task wait, and call again; mu held.
func (e *Engine) repeat(t *task, atLeast time.Duration) {
	tr := &t.work.try
	wait := max(atLeast, e.cfg.Backoff.Delay(tr.repeats, rand.Float64()))
	tr.repeats++
	e.metrics.repeats.Inc()
	e.log.WithFields(t.fields()).WithField("cause", tr.cause()).WithField("wait", wait.Round(time.Millisecond).String()).Debug("no answer to rely on: calling again")
	e.backOff(t, wait)
}

// abandon leaves a task unsettled: its partition is handed over or lost; mu held.
func (e *Engine) abandon(t *task) {
	t.enter(finished)
	if d := t.desk; d.closed && d.active == 0 {
		tell(d.idle)
	}
}

func (e *Engine) startPublishing(t *task, o payment.Outcome) {
	t.enter(appending)
	e.calls.Add(1)
	go func() {
		defer e.calls.Done()
		e.publish(t, o)
	}()
}

// publish encodes and appends an outcome.
func (e *Engine) publish(t *task, o payment.Outcome) {
	m, ok := e.encode(t, o)
	if !ok {
		e.published(t, o, ErrLost)
		return
	}
	t.desk.claim.Append(Answer{ID: t.id, Digest: t.work.dec.Digest, Message: m}, func(err error) { e.published(t, o, err) })
}

// encode encodes an outcome. What stands in the way is waited out: an outcome
// is never dropped.
func (e *Engine) encode(t *task, o payment.Outcome) (event.Message, bool) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		m, err := e.cfg.Encoder.Outcome(t.desk.ctx, t.work.dec, t.work.rec.Key, e.place(t), o)
		if err == nil {
			return m, true
		}
		e.log.WithError(err).WithFields(t.fields()).Error("cannot encode the outcome yet: its key waits")
		select {
		case <-t.desk.ctx.Done():
			return m, false
		case <-time.After(wait):
		}
	}
}

// published is told how an append ended.
func (e *Engine) published(t *task, o payment.Outcome, err error) {
	switch {
	case errors.Is(err, ErrTooLarge):
		e.bury(t, &event.Unreadable{Reason: event.TooLarge, Text: "the outcome does not fit into a record of the outcome topic: raise its max.message.bytes, then redrive"})
		return
	case err == nil:
		e.report(t, o)
		if c, ok := o.(payment.Created); ok && t.work.try.doubt && e.confirm(t, c.PaymentID) {
			return
		}
	}
	e.settle(t, err)
}

// confirm has the status looked up of an intent whose link is published after
// calls in doubt: one of them may have made another payment, which is to be
// told. It reports false if there is no time for that.
func (e *Engine) confirm(t *task, id int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t.desk.closed {
		return false
	}
	t.work.try.linked, t.work.try.asking = id, true
	e.enqueue(t)
	e.pump()
	return true
}

// confirmed ends what confirm began; mu held.
func (e *Engine) confirmed(t *task, second bool) {
	if second {
		e.metrics.second.Inc()
		e.log.WithFields(t.fields()).WithField("payment_id", t.work.try.linked).
			Warn("the gateway shows another payment than the published link's for this order: reconcile")
	}
	e.finish(t)
}

// settle ends a task whose outcome or dead letter is durable, or whose claim
// ended before it was.
func (e *Engine) settle(t *task, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil || t.desk.gone {
		e.abandon(t)
		return
	}
	e.finish(t)
	e.pump()
}

func (e *Engine) startBurial(t *task, why *event.Unreadable) {
	t.enter(appending)
	e.calls.Add(1)
	go func() {
		defer e.calls.Done()
		e.bury(t, why)
	}()
}

// bury sends a record to the dead letters; by reference, if it does not fit.
func (e *Engine) bury(t *task, why *event.Unreadable) {
	rec := t.work.rec
	m := event.DeadLetter(rec.Message, e.place(t), e.cfg.Group, why, time.Now())
	t.desk.claim.Bury(m, func(err error) {
		if errors.Is(err, ErrTooLarge) {
			m := event.DeadLetterByReference(rec.Message, e.place(t), e.cfg.Group, why, time.Now())
			t.desk.claim.Bury(m, func(err error) { e.buried(t, why, err) })
			return
		}
		e.buried(t, why, err)
	})
}

func (e *Engine) buried(t *task, why *event.Unreadable, err error) {
	switch {
	case err == nil:
		e.metrics.dead.WithLabelValues(string(why.Reason)).Inc()
		e.log.WithFields(t.fields()).WithField("reason", string(why.Reason)).WithField("error", why.Text).Warn("dead letter")
	case errors.Is(err, ErrTooLarge):
		e.buryAgain(t, why)
		return
	}
	e.settle(t, err)
}

// buryAgain keeps a record that the dead letter topic does not take, not even by
// reference, and tries again later: only the topic's settings can help.
func (e *Engine) buryAgain(t *task, why *event.Unreadable) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t.desk.closed {
		e.abandon(t)
		return
	}
	t.work.dead = why
	wait := e.cfg.Backoff.Delay(t.work.try.repeats, rand.Float64())
	t.work.try.repeats++
	e.log.WithFields(t.fields()).WithField("reason", string(why.Reason)).WithField("wait", wait.Round(time.Millisecond).String()).
		Error("the dead letter topic takes not even a reference to the record: the committed offset stays before it. Raise the topic's max.message.bytes")
	e.backOff(t, wait)
	e.pump()
}

// report writes the one log line of an intent, and counts it.
func (e *Engine) report(t *task, o payment.Outcome) {
	took := t.age()
	l := e.log.WithFields(t.fields()).WithField("took_ms", took.Milliseconds())
	switch o := o.(type) {
	case payment.Created:
		e.metrics.settled("created", "", took)
		l.WithFields(logrus.Fields{"outcome": "created", "attempts": o.Attempts, "payment_id": o.PaymentID}).Info("settled")
	case payment.Failed:
		e.metrics.settled("failed", string(o.Reason), took)
		l.WithFields(logrus.Fields{"outcome": "failed", "reason": string(o.Reason), "attempts": o.Attempts, "code": o.ErrorCode, "payment_may_exist": o.PaymentMayExist}).Info("settled")
	}
	e.mu.Lock()
	e.recent.add(t, o)
	e.mu.Unlock()
}

func (t *task) fields() logrus.Fields {
	return logrus.Fields{"intent_id": string(t.id), "merchant_id": string(t.work.dec.Intent.Merchant), "partition": t.desk.claim.Partition(), "offset": t.offset}
}

func (e *Engine) place(t *task) event.Place {
	return event.Place{Topic: e.cfg.Topic, Partition: t.desk.claim.Partition(), Offset: t.offset}
}
