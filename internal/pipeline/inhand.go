package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"paylink/internal/attempt"
	"paylink/internal/metric"
	"paylink/internal/payment"
)

// An inHand is what the core has taken and not answered. It is counted as it changes:
// nothing is walked through when a scraper asks.
type inHand struct {
	stages [finished]int // loaded intents, by stage
	doubt  int           // loaded intents for which a payment may exist
	sums   map[string]int64
}

// recount counts a task where it stands now.
func (h *inHand) recount(t *task) {
	h.forget(t)
	if t.stage == finished || t.try.IsLinked() {
		return
	}
	t.counted = true
	t.countedAs = t.stage
	h.stages[t.stage]++
	if t.dead == nil && (t.try.Doubt != attempt.Clear || t.try.MayExist()) {
		t.doubted = true
		h.doubt++
	}
}

// forget counts a task no more.
func (h *inHand) forget(t *task) {
	if t.counted {
		h.stages[t.countedAs]--
	}
	if t.doubted {
		h.doubt--
	}
	t.counted, t.doubted = false, false
}

const (
	ownCurrency    = "default" // of intents that name none
	otherCurrency  = "other"
	mostCurrencies = 20
)

// label is the name under which a currency is summed up. It stays: what is added under
// one is taken away under the same.
func (h *inHand) label(currency string) string {
	switch {
	case currency == "":
		return ownCurrency
	case !isCurrency(currency): // no text from outside gets into a label
		return otherCurrency
	}
	if _, ok := h.sums[currency]; ok || len(h.sums) < mostCurrencies {
		return currency
	}
	return otherCurrency
}

// isCurrency reports whether a text looks like a code of ISO 4217.
func isCurrency(s string) bool {
	for _, c := range s {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(s) == 3
}

// hundredths is an amount in hundredths, exactly; 0 if it is no amount, or has more than
// ten digits before the point or two after it: then nine million of them can be summed up.
func hundredths(m payment.Money) (n int64) {
	whole, frac, err := payment.Decimal(string(m))
	if err != nil || len(whole) > 10 || len(frac) > 2 {
		return 0
	}
	for _, digit := range whole + (frac + "00")[:2] {
		n = 10*n + int64(digit-'0')
	}
	return n
}

// owe adds an intent's amount, sign times, to what its worker owes answers for.
func (c *core) owe(t *task, sign int64) {
	in, w := &t.dec.Intent, t.worker
	n := sign * hundredths(in.Amount)
	if n == 0 || w.gone {
		return
	}
	label := c.inHand.label(in.Currency)
	c.inHand.sums[label] += n
	w.owed[label] += n
}

// settle takes away what is owed for a task that is answered.
func (c *core) settle(t *task) {
	if t.owes {
		t.owes = false
		c.owe(t, -1)
	}
}

// writeOff takes away all that a worker owes: it has nothing in hand any more, or goes.
func (c *core) writeOff(w *worker) {
	for label, n := range w.owed {
		c.inHand.sums[label] -= n
	}
	clear(w.owed)
	w.vanished = false
}

// ages remember how old the records of a partition are, from the oldest that is not
// settled on: not every one, so that millions take no more than a few.
type ages struct {
	marks []age
	step  time.Duration
}

// An age says that the record at an offset, and those after it, are from a time or later.
type age struct {
	offset int64
	at     time.Time
}

// mostAges is how many are remembered. Beyond it every other one is let go.
const mostAges = 2048

// note is shown every record that is taken.
func (a *ages) note(offset int64, at time.Time) {
	if n := len(a.marks); n > 0 && at.Sub(a.marks[n-1].at) <= a.step {
		return
	}
	if len(a.marks) == mostAges {
		half := a.marks[:0]
		for i := 0; i < mostAges; i += 2 {
			half = append(half, a.marks[i])
		}
		a.marks, a.step = half, max(time.Millisecond, a.marks[mostAges/2-1].at.Sub(a.marks[0].at)/(mostAges/2))
	}
	a.marks = append(a.marks, age{offset, at})
}

// oldest returns from when the record at an offset is, and lets go of those before it.
func (a *ages) oldest(offset int64) time.Time {
	n := 0
	for n+1 < len(a.marks) && a.marks[n+1].offset <= offset {
		n++
	}
	a.marks = a.marks[n:]
	if n > 0 && len(a.marks) <= mostAges/4 {
		a.step = 0
	}
	if len(a.marks) == 0 {
		return time.Time{}
	}
	return a.marks[0].at
}

// A picture is inHand as a scraper is told.
type picture struct {
	states      [finished + 1]int // as metric.States
	doubt       int
	oldest, lag time.Duration
	owed        map[string]float64
}

func (c *core) picture(now time.Time) (p picture) {
	for s, n := range c.inHand.stages {
		p.states[s+1] = n
	}
	p.doubt = c.inHand.doubt
	var front time.Time
	for _, w := range c.workers {
		p.states[0] += w.part.Backlogged()
		if w.part.Unfinished() > 0 {
			if at := w.ages.oldest(w.part.Watermark()); !at.IsZero() {
				p.oldest = max(p.oldest, now.Sub(at))
			}
		}
		if at, ok := w.frontAt(now); ok && (front.IsZero() || at.Before(front)) {
			front = at
		}
	}
	p.lag = c.usefulLag(front, now)
	p.owed = make(map[string]float64, len(c.inHand.sums))
	for label, n := range c.inHand.sums {
		p.owed[label] = float64(n) / 100
	}
	return p
}

// frontAt is from when the record is that a worker has read and has no room for.
func (w *worker) frontAt(now time.Time) (time.Time, bool) {
	if w.front == nil || w.closed {
		return now, false
	}
	if at := w.front.msg.Time; at.After(now.Add(-mostBehind)) && at.Before(now) {
		return at, true
	}
	return now, true
}

// usefulLag is for how long intents wait for nothing but calls of this process to end;
// front is from when the oldest record is that is not taken.
func (c *core) usefulLag(front, now time.Time) (lag time.Duration) {
	since, ok := c.sched.Crowded(func(o any) time.Time { return o.(*task).since }, now)
	if !ok {
		return 0
	}
	if !since.IsZero() {
		lag = now.Sub(since)
	}
	if !front.IsZero() && !c.tight {
		lag = max(lag, now.Sub(front))
	}
	return max(0, lag)
}

// A teller tells scrapers what the engine has in hand.
type teller struct {
	e                                *Engine
	waiting, doubt, oldest, lag, owe *prometheus.Desc
}

func newTeller(e *Engine) teller {
	return teller{
		e: e, waiting: metric.Desc("paylink_intents_waiting"), doubt: metric.Desc("paylink_intents_in_doubt"),
		oldest: metric.Desc("paylink_oldest_unanswered_seconds"), lag: metric.Desc("paylink_useful_lag_seconds"),
		owe: metric.Desc("paylink_amount_unanswered"),
	}
}

// Describe implements prometheus.Collector.
func (t teller) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{t.waiting, t.doubt, t.oldest, t.lag, t.owe} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (t teller) Collect(to chan<- prometheus.Metric) {
	t.e.mu.Lock()
	p := t.e.core.picture(time.Now())
	t.e.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for i, state := range metric.States {
		gauge(t.waiting, float64(p.states[i]), state)
	}
	gauge(t.doubt, float64(p.doubt))
	gauge(t.oldest, p.oldest.Seconds())
	gauge(t.lag, p.lag.Seconds())
	for currency, sum := range p.owed {
		gauge(t.owe, sum, currency)
	}
}
