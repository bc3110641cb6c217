package service_test

import (
	"context"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/payment"
	"paylink/internal/service"
)

// longest is a value of a field at the end of what its rule allows, in letters
// of several bytes where that may be.
func longest(f payment.Field) any {
	switch {
	case f.Name == "intent_id":
		return strings.Repeat("a", 128)
	case f.Kind == payment.Flag:
		return true
	case f.Kind == payment.Time:
		return time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	case f.Kind == payment.Pairs:
		return map[string]string{"корзина": "қырық екі"}
	case f.Kind == payment.URL:
		u := "https://shop.example/ү?q=" + strings.Repeat("é", 300)
		return string([]rune(u)[:f.MaxChars])
	case f.Kind == payment.Text && f.Pattern == nil && len(f.Enum) == 0:
		return strings.Repeat("Ұ", f.MaxChars)
	}
	return f.Example
}

func TestFullIntentArrivesWithoutAViolation(t *testing.T) {
	stack, cfg := world(t)
	log, err := service.Logger(cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	full := map[string]any{}
	for _, f := range payment.Fields {
		full[f.Name] = longest(f)
	}
	value, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	if err := stack.Broker.Kafka().Emit(t.Context(), devstack.Intents, event.Message{Key: []byte("k"), Value: value, Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx, cfg, service.Deps{Log: log}) }()
	recs, err := stack.Broker.Kafka().ReadN(ctx, devstack.Outcomes, devstack.ReadCommitted, 1)
	stop()
	<-ended
	if err != nil {
		t.Fatal(err)
	}
	view, err := outcomes.Decode(recs[0].Message)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := view.Outcome.(payment.Created); !ok {
		t.Fatalf("outcome %s, want a link", recs[0].Value)
	}
	calls := stack.Gateway.Sim.Calls()
	if len(calls) != 1 || len(calls[0].Violations) > 0 {
		t.Fatalf("calls %+v, want one without a violation", calls)
	}
	got, err := url.ParseQuery(calls[0].Params)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range payment.Fields {
		want, isText := full[f.Name].(string)
		switch v := got.Get("pg_" + f.Name); {
		case f.Init != got.Has("pg_"+f.Name):
			t.Errorf("pg_%s arrives: %v, want %v", f.Name, got.Has("pg_"+f.Name), f.Init)
		case f.Init && isText && !f.Personal && v != want:
			t.Errorf("pg_%s arrives as %d bytes, want the %d sent", f.Name, len(v), len(want))
		}
	}
}
