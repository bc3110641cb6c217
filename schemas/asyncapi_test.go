package schemas_test

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/schemas"
)

func asyncAPI(t *testing.T) map[string]any {
	t.Helper()
	text, err := schemas.FS.ReadFile("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at returns what stands under a path of names.
func at(doc any, path ...string) any {
	for _, name := range path {
		m, _ := doc.(map[string]any)
		doc = m[name]
	}
	return doc
}

// TestAsyncAPIRefersToWhatIsThere follows every $ref.
func TestAsyncAPIRefersToWhatIsThere(t *testing.T) {
	doc := asyncAPI(t)
	refs := 0
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for name, e := range v {
				if ref, ok := e.(string); ok && name == "$ref" {
					refs++
					inside, local := strings.CutPrefix(ref, "#/")
					if local && at(doc, strings.Split(inside, "/")...) == nil {
						t.Errorf("%s leads nowhere", ref)
					}
					if _, err := fs.Stat(schemas.FS, strings.TrimPrefix(ref, "./")); !local && err != nil {
						t.Errorf("%s leads nowhere", ref)
					}
				}
				walk(e)
			}
		}
	}
	walk(doc)
	if refs < 10 {
		t.Errorf("%d references found, want at least 10", refs)
	}
}

func names(hs []event.Header) []string {
	seen := map[string]bool{}
	for _, h := range hs {
		seen[h.Key] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// TestAsyncAPINamesEveryHeader compares with the headers that are written.
func TestAsyncAPINamesEveryHeader(t *testing.T) {
	doc := asyncAPI(t)
	trace := event.Header{Key: "traceparent", Value: []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")}
	m := event.Message{Value: []byte(`{"intent_id":"a","amount":"1","description":"d"}`), Headers: []event.Header{trace, {Key: "tracestate", Value: []byte("a=1")}}}
	d, err := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}).Decode(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	from := event.Place{Topic: "payment-intents"}
	outcome, err := event.NewEncoder(event.EncoderConfig{}).Outcome(t.Context(), d, nil, from, payment.Failed{Reason: payment.Refused, At: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	why := &event.Unreadable{Reason: event.Empty, Text: "x"}
	dead := event.DeadLetterByReference(event.Message{Headers: m.Headers}, from, "g", why, time.Unix(0, 0))
	for schema, hs := range map[string][]event.Header{"OutcomeHeaders": outcome.Headers, "DeadLetterHeaders": dead.Headers} {
		told, _ := at(doc, "components", "schemas", schema, "properties").(map[string]any)
		if got, want := slices.Sorted(maps.Keys(told)), names(hs); !slices.Equal(got, want) {
			t.Errorf("%s names %v, written are %v", schema, got, want)
		}
	}
}

// TestAsyncAPINamesEveryReason compares with the words that are written.
func TestAsyncAPINamesEveryReason(t *testing.T) {
	told, _ := at(asyncAPI(t), "components", "schemas", "DeadLetterHeaders", "properties", "paylink-reason", "enum").([]any)
	for _, r := range []event.DeadReason{event.Empty, event.NotJSON, event.NoIntentID, event.BadIntentID, event.UnknownSchema, event.Conflict, event.TooOld, event.TooLarge} {
		if !slices.Contains(told, any(string(r))) {
			t.Errorf("reason %s is not told", r)
		}
	}
}

// TestAsyncAPISaysHowToConnect: every channel, message and receiving operation
// has bindings of Kafka, and the server a login that paylink knows.
func TestAsyncAPISaysHowToConnect(t *testing.T) {
	doc := asyncAPI(t)
	bound := func(what string, v any) {
		t.Helper()
		if v := at(v, "bindings", "kafka", "bindingVersion"); v != "0.5.0" {
			t.Errorf("%s has no bindings of Kafka: %v", what, v)
		}
	}
	bound("the server", at(doc, "servers", "kafka"))
	for _, name := range []string{"intents", "outcomes", "deadLetters"} {
		bound("channel "+name, at(doc, "channels", name))
	}
	for _, name := range []string{"paymentIntent", "paymentCreated", "paymentFailed"} {
		bound("message "+name, at(doc, "components", "messages", name))
	}
	bound("operation receiveIntents", at(doc, "operations", "receiveIntents"))
	if all, _ := at(doc, "servers", "kafka", "security").([]any); len(all) < 3 || at(doc, "servers", "kafka", "protocol") != "kafka-secure" {
		t.Errorf("security of the server: %v", all)
	}
	types := map[any]bool{}
	schemes, _ := at(doc, "components", "securitySchemes").(map[string]any)
	for _, s := range schemes {
		types[at(s, "type")] = true
	}
	for _, want := range []string{"scramSha512", "plain", "X509"} {
		if !types[want] {
			t.Errorf("security schemes %v, want %s", types, want)
		}
	}
}
