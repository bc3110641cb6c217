package outcomes

import (
	"time"

	"github.com/twmb/avro"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/schemas/contract"
)

func ofAvro(s *avro.Schema, body []byte) (*fields, error) {
	var x contract.AvroPaymentOutcome
	rest, err := s.Decode(body, &x)
	if err != nil || len(rest) > 0 {
		return nil, &event.Unreadable{Reason: event.NotJSON, Text: "the body is not what its Avro schema says"}
	}
	o := &fields{kind: x.Type, tries: int64(x.Attempts), OutcomeView: event.OutcomeView{
		EventID: x.EventId, Intent: payment.IntentID(x.IntentId), Merchant: payment.MerchantID(or(x.MerchantId)),
		OrderID: or(x.OrderId), Amount: payment.Money(or(x.Amount)), Currency: or(x.Currency), IdempotencyKey: or(x.IdempotencyKey),
		Source: event.Place{Topic: x.Source.Topic, Partition: x.Source.Partition, Offset: x.Source.Offset},
	}}
	o.number = or(x.PaymentId)
	o.created = payment.Created{At: or(x.CreatedAt), Link: payment.Link{
		RedirectURL: or(x.RedirectUrl), RedirectURLType: or(x.RedirectUrlType), RedirectQR: or(x.RedirectQr)}}
	o.failed = payment.Failed{Reason: payment.Reason(or(x.Reason)), ErrorCode: or(x.ErrorCode), ErrorDescription: or(x.ErrorDescription),
		Retryable: or(x.Retryable), PaymentMayExist: or(x.PaymentMayExist), At: or(x.FailedAt)}
	for _, b := range x.Violations {
		o.failed.Violations = append(o.failed.Violations, payment.Violation{Field: b.Field, Rule: b.Rule})
	}
	o.count(x.Metadata, x.Retryable != nil, x.PaymentMayExist != nil)
	return o, nil
}

// or is what a pointer points to, or the zero value.
func or[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// maxDepth bounds how deep messages may nest.
const maxDepth = 64

func ofProtobuf(body []byte) (*fields, error) {
	var x contract.PaymentOutcome
	if err := (proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxDepth}).Unmarshal(body, &x); err != nil {
		return nil, &event.Unreadable{Reason: event.NotJSON, Text: "the body is no Protobuf message, or holds text that is not UTF-8"}
	}
	o := &fields{kind: x.Type, number: x.PaymentId, tries: int64(x.Attempts), OutcomeView: event.OutcomeView{
		EventID: x.EventId, Intent: payment.IntentID(x.IntentId), Merchant: payment.MerchantID(x.MerchantId),
		OrderID: x.OrderId, Amount: payment.Money(x.Amount), Currency: x.Currency, IdempotencyKey: x.IdempotencyKey,
		Source: event.Place{Topic: x.GetSource().GetTopic(), Partition: x.GetSource().GetPartition(), Offset: x.GetSource().GetOffset()},
	}}
	o.created = payment.Created{At: timeOf(x.CreatedAt), Link: payment.Link{
		RedirectURL: x.RedirectUrl, RedirectURLType: x.RedirectUrlType, RedirectQR: x.RedirectQr}}
	o.failed = payment.Failed{Reason: payment.Reason(x.Reason), ErrorCode: x.ErrorCode, ErrorDescription: x.ErrorDescription,
		Retryable: x.Retryable, PaymentMayExist: x.PaymentMayExist, At: timeOf(x.FailedAt)}
	for _, b := range x.Violations {
		o.failed.Violations = append(o.failed.Violations, payment.Violation{Field: b.GetField(), Rule: b.GetRule()})
	}
	o.count(x.Metadata, true, true) // a flag that is false is never on the wire
	return o, nil
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
