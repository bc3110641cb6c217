package kafkawire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/segmentio/kafka-go/compress"
)

// ErrCorrupt says that a record set does not hold what its lengths and
// checksum promise. Reading must stop there: skipping would lose records.
var ErrCorrupt = errors.New("corrupt record batch")

// errPartial says that the rest of a record set is a piece of a batch, as a
// broker sends when the asked size ends within one.
var errPartial = errors.New("partial batch")

// maxUnpacked bounds the bytes one compressed batch may grow to. Brokers take
// batches of 1 MiB, compressed, unless told otherwise; what grows more than
// sixtyfold was made to.
const maxUnpacked = 64 << 20

// minRecord is the size of the smallest record: its length, attributes, time,
// offset, null key, null value and count of headers take a byte each.
const minRecord = 7

// A Batch is one checked record batch.
type Batch struct {
	Base, Last int64 // first and last offset; compaction may have removed the records at either
	Producer   Producer
	Control    bool // holds a transaction's end, no records
	InTxn      bool
	LogTime    bool  // the records' times are the broker's (LogAppendTime), all the same
	Newest     int64 // the largest timestamp, Unix milliseconds
	codec      compress.Compression
	first      int64
	count      int
	body       []byte
}

// NextBatch takes the first batch off a record set. It returns no batch, and no
// error, when the set ends or a piece of a batch is all that is left.
func NextBatch(set []byte) (b *Batch, rest []byte, err error) {
	n, err := batchLen(set)
	if errors.Is(err, errPartial) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, set, err
	}
	raw, be := set[:n], binary.BigEndian
	base := int64(be.Uint64(raw))
	if crc32.Checksum(raw[21:], castagnoli) != be.Uint32(raw[17:]) {
		return nil, set, fmt.Errorf("%w at offset %d: checksum differs", ErrCorrupt, base)
	}
	attrs, delta, count := be.Uint16(raw[21:]), int32(be.Uint32(raw[23:])), int32(be.Uint32(raw[57:]))
	if delta < 0 || count < 0 || int64(count) > int64(delta)+1 { // fewer than there are offsets, after compaction
		return nil, set, fmt.Errorf("%w at offset %d: %d records in %d offsets", ErrCorrupt, base, count, int64(delta)+1)
	}
	return &Batch{
		Base:     base,
		Last:     base + int64(delta),
		Producer: Producer{ID: int64(be.Uint64(raw[43:])), Epoch: int16(be.Uint16(raw[51:]))},
		Control:  attrs&0x20 != 0,
		InTxn:    attrs&0x10 != 0,
		LogTime:  attrs&8 != 0,
		Newest:   int64(be.Uint64(raw[35:])),
		codec:    compress.Compression(attrs & 7),
		first:    int64(be.Uint64(raw[27:])),
		count:    int(count),
		body:     raw[batchHeader:],
	}, set[n:], nil
}

func batchLen(set []byte) (int, error) {
	if len(set) < 17 {
		return 0, errPartial
	}
	be := binary.BigEndian
	base, size := int64(be.Uint64(set)), int64(int32(be.Uint32(set[8:])))
	if set[16] != 2 {
		return 0, fmt.Errorf("%w at offset %d: record format v%d is not v2", ErrCorrupt, base, set[16])
	}
	if size < batchHeader-12 {
		return 0, fmt.Errorf("%w at offset %d: length %d", ErrCorrupt, base, size)
	}
	if size+12 > int64(len(set)) {
		return 0, errPartial
	}
	return int(size) + 12, nil
}

// Records calls yield with each record of the batch, in order. The record and
// its slice of headers are used again for the next one; their bytes stay valid.
// An error of yield ends the walk and is returned.
func (b *Batch) Records(yield func(*Record) error) error {
	body, err := b.unpack()
	if err != nil {
		return err
	}
	if b.count > len(body)/minRecord {
		return fmt.Errorf("%w at offset %d: %d records in %d bytes", ErrCorrupt, b.Base, b.count, len(body))
	}
	var rec Record
	for range b.count {
		r := reader{b: body}
		size := r.varint()
		fields := r.take(size)
		if r.bad || size < 0 {
			return b.corrupt()
		}
		body = r.b
		if !rec.read(fields, b) {
			return b.corrupt()
		}
		if err := yield(&rec); err != nil {
			return err
		}
	}
	return nil
}

func (b *Batch) corrupt() error {
	return fmt.Errorf("%w at offset %d: records do not fit their lengths", ErrCorrupt, b.Base)
}

func (b *Batch) unpack() ([]byte, error) {
	if b.codec == 0 {
		return b.body, nil
	}
	codec := b.codec.Codec()
	if codec == nil {
		return nil, fmt.Errorf("%w at offset %d: compression %d is unknown", ErrCorrupt, b.Base, b.codec)
	}
	rd := codec.NewReader(bytes.NewReader(b.body))
	defer rd.Close()
	out, err := io.ReadAll(io.LimitReader(rd, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("%w at offset %d: %s: %v", ErrCorrupt, b.Base, b.codec, err)
	}
	if len(out) > maxUnpacked {
		return nil, fmt.Errorf("%w at offset %d: unpacks to more than %d bytes", ErrCorrupt, b.Base, maxUnpacked)
	}
	return out, nil
}

func (rec *Record) read(fields []byte, b *Batch) bool {
	r := reader{b: fields}
	r.take(1) // attributes, unused
	rec.Millis = b.first + r.varint()
	if b.LogTime {
		rec.Millis = b.Newest
	}
	rec.Offset = b.Base + r.varint()
	if rec.Offset < b.Base || rec.Offset > b.Last {
		return false
	}
	rec.Key, rec.Value = r.bytes(), r.bytes()
	n := r.varint()
	if r.bad || n < 0 || n > int64(len(r.b))/2 { // a header takes two bytes at least
		return false
	}
	rec.Headers = rec.Headers[:0]
	for range n {
		rec.Headers = append(rec.Headers, Header{Key: r.bytes(), Value: r.bytes()})
	}
	return !r.bad && len(r.b) == 0
}

// A reader takes fields off the front of b; bad is set, and stays, when one does not fit.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) take(n int64) []byte {
	if n < 0 || n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) bytes() []byte {
	n := r.varint()
	if n == -1 {
		return nil
	}
	return r.take(n)
}
