// Package event turns bytes into words and words into bytes: intents in,
// outcomes and dead letters out. It knows the contract of the three topics —
// fields, headers, CloudEvents, event ids — and no Kafka client.
package event

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"paylink/internal/payment"
)

// A Message is what a Kafka record carries. A nil Key means no key, a nil
// Value means null; both differ from empty.
type Message struct {
	Key     []byte
	Value   []byte
	Headers []Header
	Time    time.Time // the record's timestamp
}

// A Header is one header of a record. Names may repeat.
type Header struct {
	Key   string
	Value []byte
}

// Header returns the value of the last header of that name, as Kafka's own
// clients do, or nil.
func (m Message) Header(name string) []byte {
	for i := len(m.Headers) - 1; i >= 0; i-- {
		if m.Headers[i].Key == name {
			return m.Headers[i].Value
		}
	}
	return nil
}

// A Place is where a record stands.
type Place struct {
	Topic     string
	Partition int32
	Offset    int64
}

// The headers that the ledger reads. Nothing else of an outcome is needed to
// know that an intent is answered, and with what.
const (
	HeaderIntentID     = "paylink-intent-id"
	HeaderIntentDigest = "paylink-intent-digest"
)

// A Digest tells whether two intents would tell the gateway the same: it
// covers the merchant and all Init fields, not created_at, expires_at and metadata.
type Digest [16]byte

// String returns the digest in lower-case hex, as in HeaderIntentDigest.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads what String wrote.
func ParseDigest(b []byte) (Digest, error) {
	var d Digest
	if hex.DecodedLen(len(b)) != len(d) {
		return d, errors.New("digest: want 32 hex digits")
	}
	_, err := hex.Decode(d[:], b)
	return d, err
}

// DigestOf computes the digest of an intent.
func DigestOf(in payment.Intent) Digest {
	h := sha256.New()
	put := func(name, value string) {
		h.Write([]byte(name))
		h.Write([]byte{0})
		h.Write([]byte(value))
		h.Write([]byte{0})
	}
	put("merchant_id", string(in.Merchant))
	put("order_id", in.OrderID)
	put("idempotency_key", in.IdempotencyKey)
	put("amount", string(in.Amount))
	put("currency", in.Currency)
	for _, p := range in.Params {
		put(p.Name, p.Value)
	}
	var d Digest
	copy(d[:], h.Sum(nil))
	return d
}
