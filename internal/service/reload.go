package service

import (
	"slices"

	"paylink/internal/config"
	"paylink/internal/payment"
)

// A reason is why the settings are read anew.
type reason int

const (
	asked   reason = iota // by SIGHUP: whoever asks is told, whatever is found
	changed               // one of their files
	again                 // they were not valid the last time
)

// reload reads the settings anew and puts in force what may change while the
// service runs: merchants with their secrets, addresses and rates, the number of
// calls in flight, the log's level. It reports false, and changes nothing, if
// they are not valid.
func (s *service) reload(why reason) bool {
	next, err := s.deps.Settings()
	if err != nil {
		if why != again || err.Error() != s.refused {
			s.deps.Log.WithError(err).Error("the settings have changed and are not valid: going on with the old ones")
		}
		s.refused = err.Error()
		return false
	}
	did := s.apply(next)
	switch {
	case !did && why == asked:
		s.deps.Log.Info("settings read anew: nothing has changed")
	case !did && s.refused != "":
		s.deps.Log.Info("the settings are valid again, and as before")
	}
	s.refused = ""
	return true
}

// apply puts in force what has changed, tells each change with old and new
// value, and reports whether there was any.
func (s *service) apply(next config.Run) (any bool) {
	l := s.deps.Log
	if old := s.cfg.Flow.Concurrency; old != next.Flow.Concurrency {
		l.WithField("old", old).WithField("new", next.Flow.Concurrency).Info("setting changed: PAYLINK_CONCURRENCY")
		s.engine.SetConcurrency(next.Flow.Concurrency)
		any = true
	}
	if old := s.cfg.Log.Level; old != next.Log.Level {
		l.WithField("old", old).WithField("new", next.Log.Level).Info("setting changed: PAYLINK_LOG_LEVEL")
		if s.deps.SetLevel != nil {
			s.deps.SetLevel(next.Log.Level)
		}
		any = true
	}
	if different := s.merchantsTold(next.Merchants); len(different) > 0 {
		s.book.replace(next.Merchants)
		// A hold ends when its merchant has something new to try with. Reading the
		// same again is no such thing, SIGHUP neither: what is mended at the gateway
		// is found by the probes, two minutes later at most, and a file or a signal
		// that comes again and again must not become calls that are sure to fail.
		s.engine.Renew(func(m payment.MerchantID) bool { return different[m] })
		any = true
	}
	s.cfg.Merchants, s.cfg.Gateway.MerchantsFile = next.Merchants, next.Gateway.MerchantsFile
	s.cfg.Flow.Concurrency, s.cfg.Log.Level = next.Flow.Concurrency, next.Log.Level
	return any
}

// merchantsTold tells what has changed with the merchants, and returns with whom;
// secrets are never among it.
func (s *service) merchantsTold(next []config.Merchant) map[payment.MerchantID]bool {
	different, gone := map[payment.MerchantID]bool{}, map[payment.MerchantID]bool{}
	for _, m := range s.cfg.Merchants {
		gone[m.ID] = true
	}
	for _, m := range next {
		delete(gone, m.ID)
		if s.merchantTold(m) {
			different[m.ID] = true
		}
	}
	for _, m := range s.cfg.Merchants {
		if gone[m.ID] {
			different[m.ID] = true
			s.deps.Log.WithField("merchant_id", string(m.ID)).Warn("merchant removed: its intents fail with invalid_intent from now on")
		}
	}
	return different
}

// merchantTold tells what is new of a merchant, and reports whether anything is.
func (s *service) merchantTold(m config.Merchant) (any bool) {
	l := s.deps.Log.WithField("merchant_id", string(m.ID))
	old, known := s.book.find(m.ID)
	if !known {
		l.WithField("rate", m.Rate.String()).Info("merchant added")
		return true
	}
	if old.Rate != m.Rate {
		l.WithField("old", old.Rate.String()).WithField("new", m.Rate.String()).Info("merchant's rate changed")
		any = true
	}
	if old.Secret != m.Secret {
		l.Info("merchant's secret changed")
		any = true
	}
	if old.GatewayURL != m.GatewayURL {
		l.WithField("old", old.GatewayURL).WithField("new", m.GatewayURL).Info("merchant's gateway changed")
		any = true
	}
	return any || !slices.Equal(old.Defaults, m.Defaults)
}
