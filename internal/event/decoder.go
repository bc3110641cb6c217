package event

import (
	"context"
	"sync"

	"paylink/internal/payment"
)

// A DecoderConfig says which merchants there are.
type DecoderConfig struct {
	// DefaultMerchant is the merchant of an intent that names none. Empty:
	// there is no default, and such an intent has a violation.
	DefaultMerchant payment.MerchantID

	// KnownMerchant reports whether a merchant is configured. It is called
	// concurrently. Nil: every merchant is.
	KnownMerchant func(payment.MerchantID) bool
}

// A Decoder reads intents. It may be used concurrently.
type Decoder struct {
	cfg     DecoderConfig
	names   map[string]int // index into payment.Fields
	idField int            // index of intent_id
	desks   sync.Pool      // of *desk
}

// A desk is what one Decode works on; reused, because most of it is buffers.
type desk struct {
	draft draft
	json  jsonReader
}

// NewDecoder returns a Decoder.
func NewDecoder(cfg DecoderConfig) *Decoder {
	d := &Decoder{cfg: cfg, names: make(map[string]int, len(payment.Fields))}
	for i, f := range payment.Fields {
		d.names[f.Name] = i
	}
	d.idField = d.names["intent_id"]
	d.desks.New = func() any { return &desk{draft: newDraft()} }
	return d
}

// Decode reads a record of the intent topic. It neither keeps nor changes m.
//
// An error that is an *Unreadable sends the record to the dead letters. Any
// other error says nothing about the record: hold it and try again.
func (d *Decoder) Decode(_ context.Context, m Message) (Decoded, error) {
	if len(m.Value) == 0 {
		return Decoded{}, &Unreadable{Empty, "the record has no value; emit the intent as a JSON object"}
	}
	k := d.desks.Get().(*desk)
	defer d.putBack(k)
	env, err := d.readJSON(k, m)
	if err != nil {
		return Decoded{}, err
	}
	out, err := d.finish(&k.draft)
	if err != nil {
		return Decoded{}, err
	}
	out.Trace = traceOf(m, env)
	return out, nil
}

// putBack clears a desk, so that the pool holds on to no record.
func (d *Decoder) putBack(k *desk) {
	k.draft.reset()
	k.json.release()
	d.desks.Put(k)
}
