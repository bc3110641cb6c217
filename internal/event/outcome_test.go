package event

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"paylink/internal/payment"
)

var (
	noon = time.Date(2026, 11, 23, 17, 0, 0, 123_456_789, time.FixedZone("Almaty", 5*3600))
	spot = Place{Topic: "payment-intents", Partition: 3, Offset: 1 << 40}
	link = payment.Link{PaymentID: 5_000_000_000, RedirectURL: "https://customer.freedompay.kz/pay.html?customer=ab&x=<1>", RedirectURLType: payment.URLNeedData}
)

func encoded(t testing.TB, d Decoded, o payment.Outcome) Message {
	t.Helper()
	m, err := NewEncoder(EncoderConfig{Source: "/paylink/shop"}).Outcome(context.Background(), d, []byte("ord-1"), spot, o)
	if err != nil {
		t.Fatalf("Outcome(%T): %v", o, err)
	}
	return m
}

// outcomes are one outcome of each kind that the contract knows.
func outcomes(t testing.TB) map[string]struct {
	d Decoded
	o payment.Outcome
} {
	full := decoded(t, fullIntent(map[string]string{"metadata": `{"z":"1","a":"\u0000 \"quoted\" ә"}`}), header("traceparent", traceA), header("tracestate", "a=1"))
	small := decoded(t, "{"+least+"}")
	bad := decoded(t, `{"intent_id":"ord-1","amount":"-1","merchant_id":"x","user_phone":"+7 701 111 22 33","order_id":7}`)
	withQR := link
	withQR.RedirectQR, withQR.RedirectURLType = "iVBORw0KGgo=", payment.URLPaymentSystem
	type pair = struct {
		d Decoded
		o payment.Outcome
	}
	return map[string]pair{
		"created":          {small, payment.Created{Link: link, Attempts: 1, At: noon}},
		"created_full":     {full, payment.Created{Link: withQR, Attempts: 3, At: noon}},
		"failed_bad":       {bad, payment.Failed{Reason: payment.InvalidIntent, Violations: bad.Violations, At: noon}},
		"failed_refuse":    {full, payment.Failed{Reason: payment.Refused, ErrorCode: "9403", ErrorDescription: "Неверный запрос\n<b>", Attempts: 1, At: noon}},
		"failed_gave_up":   {small, payment.Failed{Reason: payment.GaveUp, Retryable: true, PaymentMayExist: true, Attempts: 40, At: noon}},
		"failed_expired":   {small, payment.Failed{Reason: payment.Expired, At: noon}},
		"failed_duplicate": {small, payment.Failed{Reason: payment.Duplicate, ErrorCode: "9991", PaymentMayExist: true, PaymentID: 5_000_000_001, Attempts: 2, At: noon}},
	}
}

func TestOutcomeGoldens(t *testing.T) {
	for name, tt := range outcomes(t) {
		t.Run(name, func(t *testing.T) { golden(t, name, encoded(t, tt.d, tt.o)) })
	}
}

func TestOutcomeHoldsTheContractsFieldsOnly(t *testing.T) {
	head := []string{"event_id", "type", "intent_id", "merchant_id", "order_id", "amount", "currency", "idempotency_key", "attempts", "metadata", "source"}
	created := append([]string{"payment_id", "redirect_url", "redirect_url_type", "redirect_qr", "created_at"}, head...)
	failed := append([]string{"reason", "error_code", "error_description", "violations", "retryable", "payment_may_exist", "payment_id", "failed_at"}, head...)
	for name, tt := range outcomes(t) {
		var got map[string]any
		value := encoded(t, tt.d, tt.o).Value
		if err := json.Unmarshal(value, &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		allowed := created
		if got["type"] == TypeFailed {
			allowed = failed
		}
		for field, v := range got {
			if !slices.Contains(allowed, field) || v == nil || v == "" {
				t.Errorf("%s: field %s = %v, want only fields of the contract, none empty", name, field, v)
			}
		}
	}
}

func TestOutcomeHoldsNoPersonalData(t *testing.T) {
	canaries := map[string]string{"user_phone": `"77012345678"`, "user_contact_email": `"canary@payer.example"`, "user_ip": `"198.51.100.77"`}
	broken := map[string]string{"user_phone": `"+77012345678"`, "user_contact_email": `"canary.payer.example"`, "user_ip": `"198.51.100.777"`}
	for _, f := range payment.Fields {
		if f.Personal && canaries[f.Name] == "" {
			t.Fatalf("field %s is personal and has no canary here", f.Name)
		}
	}
	for _, values := range []map[string]string{canaries, broken} {
		d := decoded(t, fullIntent(values))
		for _, o := range []payment.Outcome{
			payment.Created{Link: link, At: noon},
			payment.Failed{Reason: payment.InvalidIntent, Violations: d.Violations, At: noon},
		} {
			text := dump(encoded(t, d, o))
			for _, v := range values {
				if strings.Contains(text, strings.Trim(v, `"+`)) {
					t.Errorf("outcome holds %s:\n%s", v, text)
				}
			}
		}
	}
}

func TestOutcomeIsTheSameAgain(t *testing.T) {
	for name, tt := range outcomes(t) {
		if diff := cmp.Diff(encoded(t, tt.d, tt.o), encoded(t, tt.d, tt.o)); diff != "" {
			t.Errorf("%s: second encoding differs:\n%s", name, diff)
		}
	}
}

func TestEventIDIsOfMerchantAndIntent(t *testing.T) {
	d := decoded(t, "{"+least+"}")
	other := d
	other.Intent.Amount, other.Intent.OrderID = "11", "x"
	second := decoded(t, with(`"merchant_id":540002`))
	id := func(d Decoded, o payment.Outcome) string { return string(encoded(t, d, o).Header("ce_id")) }
	created, failed := payment.Created{Link: link, At: noon}, payment.Failed{Reason: payment.Refused, At: noon.Add(time.Hour)}
	if a, b := id(d, created), id(other, failed); a != b {
		t.Errorf("event ids %s and %s of one intent, want the same", a, b)
	}
	if a, b := id(d, created), id(second, created); a == b {
		t.Errorf("event id %s for two merchants", a)
	}
	if a := id(d, created); a == d.Intent.IdempotencyKey {
		t.Errorf("event id %s is the idempotency key", a)
	}
}

// TestUUIDsAreThoseOfTheLibrary: an emitter can make them with any library.
func TestUUIDsAreThoseOfTheLibrary(t *testing.T) {
	for _, id := range []payment.IntentID{"", "a", "ord-2026-000123", payment.IntentID(strings.Repeat("x", 300))} {
		if got, want := uuidOf(spaceOfKeys, "540001", id), uuid.NewSHA1(spaceOfKeys, []byte("540001/"+string(id))).String(); got != want {
			t.Errorf("%.20q: %s, want %s", id, got, want)
		}
	}
}

func TestOutcomeOfNoKind(t *testing.T) {
	if _, err := NewEncoder(EncoderConfig{}).Outcome(context.Background(), decoded(t, "{"+least+"}"), nil, spot, nil); err == nil {
		t.Error("Outcome(nil): want an error")
	}
}
