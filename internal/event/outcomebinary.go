package event

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/avro"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"paylink/internal/payment"
	"paylink/schemas"
	"paylink/schemas/contract"
)

// Avro and Protobuf outcomes are written as the record that can be
// either type: PaymentCreated and PaymentFailed have the same fields, as far as
// they have them.

// appendAvro writes an outcome by one of our schemas.
func appendAvro(b []byte, s *avro.Schema, v *OutcomeView) ([]byte, error) {
	x := avroOutcome(v)
	b, err := s.AppendEncode(b, x)
	if err != nil {
		return nil, err
	}
	return appendMetadata(b[:len(b)-1], v.Metadata), nil
}

// appendMetadata writes a map in the order of its keys, so that the same
// outcome is always the same bytes. It stands at the end of our records, where
// the library wrote an empty one.
func appendMetadata(b []byte, m map[string]string) []byte {
	if len(m) > 0 {
		b = binary.AppendVarint(b, int64(len(m)))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			b = append(binary.AppendVarint(b, int64(len(k))), k...)
			b = append(binary.AppendVarint(b, int64(len(m[k]))), m[k]...)
		}
	}
	return append(b, 0)
}

func avroOutcome(v *OutcomeView) *contract.AvroPaymentOutcome {
	x := &contract.AvroPaymentOutcome{
		EventId: v.EventID, Type: v.Type(), IntentId: string(v.Intent),
		MerchantId: some(string(v.Merchant)), OrderId: some(v.OrderID), Amount: some(string(v.Amount)),
		Currency: some(v.Currency), IdempotencyKey: some(v.IdempotencyKey), Attempts: int32(v.Attempts()),
		Source: contract.AvroSource{Topic: v.Source.Topic, Partition: v.Source.Partition, Offset: v.Source.Offset},
	}
	at := v.At().UTC().Truncate(time.Millisecond)
	switch o := v.Outcome.(type) {
	case payment.Created:
		x.PaymentId, x.CreatedAt = &o.PaymentID, &at
		x.RedirectUrl, x.RedirectUrlType = ptr(valid(o.RedirectURL)), ptr(valid(o.RedirectURLType))
		x.RedirectQr = some(o.RedirectQR)
	case payment.Failed:
		x.Reason, x.Retryable, x.PaymentMayExist, x.FailedAt = ptr(string(o.Reason)), &o.Retryable, &o.PaymentMayExist, &at
		x.ErrorCode, x.ErrorDescription = some(o.ErrorCode), some(o.ErrorDescription)
		if o.PaymentID != 0 {
			x.PaymentId = &o.PaymentID
		}
		for _, b := range o.Violations {
			x.Violations = append(x.Violations, contract.AvroViolation{Field: b.Field, Rule: b.Rule})
		}
	}
	return x
}

// some is a text that may be absent; the gateway's words may be no UTF-8.
func some(s string) *string {
	if s == "" {
		return nil
	}
	return ptr(valid(s))
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func ptr[T any](v T) *T { return &v }

// appendProtobuf writes an outcome. The bytes are the same for each of our
// outcome messages, because they share their numbers.
func appendProtobuf(b []byte, v *OutcomeView) ([]byte, error) {
	x := &contract.PaymentOutcome{
		EventId: v.EventID, Type: v.Type(), IntentId: string(v.Intent),
		MerchantId: string(v.Merchant), OrderId: valid(v.OrderID), Amount: string(v.Amount), Currency: v.Currency,
		IdempotencyKey: valid(v.IdempotencyKey), Attempts: int32(v.Attempts()), Metadata: v.Metadata,
		Source: &contract.Source{Topic: v.Source.Topic, Partition: v.Source.Partition, Offset: v.Source.Offset},
	}
	at := timestamppb.New(v.At().Truncate(time.Millisecond))
	switch o := v.Outcome.(type) {
	case payment.Created:
		x.PaymentId, x.CreatedAt = o.PaymentID, at
		x.RedirectUrl, x.RedirectUrlType, x.RedirectQr = valid(o.RedirectURL), valid(o.RedirectURLType), valid(o.RedirectQR)
	case payment.Failed:
		x.PaymentId, x.FailedAt = o.PaymentID, at
		x.Reason, x.Retryable, x.PaymentMayExist = string(o.Reason), o.Retryable, o.PaymentMayExist
		x.ErrorCode, x.ErrorDescription = valid(o.ErrorCode), valid(o.ErrorDescription)
		for _, b := range o.Violations {
			x.Violations = append(x.Violations, &contract.Violation{Field: b.Field, Rule: b.Rule})
		}
	}
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend(b, x)
}

// recordOf is the record of our contract that an outcome is written as.
func recordOf(v *OutcomeView, n schemas.Naming) schemas.Record {
	switch {
	case len(n.Outcomes()) == 1:
		return schemas.Outcome
	case v.Type() == TypeCreated:
		return schemas.Created
	}
	return schemas.Failed
}
