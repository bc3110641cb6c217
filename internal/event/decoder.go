package event

import (
	"context"
	"sync"

	"paylink/internal/payment"
	"paylink/schemas"
)

// A DecoderConfig says which merchants there are.
type DecoderConfig struct {
	// DefaultMerchant is the merchant of an intent that names none. Empty:
	// there is no default, and such an intent has a violation.
	DefaultMerchant payment.MerchantID

	// KnownMerchant reports whether a merchant is configured. It is called
	// concurrently. Nil: every merchant is.
	KnownMerchant func(payment.MerchantID) bool

	// Defaults are a merchant's parameters for intents that do not give them.
	// They are no part of the digest. It is called concurrently. Nil: none.
	Defaults func(payment.MerchantID) []payment.Param

	// Permit is what the emitters of a merchant's intents may say. What they may
	// not say is a violation. It is called concurrently. Nil: all.
	Permit func(payment.MerchantID) payment.Permit

	// Schemas looks up what intents were written with. Nil: there is no schema
	// registry, and intents are plain JSON or CloudEvents.
	Schemas Schemas
}

// A Decoder reads intents: plain JSON, CloudEvents in both modes, and what a
// schema registry's serializers write (JSON Schema, Avro, Protobuf), recognised
// record by record. It may be used concurrently.
type Decoder struct {
	cfg       DecoderConfig
	names     map[string]int // index into payment.Fields
	quick     []quick        // parallel to payment.Fields
	param     []bool         // likewise: goes into Intent.Params
	idField   int            // index of intent_id
	scratches sync.Pool      // of *scratch
	readers   readers[intentReader]
	heavy     chan struct{} // a token while a record is read that may take much memory
}

// A scratch is what one Decode works on; reused, because most of it is buffers.
type scratch struct {
	draft draft
	json  jsonReader
}

// NewDecoder returns a Decoder.
func NewDecoder(cfg DecoderConfig) *Decoder {
	d := &Decoder{cfg: cfg, names: make(map[string]int, len(payment.Fields)), heavy: make(chan struct{}, 1)}
	for i, f := range payment.Fields {
		d.names[f.Name] = i
		d.quick, d.param = append(d.quick, quickOf(&f)), append(d.param, isParam(&f))
	}
	d.idField = d.names["intent_id"]
	d.readers.schemas, d.readers.compile = cfg.Schemas, compileIntent
	d.scratches.New = func() any { return &scratch{draft: newDraft()} }
	return d
}

// Decode reads a record of the intent topic. It neither keeps nor changes m.
//
// An error that is an *Unreadable sends the record to the dead letters. Any
// other error says nothing about the record: hold it and try again.
func (d *Decoder) Decode(ctx context.Context, m Message) (Decoded, error) {
	if len(m.Value) == 0 {
		return Decoded{}, &Unreadable{Empty, "the record has no value; emit the intent as a JSON object"}
	}
	k := d.scratches.Get().(*scratch)
	defer d.putBack(k)
	env, err := d.read(ctx, k, m)
	if err != nil {
		return Decoded{}, err
	}
	out, err := d.finish(&k.draft)
	if err != nil {
		return Decoded{}, k.json.sayWhere(err)
	}
	out.Trace = traceOf(m, env)
	return out, nil
}

// read reads a record's value into the draft, whatever it was written with.
func (d *Decoder) read(ctx context.Context, k *scratch, m Message) (envelope, error) {
	f, framed, err := frameOf(&m)
	if err != nil {
		return envelope{}, err
	}
	if !framed || f.head && d.cfg.Schemas == nil && m.Value[0] == '{' { // JSON needs no schema to be read
		return d.readJSON(k, m)
	}
	format, err := d.readForeign(ctx, k, &f)
	if err != nil || format != schemas.JSONSchema {
		return envelope{}, err
	}
	m.Value = f.body
	return d.readJSON(k, m)
}

// readForeign reads a value by the schema that it was written with, unless that is a
// JSON Schema. Schemas and bytes are others', and so are the libraries that read them:
// where they panic, only this record is lost.
func (d *Decoder) readForeign(ctx context.Context, k *scratch, f *frame) (format schemas.Format, err error) {
	defer func() {
		if recover() != nil {
			err = &Unreadable{UnknownSchema, f.String() + " or the value breaks what reads it, which is a mistake of this service: report it, and emit plain JSON until then"}
		}
	}()
	r, err := d.readers.of(ctx, f.schemaName)
	if err != nil {
		return 0, err
	}
	if r.isHeavy(f.body) {
		select {
		case d.heavy <- struct{}{}:
			defer func() { <-d.heavy }()
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	switch r.format {
	case schemas.Avro:
		err = readAvro(k, r.avro, f.schemaName, f.body)
	case schemas.Protobuf:
		err = r.proto.read(k, f)
	}
	return r.format, err
}

// An intentReader is what reads the intents of one writer's schema.
type intentReader struct {
	format schemas.Format
	avro   *avroWriter
	proto  protoIntents
}

// isHeavy reports whether reading a body may take much more memory than it has bytes.
func (r *intentReader) isHeavy(body []byte) bool {
	if r.format == schemas.Avro {
		return r.avro.isHeavy(body)
	}
	return r.format == schemas.Protobuf && len(body) > lightProto
}

func compileIntent(w WriterSchema) (r intentReader, bad *Unreadable) {
	r.format = w.Format
	switch w.Format {
	case schemas.Avro:
		r.avro, bad = compileAvro(w)
	case schemas.Protobuf:
		r.proto, bad = compileProtoIntents(w)
	}
	return r, bad
}

// putBack clears a scratch, so that the pool holds on to no record.
func (d *Decoder) putBack(k *scratch) {
	k.draft.reset()
	k.json.release()
	d.scratches.Put(k)
}
