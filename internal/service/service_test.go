package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"paylink/internal/config"
	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/finding"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
	"paylink/internal/service"
)

// canary and phone stand for what must never be printed.
const (
	canary = "canary-3f9d1c77b2"
	phone  = "77011234567"
)

// A buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// world starts the parts around the service and returns settings for it.
func world(t *testing.T) (*devstack.Stack, config.Run) {
	t.Helper()
	stack, err := devstack.Start(t.Context(), devstack.Options{Gateway: devstack.GatewayOptions{
		Config: gatewaysim.Config{Merchants: map[string]payment.Secret{"540001": canary}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stack.Close)
	return stack, settingsFor(t, stack)
}

func TestAnIntentBecomesALinkAndNothingPersonalIsSaid(t *testing.T) {
	stack, cfg := world(t)
	var out buffer
	log, err := service.Logger(cfg, &out)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	admin := make(chan net.Addr, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- service.Run(ctx, cfg, service.Deps{Log: log, Version: "test", OnAdmin: func(a net.Addr) { admin <- a }})
	}()
	url := "http://" + (<-admin).String()

	kafka := stack.Broker.Kafka()
	value := fmt.Sprintf(`{"intent_id":"one","amount":"1500.00","description":"top-up","user_phone":%q}`, phone)
	if err := kafka.Emit(ctx, devstack.Intents, event.Message{Key: []byte("one"), Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
	got, err := kafka.ReadN(ctx, devstack.Outcomes, devstack.ReadUncommitted, 1)
	if err != nil {
		t.Fatalf("read the outcome: %v\n%s", err, out.String())
	}
	if v := string(got[0].Value); !strings.Contains(v, `"payment-created"`) {
		t.Errorf("outcome = %s, want a payment-created", v)
	}

	state := get(t, url+"/api/v1/state")
	var s struct {
		Ready    bool `json:"ready"`
		Outcomes []struct{ Type, Link string }
	}
	if err := json.Unmarshal([]byte(state), &s); err != nil {
		t.Fatal(err)
	}
	if !s.Ready || len(s.Outcomes) != 1 || s.Outcomes[0].Type != "created" || s.Outcomes[0].Link != "" {
		t.Errorf("console state = %s, want ready, one created outcome, and no link", state)
	}
	seen := state
	for _, path := range []string{"/", "/merchants", "/partitions", "/intents?q=one", "/api/v1/lanes", "/api/v1/intents/one", "/metrics", "/readyz", "/livez"} {
		seen += get(t, url+path)
	}
	for _, says := range []string{"The link of intent one of merchant 540001 was published", `"state":"created"`, "This replica has 6 of 6 partitions."} {
		if !strings.Contains(seen, says) {
			t.Errorf("the console does not say %q", says)
		}
	}

	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v, want nil after a stop", err)
	}
	seen += out.String()
	for _, secret := range []string{canary, phone, "/pay/"} { // a link's path at the simulator
		if strings.Contains(seen, secret) {
			t.Errorf("%q was printed", secret)
		}
	}
	if !strings.Contains(out.String(), "stopped: everything in flight is settled") {
		t.Errorf("the log does not say how it ended:\n%s", out.String())
	}
}

func TestRunFailsIfTheAdminAddressIsTaken(t *testing.T) {
	_, cfg := world(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg.Admin.Addr = l.Addr().String()
	log, err := service.Logger(cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Run(t.Context(), cfg, service.Deps{Log: log}); err == nil || !strings.Contains(err.Error(), "admin address") {
		t.Errorf("Run = %v, want an error about the admin address", err)
	}
}

func TestCheckFindsNothingToMendInAGoodWorld(t *testing.T) {
	_, cfg := world(t)
	for _, f := range service.Check(t.Context(), cfg, service.Deps{}) {
		if f.Level == finding.Fail {
			t.Errorf("%+v", f)
		}
	}
}

func TestCheckSaysThatTheGatewayIsAway(t *testing.T) {
	stack, cfg := world(t)
	stack.Gateway.Close()
	found := service.Check(t.Context(), cfg, service.Deps{})
	last := found[len(found)-1]
	if last.About != "gateway" || last.Level != finding.Fail || last.Mend == "" {
		t.Errorf("last finding = %+v, want a failure of the gateway with a mend", last)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
