package service_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/service"
)

// TestConsoleOfManyHolds: 5,000 merchants on hold, each with an intent that waits, are
// one alarm on a page that stays small.
func TestConsoleOfManyHolds(t *testing.T) {
	const merchants = 5000
	stack, cfg := world(t)
	var file strings.Builder
	var intents []event.Message
	for i := range merchants {
		id := fmt.Sprint(541001 + i)
		stack.Gateway.Sim.SetSecret(id, canary)
		fmt.Fprintf(&file, "- {id: %s, secret: wrong-secret, rate: 1000/s+100}\n", id)
		intents = append(intents, event.Message{Key: []byte(id), Value: fmt.Appendf(nil, `{"intent_id":"i-%[1]s","merchant_id":%[1]s,"amount":"10.00","description":"x"}`, id)})
	}
	name := filepath.Join(t.TempDir(), "merchants.yaml")
	if err := os.WriteFile(name, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Gateway.Secret, cfg.Gateway.MerchantID, cfg.Gateway.MerchantsFile = "", "", name
	admin := make(chan net.Addr, 1)
	startReloading(t, cfg, &buffer{}, func(d *service.Deps) { d.OnAdmin = func(a net.Addr) { admin <- a } })
	w := &waiting{t: t, url: "http://" + (<-admin).String()}
	if err := stack.Broker.Kafka().Emit(t.Context(), devstack.Intents, intents...); err != nil {
		t.Fatal(err)
	}
	var is struct {
		Alarms []struct{ What string }
		Lanes  struct {
			States []struct {
				State string
				N     int
			}
		}
	}
	w.get("/api/v1/state", http.StatusOK, &is, func() bool {
		return len(is.Lanes.States) == 1 && is.Lanes.States[0].State == "held" && is.Lanes.States[0].N == merchants
	})
	if len(is.Alarms) != 1 || !strings.HasPrefix(is.Alarms[0].What, "5000 merchants are on hold") {
		t.Errorf("alarms %.500v, want one of all", is.Alarms)
	}
	if n := strings.Count("\n"+get(t, w.url+"/metrics"), "\npaylink_"); n < 200 || n > 1500 {
		t.Errorf("%d series of ours for %d merchants", n, merchants)
	}
	for _, path := range []string{"/", "/merchants", "/merchants?state=held&page=50", "/api/v1/state", "/api/v1/lanes?page=2"} {
		began := time.Now()
		page := get(t, w.url+path)
		t.Logf("%s: %d bytes in %s", path, len(page), time.Since(began).Round(time.Millisecond))
		if len(page) > 100<<10 {
			t.Errorf("%s has %d bytes, want at most 100 KB", path, len(page))
		}
	}
}
