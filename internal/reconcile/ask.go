package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"paylink/internal/payment"
)

// How the gateway is asked.
const (
	inFlight     = 32 // look-ups of a merchant at a time
	tries        = 4  // of one look-up
	mostInARow   = 3  // look-ups without an answer, after which a merchant is left alone
	longestPause = 30 * time.Second
)

// An Interrupted run can go on.
type Interrupted struct{ Answered, Planned int64 }

// Error says how far the run has come.
func (e *Interrupted) Error() string {
	return fmt.Sprintf("interrupted: %d of %d look-ups are answered", e.Answered, e.Planned)
}

// An asker looks orders up: merchants side by side, each at its own pace.
type asker struct {
	cfg   Config
	spool *spool
	plans map[string]*plan // by merchant

	saying sync.Mutex // one sentence at a time
}

func (a *asker) say(format string, args ...any) {
	if a.cfg.Say != nil {
		a.saying.Lock()
		defer a.saying.Unlock()
		a.cfg.Say(fmt.Sprintf(format, args...))
	}
}

// A plan is what is to be asked of one merchant.
type plan struct {
	terms Terms
	known bool    // the merchant is configured
	at    []int64 // of matters in the spool

	mu       sync.Mutex
	answered int64
	asking   map[string]bool // orders in flight: two intents may have one
	failed   int             // look-ups without an answer in a row
	why      string          // the last of them
}

func newAsker(cfg Config, s *spool) *asker {
	return &asker{cfg: cfg, spool: s, plans: map[string]*plan{}}
}

func (a *asker) of(merchant string) *plan {
	p := a.plans[merchant]
	if p == nil {
		p = &plan{asking: map[string]bool{}}
		if p.terms, p.known = a.cfg.Gateway.Of(payment.MerchantID(merchant)); !p.known {
			p.why = "the merchant is not configured"
			if len(a.plans) >= maxSums { // of an emitter that makes merchants up, nothing is kept
				return p
			}
		}
		a.plans[merchant] = p
	}
	return p
}

// plan notes that a matter has to be asked, unless it was.
func (a *asker) plan(m *matter, at int64) error {
	p := a.of(m.entry.merchant)
	if !p.known {
		return nil
	}
	before, err := a.cfg.Work.answer(p.key(m))
	if err == nil && before == nil {
		p.at = append(p.at, at)
	}
	return err
}

func (p *plan) key(m *matter) []byte { return answerKey(p.terms.URL, m.entry.merchant, m.entry.order) }

// answer returns what the gateway has said of a matter, or nil.
func (a *asker) answer(m *matter) (*answer, error) {
	p := a.of(m.entry.merchant)
	if !p.known {
		return nil, nil
	}
	return a.cfg.Work.answer(p.key(m))
}

// why says why there is no answer.
func (a *asker) why(m *matter) string { return a.of(m.entry.merchant).why }

// run asks all that is planned. It ends early only if ctx does, or the work
// directory fails: look-ups in flight are then awaited, and remembered.
func (a *asker) run(ctx context.Context) error {
	var planned int64
	for _, p := range a.plans {
		planned += int64(len(p.at))
	}
	if planned == 0 {
		return nil
	}
	show := a.cfg.Gateway.Progress("look-ups", planned)
	defer show.Done()
	var g errgroup.Group
	for _, merchant := range slices.Sorted(maps.Keys(a.plans)) {
		if p := a.plans[merchant]; len(p.at) > 0 {
			g.Go(func() error { return a.merchant(ctx, merchant, p, show) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if ctx.Err() == nil {
		return nil
	}
	e := &Interrupted{Planned: planned}
	for _, p := range a.plans {
		e.Answered += p.answered
	}
	return e
}

// merchant asks for one merchant, at its pace.
func (a *asker) merchant(ctx context.Context, id string, p *plan, show Progress) error {
	limit := rate.NewLimiter(rate.Inf, 1)
	if p.terms.Every > 0 {
		limit = rate.NewLimiter(rate.Every(p.terms.Every), max(1, p.terms.Burst))
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	left := 0
	for i, at := range p.at {
		if gctx.Err() != nil {
			break
		}
		if p.givenUp() {
			left = len(p.at) - i
			break
		}
		g.Go(func() error {
			show.Add(1)
			return a.matter(gctx, p, limit, at)
		})
	}
	err := g.Wait()
	if left > 0 {
		a.say("merchant %s: %s; %d look-ups are left", id, p.why, left)
	}
	return err
}

func (p *plan) givenUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed >= mostInARow
}

// matter asks for one matter, unless the same order is being asked for.
func (a *asker) matter(ctx context.Context, p *plan, limit *rate.Limiter, at int64) error {
	m, err := a.spool.get(at)
	if err != nil || ctx.Err() != nil {
		return err
	}
	order := m.entry.order
	p.mu.Lock()
	twice := p.asking[order] || p.failed >= mostInARow
	p.asking[order] = true
	p.mu.Unlock()
	if twice {
		return nil
	}
	defer func() {
		p.mu.Lock()
		delete(p.asking, order)
		p.mu.Unlock()
	}()
	key := p.key(&m)
	if before, err := a.cfg.Work.answer(key); err != nil || before != nil {
		return err
	}
	said, err := a.ask(ctx, limit, payment.Intent{ID: payment.IntentID(m.id), Merchant: payment.MerchantID(m.entry.merchant), OrderID: order})
	if ctx.Err() != nil && said == nil {
		return nil
	}
	if said != nil {
		err = a.cfg.Work.remember(key, *said)
		p.note(true, "")
		return err
	}
	p.note(false, "the gateway gave no answer: "+payment.AsGatewayError(err).Cause)
	return nil
}

func (p *plan) note(answered bool, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if answered {
		p.failed = 0
		p.answered++
		return
	}
	p.failed++
	p.why = why
}

// ask makes one look-up, repeated if it gets no answer. A call that is under way is
// awaited even if ctx ends, so that its answer is kept.
func (a *asker) ask(ctx context.Context, limit *rate.Limiter, in payment.Intent) (said *answer, err error) {
	for try := range tries {
		if err := limit.Wait(ctx); err != nil {
			return nil, err
		}
		var s payment.Status
		s, err = a.cfg.Gateway.Find(context.WithoutCancel(ctx), in)
		switch {
		case err == nil:
			return &answer{Found: true, Payment: s.PaymentID, State: clip(s.State), Amount: clip(string(s.Amount)), Currency: clip(s.Currency)}, nil
		case errors.Is(err, payment.ErrNotFound):
			return &answer{}, nil
		}
		ge := payment.AsGatewayError(err)
		if ge.Class == payment.Misconfigured || try == tries-1 || !pause(ctx, try, ge.RetryAfter) {
			break
		}
	}
	return nil, err
}

// pause waits before a look-up is repeated; it reports whether ctx has not ended.
func pause(ctx context.Context, try int, asked time.Duration) bool {
	t := time.NewTimer(max(min(asked, longestPause), time.Duration(float64(time.Second<<try)*(0.5+rand.Float64()/2))))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
