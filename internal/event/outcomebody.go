package event

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/avro"

	"paylink/schemas"
	"paylink/schemas/contract"
)

// What package outcomes needs to read back what an Encoder wrote: the bodies of
// values, and the words for JSON that is none.

// OutcomeBodies unwrap the values of outcomes of every format. They may be used
// concurrently.
type OutcomeBodies struct{ readers readers[boundReader] }

// NewOutcomeBodies returns OutcomeBodies. Without Schemas they know plain JSON only.
func NewOutcomeBodies(s Schemas) *OutcomeBodies {
	return &OutcomeBodies{readers[boundReader]{schemas: s, compile: compileOutcome}}
}

// An OutcomeBody is the value of an outcome without what names its schema.
type OutcomeBody struct {
	Format schemas.Format // zero: plain JSON; of JSON Schema the bytes are the same
	Avro   *avro.Schema   // reads Bytes as a schemas.Outcome, if that is the Format
	Bytes  []byte
}

// Of unwraps the value of a record of the outcome topic. An error that is an
// *Unreadable says that it is none of ours, any other that it could not be told.
func (b *OutcomeBodies) Of(ctx context.Context, m Message) (OutcomeBody, error) {
	if len(m.Value) == 0 {
		return OutcomeBody{}, &Unreadable{Empty, "the record has no value"}
	}
	f, framed, err := frameOf(&m)
	if err != nil {
		return OutcomeBody{}, err
	}
	if !framed {
		return OutcomeBody{Bytes: m.Value}, nil
	}
	r, err := b.readers.of(ctx, f.schemaName)
	if err != nil {
		return OutcomeBody{}, err
	}
	body := OutcomeBody{Format: r.format, Avro: r.avro, Bytes: f.body}
	if r.format == schemas.Protobuf {
		body.Bytes, err = r.proto.bodyOf(&f)
	}
	return body, err
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

// AppendJSON appends the outcome as the plain JSON of the contract.
func (v OutcomeView) AppendJSON(b []byte) []byte { return appendOutcome(b, &v) }

// BadJSON makes an *Unreadable of what a tokenizer of JSON said. It holds nothing
// of the value.
func BadJSON(err error) error { return notJSON(err) }

// KindName is what a kind of JSON value is called in sentences.
func KindName(k jsontext.Kind) string { return kindName(k) }
