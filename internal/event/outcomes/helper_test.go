package outcomes_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/schemas"
)

var (
	noon = time.Date(2026, 11, 23, 17, 0, 0, 123_456_789, time.FixedZone("Almaty", 5*3600))
	spot = event.Place{Topic: "payment-intents", Partition: 3, Offset: 1 << 40}
	link = payment.Link{PaymentID: 5_000_000_000, RedirectURL: "https://customer.freedompay.kz/pay.html?customer=ab&x=<1>", RedirectURLType: payment.URLNeedData}
)

const least = `"intent_id":"ord-1","amount":"10","description":"d"`

// asWritten compares amounts as texts, and not as numbers.
var asWritten = cmp.Comparer(func(a, b payment.Money) bool { return a == b })

func decoded(t testing.TB, value string) event.Decoded {
	t.Helper()
	out, err := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}).Decode(context.Background(), event.Message{Value: []byte(value)})
	if err != nil {
		t.Fatalf("Decode(%.200s): %v", value, err)
	}
	return out
}

func encoded(t testing.TB, d event.Decoded, o payment.Outcome) event.Message {
	t.Helper()
	m, err := event.NewEncoder(event.EncoderConfig{}).Outcome(context.Background(), d, []byte("ord-1"), spot, o)
	if err != nil {
		t.Fatalf("Outcome(%T): %v", o, err)
	}
	return m
}

// A sample is an outcome of an intent.
type sample struct {
	d event.Decoded
	o payment.Outcome
}

// samples are one outcome of each kind that the contract knows.
func samples(t testing.TB) map[string]sample {
	full := decoded(t, `{"intent_id":"ord-2026-000123","merchant_id":540002,"order_id":"2026/123","amount":"1500.00","currency":"KZT","description":"d",`+
		`"idempotency_key":"0f2e7a52","metadata":{"z":"1","a":"\u0000 \"quoted\" ә"}}`)
	small := decoded(t, "{"+least+"}")
	bad := decoded(t, `{"intent_id":"ord-1","amount":"-1","merchant_id":"x","user_phone":"+7 701 111 22 33","order_id":7}`)
	withQR := link
	withQR.RedirectQR, withQR.RedirectURLType = "iVBORw0KGgo=", payment.URLPaymentSystem
	return map[string]sample{
		"created":          {small, payment.Created{Link: link, Attempts: 1, At: noon}},
		"created_full":     {full, payment.Created{Link: withQR, Attempts: 3, At: noon}},
		"failed_bad":       {bad, payment.Failed{Reason: payment.InvalidIntent, Violations: bad.Violations, At: noon}},
		"failed_refuse":    {full, payment.Failed{Reason: payment.Refused, ErrorCode: "9403", ErrorDescription: "Неверный запрос\n<b>", Attempts: 1, At: noon}},
		"failed_gave_up":   {small, payment.Failed{Reason: payment.GaveUp, Retryable: true, PaymentMayExist: true, Attempts: 40, At: noon}},
		"failed_expired":   {small, payment.Failed{Reason: payment.Expired, At: noon}},
		"failed_duplicate": {small, payment.Failed{Reason: payment.Duplicate, ErrorCode: "9991", PaymentMayExist: true, PaymentID: 5_000_000_001, Attempts: 2, At: noon}},
	}
}

// A shelf is a registry in memory. 9999 cannot be asked for.
type shelf map[int]event.WriterSchema

func (s shelf) ByID(_ context.Context, id int) (event.WriterSchema, error) {
	w, ok := s[id]
	switch {
	case id == 9999:
		return w, errors.New("connection refused")
	case !ok:
		return w, event.ErrUnknownSchema
	}
	return w, nil
}

func (s shelf) ByGUID(context.Context, string) (event.WriterSchema, error) {
	return event.WriterSchema{}, event.ErrUnknownSchema
}

func (s shelf) SchemaID(_ context.Context, subject string, f schemas.Format, text string) (int, error) {
	for id, w := range s {
		if w.Format == f && w.Text == text {
			return id, nil
		}
	}
	return 0, errors.New("no such schema under " + subject)
}

// ours returns a shelf with our own schemas: 1 to 4 JSON, 5 to 8 Avro, 9 and
// 10 Protobuf.
func ours() shelf {
	s := shelf{}
	for i, r := range schemas.Records() {
		s[1+i] = event.WriterSchema{Format: schemas.JSONSchema, Text: schemas.Text(schemas.JSONSchema, r)}
		s[5+i] = event.WriterSchema{Format: schemas.Avro, Text: schemas.Text(schemas.Avro, r)}
	}
	s[9] = event.WriterSchema{Format: schemas.Protobuf, Text: schemas.Text(schemas.Protobuf, schemas.Intent)}
	s[10] = event.WriterSchema{Format: schemas.Protobuf, Text: schemas.Text(schemas.Protobuf, schemas.Outcome)}
	return s
}

// forms are all configurations of an Encoder that differ in their bytes.
func forms() map[string]event.EncoderConfig {
	out := map[string]event.EncoderConfig{"json": {}}
	for _, f := range schemas.Formats() {
		for _, n := range []schemas.Naming{schemas.ByTopic, schemas.ByRecord} {
			out[f.String()+" by "+string(n)] = event.EncoderConfig{Format: f, Naming: n, Topic: "payment-outcomes", IDs: ours()}
		}
	}
	return out
}

// framed puts the Confluent wire format before a body.
func framed(id int, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...)
}
