package service

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"paylink/internal/config"
	"paylink/internal/payment"
)

// fileRest is how long files have to rest before they are read: editors and
// Kubernetes change several at once.
const fileRest = 300 * time.Millisecond

// watch takes up changes of the settings until ctx ends: when it is told to
// (SIGHUP), and when the settings file, the merchants file or a file in their
// folders changes. A change that is not valid changes nothing, and is told.
func (s *service) watch(ctx context.Context) {
	if s.deps.Settings == nil {
		return
	}
	var events chan fsnotify.Event
	if w, err := s.watcher(); err != nil {
		s.deps.Log.WithError(err).Warn("cannot watch the settings' files: send SIGHUP after a change")
	} else {
		defer w.Close()
		events = w.Events
	}
	rest := time.NewTimer(time.Hour)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.deps.Reload:
			s.reload()
		case <-events:
			rest.Reset(fileRest)
		case <-rest.C:
			s.reload()
		}
	}
}

// watcher watches folders, not files: a file that is replaced is another file.
func (s *service) watcher() (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	for _, file := range []string{string(s.cfg.File), s.cfg.Gateway.MerchantsFile, s.cfg.Gateway.SecretFile} {
		if file == "" {
			continue
		}
		if err := w.Add(filepath.Dir(file)); err != nil {
			w.Close()
			return nil, err
		}
	}
	return w, nil
}

// reload reads the settings anew and puts in force what may change while the
// service runs: merchants with their secrets, addresses and rates, the number of
// calls in flight, the log's level.
func (s *service) reload() {
	next, err := s.deps.Settings()
	if err != nil {
		s.deps.Log.WithError(err).Error("the settings have changed and are not valid: going on with the old ones")
		return
	}
	s.told(next)
	s.book.replace(next.Merchants)
	s.engine.SetConcurrency(next.Flow.Concurrency)
	if s.deps.SetLevel != nil {
		s.deps.SetLevel(next.Log.Level)
	}
	s.cfg.Merchants, s.cfg.Flow.Concurrency, s.cfg.Log.Level = next.Merchants, next.Flow.Concurrency, next.Log.Level
	s.engine.Renew(func(payment.MerchantID) bool { return true })
}

// told logs each change with old and new value; secrets are never among them.
func (s *service) told(next config.Run) {
	l := s.deps.Log
	if old := s.cfg.Flow.Concurrency; old != next.Flow.Concurrency {
		l.WithField("old", old).WithField("new", next.Flow.Concurrency).Info("setting changed: PAYLINK_CONCURRENCY")
	}
	if old := s.cfg.Log.Level; old != next.Log.Level {
		l.WithField("old", old).WithField("new", next.Log.Level).Info("setting changed: PAYLINK_LOG_LEVEL")
	}
	seen := map[string]bool{}
	for _, m := range next.Merchants {
		seen[string(m.ID)] = true
		old, ok := s.book.find(m.ID)
		ml := l.WithField("merchant_id", string(m.ID))
		switch {
		case !ok:
			ml.WithField("rate", m.Rate.String()).Info("merchant added")
			continue
		case old.Rate != m.Rate:
			ml.WithField("old", old.Rate.String()).WithField("new", m.Rate.String()).Info("merchant's rate changed")
		}
		if old.Secret != m.Secret {
			ml.Info("merchant's secret changed")
		}
		if old.GatewayURL != m.GatewayURL {
			ml.WithField("old", old.GatewayURL).WithField("new", m.GatewayURL).Info("merchant's gateway changed")
		}
	}
	for _, m := range s.cfg.Merchants {
		if !seen[string(m.ID)] {
			l.WithField("merchant_id", string(m.ID)).Warn("merchant removed: its intents fail with invalid_intent from now on")
		}
	}
}
