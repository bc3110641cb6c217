package service_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
)

// TestTenThousandMerchantsAreReloaded: all of them at once, and not for one mistake
// among them. The service goes on with what it had, and says so in one line. How long it
// takes until a change is in force is told, and stands in deploy/figures.md.
func TestTenThousandMerchantsAreReloaded(t *testing.T) {
	const merchants = 10_000
	stack, cfg := world(t)
	name := filepath.Join(t.TempDir(), "merchants.yaml")
	write := func(rate string, more string) (began time.Time) {
		t.Helper()
		var b strings.Builder
		for i := range merchants {
			fmt.Fprintf(&b, "- id: %d\n  secret: %s-%d\n  rate: %s\n", 600_001+i, canary, i, rate)
		}
		if err := os.WriteFile(name, []byte(b.String()+more), 0o600); err != nil {
			t.Fatal(err)
		}
		return time.Now()
	}
	one := "- {id: 540001, secret: " + canary + ", rate: 1000/s+100}\n"
	write("1/s", one)
	cfg.Gateway.Secret, cfg.Gateway.MerchantID, cfg.Gateway.MerchantsFile = "", "", name
	var out buffer
	startReloading(t, cfg, &out)
	n := 0
	pays := func(when string) {
		t.Helper()
		n++
		value := fmt.Appendf(nil, `{"intent_id":"i-%d","merchant_id":"540001","amount":"10.00","description":"x"}`, n)
		if err := stack.Broker.Kafka().Emit(t.Context(), devstack.Intents, event.Message{Key: value, Value: value}); err != nil {
			t.Fatal(err)
		}
		recs, err := stack.Broker.Kafka().ReadN(t.Context(), devstack.Outcomes, devstack.ReadUncommitted, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			if !strings.Contains(string(r.Value), `"payment-created"`) {
				t.Errorf("%s: %s", when, r.Value)
			}
		}
	}
	pays("before")

	began := write("2/s", one)
	out.hears(t, "more merchants were added, removed or changed", 1)
	t.Logf("%d other rates are in force after %s", merchants, time.Since(began).Round(time.Millisecond))
	if n := strings.Count(out.String(), "merchant's rate changed"); n != 100 {
		t.Errorf("%d changes are told one by one, want 100", n)
	}
	pays("after all rates changed")

	began = write("2/s", one+"- {id: 540002, secret: "+canary+", rate: fast}\n")
	out.hears(t, fmt.Sprintf(`merchants.yaml line %d, rate: \"fast\" is no rate`, 3*merchants+2), 1)
	t.Logf("a mistake behind %d merchants is told after %s", merchants, time.Since(began).Round(time.Millisecond))
	pays("with a mistake in the file")

	began = write("2/s", one+"- {id: 540002, secret: "+canary+", rate: 5/s}\n")
	out.hears(t, "merchant added", 1)
	t.Logf("a merchant beside %d others is in force after %s", merchants, time.Since(began).Round(time.Millisecond))
	pays("after all")
	if strings.Contains(out.String(), canary) {
		t.Error("a secret was printed")
	}
}
