package service

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/sirupsen/logrus"

	"paylink/internal/config"
	"paylink/internal/payment"
	"paylink/internal/telemetry"
)

// A reason is why the settings are read anew.
type reason int

const (
	asked   reason = iota // by SIGHUP: whoever asks is told, whatever is found
	changed               // one of their files
	again                 // they were not valid the last time
)

// reload reads the settings anew and puts in force what may change while the
// service runs: merchants with their secrets, addresses and rates, the logins at
// brokers, schema registry and gateways, the number of calls in flight, the log's level. It
// reports false, and changes nothing, if they are not valid.
func (s *service) reload(why reason) bool {
	next, err := s.deps.Settings()
	if err == nil {
		err = s.keepsNameless(next)
	}
	if err != nil {
		if why != again || err.Error() != s.refused {
			s.deps.Log.WithError(err).Error("the settings have changed and are not valid: going on with the old ones")
		}
		s.refused = err.Error()
		return false
	}
	telemetry.Hide(s.deps.Log, secrets(next)...) // before anybody can know them
	did := s.apply(next)
	did = s.restartTold(next) || did
	switch {
	case !did && why == asked:
		s.deps.Log.Info("settings read anew: nothing has changed")
	case !did && s.refused != "":
		s.deps.Log.Info("the settings are valid again, and as before")
	}
	s.refused = ""
	return true
}

// keepsNameless refuses settings without the merchant whose intents need not name
// it: the decoder knows one for good, and all of those intents would fail.
func (s *service) keepsNameless(next config.Run) error {
	if s.nameless == "" || slices.ContainsFunc(next.Merchants, func(m config.Merchant) bool { return m.ID == s.nameless }) {
		return nil
	}
	return fmt.Errorf("PAYLINK_MERCHANT_ID: merchant %s is gone, whose the intents are that name none; leave it in, or restart the service", s.nameless)
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
		s.setLevel(old, next.Log.Level)
		any = true
	}
	any = s.loginTold(next.Kafka.Broker) || any
	any = s.registryLoginTold(next.Events.Registry) || any
	any = s.gatewayTLSTold(next.Gateway.TLS) || any
	if different := s.merchantsTold(next.Merchants); len(different) > 0 {
		s.merchants.replace(next.Merchants)
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

// loginTold takes up another login at the brokers, and reports whether there is one.
func (s *service) loginTold(next config.Broker) bool {
	old := &s.cfg.Kafka.Broker
	changes := old.LoginChanges(next)
	if old.TLS.Enabled == next.TLS.Enabled {
		old.TLS, old.SASL = next.TLS, next.SASL // the files to watch, too
	}
	if len(changes) == 0 {
		return false
	}
	if err := s.source.Renew(next.TLS.Config(), login(next.SASL)); err != nil {
		s.deps.Log.WithError(err).Error("the login at the brokers has changed and cannot be used: going on with the old one")
		return true
	}
	s.deps.Log.WithField("changed", changes).Info("the login at the brokers has changed: new connections use it")
	return true
}

// registryLoginTold takes up another login at the schema registry, and reports whether
// there is one.
func (s *service) registryLoginTold(next config.Registry) bool {
	old := &s.cfg.Events.Registry
	if s.schemas == nil || old.RegistryURL != next.RegistryURL {
		return false
	}
	changes, naming := old.LoginChanges(next), old.Naming
	*old = next // the files to watch, too
	old.Naming = naming
	if len(changes) == 0 {
		return false
	}
	s.schemas.Renew(registryLogin(next))
	s.deps.Log.WithField("changed", changes).Info("the login at the schema registry has changed: it is used from now on")
	return true
}

// gatewayTLSTold takes up other authorities of the gateways, and another certificate
// of ours, and reports whether there are any. Holds go on: none is for either.
func (s *service) gatewayTLSTold(next config.GatewayTLS) bool {
	changes := s.cfg.Gateway.TLS.Changes(next)
	s.cfg.Gateway.TLS = next // the files to watch, too
	if len(changes) == 0 {
		return false
	}
	s.gateway.Renew(next.Config())
	s.deps.Log.WithField("changed", changes).Info("the encryption of calls of the gateway has changed: calls from now on use it")
	return true
}

// setLevel changes the log's level. It says so while the log is at the more
// talkative of the two: else nobody would hear that it is info again.
func (s *service) setLevel(old, next string) {
	set := s.deps.SetLevel
	if set == nil {
		set = func(string) {}
	}
	from, _ := logrus.ParseLevel(old) // both are valid
	to, _ := logrus.ParseLevel(next)
	if to > from {
		set(next)
	}
	s.deps.Log.WithField("old", old).WithField("new", next).Info("setting changed: PAYLINK_LOG_LEVEL")
	set(next)
}

// restartTold warns of changes that nothing comes of before a restart, once each,
// and reports whether there were any.
func (s *service) restartTold(next config.Run) bool {
	names, news := s.cfg.NeedRestart(next), s.read.NeedRestart(next)
	s.read = next
	if len(names) > 0 && len(news) > 0 {
		s.deps.Log.WithField("settings", names).Warn("settings have changed that need a restart: until then the old values are in force")
	}
	return len(news) > 0
}

// merchantsTold tells what has changed with the merchants, and returns with whom;
// secrets are never among it.
func (s *service) merchantsTold(next []config.Merchant) map[payment.MerchantID]bool {
	different, gone := map[payment.MerchantID]bool{}, map[payment.MerchantID]bool{}
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	log := func() logrus.FieldLogger {
		if len(different) < mostTold {
			return s.deps.Log
		}
		return quiet
	}
	for _, m := range s.cfg.Merchants {
		gone[m.ID] = true
	}
	for _, m := range next {
		delete(gone, m.ID)
		if s.merchantTold(m, log()) {
			different[m.ID] = true
		}
	}
	for _, m := range s.cfg.Merchants {
		if gone[m.ID] {
			log().WithField("merchant_id", string(m.ID)).Warn("merchant removed: its intents fail with invalid_intent from now on")
			different[m.ID] = true
		}
	}
	if more := len(different) - mostTold; more > 0 {
		s.deps.Log.WithField("more", more).Info("more merchants were added, removed or changed")
	}
	return different
}

// mostTold is of how many merchants a reload tells what is new; the rest it counts.
const mostTold = 100

// merchantTold tells what is new of a merchant, and reports whether anything is.
func (s *service) merchantTold(m config.Merchant, log logrus.FieldLogger) (any bool) {
	l := log.WithField("merchant_id", string(m.ID))
	old, known := s.merchants.find(m.ID)
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
	if !slices.Equal(old.LinkHosts, m.LinkHosts) {
		l.WithField("old", old.LinkHosts.String()).WithField("new", m.LinkHosts.String()).Info("merchant's hosts of links changed")
		any = true
	}
	if !slices.Equal(old.Permit.Locked, m.Permit.Locked) {
		l.WithField("old", old.Permit.Locked).WithField("new", m.Permit.Locked).Info("merchant's locked fields changed: they apply to intents that are read from now on")
		any = true
	}
	if !slices.Equal(old.Permit.Hosts, m.Permit.Hosts) {
		l.WithField("old", old.Permit.Hosts.String()).WithField("new", m.Permit.Hosts.String()).Info("merchant's allowed hosts changed: they apply to intents that are read from now on")
		any = true
	}
	if names := differing(old.Defaults, m.Defaults); len(names) > 0 {
		l.WithField("fields", names).Info("merchant's defaults changed: they apply to calls from now on, also to repeats of intents called before")
		any = true
	}
	return any
}

// differing names the fields whose values are not the same. The values are not
// for the log: they hold addresses of the merchant's.
func differing(old, next []payment.Param) []string {
	values := func(all []payment.Param) map[string]string {
		m := map[string]string{}
		for _, p := range all {
			m[p.Name] = p.Value
		}
		return m
	}
	was, is := values(old), values(next)
	maps.DeleteFunc(was, func(name, v string) bool {
		same := is[name] == v // no default is empty
		if same {
			delete(is, name)
		}
		return same
	})
	maps.Copy(was, is)
	return slices.Sorted(maps.Keys(was))
}
