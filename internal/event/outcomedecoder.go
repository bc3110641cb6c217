package event

import (
	"context"
	"fmt"

	"github.com/twmb/avro"

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
	f, framed, err := frameOf(&m)
	if err != nil {
		return OutcomeView{}, fmt.Errorf("outcome: %w", err)
	}
	if !framed {
		return DecodeOutcome(m)
	}
	r, err := d.writers.reader(ctx, f.schemaName)
	if err != nil {
		return OutcomeView{}, fmt.Errorf("outcome: %w", err)
	}
	v, err := r.read(&f)
	if err != nil {
		return OutcomeView{}, fmt.Errorf("outcome: %w", err)
	}
	return v, nil
}

// An boundReader is what reads the outcomes of one writer's schema.
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

func (r boundReader) read(f *frame) (OutcomeView, error) {
	switch r.format {
	case schemas.Avro:
		return outcomeOfAvro(r.avro, f.body)
	case schemas.Protobuf:
		body, err := r.proto.bodyOf(f)
		if err != nil {
			return OutcomeView{}, err
		}
		return outcomeOfProtobuf(body)
	}
	return readOutcome(f.body)
}

// AppendJSON appends the outcome as the plain JSON of the contract.
func (v OutcomeView) AppendJSON(b []byte) []byte { return appendOutcome(b, &v) }
