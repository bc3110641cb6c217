package event

import (
	"encoding/json"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"

	"paylink/internal/payment"
	"paylink/schemas"
)

// forms are all configurations of an Encoder that differ in their bytes.
func forms() map[string]EncoderConfig {
	out := map[string]EncoderConfig{"json": {}}
	for _, f := range schemas.Formats() {
		for _, n := range []schemas.Naming{schemas.ByTopic, schemas.ByRecord} {
			out[f.String()+" by "+string(n)] = EncoderConfig{Format: f, Naming: n, Topic: "payment-outcomes", IDs: ours()}
		}
	}
	return out
}

// TestAvroOutcomesAreReadByTheLibrary reads what appendMetadata wrote with the
// writer's schema itself, field by field.
func TestAvroOutcomesAreReadByTheLibrary(t *testing.T) {
	tt := outcomes(t)["created_full"]
	for _, r := range []schemas.Record{schemas.Outcome, schemas.Created} {
		naming := schemas.ByRecord
		if r == schemas.Outcome {
			naming = schemas.ByTopic
		}
		m, err := NewEncoder(EncoderConfig{Format: schemas.Avro, Naming: naming, IDs: ours()}).Outcome(t.Context(), tt.d, nil, spot, tt.o)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		rest, err := avro.MustParse(schemas.Text(schemas.Avro, r)).Decode(m.Value[5:], &got)
		if err != nil || len(rest) > 0 {
			t.Fatalf("%s: %v, %d bytes left", r, err, len(rest))
		}
		want := map[string]any{"z": "1", "a": "\x00 \"quoted\" ә"}
		if diff := cmp.Diff(want, got["metadata"]); diff != "" {
			t.Errorf("%s: metadata (-want +got):\n%s", r, diff)
		}
		if got["payment_id"] != link.PaymentID || got["redirect_url"] != link.RedirectURL || !noon.Truncate(time.Millisecond).Equal(got["created_at"].(time.Time)) {
			t.Errorf("%s: read %v", r, got)
		}
	}
}

// TestOutcomeHasEveryFieldInEveryForm fails when an encoder forgets a field of
// the contract: each must be in the JSON of one of these outcomes, and by
// a test of package outcomes then in all forms.
func TestOutcomeHasEveryFieldInEveryForm(t *testing.T) {
	for record, names := range map[schemas.Record][]string{schemas.Created: {"created_full"}, schemas.Failed: {"failed_bad", "failed_duplicate", "failed_refuse"}} {
		var schema struct {
			Properties map[string]json.RawMessage
			Required   []string
		}
		if err := json.Unmarshal([]byte(schemas.Text(schemas.JSONSchema, record)), &schema); err != nil {
			t.Fatal(err)
		}
		written := map[string]bool{}
		for _, name := range names {
			tt := outcomes(t)[name]
			var value map[string]json.RawMessage
			if err := json.Unmarshal(encoded(t, tt.d, tt.o).Value, &value); err != nil {
				t.Fatal(err)
			}
			for field := range value {
				written[field] = true
				if _, ok := schema.Properties[field]; !ok {
					t.Errorf("%s: field %s is written, and not in the schema", name, field)
				}
			}
			for _, field := range schema.Required {
				if value[field] == nil {
					t.Errorf("%s: field %s is required, and not written", name, field)
				}
			}
		}
		for field := range schema.Properties {
			if !written[field] {
				t.Errorf("%s: field %s of the schema is never written", record, field)
			}
		}
	}
}

func TestPrepareFindsWhatTheRegistryLacks(t *testing.T) {
	e := NewEncoder(EncoderConfig{Format: schemas.Avro, Topic: "payment-outcomes", IDs: shelf{}})
	if err := e.Prepare(t.Context()); err == nil {
		t.Error("Prepare: want an error")
	}
	if _, err := e.Outcome(t.Context(), decoded(t, "{"+least+"}"), nil, spot, payment.Failed{Reason: payment.Refused, At: noon}); err == nil {
		t.Error("Outcome: want an error")
	}
	for form, cfg := range forms() {
		if err := NewEncoder(cfg).Prepare(t.Context()); err != nil {
			t.Errorf("%s: Prepare = %v", form, err)
		}
	}
}

// FuzzDecodeForms holds for any body behind any of our schemas, and for any
// header that names one: Decode gives an intent or an Unreadable, the same each
// time, and allocates no more than a small multiple of what it was given.
func FuzzDecodeForms(f *testing.F) {
	for _, m := range fullForms(f) {
		f.Add(m.Value, m.Header(headerValueSchema))
	}
	for _, id := range []int{1, 5, 9, 10, 77} {
		for _, body := range []string{"", "\x00", "\x02\x00", "\xfe\xff\xff\xff\x0f", "\x00\x0a\xff\xff\xff\xff\x07", "{}"} {
			f.Add(framed(id, body), []byte(nil))
			f.Add([]byte(body), framed(id, ""))
		}
	}
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001", Schemas: ours()})
	f.Fuzz(func(t *testing.T, value, header []byte) {
		m := Message{Key: []byte("k"), Value: value, Time: noon}
		if len(header) > 0 {
			m.Headers = []Header{{headerValueSchema, header}}
		}
		out, err := d.Decode(t.Context(), m)
		if errors.Is(err, errDown) {
			return // id 9999
		}
		again, err2 := d.Decode(t.Context(), m)
		if diff := cmp.Diff(out, again, asWritten); diff != "" || (err == nil) != (err2 == nil) {
			t.Fatalf("second Decode differs (%v, %v):\n%s", err, err2, diff)
		}
		if err != nil {
			checkBurial(t, m, err)
			return
		}
		checkDecoded(t, out)
		checkOutcome(t, out)
	})
}

// TestDecodeAllocatesLittle gives each decoder what claims to be huge.
func TestDecodeAllocatesLittle(t *testing.T) {
	d := NewDecoder(DecoderConfig{Schemas: ours()})
	for name, value := range map[string][]byte{
		"Avro length":         framed(5, "\xfe\xff\xff\xff\x0f"),
		"Avro map of a block": framed(5, "\x02a"+"\x00\x00\x021\x00\x021"+string(make([]byte, 25))+"\xfe\xff\xff\xff\x0f"),
		"Protobuf length":     framed(9, "\x00\x0a\xff\xff\xff\xff\x07"),
		"message index":       framed(9, "\xfe\xff\xff\xff\x0f"),
		"JSON":                framed(1, `{"intent_id":`),
	} {
		decode := func() {
			if _, err := d.Decode(t.Context(), Message{Value: value}); err == nil {
				t.Errorf("%s: want an error", name)
			}
		}
		decode()
		const runs = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			decode()
		}
		runtime.ReadMemStats(&after)
		bytes := (after.TotalAlloc - before.TotalAlloc) / runs
		if bytes > 16<<10 {
			t.Errorf("%s: %d bytes allocated for %d bytes", name, bytes, len(value))
		}
	}
}
