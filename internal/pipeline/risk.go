package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"paylink/internal/partition"
	"paylink/internal/schedule"
)

// A Risk is what of the unsettled may cost somebody money.
type Risk struct {
	Waiting int // records that are not settled, loaded or not

	InDoubt    int              // intents of which a payment may exist that we know nothing of
	DoubtSince time.Time        // the record's time of the oldest of them; zero: none is in doubt
	Amounts    map[string]int64 // of those in doubt by currency, as the metric has it, in hundredths; "": the merchant's own

	Unpublished int       // answers, and dead letters, that are not durable yet
	PublishedBy time.Time // since when the oldest of them waits for that; zero: there is none

	Ending int // intents that are given up, or expire, soon
}

// Risk looks at all unsettled records. Ending are those whose time is up within soon,
// as things stand; those on hold are never.
func (e *Engine) Risk(soon time.Duration) Risk {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	r := Risk{Amounts: map[string]int64{}}
	for _, w := range e.core.workers {
		r.Waiting += w.part.Unfinished()
		w.part.Loaded(func(rec *partition.Record) { r.add(&e.core, rec.Owner.(*task), now, now.Add(soon)) })
		for _, b := range w.ordered {
			b.EachBy(now.Add(soon), func(x schedule.Entry) {
				if ends := e.core.sched.Ends(b.Lane, x.By(), now); !ends.IsZero() && ends.Before(now.Add(soon)) {
					r.Ending++
				}
			})
		}
	}
	return r
}

// add counts a loaded task.
func (r *Risk) add(c *core, t *task, now, soon time.Time) {
	switch {
	case t.stage == publishing:
		r.Unpublished++
		if r.PublishedBy.IsZero() || t.since.Before(r.PublishedBy) {
			r.PublishedBy = t.since
		}
		return
	case t.stage == finished || t.try.IsLinked() || t.work.Lane() == nil:
		return
	}
	if t.try.MayExist() {
		r.InDoubt++
		currency := t.dec.Intent.Currency
		if currency != "" {
			currency = c.inHand.label(currency) // emitters may name thousands
		}
		r.Amounts[currency] += hundredths(t.dec.Intent.Amount)
		if r.DoubtSince.IsZero() || t.work.At.Before(r.DoubtSince) {
			r.DoubtSince = t.work.At
		}
	}
	ends := c.sched.Ends(t.work.Lane(), t.work.At.Add(c.cfg.GiveUpAfter), now)
	if x := t.work.ExpiresAt; !x.IsZero() && (ends.IsZero() || x.Before(ends)) {
		ends = x
	}
	if !ends.IsZero() && ends.Before(soon) {
		r.Ending++
	}
}

// A Spread is how many intents were settled within so many seconds of their records.
type Spread struct {
	Within []float64 // seconds, rising
	N      []uint64  // settled within them since the start
	Total  uint64
}

// Spread returns how long the intents took that were settled since the start.
func (e *Engine) Spread() (s Spread) {
	var m dto.Metric
	if e.metrics.took.WithLabelValues().(prometheus.Metric).Write(&m) != nil {
		return s
	}
	for _, b := range m.GetHistogram().GetBucket() {
		s.Within, s.N = append(s.Within, b.GetUpperBound()), append(s.N, b.GetCumulativeCount())
	}
	s.Total = m.GetHistogram().GetSampleCount()
	return s
}
