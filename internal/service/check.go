package service

import (
	"context"
	"fmt"

	"paylink/internal/config"
	"paylink/internal/finding"
	"paylink/internal/kafkaops"
	"paylink/internal/pace"
)

// Check looks at everything the service needs before it starts: settings,
// Kafka, schema registry, gateways. The settings must be prepared. It publishes no record, joins
// no group and opens no payment; of each merchant the gateway is asked once for
// an order that cannot exist.
func Check(ctx context.Context, cfg config.Run, deps Deps) []finding.Finding {
	found := checkMerchants(cfg)
	found = append(found, kafkaops.Check(ctx, kafkaops.CheckConfig{
		Connection:     Connection(cfg.Kafka.Broker, deps.KafkaDial),
		Group:          cfg.Kafka.Group,
		Topics:         Topics(cfg.Topics, turnsTopic(cfg)),
		SessionTimeout: cfg.Kafka.SessionTimeout,
		LedgerWindow:   cfg.Flow.LedgerWindow,
	})...)
	if turnsTopic(cfg) == "" {
		found = append(found, finding.Finding{Level: finding.OK, About: "turns", What: "none are lent, as the settings ask: replicas wait for their own slots"})
	}
	found = append(found, checkRegistry(ctx, cfg, deps)...)
	return append(found, checkGateways(ctx, cfg, deps)...)
}

// Topics names the topics of the settings.
func Topics(t config.Topics, turns string) kafkaops.Topics {
	return kafkaops.Topics{Intents: t.Intents, Outcomes: t.Outcomes, DeadLetters: t.DeadLetters, Turns: turns}
}

// turnsTopic is where turns are lent; empty: nowhere. Who may use a merchant's whole
// rate needs nobody's.
func turnsTopic(cfg config.Run) string {
	if scopes[cfg.Gateway.RateScope] == pace.Partition {
		return ""
	}
	return cfg.Turns.Name()
}

// checkMerchants tells what is known of the credentials without using them.
func checkMerchants(cfg config.Run) []finding.Finding {
	var found []finding.Finding
	short := 0
	for _, m := range cfg.Merchants {
		if len(m.Secret) < 8 {
			short++
		}
	}
	what := fmt.Sprintf("%d configured, each with number, secret and rate", len(cfg.Merchants))
	if len(cfg.Merchants) == 1 {
		what = fmt.Sprintf("%s, with a secret, at %s", cfg.Merchants[0].ID, cfg.Merchants[0].Rate)
	}
	found = append(found, finding.Finding{Level: finding.OK, About: "merchants", What: what})
	if short > 0 {
		found = append(found, finding.Finding{Level: finding.Warn, About: "merchants",
			What: fmt.Sprintf("%d of %d secrets are shorter than 8 characters", short, len(cfg.Merchants)),
			Mend: "make sure that it is the secret key, not a number or a password"})
	}
	return found
}
