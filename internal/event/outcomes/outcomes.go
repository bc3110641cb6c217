// Package outcomes reads back what an event.Encoder wrote. The service itself
// never does: its ledger reads headers. Tools and tests do.
package outcomes

import (
	"context"
	"errors"
	"fmt"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/schemas"
)

// A Decoder reads outcomes of every format. It may be used concurrently.
type Decoder struct{ bodies *event.OutcomeBodies }

// NewDecoder returns a Decoder. Without Schemas it reads plain JSON only.
func NewDecoder(s event.Schemas) *Decoder { return &Decoder{event.NewOutcomeBodies(s)} }

// Decode reads a record of the outcome topic. It ignores fields that it does
// not know, as every consumer should.
func (d *Decoder) Decode(ctx context.Context, m event.Message) (event.OutcomeView, error) {
	o, err := d.fields(ctx, m)
	if err != nil {
		return event.OutcomeView{}, fmt.Errorf("outcome: %w", err)
	}
	v, err := o.view()
	if err != nil {
		return event.OutcomeView{}, fmt.Errorf("outcome: %w", err)
	}
	return v, nil
}

// Decode reads a plain JSON record of the outcome topic.
func Decode(m event.Message) (event.OutcomeView, error) {
	return plain.Decode(context.Background(), m)
}

var plain = NewDecoder(nil)

// Read is Decode and Judge at once: what the record says, as far as it can be read,
// and every rule that it breaks. With violations some of it may be missing; without
// an Outcome in it, it cannot be understood.
func (d *Decoder) Read(ctx context.Context, m event.Message) (event.OutcomeView, []payment.Violation, error) {
	o, err := d.fields(ctx, m)
	if err != nil {
		return event.OutcomeView{}, nil, fmt.Errorf("outcome: %w", err)
	}
	broken := o.judge()
	v, err := o.view()
	if err != nil && len(broken) == 0 {
		return v, nil, fmt.Errorf("outcome: %w", err)
	}
	if err != nil {
		v.Outcome = nil
	}
	return v, broken, nil
}

// Judge lists every rule of the contract that a record of the outcome topic
// breaks; no rule holds a value. An *event.Unreadable says that the record is no
// outcome at all, any other error that it could not be judged.
func (d *Decoder) Judge(ctx context.Context, m event.Message) ([]payment.Violation, error) {
	o, err := d.fields(ctx, m)
	if err != nil {
		return nil, err
	}
	return o.judge(), nil
}

func (d *Decoder) fields(ctx context.Context, m event.Message) (*fields, error) {
	b, err := d.bodies.Of(ctx, m)
	if err != nil {
		return nil, err
	}
	switch b.Format {
	case schemas.Avro:
		return ofAvro(b.Avro, b.Bytes)
	case schemas.Protobuf:
		return ofProtobuf(b.Bytes)
	}
	return readFields(b.Bytes)
}

// fields are the fields of both types of outcome.
type fields struct {
	event.OutcomeView
	kind    string
	created payment.Created
	failed  payment.Failed
	number  int64 // payment_id
	tries   int64 // attempts

	has     present             // which fields are there, for fields.judge
	broken  []payment.Violation // what the format saw
	misread bool                // some of it is about fields whose value is therefore lost
}

func (o *fields) view() (event.OutcomeView, error) {
	v := o.OutcomeView
	if o.misread {
		return v, fmt.Errorf("%s %s", o.broken[0].Field, o.broken[0].Rule)
	}
	switch o.kind {
	case event.TypeCreated:
		o.created.PaymentID, o.created.Attempts = o.number, int(o.tries)
		v.Outcome = o.created
	case event.TypeFailed:
		o.failed.PaymentID, o.failed.Attempts = o.number, int(o.tries)
		v.Outcome = o.failed
	default:
		return v, errors.New("type is neither " + event.TypeCreated + " nor " + event.TypeFailed)
	}
	if v.Intent == "" || v.EventID == "" {
		return v, errors.New("intent_id or event_id is absent")
	}
	return v, nil
}

// count notes which fields are there, for formats whose zero value is absent.
func (o *fields) count(metadata map[string]string, retryable, mayExist bool) {
	if len(metadata) > 0 {
		o.Metadata = metadata
	}
	for name, is := range map[string]bool{
		"event_id": o.EventID != "", "type": o.kind != "", "intent_id": o.Intent != "", "attempts": true,
		"source": true, "source.topic": o.Source.Topic != "", "source.partition": true, "source.offset": true,
		"merchant_id": o.Merchant != "", "order_id": o.OrderID != "", "amount": o.Amount != "", "idempotency_key": o.IdempotencyKey != "",
		"payment_id": o.number != 0, "redirect_url": o.created.RedirectURL != "", "redirect_url_type": o.created.RedirectURLType != "",
		"created_at": !o.created.At.IsZero(), "failed_at": !o.failed.At.IsZero(),
		"reason": o.failed.Reason != "", "retryable": retryable, "payment_may_exist": mayExist,
	} {
		if is {
			o.has.add(name)
		}
	}
}
