package service_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"paylink/internal/config"
	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
	"paylink/internal/service"
)

// What a gateway does with a repeated key is not public, so each way must end in
// one honest outcome: here after an answer that was lost when the payment had
// been made.
func TestLostAnswerEndsInOneOutcomeWhateverARepeatGets(t *testing.T) {
	for _, c := range []struct {
		repeat gatewaysim.Repeat
		reason payment.Reason // empty: a link
		made   int            // payments per intent
	}{
		{gatewaysim.FirstAnswer, "", 1},
		{gatewaysim.DuplicateError, payment.Duplicate, 1},
		{gatewaysim.NewPayment, "", 2},
	} {
		t.Run(fmt.Sprint(c.repeat), func(t *testing.T) {
			stack, err := devstack.Start(t.Context(), devstack.Options{Gateway: devstack.GatewayOptions{
				Config: gatewaysim.Config{Merchants: map[string]payment.Secret{"540001": canary}, Repeat: c.repeat},
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer stack.Close()
			cfg := settingsFor(t, stack)
			log, err := service.Logger(cfg, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			const n = 5
			var intents []event.Message
			for i := range n {
				v := fmt.Sprintf(`{"intent_id":"i-%d","amount":"10.00","description":"sim:lost-answer*1"}`, i)
				intents = append(intents, event.Message{Key: []byte(v), Value: []byte(v)})
			}
			if err := stack.Broker.Kafka().Emit(t.Context(), devstack.Intents, intents...); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
			ended := make(chan error, 1)
			go func() { ended <- service.Run(ctx, cfg, service.Deps{Log: log}) }()
			recs, err := stack.Broker.Kafka().ReadN(ctx, devstack.Outcomes, devstack.ReadUncommitted, n)
			stop()
			<-ended
			if err != nil {
				t.Fatal(err)
			}
			seen := map[payment.IntentID]bool{}
			for _, r := range recs {
				judgeDoubt(t, stack.Gateway.Sim, r.Message, c.reason, c.made, seen)
			}
			if len(seen) != n {
				t.Errorf("%d intents have an outcome, want %d", len(seen), n)
			}
		})
	}
}

// judgeDoubt checks one outcome against what the gateway knows of its order.
func judgeDoubt(t *testing.T, sim *gatewaysim.Gateway, m event.Message, reason payment.Reason, made int, seen map[payment.IntentID]bool) {
	t.Helper()
	view, err := outcomes.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	if seen[view.Intent] {
		t.Errorf("%s has two outcomes", view.Intent)
	}
	seen[view.Intent] = true
	payments := sim.PaymentsOf(view.OrderID)
	if len(payments) != made {
		t.Errorf("%s: %d payments at the gateway, want %d", view.Intent, len(payments), made)
	}
	keys := map[string]bool{}
	for _, c := range sim.CallsOf(view.OrderID) {
		if c.IdempotencyKey != "" {
			keys[c.IdempotencyKey+c.Params] = true
		}
	}
	if len(keys) != 1 {
		t.Errorf("%s: calls with %d different keys or parameters, want one", view.Intent, len(keys))
	}
	switch o := view.Outcome.(type) {
	case payment.Created:
		if reason != "" || o.Attempts != 2 {
			t.Errorf("%s: a link after %d attempts, want %q", view.Intent, o.Attempts, reason)
		}
	case payment.Failed:
		if o.Reason != reason || !o.PaymentMayExist || o.PaymentID == 0 {
			t.Errorf("%s: %+v, want %s, and the payment that exists", view.Intent, o, reason)
		}
	}
}

// settingsFor are the settings of a service on a stack, with a fast pace.
func settingsFor(t *testing.T, stack *devstack.Stack) config.Run {
	t.Helper()
	cfg, err := config.Default()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Kafka.Brokers = stack.Broker.Addrs()
	cfg.Gateway.URL, cfg.Gateway.MerchantID, cfg.Gateway.Secret = stack.Gateway.URL, "540001", canary
	cfg.Gateway.Rate = config.Rate{Events: 1000, Per: time.Second, Burst: 100}
	cfg.Admin.Addr, cfg.Log.Level = "127.0.0.1:0", "debug"
	if err := cfg.Prepare(); err != nil {
		t.Fatal(err)
	}
	return cfg
}
