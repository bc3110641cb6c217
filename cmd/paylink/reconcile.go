package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"paylink/internal/config"
	"paylink/internal/payment"
	"paylink/internal/reconcile"
	"paylink/internal/service"
	"paylink/internal/tell"
)

// reconcileAll compares the topics with the gateway.
func reconcileAll(ctx context.Context, cfg config.Reconcile, w world) error {
	a, err := openArchive(cfg.Reading, cfg.Asking, time.Now())
	if err != nil {
		return err
	}
	defer a.close()
	work, dir, done, err := a.workDir(cfg, w)
	if err != nil {
		return err
	}
	again := false // there is something left to be asked
	defer func() { done(again) }()
	r, err := a.rangeOf(ctx, work, w)
	if err != nil {
		return unjudged(ctx, err)
	}
	var page *reconcile.Page
	if cfg.HTML != "" {
		if page, err = reconcile.NewPage(cfg.HTML); err != nil {
			return err
		}
	}
	joined, out, end, err := a.begin(r, dir, reconcile.Difference{}, w)
	if err != nil {
		return err
	}
	defer end()
	sum, err := reconcile.Run(ctx, reconcile.Config{
		Archive: joined, GiveUpAfter: cfg.GiveUpAfter, All: cfg.All, Gateway: gatewayOf(cfg, w), Work: work,
		Yield: func(d reconcile.Difference) error {
			page.Add(d)
			return out.Row(d)
		},
		Say: func(s string) { fmt.Fprintln(w.err, "paylink: reconcile:", s) },
	})
	again = errors.As(err, new(*reconcile.Interrupted)) || sum != nil && sum.Unanswered > 0
	if err != nil {
		return unjudged(ctx, err)
	}
	if err := page.Write(sum, r); err != nil {
		return err
	}
	if err := out.Summary(sum); err != nil {
		return err
	}
	if !sum.Clean() {
		return errTold
	}
	return nil
}

// workDir opens the work directory. done closes it and, if there is something left
// to be asked, says how to go on. One that was made for this run alone it else deletes.
func (a *archive) workDir(cfg config.Reconcile, w world) (work *reconcile.WorkDir, dir string, done func(again bool), err error) {
	if cfg.Offline && cfg.WorkDir == "" {
		dir, remove, err := tempDir()
		return nil, dir, func(bool) { remove() }, err
	}
	dir, remove := cfg.WorkDir, func() {}
	if dir == "" {
		if dir, remove, err = tempDir(); err != nil {
			return nil, "", nil, err
		}
	}
	if work, err = reconcile.OpenWorkDir(dir); err != nil {
		remove()
		return nil, "", nil, err
	}
	return work, dir, func(again bool) {
		_ = work.Close()
		if again {
			fmt.Fprintf(w.err, "paylink: reconcile: to go on, say the same again with --work-dir %s\n", dir)
			return
		}
		remove()
	}, nil
}

// rangeOf is the range that the work directory remembers, or else that of the
// settings, as of now.
func (a *archive) rangeOf(ctx context.Context, work *reconcile.WorkDir, w world) (reconcile.Range, error) {
	id := reconcile.Identity{
		Topics: [3]string{a.cfg.Topics.Intents, a.cfg.Topics.Outcomes, a.cfg.Topics.DeadLetters}, Group: a.cfg.Group, From: a.cfg.From, To: a.cfg.To,
		Filter: reconcile.Filter{Merchant: a.cfg.Merchant, Intent: a.cfg.Intent, Order: a.cfg.Order}, GiveUpAfter: a.cfg.GiveUpAfter,
	}
	var err error
	if id.Cluster, err = a.kafka.Cluster(ctx); err != nil {
		return reconcile.Range{}, err
	}
	if work != nil {
		r, ok, err := work.Began(id)
		if err != nil {
			return r, err
		}
		if ok {
			fmt.Fprintf(w.err, "paylink: reconcile: going on with the run of %s in %s\n", r.Moment.UTC().Format(time.RFC3339), work.Dir())
			return r, nil
		}
	}
	r, _, err := a.fix(ctx, w)
	if err != nil {
		return r, err
	}
	if work != nil {
		return r, work.Begin(id, r)
	}
	return r, nil
}

// gatewayOf is how the gateway is asked; nil: it is not.
func gatewayOf(cfg config.Reconcile, w world) *reconcile.Gateway {
	if cfg.Offline {
		return nil
	}
	terms := map[payment.MerchantID]reconcile.Terms{}
	for _, m := range cfg.Merchants {
		t := reconcile.Terms{URL: m.GatewayURL, Burst: m.Rate.Burst}
		if m.Rate.Events > 0 {
			t.Every = m.Rate.Interval()
		}
		terms[m.ID] = t
	}
	return &reconcile.Gateway{
		Gateway: service.Gateway(cfg.Asking, nil, http.ProxyFromEnvironment),
		Of: func(id payment.MerchantID) (reconcile.Terms, bool) {
			t, ok := terms[id]
			return t, ok
		},
		Progress: func(what string, total int64) reconcile.Progress {
			return tell.NewProgress(w.err, what, total)
		},
	}
}
