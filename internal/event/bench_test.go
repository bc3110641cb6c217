package event

import (
	"context"
	"strings"
	"testing"
	"time"

	"paylink/internal/payment"
)

// The figures we promise: BenchmarkDecodeFull at most 15 µs, BenchmarkDecodeForms
// in Avro and Protobuf at most 8 µs, BenchmarkEncodeOutcome at most 5 µs in
// every form.

func benchmarkDecode(b *testing.B, value string) {
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001"})
	m := Message{Value: []byte(value), Headers: []Header{{"content-type", []byte("application/json")}}}
	if out, err := d.Decode(context.Background(), m); err != nil || len(out.Violations) > 0 {
		b.Fatalf("Decode = %v, %v; want a whole intent", out.Violations, err)
	}
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeFull(b *testing.B) { benchmarkDecode(b, fullIntent(nil)) }

func BenchmarkDecodeSmall(b *testing.B) {
	benchmarkDecode(b, `{"intent_id":"ord-1","amount":"1500.00","description":"Mobile balance top-up"}`)
}

func BenchmarkDecodeForms(b *testing.B) {
	d := NewDecoder(DecoderConfig{Schemas: ours()})
	messages := fullForms(b)
	for _, name := range []string{"JSON", "JSON Schema", "Avro", "Protobuf"} {
		m := messages[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if out, err := d.Decode(context.Background(), m); err != nil || len(out.Violations) > 0 {
					b.Fatal(out.Violations, err)
				}
			}
		})
	}
}

func BenchmarkEncodeOutcome(b *testing.B) {
	d := decoded(b, fullIntent(nil))
	o := payment.Created{
		Link:     payment.Link{PaymentID: 1<<31 + 7, RedirectURL: "https://customer.freedompay.kz/pay.html?customer=" + strings.Repeat("a", 64), RedirectURLType: payment.URLNeedData},
		Attempts: 1, At: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}
	for _, form := range []string{"json", "json-schema by topic", "avro by topic", "protobuf by topic"} {
		e := NewEncoder(forms()[form])
		b.Run(form, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Outcome(context.Background(), d, []byte("k"), Place{"payment-intents", 3, 42}, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
