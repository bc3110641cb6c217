package schemagen

// A shape is the type of an outcome's field.
type shape int

const (
	text       shape = iota
	count            // a small number
	big              // a number beyond 2³¹
	flag             // true or false, always said
	moment           // a time, in UTC, to the millisecond
	pairs            // string → string
	place            // topic, partition, offset
	violations       // list of field and rule
)

// A need says whether a type of outcome has a field.
type need int

const (
	never need = iota
	maybe
	always
)

// An outcomeField is a field of payment-created, payment-failed, or both.
type outcomeField struct {
	name    string
	number  int // in Protobuf, for ever
	shape   shape
	created need
	failed  need
	enum    []string // all words there are
	example string
	doc     string
}

// outcomeFields is every field of an outcome, in the order of its JSON. That
// the encoder writes these and no others is for a test of schemas to say.
var outcomeFields = []outcomeField{
	{"event_id", 1, text, always, always, nil, "0b5b7c9e-6a0b-5f0e-9d0c-2f6f4f1c7a11",
		"Identity of the outcome, a UUID made from merchant and intent id: the same for every copy, so consumers drop repeats by it."},
	{"type", 2, text, always, always, []string{"payment-created", "payment-failed"}, "payment-created",
		"Which of the two an outcome is."},
	{"intent_id", 3, text, always, always, nil, "ord-2026-000123",
		"The intent that this settles. There is no second outcome for it, ever."},
	{"merchant_id", 4, text, always, maybe, nil, "540001",
		"The gateway's number of the merchant, in digits. Absent only if the intent broke its rule."},
	{"order_id", 5, text, always, maybe, nil, "550e8400-e29b-41d4-a716-446655440000",
		"The payment's id in the merchant's system. Absent only if the intent broke its rule."},
	{"amount", 6, text, always, maybe, nil, "1500.00",
		"Amount as the intent wrote it: a plain decimal in currency, never to be read as a float. Absent only if the intent broke its rule."},
	{"currency", 7, text, maybe, maybe, nil, "KZT",
		"ISO 4217 code. Absent: the merchant's own."},
	{"idempotency_key", 8, text, always, maybe, nil, "550e8400-e29b-41d4-a716-446655440000",
		"The key of every call that was made for the intent. Absent only if the intent broke its rule."},
	{"payment_id", 9, big, always, maybe, nil, "5000000001",
		"The gateway's number of the payment, a 64-bit number. Of a failed intent: the payment that a status lookup found."},
	{"redirect_url", 10, text, always, never, nil, "https://customer.freedompay.kz/pay.html?customer=1",
		"The payment link: where to send the payer. It comes from an answer whose signature verified."},
	{"redirect_url_type", 11, text, always, never, nil, "need data",
		"What the link leads to, in the gateway's words: \"need data\" is a page that asks for data, \"payment system\" the payment system. Other words may come; the link is good all the same."},
	{"redirect_qr", 12, text, maybe, never, nil, "iVBORw0KGgo=",
		"QR code of the link, base64; there if the intent asked for it with generate_qr."},
	{"reason", 13, text, never, always, []string{"invalid_intent", "refused", "expired", "gave_up", "duplicate"}, "refused",
		"Why there is no link: the intent broke a rule, the gateway refused it for good, it expired, it was given up, or its order or key was used before."},
	{"error_code", 14, text, never, maybe, nil, "9403",
		"The gateway's error code, if it gave one."},
	{"error_description", 15, text, never, maybe, nil, "Invalid request",
		"The gateway's words, for people."},
	{"violations", 16, violations, never, maybe, nil, "",
		"Of an invalid intent: every rule it breaks, with the field's name and a sentence that never holds the value."},
	{"retryable", 17, flag, never, always, nil, "false",
		"Whether a new intent, with an id of its own, may succeed."},
	{"payment_may_exist", 18, flag, never, always, nil, "false",
		"False only if it is certain that the gateway holds no payment for the intent. If true, a new intent must carry this outcome's idempotency_key."},
	{"attempts", 19, count, always, always, nil, "1",
		"How many calls of the gateway were made."},
	{"created_at", 20, moment, always, never, nil, "2026-11-23T12:00:00.000Z",
		"When the link was received."},
	{"failed_at", 21, moment, never, always, nil, "2026-11-23T12:00:00.000Z",
		"When the intent failed."},
	{"source", 23, place, always, always, nil, "",
		"Where the intent's record stands."},
	// The last, because maps have no order: see event.appendMetadata.
	{"metadata", 22, pairs, maybe, maybe, nil, `{"cart":"42"}`,
		"The intent's metadata, as it was."},
}

// An inner field is one of the two structures within an outcome.
type innerField struct {
	name    string
	number  int
	shape   shape
	example string
	doc     string
}

var placeFields = []innerField{
	{"topic", 1, text, "payment-intents", "Topic of the record."},
	{"partition", 2, count, "3", "Partition of the record."},
	{"offset", 3, big, "42", "Offset of the record."},
}

var violationFields = []innerField{
	{"field", 1, text, "amount", "Name of the intent's field."},
	{"rule", 2, text, "must be between 0.01 and 99999999", "The rule that it breaks, as a sentence."},
}

// A view is one record type that outcomes can be read as.
type view struct {
	name string // of the record
	file string // without extension
	doc  string
	need func(outcomeField) need
	kind string // value of "type"; empty: either
}

var views = []view{
	{nameOutcome, "payment-outcome", "The outcome of an intent: its payment link (type payment-created), or why there is none (payment-failed). Exactly one is ever published for an intent.",
		func(f outcomeField) need {
			if f.created == always && f.failed == always {
				return always
			}
			return maybe
		}, ""},
	{nameCreated, "payment-created", "An intent has its payment link.", func(f outcomeField) need { return f.created }, "payment-created"},
	{nameFailed, "payment-failed", "An intent will never have a payment link.", func(f outcomeField) need { return f.failed }, "payment-failed"},
}

func (v view) fields() []outcomeField {
	var out []outcomeField
	for _, f := range outcomeFields {
		if v.need(f) != never {
			out = append(out, f)
		}
	}
	return out
}
