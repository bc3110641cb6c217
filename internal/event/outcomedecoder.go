package event

import (
	"context"
	"fmt"

	"github.com/twmb/avro"

	"paylink/internal/payment"
	"paylink/schemas"
	"paylink/schemas/contract"
)

// An OutcomeDecoder reads outcomes of every format. It may be used concurrently.
type OutcomeDecoder struct{ writers writers[boundReader] }

// NewOutcomeDecoder returns an OutcomeDecoder. Without Schemas it reads plain
// JSON only.
func NewOutcomeDecoder(s Schemas) *OutcomeDecoder {
	return &OutcomeDecoder{writers[boundReader]{schemas: s, compile: compileOutcome}}
}

// Decode reads a record of the outcome topic. It ignores fields that it does
// not know, as every consumer should.
func (d *OutcomeDecoder) Decode(ctx context.Context, m Message) (OutcomeView, error) {
	o, err := d.fields(ctx, m)
	if err != nil {
		return OutcomeView{}, fmt.Errorf("outcome: %w", err)
	}
	v, err := o.view()
	if err != nil {
		return OutcomeView{}, fmt.Errorf("outcome: %w", err)
	}
	return v, nil
}

// Judge lists every rule of the contract that a record of the outcome topic
// breaks; no rule holds a value. An *Unreadable says that the record is no
// outcome at all, any other error that it could not be judged.
func (d *OutcomeDecoder) Judge(ctx context.Context, m Message) ([]payment.Violation, error) {
	o, err := d.fields(ctx, m)
	if err != nil {
		return nil, err
	}
	return o.judge(), nil
}

func (d *OutcomeDecoder) fields(ctx context.Context, m Message) (*outcomeFields, error) {
	if len(m.Value) == 0 {
		return nil, &Unreadable{Empty, "the record has no value"}
	}
	f, framed, err := frameOf(&m)
	if err != nil {
		return nil, err
	}
	if !framed {
		return readFields(m.Value)
	}
	r, err := d.writers.reader(ctx, f.schemaName)
	if err != nil {
		return nil, err
	}
	return r.read(&f)
}

// A boundReader is what reads the outcomes of one writer's schema.
type boundReader struct {
	format schemas.Format
	avro   *avro.Schema
	proto  protoWriter
}

func compileOutcome(w WriterSchema) (r boundReader, bad *Unreadable) {
	r.format = w.Format
	switch w.Format {
	case schemas.Avro:
		r.avro, bad = resolveAvro(w, schemas.Outcome)
	case schemas.Protobuf:
		r.proto, bad = resolveProtobuf(w, (&contract.PaymentOutcome{}).ProtoReflect().Descriptor())
	}
	return r, bad
}

func (r boundReader) read(f *frame) (*outcomeFields, error) {
	switch r.format {
	case schemas.Avro:
		return outcomeOfAvro(r.avro, f.body)
	case schemas.Protobuf:
		body, err := r.proto.bodyOf(f)
		if err != nil {
			return nil, err
		}
		return outcomeOfProtobuf(body)
	}
	return readFields(f.body)
}

// AppendJSON appends the outcome as the plain JSON of the contract.
func (v OutcomeView) AppendJSON(b []byte) []byte { return appendOutcome(b, &v) }
