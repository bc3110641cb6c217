package service_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"paylink/internal/config"
	"paylink/internal/finding"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
	"paylink/internal/registry"
	"paylink/internal/service"
	"paylink/schemas"
)

// lookUps are the findings of Check about look-ups.
func lookUps(t *testing.T, cfg config.Run) []finding.Finding {
	t.Helper()
	found := service.Check(t.Context(), cfg, service.Deps{})
	for _, f := range found {
		if strings.Contains(f.What+f.Mend, canary) {
			t.Errorf("a finding holds a secret: %+v", f)
		}
	}
	return slices.DeleteFunc(found, func(f finding.Finding) bool { return f.About != "look-ups" })
}

func TestCheckShowsWhetherTheGatewayAcceptsUs(t *testing.T) {
	stack, cfg := world(t)
	sim := stack.Gateway.Sim
	for _, c := range []struct {
		name, rules string
		change      func(*config.Merchant)
		level       finding.Level
		what, mend  string
	}{
		{"accepted", "", nil, finding.OK, "number, secret and look-ups are accepted", ""},
		{"wrong secret", "", func(m *config.Merchant) { m.Secret = "wrong-secret" }, finding.Fail, "refused with error 9998", "secret key"},
		{"wrong number", "", func(m *config.Merchant) { m.ID = "540009" }, finding.Fail, "merchant 540009 at http://", "merchant's number"},
		{"no right for look-ups", "status/signed-error:9994", nil, finding.Fail, "refused with error 9994", "allow look-ups"},
		{"signed not found", "status/signed-error:11068", nil, finding.OK, "accepted", ""},
		{"another code", "status/error:7777", nil, finding.Warn, "answered with error 7777", "may look payments up"},
		{"may pass", "status/error:9999", nil, finding.Warn, "could not tell: in doubt: may_pass (error 9999)", "again later"},
		{"429", "status/429", nil, finding.Warn, "could not tell", "again later"},
		{"cut", "status/cut-before", nil, finding.Fail, "no answer (cut)", "firewall"},
		{"a page", "status/html:200", nil, finding.Fail, "not the gateway's interface (html, HTTP 200)", "PAYLINK_GATEWAY_URL"},
		{"a redirect", "status/redirect", nil, finding.Fail, "not the gateway's interface (redirect, HTTP 302)", "scheme"},
		{"a path that is none", "", func(m *config.Merchant) { m.GatewayURL += "/nowhere" }, finding.Fail, "not the gateway's interface (http_4xx, HTTP 404)", "path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules, err := gatewaysim.ParseRules(c.rules)
			if err != nil {
				t.Fatal(err)
			}
			if err := sim.Misbehave(rules...); err != nil {
				t.Fatal(err)
			}
			cfg := cfg
			cfg.Merchants = slices.Clone(cfg.Merchants)
			if c.change != nil {
				c.change(&cfg.Merchants[0])
			}
			found := lookUps(t, cfg)
			if len(found) != 1 || found[0].Level != c.level || !strings.Contains(found[0].What, c.what) || !strings.Contains(found[0].Mend, c.mend) {
				t.Errorf("found %+v, want one %s with %q, and %q", found, c.level, c.what, c.mend)
			}
		})
	}
	for _, call := range sim.Calls() {
		if call.Script != "get_status3.php" {
			t.Errorf("Check called %s", call.Script)
		}
	}
	if n := len(sim.Payments()); n > 0 {
		t.Errorf("Check made %d payments", n)
	}
}

// TestCheckKnowsAnAnswerUnderAnotherSecret: a gateway that answers, and signs with
// a secret that is not ours.
func TestCheckKnowsAnAnswerUnderAnotherSecret(t *testing.T) {
	_, cfg := world(t)
	g := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<r><pg_status>error</pg_status><pg_error_code>11068</pg_error_code><pg_salt>a</pg_salt><pg_sig>0123456789abcdef0123456789abcdef</pg_sig></r>"))
	}))
	defer g.Close()
	cfg.Merchants[0].GatewayURL = g.URL
	found := lookUps(t, cfg)
	if len(found) != 1 || found[0].Level != finding.Fail || !strings.Contains(found[0].What, "not signed with our secret") {
		t.Errorf("found %+v, want a failure that names the signature", found)
	}
}

func TestCheckOfManyMerchantsNamesThoseThatAreRefused(t *testing.T) {
	stack, cfg := world(t)
	one := cfg.Merchants[0]
	for _, id := range []payment.MerchantID{"1", "2", "3", "4", "5", "6", "7"} {
		m := one
		m.ID, m.Secret = id, "secret-of-"+payment.Secret(id)
		cfg.Merchants = append(cfg.Merchants, m)
		stack.Gateway.Sim.SetSecret(string(id), m.Secret)
	}
	stack.Gateway.Sim.SetSecret("3", "changed")
	found := lookUps(t, cfg)
	if len(found) != 2 || !strings.Contains(found[0].What, "of 7 merchants") || found[1].Level != finding.Fail || !strings.Contains(found[1].What, "merchant 3 ") {
		t.Errorf("found %+v, want seven that are accepted, and merchant 3", found)
	}
}

func TestCheckAsksTheRegistry(t *testing.T) {
	stack, cfg := world(t)
	check := func(name string, level finding.Level, what string, change func(*config.Run)) {
		t.Helper()
		cfg := cfg
		cfg.Events.RegistryURL = stack.Registry.URL
		change(&cfg)
		if err := cfg.Prepare(); err != nil {
			t.Fatal(err)
		}
		found := slices.DeleteFunc(service.Check(t.Context(), cfg, service.Deps{}), func(f finding.Finding) bool { return f.About != "schema registry" })
		if len(found) != 1 || found[0].Level != level || !strings.Contains(found[0].What, what) || (level == finding.OK) != (found[0].Mend == "") {
			t.Errorf("%s: found %+v, want one %s with %q", name, found, level, what)
		}
	}
	avro := func(c *config.Run) { c.Events.Format = "avro" }
	check("json", finding.OK, "answers; outcomes name no schema", func(*config.Run) {})
	check("nothing there", finding.Fail, "lacks our avro schema of payment-outcomes-value: the service does not start", avro)
	check("to be registered", finding.Warn, "the service registers it", func(c *config.Run) { avro(c); c.Events.Register = true })
	check("away", finding.Fail, "schema registry", func(c *config.Run) { avro(c); c.Events.RegistryURL = "http://127.0.0.1:1" })
	reg, err := service.Registry(config.Registry{RegistryURL: stack.Registry.URL}, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	for _, s := range registry.Subjects(schemas.Avro, schemas.Naming(cfg.Events.Naming), cfg.Topics.Intents, cfg.Topics.Outcomes) {
		if _, _, err := reg.Put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	check("registered", finding.OK, "has our avro schema of payment-outcomes-value", avro)
}
