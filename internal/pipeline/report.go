package pipeline

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"paylink/internal/attempt"
	"paylink/internal/burst"
	"paylink/internal/schedule"
)

// report logs and counts what the core has noticed.
func (e *Engine) report(d *todo) {
	for known, n := range d.skipped {
		if n > 0 {
			e.metrics.skipped.add(n, Known(known).String())
			e.skips.note(Known(known), n)
		}
	}
	for _, end := range d.endings {
		end.trail.end(end.how, "", end.trail.task.try.Calls)
	}
	for _, ch := range d.changes {
		e.tellChange(ch)
	}
	for _, r := range d.repeated {
		e.metrics.repeats.inc()
		e.metrics.retries.WithLabelValues(r.class).Inc()
		e.often(logrus.DebugLevel, "no answer to rely on: calling again", r.cause, r.task.worker.claim.Partition(), func() logrus.Fields {
			return r.task.says(logrus.Fields{"cause": r.cause, "wait": r.wait.Round(time.Millisecond).String()})
		})
	}
	for _, t := range d.second {
		e.metrics.second.inc()
		linked, _ := t.try.Next.(attempt.Compare)
		e.log.WithFields(t.fields()).WithField("payment_id", linked.Linked).WithField(night, secondPayment).
			Warn("the gateway shows another payment than the published link's for this order: reconcile")
	}
	for _, t := range d.shared {
		e.metrics.shared.inc()
		e.often(logrus.ErrorLevel, "the gateway answers with a payment that another intent's link has already: this link is not published, the intent waits. Ask the gateway about both orders", "",
			t.worker.claim.Partition(), func() logrus.Fields { return t.says(logrus.Fields{night: secondPayment}) })
	}
	for _, p := range d.vanished {
		e.metrics.vanished.inc()
		e.often(logrus.ErrorLevel, "the topic's retention deleted an intent that was waiting: it gets no outcome; emit it again", "", p.partition,
			func() logrus.Fields {
				return logrus.Fields{"partition": p.partition, "offset": p.offset, night: noLink}
			})
	}
}

// night is the field of an alarm that names the section of the runbook.
const (
	night         = "runbook"
	gatewayDown   = "deploy/runbook.md#the-gateway-was-down"
	wrongSecret   = "deploy/runbook.md#the-secret-was-wrong"
	secondPayment = "deploy/runbook.md#the-gateway-holds-a-second-payment"
	deadLetters   = "deploy/runbook.md#dead-letters-pile-up"
	noLink        = "deploy/runbook.md#a-customer-says-the-link-never-came"
)

// tellChange logs and counts what has changed with a merchant or an endpoint.
func (e *Engine) tellChange(ch schedule.Change) {
	merchant := e.log.WithField("merchant_id", string(ch.Merchant))
	endpoint := e.log.WithField("gateway", ch.Endpoint).WithField("state", ch.State)
	switch ch.Kind {
	case schedule.Suspected:
		merchant.WithField("intent_id", string(ch.Intent)).WithField("code", ch.Code).WithField("cause", ch.Cause).
			Warn("the gateway refuses our credentials or set-up for one intent: it is put aside, others show whether it is the merchant")
	case schedule.DeniedAlone:
		e.tellAlone(ch)
	case schedule.HoldBegan:
		e.metrics.held.Inc()
		tellHold(merchant, ch)
	case schedule.HoldBelieved, schedule.ProbeRefused:
		tellHold(merchant.WithField("next_probe", ch.Wait.String()), ch)
	case schedule.Blinded:
		merchant.WithField("code", ch.Code).WithField("cause", ch.Cause).
			Error("the gateway refuses our status look-ups for this merchant, though not our payments: what they were to clear up stays in doubt. Ask the gateway for the right to look up")
	case schedule.SeesAgain:
		merchant.Warn("the gateway answers our status look-ups for this merchant again")
	case schedule.FailsAlone:
		merchant.WithField("last_error", ch.Cause).WithField(night, gatewayDown).
			Error("most calls of this merchant are not answered, while those of others are: its calls are probes now, and its intents wait. Ask the gateway about this merchant")
	case schedule.AnsweredAgain:
		merchant.Warn("calls of this merchant are answered again")
	case schedule.HoldEnded:
		e.metrics.held.Dec()
		merchant.WithField("since", ch.Since.UTC().Format(time.RFC3339)).Warn("merchant no longer on hold")
	case schedule.EndpointDown:
		e.metrics.down.set(ch.Endpoint, true, false)
		endpoint.WithField("last_error", ch.Cause).WithField(night, gatewayDown).Error("the gateway fails broadly: calling it only to see whether it is back; intents wait")
	case schedule.EndpointBack:
		e.metrics.down.set(ch.Endpoint, false, false)
		endpoint.Warn("the gateway answers again")
	case schedule.EndpointGone:
		e.metrics.down.set(ch.Endpoint, false, true)
	}
}

// tellAlone tells of an order that alone is refused, at each of its tries. There may be
// thousands of such orders.
func (e *Engine) tellAlone(ch schedule.Change) {
	const what = "the gateway refuses our credentials or set-up for one intent only, and accepts others: it is put aside, and is given up when its time is up. Ask the gateway about this order"
	e.bursts.Say(what, func() {
		e.at(logrus.ErrorLevel, logrus.Fields{"intent_id": string(ch.Intent), "merchant_id": string(ch.Merchant), "code": ch.Code, "cause": ch.Cause, night: wrongSecret}, what)
	}, func(more int) {
		e.at(logrus.ErrorLevel, logrus.Fields{"more": more}, "more of the same in ten seconds: "+what)
	})
}

func tellHold(l logrus.FieldLogger, ch schedule.Change) {
	l.WithField("code", ch.Code).WithField("cause", ch.Cause).WithField(night, wrongSecret).
		Error("merchant on hold: the gateway refuses our credentials or set-up; no intent fails for it. Check merchant id, secret and contract with the gateway")
}

// fields are what log lines say of a task. Nothing of it is personal.
func (t *task) fields() logrus.Fields {
	return logrus.Fields{"intent_id": string(t.rec.ID), "merchant_id": string(t.dec.Intent.Merchant), "partition": t.worker.claim.Partition(), "offset": t.rec.Offset}
}

// says is fields with more of them.
func (t *task) says(more logrus.Fields) logrus.Fields {
	f := t.fields()
	maps.Copy(f, more)
	return f
}

// firstLines is how many lines of one kind and partition a burst of them writes.
const firstLines = 5

// often writes a line of what may come as fast as records are read: the first of a
// burst in full; the rest is counted, and told in one line.
func (e *Engine) often(level logrus.Level, what, kind string, partition int32, fields func() logrus.Fields) {
	e.bursts.Say(fmt.Sprint(what, " ", kind, " ", partition), func() { e.at(level, fields(), what) }, func(more int) {
		e.at(level, logrus.Fields{"kind": kind, "partition": partition, "more": more}, "more of the same in ten seconds: "+what)
	})
}

func (e *Engine) at(level logrus.Level, fields logrus.Fields, what string) {
	e.log.WithFields(fields).Log(level, what)
}

// skips tells of intents that were answered already, once per burst.
type skips struct {
	log    logrus.FieldLogger
	bursts *burst.Log

	mu     sync.Mutex
	counts [Differs]int // in this burst
}

func (s *skips) note(k Known, n int) {
	s.mu.Lock()
	s.counts[k] += n
	s.mu.Unlock()
	s.bursts.Sum("skips", func() {
		s.log.WithField("kind", k.String()).Info("skipping intents that are answered already")
	}, s.sum)
}

// sum tells how many a burst skipped.
func (s *skips) sum() {
	s.mu.Lock()
	n, m := s.counts[Answered], s.counts[Repeated]
	s.counts = [Differs]int{}
	s.mu.Unlock()
	s.log.WithField("redelivered", n).WithField("repeated", m).Info("skipped intents that were answered already")
}
