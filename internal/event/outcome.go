package event

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"paylink/internal/payment"
	"paylink/schemas"
)

// SchemaIDs tells the numbers of our own schemas. It may be asked concurrently.
type SchemaIDs interface {
	// SchemaID returns the number that a registry has given a schema under a
	// subject. An error: it could not be asked, or the schema is not there.
	SchemaID(ctx context.Context, subject string, f schemas.Format, text string) (int, error)
}

// An EncoderConfig says in whose name, and in which form, outcomes are published.
type EncoderConfig struct {
	// Source is the CloudEvents source, a URI reference, such as
	// "/paylink/<group>". Empty: "/paylink".
	Source string

	// Format is the form of the value, in the wire format of Confluent's
	// registry. Zero: plain JSON, and nothing below is looked at.
	Format schemas.Format
	Naming schemas.Naming // of subjects; empty: by topic
	Topic  string         // of the outcomes, for the names of subjects
	IDs    SchemaIDs
}

// An Encoder writes outcomes. It may be used concurrently.
type Encoder struct {
	cfg  EncoderConfig
	avro map[schemas.Record]*avro.Schema
	ids  [schemas.Failed + 1]atomic.Int64 // by schemas.Record, plus one; 0: not known yet
}

// NewEncoder returns an Encoder.
func NewEncoder(cfg EncoderConfig) *Encoder {
	if cfg.Source == "" {
		cfg.Source = "/paylink"
	}
	e := &Encoder{cfg: cfg}
	if cfg.Format == schemas.Avro {
		e.avro = make(map[schemas.Record]*avro.Schema)
		for _, r := range cfg.Naming.Outcomes() {
			e.avro[r] = avro.MustParse(schemas.Text(schemas.Avro, r))
		}
	}
	return e
}

// Prepare asks for the numbers of all schemas that outcomes are written with,
// so that a registry that lacks one is found out before the first payment and
// not after it. An Encoder that was not prepared asks when it first needs them.
func (e *Encoder) Prepare(ctx context.Context) error {
	if e.cfg.Format == 0 {
		return nil
	}
	for _, r := range e.cfg.Naming.Outcomes() {
		if _, err := e.id(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (e *Encoder) id(ctx context.Context, r schemas.Record) (int, error) {
	if known := e.ids[r].Load(); known > 0 {
		return int(known - 1), nil
	}
	subject := e.cfg.Naming.Subject(e.cfg.Topic, r)
	id, err := e.cfg.IDs.SchemaID(ctx, subject, e.cfg.Format, schemas.Text(e.cfg.Format, r))
	if err != nil {
		return 0, fmt.Errorf("schema id of %s: %w", subject, err)
	}
	e.ids[r].Store(int64(id) + 1)
	return id, nil
}

// LargestOutcome is how many bytes no record with an outcome is larger than, its key
// aside: every field of an intent has a bound, and so has a link. Only a QR code, if
// one was asked for, may be larger: up to 128 KiB, see freedompay.
const LargestOutcome = 64 << 10

// Outcome writes the outcome of an intent that came with key from a place of
// the intent topic. The same arguments give the same bytes. The message's time
// is that of the outcome.
//
// An error says nothing about the outcome: hold it and try again.
func (e *Encoder) Outcome(ctx context.Context, d Decoded, key []byte, from Place, o payment.Outcome) (Message, error) {
	v, err := viewOf(d.Intent, from, o)
	if err != nil {
		return Message{}, err
	}
	value, err := e.value(ctx, make([]byte, 0, 1<<10), &v)
	if err != nil {
		return Message{}, fmt.Errorf("outcome of %s: %w", d.Intent.Describe(), err)
	}
	return Message{Key: key, Value: value, Headers: e.headers(&v, d), Time: v.At()}, nil
}

func (e *Encoder) value(ctx context.Context, b []byte, v *OutcomeView) ([]byte, error) {
	if e.cfg.Format == 0 {
		return appendOutcome(b, v), nil
	}
	r := recordOf(v, e.cfg.Naming)
	id, err := e.id(ctx, r)
	if err != nil {
		return nil, err
	}
	var index []int
	if e.cfg.Format == schemas.Protobuf {
		index = r.MessageIndex()
	}
	if b, err = (*sr.ConfluentHeader)(nil).AppendEncode(b, id, index); err != nil {
		return nil, err
	}
	switch e.cfg.Format {
	case schemas.Avro:
		return appendAvro(b, e.avro[r], v)
	case schemas.Protobuf:
		return appendProtobuf(b, v)
	}
	return appendOutcome(b, v), nil
}

// headers are the CloudEvents attributes (binary mode of its Kafka protocol
// binding), the trace, and what the ledger reads.
func (e *Encoder) headers(v *OutcomeView, d Decoded) []Header {
	ceType := CETypeCreated
	if v.Type() == TypeFailed {
		ceType = CETypeFailed
	}
	hs := make([]Header, 0, 9+len(d.Trace))
	room := make([]byte, 0, 384) // of all values: one allocation in place of nine
	put := func(key, value string) {
		from := len(room)
		room = append(room, value...)
		hs = append(hs, Header{key, room[from:len(room):len(room)]})
	}
	put("ce_specversion", "1.0")
	put("ce_id", v.EventID)
	put("ce_source", e.cfg.Source)
	put("ce_type", ceType)
	put("ce_subject", string(v.Intent))
	put("ce_time", timeText(v.At()))
	put("content-type", contentType(e.cfg.Format))
	put(HeaderIntentID, string(v.Intent))
	put(HeaderIntentDigest, d.Digest.String())
	return append(hs, d.Trace...)
}

// contentType says what stands in the value, behind the registry's framing.
func contentType(f schemas.Format) string {
	switch f {
	case schemas.Avro:
		return "application/avro"
	case schemas.Protobuf:
		return "application/protobuf"
	}
	return "application/json"
}

// timeFormat is RFC 3339 with milliseconds; times are in UTC.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

func timeText(t time.Time) string { return t.UTC().Format(timeFormat) }
