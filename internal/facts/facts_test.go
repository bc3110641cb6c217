package facts_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/facts"
	"paylink/internal/payment"
)

var reader = &facts.Reader{
	Topics:  facts.Topics{Intents: "in", Outcomes: "out", DeadLetters: "dead"},
	Intents: event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), Outcomes: outcomes.NewDecoder(nil),
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const private = "77770001122"

func of(t *testing.T, topic string, m event.Message) (facts.Fact, *event.Unreadable) {
	t.Helper()
	f, err := reader.Of(t.Context(), event.Place{Topic: topic, Partition: 1, Offset: 2}, m)
	un, ok := errors.AsType[*event.Unreadable](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	if ok && strings.Contains(un.Text, private) {
		t.Errorf("%s tells a value", un.Text)
	}
	return f, un
}

// TestOneFactPerRecord of each topic.
func TestOneFactPerRecord(t *testing.T) {
	in := event.Message{Value: []byte(`{"intent_id":"a","amount":"1.50","currency":"KZT","description":"d","user_phone":"` + private + `"}`), Time: noon}
	emitted, un := of(t, "in", in)
	if un != nil || emitted.Kind != facts.Emitted || emitted.Intent != "a" || emitted.OrderID != "a" || emitted.Merchant != "540001" || emitted.Amount != "1.50" || emitted.Digest == (event.Digest{}) || !emitted.OfDefault {
		t.Errorf("emitted: %+v, %v", emitted, un)
	}
	d, err := reader.Intents.Decode(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	from := event.Place{Topic: "in", Partition: 1, Offset: 2}
	link := payment.Link{PaymentID: 7, RedirectURL: "https://x/y", RedirectURLType: payment.URLNeedData}
	m, err := event.NewEncoder(event.EncoderConfig{}).Outcome(t.Context(), d, nil, from, payment.Created{Link: link, Attempts: 2, At: noon})
	if err != nil {
		t.Fatal(err)
	}
	out, un := of(t, "out", m)
	if un != nil || out.Kind != facts.Created || out.Source != from || out.PaymentID != 7 || out.Attempts != 2 || out.Digest != emitted.Digest || len(out.Violations) != 0 {
		t.Errorf("outcome: %+v, %v", out, un)
	}
	dead, un := of(t, "dead", event.DeadLetter(in, from, "g", &event.Unreadable{Reason: event.Conflict, Text: "a sentence"}, noon))
	if un != nil || dead.Kind != facts.DeadLetter || dead.Intent != "a" || dead.Source != from || dead.Reason != "conflict" || dead.Text != "a sentence" || dead.Digest != emitted.Digest {
		t.Errorf("dead letter: %+v, %v", dead, un)
	}
	if _, err := reader.Of(t.Context(), event.Place{Topic: "other"}, in); err == nil {
		t.Error("a record of another topic is a fact")
	}
}

// TestWhatCannotBeRead says so, and whose it is if the header names it.
func TestWhatCannotBeRead(t *testing.T) {
	header := []event.Header{{Key: event.HeaderIntentID, Value: []byte("a")}}
	for name, tt := range map[string]struct {
		topic  string
		m      event.Message
		intent payment.IntentID
		reason event.DeadReason
	}{
		"an intent":               {"in", event.Message{Value: []byte(private)}, "", event.NotJSON},
		"an intent too large":     {"in", event.Message{TooLarge: 5 << 20}, "", event.TooLarge},
		"an outcome":              {"out", event.Message{Value: []byte(private), Headers: header}, "a", event.NotJSON},
		"an outcome of no type":   {"out", event.Message{Value: []byte(`{"type":"` + private + `","intent_id":"b"}`), Headers: header}, "a", facts.Malformed},
		"an outcome of no intent": {"out", event.Message{Value: []byte(`{"type":"payment-failed"}`)}, "", facts.Malformed},
		"a dead letter":           {"dead", event.Message{Value: []byte(private)}, "", facts.NotOurs},
	} {
		f, un := of(t, tt.topic, tt.m)
		if un == nil || un.Reason != tt.reason || f.Intent != tt.intent {
			t.Errorf("%s: %+v, %v; want %s of %q", name, f, un, tt.reason, tt.intent)
		}
	}
}

// TestAnOutcomeThatBreaksItsContract can be read, and says what it breaks: in the
// body, and in the headers that the ledger reads.
func TestAnOutcomeThatBreaksItsContract(t *testing.T) {
	f, un := of(t, "out", event.Message{Headers: []event.Header{{Key: event.HeaderIntentID, Value: []byte("other")}},
		Value: []byte(`{"type":"payment-failed","event_id":"e","intent_id":"a","reason":"refused","retryable":false,"payment_may_exist":false,
			"failed_at":"2026-11-23T12:00:00Z","source":{"topic":"in","partition":1,"offset":2}}`)})
	var fields []string
	for _, v := range f.Violations {
		fields = append(fields, v.Field)
	}
	if un != nil || f.Kind != facts.Failed || f.Intent != "a" || strings.Join(fields, ", ") != "attempts, header paylink-intent-digest, header paylink-intent-id" {
		t.Errorf("%+v, %v: fields %q", f, un, fields)
	}
}
