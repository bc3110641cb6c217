package service

import (
	"context"
	"fmt"

	"paylink/internal/config"
	"paylink/internal/finding"
	"paylink/internal/freedompay"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
)

// Check looks at everything the service needs before it starts: settings,
// Kafka, gateways. The settings must be prepared. It publishes no record, joins
// no group and opens no payment.
func Check(ctx context.Context, cfg config.Run, deps Deps) []finding.Finding {
	found := checkMerchants(cfg)
	found = append(found, kafkaops.Check(ctx, kafkaops.CheckConfig{
		Connection:     Connection(cfg.Kafka.Broker, deps.KafkaDial),
		Group:          cfg.Kafka.Group,
		Topics:         Topics(cfg.Topics),
		SessionTimeout: cfg.Kafka.SessionTimeout,
		LedgerWindow:   cfg.Flow.LedgerWindow,
	})...)
	return append(found, checkGateways(ctx, cfg, deps)...)
}

// Topics names the topics of the settings.
func Topics(t config.Topics) kafkaops.Topics {
	return kafkaops.Topics{Intents: t.Intents, Outcomes: t.Outcomes, DeadLetters: t.DeadLetters}
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
	found = append(found, finding.Finding{Level: finding.OK, About: "merchants",
		What: what + "; whether the gateway accepts the secret shows only in a payment"})
	if short > 0 {
		found = append(found, finding.Finding{Level: finding.Warn, About: "merchants",
			What: fmt.Sprintf("%d of %d secrets are shorter than 8 characters", short, len(cfg.Merchants)),
			Mend: "make sure that it is the secret key, not a number or a password"})
	}
	return found
}

// checkGateways asks each gateway for its health.
func checkGateways(ctx context.Context, cfg config.Run, deps Deps) []finding.Finding {
	client := freedompay.New(freedompay.Config{
		Merchant: func(payment.MerchantID) (payment.Merchant, bool) { return payment.Merchant{}, false },
		Timeout:  cfg.Gateway.Timeout, Dial: deps.GatewayDial, Proxy: deps.Proxy,
	})
	defer client.Close()
	var found []finding.Finding
	seen := map[string]bool{}
	for _, m := range cfg.Merchants {
		if seen[m.GatewayURL] {
			continue
		}
		seen[m.GatewayURL] = true
		f := finding.Finding{Level: finding.OK, About: "gateway", What: m.GatewayURL + " answers"}
		if err := client.Health(ctx, m.GatewayURL); err != nil {
			f = finding.Finding{Level: finding.Fail, About: "gateway", What: fmt.Sprintf("%s: %v", m.GatewayURL, err),
				Mend: "check PAYLINK_GATEWAY_URL, name resolution, firewall and proxy"}
		}
		found = append(found, f)
	}
	return found
}
