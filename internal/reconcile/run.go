package reconcile

import (
	"context"
	"time"

	"paylink/internal/payment"
)

// A Config is what Run needs.
type Config struct {
	Archive     *Archive
	GiveUpAfter time.Duration // an intent without an outcome that is younger is only waiting
	All         bool          // tell of what matched, or waits, too

	// Gateway is asked; nil: nobody is, and the gateway's classes do not occur.
	Gateway *Gateway
	Work    *WorkDir // remembers answers; needed with a Gateway

	Yield func(Difference) error // each line
	Say   func(string)           // a sentence for whoever watches
}

// A reconciler compares the topics with the gateway.
type reconciler struct {
	archive     *Archive
	giveUpAfter time.Duration
	offline     bool
	cfg         Config
	sums        sums
	summary     Summary
	asker       *asker
}

// Run reconciles. It returns no summary, and an error, if it was interrupted; what
// the gateway has answered until then is in the work directory.
func Run(ctx context.Context, cfg Config) (*Summary, error) {
	r := &reconciler{archive: cfg.Archive, giveUpAfter: cfg.GiveUpAfter, offline: cfg.Gateway == nil, cfg: cfg, sums: sums{}}
	r.summary = Summary{Kind: "summary", Until: cfg.Archive.Range.Moment.UTC(), Classes: map[string]int{}}
	for c := range classes {
		if !r.offline || c.ofTopics() {
			r.summary.Classes[c.String()] = 0
		}
	}
	run := r.offlineRun
	if !r.offline {
		run = r.onlineRun
	}
	if err := run(ctx); err != nil {
		return nil, err
	}
	r.summary.Sums = r.sums.list()
	return &r.summary, ctx.Err()
}

func (r *reconciler) offlineRun(ctx context.Context) error {
	return r.archive.Groups(ctx, func(g *Group) error {
		m, ok := r.matterOf(g)
		if !ok {
			return nil
		}
		return r.tell(&m, m.class, m.detail, 0)
	})
}

// onlineRun joins the topics first, then asks, then tells.
func (r *reconciler) onlineRun(ctx context.Context) error {
	spool, err := newSpool(r.archive.Dir)
	if err != nil {
		return err
	}
	defer spool.close()
	r.asker = newAsker(r.cfg, spool)
	err = r.archive.Groups(ctx, func(g *Group) error {
		m, ok := r.matterOf(g)
		if !ok {
			return nil
		}
		at, err := spool.put(&m)
		if err == nil && m.ask {
			err = r.asker.plan(&m, at)
		}
		return err
	})
	if err == nil {
		err = spool.flush()
	}
	if err == nil {
		err = r.asker.run(ctx)
	}
	if err != nil {
		return err
	}
	return spool.each(func(m *matter) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return r.decide(m)
	})
}

// decide puts a matter and the gateway's answer together.
func (r *reconciler) decide(m *matter) error {
	var a *answer
	why := ""
	if m.ask {
		var err error
		if a, err = r.asker.answer(m); err != nil {
			return err
		}
		if a == nil {
			why = r.asker.why(m)
			r.summary.Unanswered++
		}
	}
	class, detail, found := m.decide(a, why)
	return r.tell(m, class, detail, found)
}

// tell counts an intent, and tells of it if it is to be told of.
func (r *reconciler) tell(m *matter, class Class, detail string, found int64) error {
	r.summary.Classes[class.String()]++
	r.sums.add(sumKey{m.entry.merchant, m.entry.currency, class}, m.entry.amount)
	if !class.IsDifference() && !r.cfg.All {
		return nil
	}
	return r.cfg.Yield(Difference{
		Kind: "difference", Class: class.String(), Intent: m.id, Merchant: m.entry.merchant, Order: m.entry.order, Amount: m.entry.amount,
		Currency: m.entry.currency, Payment: some(m.entry.payment), GatewayPayment: some(found), AgeS: m.ageS, Detail: detail,
	})
}

func some(id int64) *int64 {
	if id == 0 {
		return nil
	}
	return &id
}

// A Gateway is how orders are looked up.
type Gateway struct {
	payment.Gateway
	Of       func(payment.MerchantID) (Terms, bool) // of a merchant that is configured
	Progress func(what string, total int64) Progress
}

// Terms are what holds for the look-ups of a merchant.
type Terms struct {
	URL   string // of its gateway: answers of another one are not believed
	Every time.Duration
	Burst int
}

// A Progress shows how far work is.
type Progress interface {
	Add(n int64)
	Done()
}
