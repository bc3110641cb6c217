package service_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
)

// TestEmittersMaySayWhatTheMerchantAllows goes through the whole service: fields
// that the merchants file locks, hosts that it allows, and the hosts of links, all
// taken up while the service runs.
func TestEmittersMaySayWhatTheMerchantAllows(t *testing.T) {
	stack, cfg := world(t)
	file := filepath.Join(t.TempDir(), "merchants.yaml")
	write := func(rules string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("- id: 540001\n  secret: "+canary+"\n  rate: 1000/s+100\n  result_url: https://shop.example/result\n"+rules), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("  lock: [result_url, testing_mode]\n  allow_hosts: [shop.example]\n")
	cfg.Gateway.Secret, cfg.Gateway.MerchantsFile = "", file
	var out buffer
	reload := startReloading(t, cfg, &out)
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	kafka, n := stack.Broker.Kafka(), 0
	emit := func(members string) string {
		n++
		id := fmt.Sprint("i-", n)
		value := fmt.Sprintf(`{"intent_id":%q,"amount":"10.00","description":"x"%s}`, id, members)
		if err := kafka.Emit(ctx, devstack.Intents, event.Message{Key: []byte(id), Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	outcome := func(id string) string {
		t.Helper()
		recs, err := kafka.ReadN(ctx, devstack.Outcomes, devstack.ReadUncommitted, n)
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		for _, r := range recs {
			if string(r.Header(event.HeaderIntentID)) == id {
				return string(r.Value)
			}
		}
		t.Fatalf("no outcome of %s", id)
		return ""
	}
	wants := func(members string, texts ...string) {
		t.Helper()
		v := outcome(emit(members))
		for _, text := range texts {
			if !strings.Contains(v, text) {
				t.Errorf("outcome of {%s}: %s, want %s", members, v, text)
			}
		}
		if strings.Contains(v, "evil") {
			t.Errorf("outcome of {%s} repeats a value: %s", members, v)
		}
	}

	const failed, made = `"invalid_intent"`, `"payment-created"`
	wants(`,"testing_mode":true`, failed, `"field":"testing_mode","rule":"is locked in the merchant's settings: leave it out"`)
	wants(`,"result_url":"https://evil.example/"`, failed, `"field":"result_url","rule":"is locked`)
	wants(`,"result_url":"https://shop.example/result","success_url":"https://shop.example/ok"`, made)
	wants(`,"success_url":"https://evil.example/ok"`, failed, `"field":"success_url","rule":"must be at a host that the merchant's settings allow: shop.example"`)

	write("  lock: [lifetime]\n  allow_hosts: [\"*.evil.example\"]\n")
	reload <- struct{}{}
	out.hears(t, "merchant's locked fields changed", 1)
	out.hears(t, "merchant's allowed hosts changed", 1)
	wants(`,"testing_mode":true,"success_url":"https://shop.evil.example/ok"`, made)
	wants(`,"lifetime":3600`, failed, `"field":"lifetime","rule":"is locked`)

	write("  link_hosts: [customer.freedompay.kz]\n")
	reload <- struct{}{}
	out.hears(t, "merchant's hosts of links changed", 1)
	id := emit("")
	out.hears(t, "the gateway signed a link that must not be published", 1)
	if s := out.String(); !strings.Contains(s, `"intent_id":"`+id+`"`) || strings.Contains(s, "/pay/") {
		t.Errorf("want the intent and no link in the log:\n%s", s)
	}
	write("  link_hosts: [127.0.0.1]\n")
	reload <- struct{}{}
	if v := outcome(id); !strings.Contains(v, made) {
		t.Errorf("outcome of %s once its link is allowed: %s", id, v)
	}
}
