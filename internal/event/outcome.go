package event

import (
	"context"
	"time"

	"paylink/internal/payment"
)

// An EncoderConfig says in whose name outcomes are published.
type EncoderConfig struct {
	// Source is the CloudEvents source, a URI reference, such as
	// "/paylink/<group>". Empty: "/paylink".
	Source string
}

// An Encoder writes outcomes. It may be used concurrently.
type Encoder struct{ cfg EncoderConfig }

// NewEncoder returns an Encoder.
func NewEncoder(cfg EncoderConfig) *Encoder {
	if cfg.Source == "" {
		cfg.Source = "/paylink"
	}
	return &Encoder{cfg: cfg}
}

// Outcome writes the outcome of an intent that came with key from a place of
// the intent topic. The same arguments give the same bytes. The message's time
// is that of the outcome.
//
// An error says nothing about the outcome: hold it and try again.
func (e *Encoder) Outcome(_ context.Context, d Decoded, key []byte, from Place, o payment.Outcome) (Message, error) {
	v, err := viewOf(d.Intent, from, o)
	if err != nil {
		return Message{}, err
	}
	return Message{
		Key:     key,
		Value:   appendOutcome(make([]byte, 0, 1<<10), &v),
		Headers: e.headers(&v, d),
		Time:    v.At(),
	}, nil
}

// headers are the CloudEvents attributes (binary mode of its Kafka protocol
// binding), the trace, and what the ledger reads.
func (e *Encoder) headers(v *OutcomeView, d Decoded) []Header {
	ceType := CETypeCreated
	if v.Type() == TypeFailed {
		ceType = CETypeFailed
	}
	hs := make([]Header, 0, 9+len(d.Trace))
	put := func(key, value string) { hs = append(hs, Header{key, []byte(value)}) }
	put("ce_specversion", "1.0")
	put("ce_id", v.EventID)
	put("ce_source", e.cfg.Source)
	put("ce_type", ceType)
	put("ce_subject", string(v.Intent))
	put("ce_time", timeText(v.At()))
	put("content-type", "application/json")
	put(HeaderIntentID, string(v.Intent))
	put(HeaderIntentDigest, d.Digest.String())
	return append(hs, d.Trace...)
}

// timeFormat is RFC 3339 with milliseconds; times are in UTC.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

func timeText(t time.Time) string { return t.UTC().Format(timeFormat) }
