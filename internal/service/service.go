// Package service puts the rooms together: Run is the whole service, from its
// settings to the last commit, built in the order in which the data flows;
// Check looks at everything around it before it starts.
//
// It decides nothing of its own. Programs and tests call the same function and
// see the same service.
package service

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"paylink/internal/bearer"
	"paylink/internal/burst"
	"paylink/internal/config"
	"paylink/internal/console"
	"paylink/internal/event"
	"paylink/internal/freedompay"
	"paylink/internal/kafkaio"
	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
	"paylink/internal/pulse"
	schemaregistry "paylink/internal/registry"
	"paylink/internal/telemetry"
)

// A Dialer opens connections.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// A Listener opens addresses to listen on.
type Listener func(ctx context.Context, network, addr string) (net.Listener, error)

// Deps is what the service needs beside its settings. Only Log is required.
type Deps struct {
	Log     logrus.FieldLogger
	Version string // of the build

	KafkaDial    Dialer                                // nil: the usual network
	GatewayDial  Dialer                                // nil: the usual network
	RegistryDial Dialer                                // nil: the usual network
	Proxy        func(*http.Request) (*url.URL, error) // to the gateway; nil: none
	AdminListen  Listener                              // nil: the usual network

	Getenv func(string) string // for OTEL_*, which ask for traces; nil: there are none

	Reload   <-chan struct{}            // asks to read the settings anew; nil: never
	Settings func() (config.Run, error) // reads the settings anew; nil: they stay as they are
	SetLevel func(level string)         // of the log; nil: it stays as it is

	LimitMemory func(bytes int64) int64 // debug.SetMemoryLimit; nil: the collector is left alone

	ShowLinks bool                 // show payment links in the console; for laptops only
	OnAdmin   func(admin net.Addr) // told where the admin server listens
}

// Logger returns the logger that the settings ask for. It cannot print a secret
// of the settings.
func Logger(cfg config.Run, w io.Writer) (*logrus.Logger, error) {
	return telemetry.NewLogger(w, cfg.Log.Format, cfg.Log.Level, secrets(cfg)...)
}

// secrets are all that the settings hold.
func secrets(cfg config.Run) []string {
	all := []string{cfg.Kafka.SASL.Password.Reveal(), cfg.Kafka.SASL.OAuth.Secret.Reveal(), cfg.Gateway.Secret.Reveal(), cfg.Events.Password.Reveal(), cfg.Events.Token.Reveal(), cfg.Admin.Token.Reveal()}
	for _, m := range cfg.Merchants {
		all = append(all, m.Secret.Reveal())
	}
	return all
}

// A service is its parts.
type service struct {
	cfg       config.Run
	deps      Deps
	started   time.Time
	merchants merchants
	nameless  payment.MerchantID // whose the intents are that name no merchant; empty: nobody's
	registry  *prometheus.Registry
	source    *kafkaio.Source
	lends     bool // turns: there is to be a topic for them
	gateway   *freedompay.Client
	encoder   *event.Encoder
	schemas   *schemaregistry.Registry      // nil: none
	noSchemas atomic.Pointer[console.Alarm] // the registry is waited for; nil: it is not
	bursts    *burst.Log
	engine    *pipeline.Engine
	traces    *telemetry.Traces // nil: none
	health    *telemetry.Health
	pulse     pulse.Pulse
	admin     *telemetry.Server
	hour      lastHour
	stopping  atomic.Bool
	stopOnce  sync.Once // says that the service stops

	// Of watch: the settings as they were read last, and why they were not taken up.
	read    config.Run
	refused string
}

// Run runs the service until ctx ends and what is in flight is settled,
// published and committed, within the drain timeout. The settings must be
// prepared. An error means that the service could not start, or not go on.
func Run(ctx context.Context, cfg config.Run, deps Deps) error {
	s := &service{cfg: cfg, read: cfg, deps: deps, started: time.Now(), health: &telemetry.Health{}, bursts: burst.New(1)}
	if err := s.trace(ctx); err != nil {
		return err
	}
	defer s.traces.Close()
	if err := s.build(); err != nil {
		return err
	}
	defer s.gateway.Close()
	defer s.bursts.Flush()
	if s.schemas != nil {
		defer s.schemas.Close()
	}
	if err := s.listen(ctx); err != nil {
		return err
	}
	s.sayHello()
	return s.run(ctx)
}

// trace has spans made, if they are asked for.
func (s *service) trace(ctx context.Context) (err error) {
	if s.deps.Getenv != nil {
		s.traces, err = telemetry.NewTraces(ctx, s.deps.Version, s.deps.Getenv, s.deps.Log)
	}
	return err
}

// build makes the parts. Nothing is connected yet.
func (s *service) build() error {
	s.merchants.replace(s.cfg.Merchants)
	s.registry = telemetry.NewRegistry(s.deps.Version)
	source, err := kafkaio.New(s.sourceConfig())
	if err != nil {
		return err
	}
	s.source, s.lends = source, turnsTopic(s.cfg) != ""
	s.gateway = freedompay.New(freedompay.Config{
		Merchant: s.merchants.merchant, Timeout: s.cfg.Gateway.Timeout, Concurrency: s.cfg.Flow.Concurrency,
		MayWrite: s.source.Live, Dial: s.deps.GatewayDial, Proxy: s.deps.Proxy,
		BadLink: s.badLink, TLS: s.cfg.Gateway.TLS.Config(),
	})
	s.nameless = s.cfg.Gateway.DefaultMerchant(s.cfg.Merchants)
	decoder := event.DecoderConfig{DefaultMerchant: s.nameless, KnownMerchant: s.merchants.knows, Defaults: s.merchants.defaults, Permit: s.merchants.permit}
	encoder := event.EncoderConfig{Source: "/paylink/" + url.PathEscape(s.cfg.Kafka.Group)}
	if err = s.connectRegistry(&decoder, &encoder); err != nil {
		return err
	}
	s.encoder = event.NewEncoder(encoder)
	s.engine = pipeline.New(pipeline.Config{
		Gateway: s.gateway,
		Decoder: event.NewDecoder(decoder),
		Encoder: s.encoder,
		Group:   s.cfg.Kafka.Group, Topic: s.cfg.Topics.Intents,
		Concurrency: s.cfg.Flow.Concurrency, GiveUpAfter: s.cfg.Flow.GiveUpAfter,
		CallTimeout: s.cfg.Gateway.Timeout + callMargin,
		Terms:       s.merchants.terms, Endpoints: s.merchants.gateways, Merchants: s.merchants.count, Scope: scopes[s.cfg.Gateway.RateScope], Partitions: s.source.Partitions, MaxOutcome: s.source.MaxOutcome,
		Turns: s.source.Turns(),
		Log:   s.deps.Log, Registerer: s.registry, Pulse: &s.pulse,
		Tracing: pipeline.Tracing{Tracer: s.traces.Tracer(), Outcomes: s.cfg.Topics.Outcomes, DeadLetters: s.cfg.Topics.DeadLetters},
	})
	return nil
}

// callMargin is how long a call may be on its way before its timeout counts, and
// its answer after.
const callMargin = 5 * time.Second

// badLink tells of a link that the gateway signed and that is not published.
func (s *service) badLink(in payment.Intent, reason error) {
	const what = "the gateway signed a link that must not be published: the intent waits, and is asked for again. Ask the gateway's people; if the host is theirs, add it to PAYLINK_GATEWAY_LINK_HOSTS"
	l := s.deps.Log.WithError(reason).WithField("merchant_id", string(in.Merchant))
	s.bursts.Say("link "+string(in.Merchant), func() { l.WithField("intent_id", string(in.ID)).Error(what) }, func(more int) {
		l.WithField("more", more).Error("more of the same in ten seconds: " + what)
	})
}

var scopes = map[string]pace.Scope{"group": pace.Group, "partition": pace.Partition}

func (s *service) sourceConfig() kafkaio.Config {
	k := s.cfg.Kafka
	return kafkaio.Config{
		Connection: Connection(k.Broker, s.deps.KafkaDial), Group: k.Group, InstanceID: k.InstanceID,
		IntentTopic: s.cfg.Topics.Intents, OutcomeTopic: s.cfg.Topics.Outcomes, DeadLetterTopic: s.cfg.Topics.DeadLetters, TurnsTopic: turnsTopic(s.cfg),
		SessionTimeout: k.SessionTimeout, RebalanceTimeout: k.RebalanceTimeout,
		DrainTimeout: s.cfg.Flow.DrainTimeout, LedgerWindow: s.cfg.Flow.LedgerWindow, LedgerDir: s.cfg.Flow.LedgerDir, LedgerIntents: s.cfg.Flow.LedgerIntents,
		StartLatest: k.Start == "latest", Log: s.deps.Log, Registerer: s.registry, Pulse: &s.pulse,
	}
}

// listen opens the admin server.
func (s *service) listen(ctx context.Context) error {
	s.addChecks()
	page, err := console.New(console.Config{State: s.state, About: s.about, Lanes: s.lanes, Intent: s.story, ShowLinks: s.deps.ShowLinks})
	if err != nil {
		return err
	}
	s.admin, err = telemetry.Listen(ctx, telemetry.ServerConfig{
		Addr: s.cfg.Admin.Addr, Metrics: s.registry, Health: s.health, Pulse: &s.pulse, Page: page, Listen: s.deps.AdminListen,
		Guard: telemetry.Guard{Token: s.cfg.Admin.Token, Certificates: s.cfg.Admin.ClientCA != "", Hosts: s.cfg.Admin.Hosts},
		Pprof: s.cfg.Admin.Profiles, TLS: s.adminTLS(),
	})
	if err == nil && s.deps.OnAdmin != nil {
		s.deps.OnAdmin(s.admin.Addr())
	}
	return err
}

// adminTLS is what the admin address speaks, read anew for each connection; nil:
// plain http.
func (s *service) adminTLS() func() (*tls.Config, error) {
	if s.cfg.Admin.CertFile == "" {
		return nil
	}
	return s.cfg.Admin.TLS
}

// run runs engine and admin server. The admin server goes last, so that a drain
// can be watched; if it breaks, the service stops as if it were asked to.
func (s *service) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(ctx, s.beginStop)()

	watched, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		err := s.admin.Run(watched)
		if err != nil {
			stop(err)
		}
		ended <- err
	}()
	var watching sync.WaitGroup
	watching.Go(func() { s.watch(ctx) })
	watching.Go(func() { s.limitMemory(ctx) })
	watching.Go(func() { s.sample(watched) })
	err := s.awaitSchemas(ctx)
	if err == nil {
		err = s.engine.Run(ctx, s.source)
	}
	s.beginStop()
	unwatch()
	stop(nil)
	watching.Wait()
	if adminErr := <-ended; err == nil {
		err = adminErr
	}
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	s.deps.Log.WithField("up", time.Since(s.started).Round(time.Second).String()).Info("stopped: everything in flight is settled and committed, or left for the next owner")
	return nil
}

// beginStop says, once, that the service stops; it returns after that is said.
func (s *service) beginStop() {
	s.stopOnce.Do(func() {
		s.stopping.Store(true)
		s.deps.Log.WithField("drain_timeout", s.cfg.Flow.DrainTimeout.String()).Info("stopping: no new intents, calls in flight are finished")
	})
}

func (s *service) sayHello() {
	s.deps.Log.WithFields(logrus.Fields{
		"version": s.deps.Version, "group": s.cfg.Kafka.Group, "brokers": s.cfg.Kafka.Brokers,
		"intents": s.cfg.Topics.Intents, "outcomes": s.cfg.Topics.Outcomes, "dead_letters": s.cfg.Topics.DeadLetters,
		"gateway": s.cfg.Gateway.URL, "merchants": len(s.cfg.Merchants), "admin": "http://" + s.admin.Addr().String(),
	}).Info("paylink starts")
}

// Connection makes a connection of the settings.
func Connection(b config.Broker, dial Dialer) kafkaio.Connection {
	return kafkaio.Connection{Brokers: b.Brokers, TLS: b.TLS.Config(), SASL: login(b.SASL), ClientID: "paylink", Dial: dial}
}

// login is the login of the settings, if they have one.
func login(s config.SASL) *kafkaio.SASL {
	switch s.Mechanism {
	case "":
		return nil
	case "oauthbearer":
		return &kafkaio.SASL{Mechanism: kafkaio.SASLOAuth, Token: tokens(s.OAuth).Token, Extensions: s.OAuth.Extensions}
	case "aws-msk-iam": // which takes its tokens by OAUTHBEARER, too
		return &kafkaio.SASL{Mechanism: kafkaio.SASLOAuth, Token: bearer.FromAWS(s.OAuth.AWSRegion).Token}
	}
	return &kafkaio.SASL{Mechanism: s.Mechanism, Username: s.Username, Password: s.Password}
}

// tokens are where those of the settings come from.
func tokens(o config.OAuth) *bearer.Source {
	if o.TokenFile != "" {
		return bearer.FromFile(o.Token)
	}
	return bearer.Endpoint{
		URL: o.TokenURL, ID: o.ClientID, Secret: o.Secret, Scopes: o.Scopes, Audience: o.Audience, TLS: o.TLS(), Proxy: http.ProxyFromEnvironment,
	}.Source()
}
