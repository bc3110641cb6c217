// Package event turns bytes into words and words into bytes: intents in,
// outcomes and dead letters out. It knows the contract of the three topics —
// fields, headers, CloudEvents, event ids — and no Kafka client. Outcomes are
// read back by package outcomes below it.
//
// The rules of an intent are payment.Fields and nothing else. JSON that is not valid
// UTF-8, or nested deeper than 64 levels, is no JSON to us.
package event

import (
	"crypto/sha256"
	"encoding/binary"
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
	Time    time.Time // the record's timestamp; zero: it has none

	// TooLarge is set when the record was read past, without its value and headers, and
	// without a key that is not small, because it fits no memory budget: it is how many
	// bytes the record takes, or -1 where that could not be looked at. It is OldFormat or
	// Undecodable where the record is one of those.
	TooLarge int64

	// BrokerTime says that Time was set by the broker (LogAppendTime), not by
	// the producer. Only dead letters tell.
	BrokerTime bool
}

// OldFormat is TooLarge of a record in a message format of Kafka before 0.11, which is
// not read.
const OldFormat = -2

// Undecodable is TooLarge of what stands for records that nobody can read: their batch is
// as it was written, and cannot be unpacked from there on.
const Undecodable = -3

// Cost is what a message takes in memory beside its bytes, once it is an intent that
// waits for its turn: there may be tens of thousands of those, each of another merchant.
const Cost = 2 << 10

// Size is about what the message takes in memory.
func (m *Message) Size() int {
	n := Cost + len(m.Key) + len(m.Value)
	for i := range m.Headers {
		n += 48 + len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	return n
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

// The headers by which a record of the intent topic says that an operator's verb has
// put it there: the intent stood there before, and may have been called for.
const (
	HeaderReplayedAt    = "paylink-replayed-at"    // when, by RFC 3339
	HeaderRedriveCycles = "paylink-redrive-cycles" // how often
)

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

// DigestOf computes the digest of an intent. Every name and value goes in with
// its length, so that no value can imitate another field.
func DigestOf(in payment.Intent) Digest {
	var room [1 << 10]byte
	b := room[:0]
	put := func(name, value string) {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
		b = binary.AppendUvarint(b, uint64(len(value)))
		b = append(b, value...)
	}
	put("merchant_id", string(in.Merchant))
	put("order_id", in.OrderID)
	put("idempotency_key", in.IdempotencyKey)
	put("amount", string(in.Amount))
	put("currency", in.Currency)
	for _, p := range in.Params {
		put(p.Name, p.Value)
	}
	sum := sha256.Sum256(b)
	return Digest(sum[:len(Digest{})])
}
