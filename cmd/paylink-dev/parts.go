package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"paylink/internal/config"
	"paylink/internal/devstack"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
)

// A brokerCmd runs an embedded broker.
type brokerCmd struct {
	Addr      string            `default:"127.0.0.1:9092" placeholder:"HOST:PORT" help:"Where to listen; port 0: any free one (default ${default})."`
	Advertise string            `placeholder:"HOST" help:"Host that clients are told to dial. Default: the one listened on."`
	Nodes     int               `default:"1" help:"Number of brokers, on consecutive ports (default ${default})."`
	Topic     []string          `placeholder:"NAME:PARTITIONS" help:"Topics to make. Default: the three usual ones."`
	Partition int               `name:"partitions" default:"6" help:"Partitions of the three usual topics (default ${default})."`
	Config    map[string]string `placeholder:"KEY=VALUE" help:"Broker settings, as in server.properties."`
}

// Run serves until a signal.
func (c *brokerCmd) Run(ctx context.Context, w world) error {
	topics, err := c.topics()
	if err != nil {
		return err
	}
	b, err := devstack.StartBroker(devstack.BrokerOptions{
		Addr:      devstack.Addr{HostPort: c.Addr, Exact: true},
		Advertise: c.Advertise,
		Brokers:   c.Nodes,
		Topics:    topics,
		Configs:   c.Config,
	})
	if err != nil {
		return fmt.Errorf("start broker: %w", err)
	}
	defer b.Close()
	fmt.Fprintf(w.out, "broker %s\n", strings.Join(b.Addrs(), ","))
	for _, t := range topics {
		fmt.Fprintf(w.out, "topic  %s, %d partitions\n", t.Name, t.Partitions)
	}
	<-ctx.Done()
	return nil
}

func (c *brokerCmd) topics() ([]devstack.Topic, error) {
	if len(c.Topic) == 0 {
		return devstack.DefaultTopics(int32(c.Partition)), nil
	}
	var topics []devstack.Topic
	for _, text := range c.Topic {
		name, count, _ := strings.Cut(text, ":")
		n, err := strconv.ParseInt(count, 10, 32)
		if err != nil || n < 1 || name == "" {
			return nil, fmt.Errorf("topic %q: write NAME:PARTITIONS", text)
		}
		topics = append(topics, devstack.Topic{Name: name, Partitions: int32(n)})
	}
	return topics, nil
}

// A registryCmd runs an embedded schema registry.
type registryCmd struct {
	Addr string `default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Where to listen; port 0: any free one (default ${default})."`
}

// Run serves until a signal.
func (c *registryCmd) Run(ctx context.Context, w world) error {
	r, err := devstack.StartRegistry(ctx, devstack.RegistryOptions{Addr: devstack.Addr{HostPort: c.Addr, Exact: true}})
	if err != nil {
		return fmt.Errorf("start registry: %w", err)
	}
	defer r.Close()
	fmt.Fprintf(w.out, "schema registry %s\n", r.URL)
	<-ctx.Done()
	return nil
}

// The merchant of a simulator that was told of none. Its secret is public: it
// opens nothing but a simulator.
const (
	sampleMerchant = "540001"
	sampleSecret   = "paylink-dev-secret"
)

// A gatewayCmd runs the gateway simulator.
type gatewayCmd struct {
	Addr        string             `default:"127.0.0.1:8090" placeholder:"HOST:PORT" help:"Where to listen; port 0: any free one (default ${default})."`
	PublicURL   string             `placeholder:"URL" env:"PAYLINK_DEV_PUBLIC_URL" help:"How links to payment pages begin. Default: as the caller calls."`
	Merchant    []string           `placeholder:"ID:FILE" help:"Merchants, each with the file of its secret. Default: the one in PAYLINK_MERCHANT_ID and PAYLINK_MERCHANT_SECRET or PAYLINK_MERCHANT_SECRET_FILE, else 540001 with the secret paylink-dev-secret."`
	Rules       string             `placeholder:"RULES" env:"PAYLINK_DEV_RULES" help:"Unkindness, by rate or count, such as lost-answer=0.05,500-before*3,slow:2s@540001. GET /sim/rules lists all."`
	Repeat      string             `enum:"first-answer,duplicate,new-payment" default:"first-answer" help:"What a repeated idempotency key gets: ${enum} (default ${default})."`
	Latency     gatewaysim.Latency `placeholder:"DISTRIBUTION" help:"Time to answer: 50ms, uniform(20ms,80ms), exp(50ms), lognormal(50ms,0.5). Default: none."`
	MinInterval time.Duration      `placeholder:"DURATION" help:"Count calls of a merchant that come sooner after another as haste. Default: none."`
	SignErrors  bool               `help:"Sign errors, as the gateway's page says; in the field most are not."`
	Seed        uint64             `default:"1" help:"Seed of all chance (default ${default})."`
	Keep        int                `default:"100000" help:"How many calls and payments to remember; 0: all (default ${default})."`
}

// Run serves until a signal.
func (c *gatewayCmd) Run(ctx context.Context, w world) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	g, err := devstack.StartGateway(ctx, devstack.GatewayOptions{Addr: devstack.Addr{HostPort: c.Addr, Exact: true}, Config: cfg})
	if err != nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	defer g.Close()
	fmt.Fprintf(w.out, "gateway %s\n", g.URL)
	for id := range cfg.Merchants {
		fmt.Fprintf(w.out, "merchant %s\n", id)
	}
	<-ctx.Done()
	n := g.Sim.Counts()
	fmt.Fprintf(w.out, "calls %d, payments %d, calls with a known idempotency key %d, calls that break rules %d\n", n.Calls, n.Made, n.Repeated, n.Violating)
	return nil
}

var repeats = map[string]gatewaysim.Repeat{
	"first-answer": gatewaysim.FirstAnswer,
	"duplicate":    gatewaysim.DuplicateError,
	"new-payment":  gatewaysim.NewPayment,
}

func (c *gatewayCmd) config() (gatewaysim.Config, error) {
	merchants, err := c.merchants(os.Getenv)
	if err != nil {
		return gatewaysim.Config{}, err
	}
	rules, err := gatewaysim.ParseRules(c.Rules)
	if err != nil {
		return gatewaysim.Config{}, err
	}
	return gatewaysim.Config{
		Merchants:    merchants,
		PublicURL:    c.PublicURL,
		Seed:         c.Seed,
		Repeat:       repeats[c.Repeat],
		SignErrors:   c.SignErrors,
		Latency:      c.Latency.Draw,
		MinInterval:  c.MinInterval,
		Rules:        rules,
		KeepCalls:    c.Keep,
		KeepPayments: c.Keep,
	}, nil
}

// merchants reads the merchants from flags, or else the one of the service's
// own settings, so that both can be started with the same environment.
func (c *gatewayCmd) merchants(env func(string) string) (map[string]payment.Secret, error) {
	files := map[string]string{}
	for _, text := range c.Merchant {
		id, file, ok := strings.Cut(text, ":")
		if !ok || id == "" || file == "" {
			return nil, errors.New("merchant: write ID:FILE, where FILE holds the secret")
		}
		files[id] = file
	}
	id := env("PAYLINK_MERCHANT_ID")
	switch {
	case len(files) > 0:
	case id == "":
		return map[string]payment.Secret{sampleMerchant: sampleSecret}, nil
	case env("PAYLINK_MERCHANT_SECRET") != "":
		return map[string]payment.Secret{id: payment.Secret(env("PAYLINK_MERCHANT_SECRET"))}, nil
	default:
		files[id] = env("PAYLINK_MERCHANT_SECRET_FILE")
	}
	secrets := map[string]payment.Secret{}
	for id, file := range files {
		secret, err := config.ReadSecretFile("merchant "+id, file)
		if err != nil {
			return nil, err
		}
		secrets[id] = secret
	}
	return secrets, nil
}
