package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/internal/registry"
	"paylink/schemas"
)

// TestWatchReadsEveryFormat shows one outcome, written in each format, as the
// same line.
func TestWatchReadsEveryFormat(t *testing.T) {
	stack, err := devstack.StartRegistry(t.Context(), devstack.RegistryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stack.Close)
	ids, err := registry.New(registry.Config{URL: stack.URL, Register: true})
	if err != nil {
		t.Fatal(err)
	}
	d, err := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}).Decode(t.Context(), event.Message{Value: []byte(`{"intent_id":"ord-1","amount":"10","description":"d"}`)})
	if err != nil {
		t.Fatal(err)
	}
	var want string
	for _, f := range append([]schemas.Format{0}, schemas.Formats()...) {
		e := event.NewEncoder(event.EncoderConfig{Format: f, Naming: schemas.ByTopicRecord, Topic: "o-" + f.String(), IDs: ids})
		m, err := e.Outcome(t.Context(), d, nil, event.Place{Topic: "t"}, payment.Created{Link: payment.Link{PaymentID: 1, RedirectURL: "https://pay.example/1", RedirectURLType: payment.URLNeedData}, Attempts: 1, At: time.Unix(1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		show, err := (&watchCmd{RegistryURL: stack.URL}).shower(t.Context(), &out)
		if err != nil {
			t.Fatal(err)
		}
		if err := show(devstack.Record{Message: m}); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = out.String()
		}
		if out.String() != want || !strings.Contains(want, "https://pay.example/1") {
			t.Errorf("%s: shown %q, want %q", f, out.String(), want)
		}
	}
}
