package pipeline

import (
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"paylink/internal/event"
	"paylink/internal/payment"
)

// publish encodes and appends an outcome.
func (e *Engine) publish(p publication) {
	t := p.task
	t.trail.sends(e.cfg.Tracing.Outcomes)
	m, ok := e.encode(p)
	if !ok {
		e.published(p, ErrLost)
		return
	}
	t.worker.claim.Append(Answer{ID: t.rec.ID, Digest: t.dec.Digest, Message: m}, func(err error) { e.published(p, err) })
}

// encode encodes an outcome. What stands in the way is waited out: an outcome is
// never dropped.
func (e *Engine) encode(p publication) (event.Message, bool) {
	t, dec := p.task, p.task.dec
	t.trail.carry(&dec)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		m, err := e.cfg.Encoder.Outcome(t.worker.ctx, dec, t.msg.Key, e.place(t), p.outcome)
		if err == nil {
			return m, true
		}
		e.often(logrus.ErrorLevel, "cannot encode the outcome yet: its key waits", "", t.worker.claim.Partition(), func() logrus.Fields {
			return t.says(logrus.Fields{logrus.ErrorKey: err})
		})
		select {
		case <-t.worker.ctx.Done():
			return m, false
		case <-time.After(wait):
		}
	}
}

// published is told how an append ended.
func (e *Engine) published(p publication, err error) {
	p.task.trail.sent(err)
	switch {
	case errors.Is(err, ErrTooLarge):
		e.do(func(c *core, _ time.Time) { c.unpublished(p.task) })
		e.bury(burial{task: p.task, why: &event.Unreadable{Reason: event.TooLarge, Text: "the outcome does not fit into a record of the outcome topic: raise its max.message.bytes, then redrive"}})
		return
	case errors.Is(err, ErrAnswered):
		e.tellWithheld(p)
		e.do(func(c *core, now time.Time) { c.withheld(p.task, now) })
		return
	case err == nil:
		e.tellOutcome(p)
	}
	e.do(func(c *core, now time.Time) { c.published(p.task, p.outcome, err, now) })
}

// bury sends a record to the dead letters; by reference, if it does not fit, or was
// too large to be held at all.
func (e *Engine) bury(b burial) {
	if b.why == nil {
		b.why = tooOld(b.task.msg.Time, b.reach)
	}
	b.task.trail.sends(e.cfg.Tracing.DeadLetters)
	claim := b.task.worker.claim
	rec, release, ok := e.whole(b.task)
	if !ok {
		e.buried(b, ErrLost)
		return
	}
	reference := func() event.Message {
		return event.DeadLetterByReference(rec.Message, e.place(b.task), e.cfg.Group, b.why, time.Now())
	}
	if rec.TooLarge != 0 {
		claim.Bury(reference(), func(err error) { e.buried(b, err) })
		return
	}
	m := event.DeadLetter(rec.Message, e.place(b.task), e.cfg.Group, b.why, time.Now())
	claim.Bury(m, func(err error) {
		if errors.Is(err, ErrTooLarge) {
			m := reference()
			release()
			claim.Bury(m, func(err error) { e.buried(b, err) })
			return
		}
		release()
		e.buried(b, err)
	})
}

// whole returns a task's record with the bytes it came in, which are read again where
// they were let go. release lets them go again.
func (e *Engine) whole(t *task) (rec Record, release func(), ok bool) {
	if !t.slimmed {
		return t.msg, func() {}, true
	}
	got, err := t.worker.claim.Reread(t.worker.ctx, []int64{t.rec.Offset})
	if err != nil {
		return rec, nil, false
	}
	if len(got) == 0 { // its topic does not hold it any more
		rec = t.msg
		rec.TooLarge = -1
		return rec, func() {}, true
	}
	return got[0], func() { got[0].Lease.Release() }, true
}

// tooOld says that a record is older than answered intents are known.
func tooOld(at, reach time.Time) *event.Unreadable {
	return &event.Unreadable{Reason: event.TooOld, Text: fmt.Sprintf(
		"the record is from %s, answered intents are known from %s on: check whether it has a link, then emit it again with a new time",
		at.UTC().Format(time.RFC3339), reach.UTC().Format(time.RFC3339))}
}

// buried is told how the append of a dead letter ended.
func (e *Engine) buried(b burial, err error) {
	reason, partition := string(b.why.Reason), b.task.worker.claim.Partition()
	b.task.trail.sent(err)
	switch {
	case errors.Is(err, ErrTooLarge):
		var wait time.Duration
		e.do(func(c *core, now time.Time) { wait = c.buryLater(b.task, b.why, now) })
		if wait > 0 {
			e.often(logrus.ErrorLevel, "the dead letter topic takes not even a reference to the record: the committed offset stays before it. Raise the topic's max.message.bytes", "", partition,
				func() logrus.Fields {
					return b.task.says(logrus.Fields{"reason": reason, "wait": wait.Round(time.Millisecond).String()})
				})
		}
		return
	case err == nil:
		e.metrics.dead.inc(reason)
		e.dead.add(RecentDead{
			At: time.Now(), Intent: b.task.rec.ID, Merchant: b.task.dec.Intent.Merchant, Partition: partition, Offset: b.task.rec.Offset, Reason: reason,
		})
		b.task.trail.end("dead letter", reason, b.task.try.Calls)
		e.often(logrus.WarnLevel, "dead letter", reason, partition, func() logrus.Fields {
			return b.task.says(logrus.Fields{"reason": reason, "error": b.why.Text, night: deadLetters})
		})
	}
	e.do(func(c *core, now time.Time) { c.buried(b.task, err, now) })
}

// place is where a task's record stands.
func (e *Engine) place(t *task) event.Place {
	return event.Place{Topic: e.cfg.Topic, Partition: t.worker.claim.Partition(), Offset: t.rec.Offset}
}

// tellOutcome counts a settled intent, and writes its one log line.
func (e *Engine) tellOutcome(p publication) {
	t, now := p.task, time.Now()
	took := max(0, now.Sub(t.work.At)) // zero if the emitter's clock is ahead
	end := endOf(p.outcome)
	e.metrics.settled(end.outcome, end.reason, took, t.spent[calling], t.spent[publishing]+now.Sub(t.since), t.trail)
	if end.mayExist {
		e.mayExist.Add(1)
	}
	t.trail.end(end.outcome, end.reason, end.attempts)
	e.tellSettled(t, end, now, took)
	e.recent.add(RecentOutcome{
		At: now, Intent: t.rec.ID, Order: t.dec.Intent.OrderID, Merchant: t.dec.Intent.Merchant, Partition: t.worker.claim.Partition(), Offset: t.rec.Offset,
		Outcome: p.outcome, Took: took,
	})
}

// An end is what logs, metrics and traces say of an outcome.
type end struct {
	outcome, reason, code string
	attempts              int
	payment               int64 // id; 0: none is known
	mayExist              bool  // a payment, although the intent failed
}

func endOf(o payment.Outcome) end {
	if f, ok := o.(payment.Failed); ok {
		return end{outcome: "failed", reason: string(f.Reason), code: f.ErrorCode, attempts: f.Attempts, payment: f.PaymentID, mayExist: f.PaymentMayExist}
	}
	c := o.(payment.Created)
	return end{outcome: "created", attempts: c.Attempts, payment: c.PaymentID}
}

// settledLines is how many lines of one outcome and reason a burst of them writes. The
// rest is counted, but for what somebody has to look after.
const settledLines = 1000

// tellSettled writes the line of a settled intent. Of those that failed without a call,
// which no rate holds back, a burst writes few.
func (e *Engine) tellSettled(t *task, o end, now time.Time, took time.Duration) {
	fields := func() logrus.Fields { return t.line(o, now, took) }
	switch {
	case o.mayExist:
		e.at(logrus.InfoLevel, fields(), "settled")
	case o.outcome == "failed" && o.attempts == 0:
		e.often(logrus.InfoLevel, "settled", o.reason, t.worker.claim.Partition(), fields)
	default:
		e.settled.Say(o.outcome+o.reason, func() { e.at(logrus.InfoLevel, fields(), "settled") }, func(more int) {
			e.at(logrus.InfoLevel, logrus.Fields{"outcome": o.outcome, "reason": o.reason, "more": more}, "more of the same in ten seconds: settled")
		})
	}
}

// line is what the one line of an intent says: always these fields. Times are in
// milliseconds: in the topic before it was loaded, waiting for its turn, in calls, and
// until its outcome was durable.
func (t *task) line(o end, now time.Time, took time.Duration) logrus.Fields {
	wait, call, publish := t.spent[behind]+t.spent[queued]+t.spent[backingOff], t.spent[calling], t.spent[publishing]+now.Sub(t.since)
	return t.says(logrus.Fields{
		"order_id": t.dec.Intent.OrderID, "outcome": o.outcome, "reason": o.reason, "code": o.code, "attempts": o.attempts,
		"payment_id": o.payment, "payment_may_exist": o.mayExist, "trace_id": t.traceID(), "took_ms": took.Milliseconds(),
		"topic_ms": max(0, took-wait-call-publish).Milliseconds(), "wait_ms": wait.Milliseconds(), "call_ms": call.Milliseconds(), "publish_ms": publish.Milliseconds(),
	})
}

// tellWithheld says that an answer is not published, because the intent has another:
// if it is a link, its payment is one too many, or the same.
func (e *Engine) tellWithheld(p publication) {
	l := e.log.WithFields(p.task.fields())
	if o, ok := p.outcome.(payment.Created); ok {
		l = l.WithField("payment_id", o.PaymentID)
	}
	l.Warn("the intent was answered by somebody else meanwhile: this answer is withheld, there is one outcome")
}

// explained says in an outcome that gives up from when on its age counted, if that
// was not the record's time.
func (t *task) explained(o payment.Outcome) payment.Outcome {
	f, ok := o.(payment.Failed)
	if !ok || f.Reason != payment.GaveUp || !t.timeless && !t.ahead {
		return o
	}
	why := "age counts from when the record was first seen: its timestamp is no time"
	if t.ahead {
		why = "age counts from when the record was first seen: its timestamp is later"
	}
	if f.ErrorDescription != "" {
		f.ErrorDescription += "; "
	}
	f.ErrorDescription += why
	return f
}
