package service_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"paylink/internal/config"
	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/freedompay"
	"paylink/internal/payment"
	"paylink/internal/service"
)

// TestTheGatewaysAuthorityAndOurCertificateAreTakenUp: the gateway has an authority
// of its own and asks for a certificate; both become others while the service runs.
func TestTheGatewaysAuthorityAndOurCertificateAreTakenUp(t *testing.T) {
	stack, cfg := world(t)
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	files, door := newPEMs(t), new(porter)
	files.trusts(first)
	files.shows(first)
	door.is(first, first)
	gateway := httptest.NewUnstartedServer(stack.Gateway.Sim)
	gateway.TLS = door.config()
	gateway.StartTLS()
	t.Cleanup(gateway.Close)
	cfg.Gateway.URL, cfg.Gateway.LinkHosts = gateway.URL, nil
	cfg.Gateway.TLS = config.GatewayTLS{CAFile: files.ca, CertFile: files.cert, KeyFile: files.key}
	cfg.Gateway.Rate = config.Rate{Events: 1000, Per: time.Second, Burst: 100}
	var out buffer
	startReloading(t, cfg, &out)
	kafka, n := stack.Broker.Kafka(), 0
	settles := func(id string) {
		t.Helper()
		value := []byte(`{"intent_id":"` + id + `","amount":"10.00","description":"x"}`)
		if err := kafka.Emit(t.Context(), devstack.Intents, event.Message{Key: value, Value: value}); err != nil {
			t.Fatal(err)
		}
		n++
		recs, err := kafka.ReadN(t.Context(), devstack.Outcomes, devstack.ReadUncommitted, n)
		if err != nil || !strings.Contains(string(recs[len(recs)-1].Value), `"payment-created"`) {
			t.Fatalf("outcome of %s: %v\n%s", id, err, out.String())
		}
	}
	settles("by-the-first")

	door.is(second, second)
	gateway.CloseClientConnections()
	files.trusts(second)
	out.hears(t, `"changed":["authorities"]`, 1)
	files.shows(second)
	out.hears(t, `"changed":["client certificate"]`, 1)
	settles("by-the-second")
	if strings.Contains(out.String(), canary) {
		t.Error("a secret was printed")
	}
}

// TestVerbsAndCheckTrustTheGatewaysAuthority: not only the service.
func TestVerbsAndCheckTrustTheGatewaysAuthority(t *testing.T) {
	stack, cfg := world(t)
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	files, door := newPEMs(t), new(porter)
	files.shows(ours)
	door.is(ours, ours)
	gateway := httptest.NewUnstartedServer(stack.Gateway.Sim)
	gateway.TLS = door.config()
	gateway.StartTLS()
	t.Cleanup(gateway.Close)
	cfg.Gateway.URL = gateway.URL
	cfg.Gateway.TLS = config.GatewayTLS{CAFile: files.ca, CertFile: files.cert, KeyFile: files.key}
	for _, c := range []struct {
		trusted *authority
		reached bool
	}{{other, false}, {ours, true}} {
		files.trusts(c.trusted)
		if err := cfg.Prepare(); err != nil {
			t.Fatal(err)
		}
		said := ""
		for _, f := range service.Check(t.Context(), cfg, service.Deps{}) {
			if f.About == "gateway" {
				said += string(f.Level) + " " + f.What + " " + f.Mend
			}
		}
		if c.reached != strings.Contains(said, "answers") || c.reached == strings.Contains(said, "PAYLINK_GATEWAY_TLS_CA_FILE") {
			t.Errorf("check says %q, want the gateway reached: %v", said, c.reached)
		}
		client := service.Gateway(config.Asking{Gateway: cfg.Gateway, Merchants: cfg.Merchants}, nil, nil)
		_, err := client.Find(t.Context(), payment.Intent{Merchant: "540001", OrderID: "none"})
		client.Close()
		var ge *payment.GatewayError
		if ge, _ = err.(*payment.GatewayError); ge == nil || c.reached == (ge.Cause == freedompay.CauseTLS) {
			t.Errorf("Find = %v, want the gateway reached: %v", err, c.reached)
		}
	}
}
