package pipeline

import (
	"fmt"
	"math"
	"strings"

	"paylink/internal/event"
	"paylink/internal/payment"
)

// fit refuses an intent whose outcome the outcome topic would not take, before any
// payment exists: as one that breaks a rule, if its metadata is what is too large, or
// to the dead letters, if that is its key. If not even a bare outcome fits, that is
// no intent's fault, and whoever knows the topic's limit raises the alarm.
func (e *Engine) fit(t *task) {
	if e.cfg.MaxOutcome == nil || len(t.dec.Violations) > 0 {
		return
	}
	limit, key, meta := e.cfg.MaxOutcome(), len(t.msg.Key), 0
	for k, v := range t.dec.Intent.Metadata {
		meta += len(k) + len(v)
	}
	if limit <= 0 || event.LargestOutcome+key <= limit {
		return // whatever the gateway answers
	}
	size := e.largest(t)
	switch {
	case size <= limit:
	case meta > 0 && e.largest(t.bare()) <= limit:
		t.refuse(payment.Violation{Field: "metadata", Rule: fmt.Sprintf(
			"must be smaller: the outcome, which repeats it, would not fit into the %d bytes that the outcome topic takes", limit)})
	case key > 0 && size-key <= limit:
		t.unfit = &event.Unreadable{Reason: event.TooLarge, Text: fmt.Sprintf(
			"the outcome would not fit into the %d bytes that the outcome topic takes, because of its key of %d bytes; nothing was called", limit, key)}
	}
}

// bare returns a task that differs in having no metadata. It is for measuring only.
func (t *task) bare() *task {
	b := &task{worker: t.worker, msg: t.msg, dec: t.dec}
	b.dec.Intent.Metadata = nil
	return b
}

// refuse makes the task's intent one that breaks a rule. The outcome does not repeat
// what is too large.
func (t *task) refuse(v payment.Violation) {
	t.dec.Violations, t.dec.BySettings = []payment.Violation{v}, true
	t.dec.Intent.Metadata = nil
}

// perRecord is what a record costs beside its bytes, batch and lengths included.
const perRecord = 256

// longestLink stands for any link that the gateway may send.
var longestLink = payment.Link{
	PaymentID: math.MaxInt64, RedirectURLType: payment.URLPaymentSystem,
	RedirectURL: "https://" + strings.Repeat("x", 2048-len("https://")),
}

// largest returns how many bytes the largest record takes that holds an outcome of
// the task; 0: not known.
func (e *Engine) largest(t *task) int {
	o := payment.Created{Link: longestLink, Attempts: math.MaxInt32, At: t.msg.Time}
	m, err := e.cfg.Encoder.Outcome(t.worker.ctx, t.dec, t.msg.Key, e.place(t), o)
	if err != nil {
		return 0
	}
	size := perRecord + len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		size += len(h.Key) + len(h.Value)
	}
	return size
}
