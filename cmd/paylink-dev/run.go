package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"paylink/internal/config"
	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
)

// A runCmd runs the whole system in one process.
type runCmd struct {
	Rate         float64            `default:"2" placeholder:"N" help:"Sample intents per second (default ${default})."`
	Count        int                `placeholder:"N" help:"Stop emitting after that many; 0: never."`
	For          time.Duration      `placeholder:"DURATION" help:"End by itself after that time; 0: at Ctrl-C."`
	Pace         string             `default:"20/s" placeholder:"RATE" help:"Calls per second that each sample merchant may make (default ${default})."`
	Latency      gatewaysim.Latency `default:"lognormal(120ms,0.5)" placeholder:"DISTRIBUTION" help:"Time the gateway takes to answer (default ${default})."`
	Rules        string             `default:"lost-answer=0.03,500-before=0.03,500-after=0.02,slow:3s=0.03,unsigned-ok=0.01,html=0.02,429:2s=0.02,signed-error:9403=0.02" placeholder:"RULES" help:"The gateway's unkindness after the first link, as of paylink-dev gateway (default ${default})."`
	Kind         bool               `help:"A gateway without unkindness."`
	Partitions   int                `default:"6" help:"Partitions of each topic (default ${default})."`
	PortBroker   int                `default:"9092" help:"Port of the broker; a free one if it is taken (default ${default})."`
	PortRegistry int                `default:"8081" help:"Port of the schema registry, likewise (default ${default})."`
	PortGateway  int                `default:"8090" help:"Port of the gateway simulator, likewise (default ${default})."`
	PortConsole  int                `default:"8080" help:"Port of the service's console, likewise (default ${default})."`
	LogLevel     string             `enum:"debug,info,warn,error" default:"warn" help:"What the service logs to standard error: ${enum} (default ${default})."`
	Quiet        bool               `short:"q" help:"Do not print each outcome."`
	Seed         uint64             `default:"1" help:"Seed of samples and of the gateway's chance (default ${default})."`
	Mix          mix                `embed:""`
}

// The merchants of the samples: the first is the default, which intents need not name.
const secondMerchant = "540002"

// Run runs everything until a signal or the time given, then tells what came of it.
func (c *runCmd) Run(ctx context.Context, w world) error {
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	rules, err := c.rules()
	if err != nil {
		return err
	}
	secrets := map[string]payment.Secret{sampleMerchant: payment.Secret(rand.Text()), secondMerchant: payment.Secret(rand.Text())}
	stack, err := devstack.Start(ctx, c.options(secrets))
	if err != nil {
		return err
	}
	defer stack.Close()
	cfg, err := c.settings(stack, secrets)
	if err != nil {
		return err
	}
	s := &show{w: w, stack: stack, quiet: c.Quiet, console: "http://" + cfg.Admin.Addr, afterFirst: rules}
	s.begin()
	if err := c.runAll(ctx, w, cfg, s); err != nil {
		return err
	}
	return s.summary()
}

// runAll runs service, samples and view. The view ends last, so that it sees
// what the service publishes while it stops.
func (c *runCmd) runAll(ctx context.Context, w world, cfg config.Run, s *show) error {
	viewed, stopView := context.WithCancel(context.WithoutCancel(ctx))
	defer stopView()
	ready := make(chan struct{})
	view := make(chan error, 1)
	go func() { view <- s.run(viewed, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-view:
		return fmt.Errorf("watch outcomes: %w", err)
	}

	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return runService(ctx, cfg, w.err) })
	work.Go(func() error {
		samples := newSampler(runPrefix(), []string{"", secondMerchant}, c.Mix, c.Seed)
		n, err := publish(ctx, s.stack.Broker.Kafka(), devstack.Stream{
			Topic: devstack.Intents, Rate: c.Rate, Count: c.Count,
			Next: func() (event.Message, error) { return samples.next(), nil },
		})
		s.emitted(n, samples.repeats)
		return err
	})
	err := work.Wait()
	stopView()
	<-view
	return err
}

func (c *runCmd) rules() ([]gatewaysim.Rule, error) {
	if c.Kind {
		return nil, nil
	}
	return gatewaysim.ParseRules(c.Rules)
}

func (c *runCmd) options(secrets map[string]payment.Secret) devstack.Options {
	return devstack.Options{
		Broker:   devstack.BrokerOptions{Addr: local(c.PortBroker), Topics: devstack.DefaultTopics(int32(c.Partitions))},
		Registry: devstack.RegistryOptions{Addr: local(c.PortRegistry)},
		Gateway: devstack.GatewayOptions{Addr: local(c.PortGateway), Config: gatewaysim.Config{
			Merchants: secrets, Seed: c.Seed, Latency: c.Latency.Draw, KeepCalls: 100_000, KeepPayments: 100_000,
		}},
	}
}

func local(port int) devstack.Addr {
	return devstack.Addr{HostPort: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
}

// settings are the service's, as an operator would write them for this stack.
func (c *runCmd) settings(stack *devstack.Stack, secrets map[string]payment.Secret) (config.Run, error) {
	cfg, err := config.Default()
	if err != nil {
		return cfg, err
	}
	if cfg.Admin.Addr, err = freeAddr(local(c.PortConsole)); err != nil {
		return cfg, fmt.Errorf("find a port for the console: %w", err)
	}
	if err := cfg.Gateway.Rate.UnmarshalText([]byte(c.Pace)); err != nil {
		return cfg, fmt.Errorf("pace %q %w", c.Pace, err)
	}
	cfg.Kafka.Brokers = stack.Broker.Addrs()
	cfg.Gateway.URL = stack.Gateway.URL
	cfg.Gateway.Timeout = 10 * time.Second
	cfg.Flow.DrainTimeout = 10 * time.Second // Ctrl-C should not take long
	cfg.Gateway.MerchantID = sampleMerchant
	cfg.Gateway.Secret = secrets[sampleMerchant]
	cfg.Events.RegistryURL = stack.Registry.URL
	cfg.Log.Format, cfg.Log.Level = "text", c.LogLevel
	if err := cfg.Prepare(); err != nil {
		return cfg, err
	}
	second := cfg.Merchants[0]
	second.ID, second.Secret = secondMerchant, secrets[secondMerchant]
	cfg.Merchants = append(cfg.Merchants, second)
	return cfg, nil
}

// freeAddr returns an address that was free a moment ago.
func freeAddr(a devstack.Addr) (string, error) {
	ln, err := a.Listen(context.Background())
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// A show tells people what happens in the stack.
type show struct {
	w          world
	stack      *devstack.Stack
	console    string
	quiet      bool
	afterFirst []gatewaysim.Rule

	mu    sync.Mutex // guards what follows
	first bool       // the first link was shown
	sent  int        // records emitted
	again int        // of those: repeats
}

func (s *show) begin() {
	fmt.Fprintf(s.w.out, "broker, schema registry, gateway simulator and service are in this process; what they hold ends with it\n")
}

// run shows outcomes and dead letters until ctx ends.
func (s *show) run(ctx context.Context, ready func()) error {
	tail := devstack.Tail{Topics: []string{devstack.Outcomes, devstack.DeadLetters}, FromBeginning: true, Ready: ready}
	err := s.stack.Broker.Kafka().Follow(ctx, tail, s.see)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *show) see(r devstack.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.first {
		if url := linkOf(r); url != "" {
			s.first = true
			fmt.Fprintf(s.w.out, "\npayment link %s\n\n%s\n", url, s.howToWatch())
			return s.stack.Gateway.Sim.Misbehave(s.afterFirst...)
		}
	}
	if s.quiet {
		return nil
	}
	_, err := fmt.Fprintln(s.w.out, humanLine(r))
	return err
}

func (s *show) howToWatch() string {
	brokers := strings.Join(s.stack.Broker.Addrs(), ",")
	return fmt.Sprintf(`  console          %s
  gateway          %s      every payment, and its page
  schema registry  %s
  broker           %s

  go run ./cmd/paylink-dev watch --brokers %[4]s --dead-letters --from-beginning
  go run ./cmd/paylink-dev emit  --brokers %[4]s --count 10

Ctrl-C ends everything.
`, s.console, s.stack.Gateway.URL, s.stack.Registry.URL, brokers)
}

func (s *show) emitted(n, repeats int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent, s.again = n, repeats
}

// summary reads the outcome topic once more, as consumers of either isolation
// level see it, and says whether the promise held.
func (s *show) summary() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	k := s.stack.Broker.Kafka()
	uncommitted, committed, err := k.ReadBoth(ctx, devstack.Outcomes)
	if err != nil {
		return fmt.Errorf("read outcomes: %w", err)
	}
	dead, err := k.Read(ctx, devstack.DeadLetters, devstack.ReadUncommitted)
	if err != nil {
		return fmt.Errorf("read dead letters: %w", err)
	}
	var t tally
	for _, r := range append(uncommitted, dead...) {
		t.count(r)
	}
	s.mu.Lock()
	sent, again := s.sent, s.again
	s.mu.Unlock()
	calls := s.stack.Gateway.Sim.Counts()
	fmt.Fprintf(s.w.out, "\nemitted %d records, %d of them repeats; %s\n", sent, again, t.String())
	fmt.Fprintf(s.w.out, "gateway: %d calls, %d payments, %d calls with a known idempotency key\n", calls.Calls, calls.Made, calls.Repeated)
	twice := max(repeatedIntents(uncommitted), repeatedIntents(committed))
	fmt.Fprintf(s.w.out, "intents with more than one outcome: %d\n", twice)
	if twice > 0 {
		return fmt.Errorf("%d intents have more than one outcome", twice)
	}
	return nil
}
