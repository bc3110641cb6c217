package outcomes_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/payment"
)

func TestDecodeReadsWhatWasWritten(t *testing.T) {
	for name, tt := range samples(t) {
		t.Run(name, func(t *testing.T) {
			in := tt.d.Intent
			m := encoded(t, tt.d, tt.o)
			want := event.OutcomeView{EventID: string(m.Header("ce_id")), Intent: in.ID, Merchant: in.Merchant, OrderID: in.OrderID, Amount: in.Amount,
				Currency: in.Currency, IdempotencyKey: in.IdempotencyKey, Outcome: tt.o, Metadata: in.Metadata, Source: spot}
			got, err := outcomes.Decode(m)
			if err != nil {
				t.Fatal(err)
			}
			sameMillisecond := cmp.Comparer(func(a, b time.Time) bool { return a.UnixMilli() == b.UnixMilli() })
			if diff := cmp.Diff(want, got, sameMillisecond, asWritten); diff != "" {
				t.Errorf("Decode (-want +got):\n%s", diff)
			}
			if got.Type() != want.Type() || got.Attempts() != want.Attempts() || got.At().IsZero() {
				t.Errorf("type %s, attempts %d, at %s; want %s, %d and a time", got.Type(), got.Attempts(), got.At(), want.Type(), want.Attempts())
			}
		})
	}
}

func TestDecodeIgnoresUnknownFields(t *testing.T) {
	v, err := outcomes.Decode(event.Message{Value: []byte(`{"new":{"a":[1]},"type":"payment-failed","intent_id":"a","event_id":"e","reason":"refused",` +
		`"violations":[{"field":"x","rule":"y","new":1}],"source":{"topic":"t","new":null}}`)})
	if err != nil || v.Intent != "a" || v.Source.Topic != "t" {
		t.Errorf("Decode = %+v, %v", v, err)
	}
}

func TestDecodeOfOtherThings(t *testing.T) {
	const least = `"type":"payment-created","intent_id":"a","event_id":"e"`
	for _, value := range []string{
		"", "null", "[]", "{}", "{" + least, "{" + least + "}x", "{" + least + `,"type":"payment-failed"}`,
		`{"type":"other","intent_id":"a","event_id":"e"}`, `{"type":"payment-created","event_id":"e"}`,
		"{" + least + `,"payment_id":"7"}`, "{" + least + `,"payment_id":1.5}`, "{" + least + `,"payment_id":99999999999999999999}`,
		"{" + least + `,"created_at":"now"}`, "{" + least + `,"retryable":1}`, "{" + least + `,"metadata":{"a":1}}`, "{" + least + `,"violations":[1]}`,
	} {
		if v, err := outcomes.Decode(event.Message{Value: []byte(value)}); err == nil {
			t.Errorf("Decode(%s) = %+v, want an error", value, v)
		}
	}
}

func TestDecodeReadsTheSameInEveryForm(t *testing.T) {
	sameTime := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	dec := outcomes.NewDecoder(ours())
	for form, cfg := range forms() {
		e := event.NewEncoder(cfg)
		for name, tt := range samples(t) {
			t.Run(form+"/"+name, func(t *testing.T) {
				want, err := outcomes.Decode(encoded(t, tt.d, tt.o))
				if err != nil {
					t.Fatal(err)
				}
				m, err := e.Outcome(t.Context(), tt.d, []byte("k"), spot, tt.o)
				if err != nil {
					t.Fatal(err)
				}
				got, err := dec.Decode(t.Context(), m)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, asWritten, sameTime); diff != "" {
					t.Errorf("Decode (-want +got):\n%s", diff)
				}
				again, err := e.Outcome(t.Context(), tt.d, []byte("k"), spot, tt.o)
				if diff := cmp.Diff(m, again); err != nil || diff != "" {
					t.Errorf("written again, it differs: %v\n%s", err, diff)
				}
			})
		}
	}
}

func TestOutcomeOfBytesThatAreNoText(t *testing.T) {
	o := payment.Failed{Reason: payment.Refused, ErrorCode: "1", ErrorDescription: "a\xffb", At: noon}
	dec := outcomes.NewDecoder(ours())
	for form, cfg := range forms() {
		m, err := event.NewEncoder(cfg).Outcome(t.Context(), decoded(t, "{"+least+"}"), nil, spot, o)
		if err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		v, err := dec.Decode(t.Context(), m)
		if err != nil || v.Outcome.(payment.Failed).ErrorDescription != "a\uFFFDb" {
			t.Errorf("%s: %+v, %v", form, v.Outcome, err)
		}
	}
}

func TestDecodeOfBrokenFrames(t *testing.T) {
	dec := outcomes.NewDecoder(ours())
	for _, m := range []event.Message{
		{Value: framed(77, "{}")}, {Value: framed(9999, "{}")}, {Value: framed(6, "x")}, {Value: framed(9, "\x00")}, {Value: framed(10, "\x02")},
		{Value: framed(10, "\x00\xff")}, {Value: framed(10, "\x00")}, {Value: framed(1, "x")}, {Value: []byte("{}"), Headers: []event.Header{{Key: "__value_schema_id", Value: []byte("x")}}},
	} {
		if v, err := dec.Decode(t.Context(), m); err == nil {
			t.Errorf("Decode(%x) = %+v, want an error", m.Value, v)
		}
	}
	if _, err := outcomes.NewDecoder(nil).Decode(t.Context(), event.Message{Value: framed(1, "{}")}); err == nil {
		t.Error("Decode of a frame without a registry: want an error")
	}
}

// FuzzDecodeForms holds for any body behind any of our schemas: no
// panic, and what is read can be written in every form.
func FuzzDecodeForms(f *testing.F) {
	for _, cfg := range forms() {
		for _, tt := range samples(f) {
			m, err := event.NewEncoder(cfg).Outcome(f.Context(), tt.d, nil, spot, tt.o)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(m.Value)
		}
	}
	dec := outcomes.NewDecoder(ours())
	f.Fuzz(func(t *testing.T, value []byte) {
		v, err := dec.Decode(t.Context(), event.Message{Value: value})
		if err != nil {
			return
		}
		if v.Intent == "" || !slices.Contains([]string{event.TypeCreated, event.TypeFailed}, v.Type()) {
			t.Fatalf("Decode = %+v", v)
		}
		_ = v.AppendJSON(nil)
		in := payment.Intent{ID: v.Intent, Merchant: v.Merchant, OrderID: v.OrderID, Amount: v.Amount, Currency: v.Currency, IdempotencyKey: v.IdempotencyKey, Metadata: v.Metadata}
		for _, cfg := range forms() { // text that is no UTF-8 may be refused
			_, _ = event.NewEncoder(cfg).Outcome(t.Context(), event.Decoded{Intent: in}, nil, v.Source, v.Outcome)
		}
	})
}

// FuzzDecode holds for any bytes: no panic, and what is read is written
// and read alike.
func FuzzDecode(f *testing.F) {
	for _, tt := range samples(f) {
		f.Add(encoded(f, tt.d, tt.o).Value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		v, err := outcomes.Decode(event.Message{Value: value})
		if err != nil {
			return
		}
		once := v.AppendJSON(nil)
		again, err := outcomes.Decode(event.Message{Value: once})
		if err != nil {
			t.Fatalf("Decode(%s): %v", once, err)
		}
		if twice := again.AppendJSON(nil); string(once) != string(twice) {
			t.Errorf("written twice: %s and %s", once, twice)
		}
	})
}
