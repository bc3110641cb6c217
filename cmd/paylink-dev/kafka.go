package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"paylink/internal/config"
	"paylink/internal/devstack"
)

// The clusterFlags say how to reach a cluster.
type clusterFlags struct {
	Brokers      []string `default:"127.0.0.1:9092" env:"PAYLINK_KAFKA_BROKERS" placeholder:"HOST:PORT" help:"Brokers to bootstrap from (default ${default})."`
	TLS          bool     `help:"Talk TLS to the brokers, trusting the system's authorities."`
	SASL         string   `enum:"none,plain,scram-sha-256,scram-sha-512" default:"none" help:"How to say who we are: ${enum} (default ${default})."`
	SASLUser     string   `name:"sasl-user" help:"User name."`
	SASLPassFile string   `name:"sasl-password-file" type:"existingfile" help:"File that holds the password."`
}

func (f clusterFlags) kafka() (devstack.Kafka, error) {
	k := devstack.Kafka{Brokers: f.Brokers}
	if f.TLS {
		k.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if f.SASL == "none" || f.SASL == "" {
		return k, nil
	}
	pass, err := config.ReadSecretFile("--sasl-password-file", f.SASLPassFile)
	if err != nil {
		return k, err
	}
	k.SASL = mechanism(f.SASL, f.SASLUser, pass.Reveal())
	return k, nil
}

// reach waits a few seconds for one of the brokers to answer, as they may be
// starting. Clients wait for brokers for ever, which is right for a service and
// wrong for a person's typing error.
func reach(ctx context.Context, k devstack.Kafka) error {
	client, err := k.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		err := client.Ping(soon)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if !devstack.SleepUntil(soon, time.Now().Add(200*time.Millisecond)) {
			return fmt.Errorf("reach brokers %s: %w", strings.Join(k.Brokers, ","), err)
		}
	}
}

func mechanism(name, user, pass string) sasl.Mechanism {
	switch name {
	case "scram-sha-256":
		return scram.Auth{User: user, Pass: pass}.AsSha256Mechanism()
	case "scram-sha-512":
		return scram.Auth{User: user, Pass: pass}.AsSha512Mechanism()
	}
	return plain.Auth{User: user, Pass: pass}.AsMechanism()
}
