package pipeline

import (
	"errors"
	"time"

	"paylink/internal/attempt"
	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// An answer is how a call of the gateway ended.
type answer struct {
	lookUp bool
	link   payment.Link   // of an Init
	status payment.Status // of a look-up
	err    error
}

// result is what the answer, and what it was decided to mean, shows of others than
// the intent.
func (a answer) result(d attempt.Decision) schedule.Result {
	r := schedule.Result{LookUp: a.lookUp}
	switch d.(type) {
	case attempt.Settle:
		r.Proves, r.Ends = true, true // whatever it says: our credentials were taken
	case attempt.Proceed:
		r.Proves = true
	}
	if a.err == nil || isNotFound(a.err) {
		r.Proves = true
		return r
	}
	ge := payment.AsGatewayError(a.err)
	r.Code, r.Cause, r.Error = ge.Code, ge.Cause, ge.Kind()
	if ge.Class == payment.NotSent && ge.Err != nil {
		r.Error += ": " + ge.Err.Error() // of the network, or a proxy's status
	}
	switch {
	case errors.Is(a.err, payment.ErrUnknownMerchant):
		r.How = schedule.Unasked
	case ge.Class == payment.Misconfigured:
		r.How = schedule.Denied
	case ge.Class == payment.InDoubt, ge.Class == payment.NotSent:
		r.How = schedule.Unanswered
	}
	return r
}

// isSigned reports whether it is the gateway's own, and so the call has arrived.
func (a answer) isSigned() bool { return a.err == nil || payment.AsGatewayError(a.err).Signed }

// isNotFound reports whether the gateway answered that it knows no payment.
func isNotFound(err error) bool { return errors.Is(err, payment.ErrNotFound) }

// callerIdle is how long a caller waits for another task. Callers are kept
// because a fresh goroutine has to grow its stack for every call.
const callerIdle = time.Second

// caller makes calls, one after the other, as long as there are any. It has one of
// e.work for each.
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
		case <-e.over:
			return
		}
	}
}

// call makes the call that is due for a task, and tells the core how it ended.
func (e *Engine) call(t *task) {
	defer e.work.Done()
	a := e.ask(t)
	e.metrics.inFlight.Dec()
	lost := t.worker.ctx.Err() != nil
	e.perform(e.decide(func(c *core, now time.Time) { c.answered(t, a, lost, now) }), t)
}

// ask makes one call: Init, or a status look-up. The task's next call does not
// change while it is being made.
func (e *Engine) ask(t *task) (a answer) {
	began, in := time.Now(), t.dec.Intent
	a.lookUp = t.try.IsLookUp()
	ctx, told := t.trail.call(t, a.lookUp)
	if a.lookUp {
		a.status, a.err = e.cfg.Gateway.Find(ctx, in)
	} else {
		a.link, a.err = e.cfg.Gateway.Open(ctx, in)
	}
	told(a)
	e.metrics.called(a, time.Since(began), t.trail)
	return a
}
