package kafkawire

import (
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

// minRecord is the size of the smallest record: its length, attributes, time,
// offset, null key, null value and count of headers take a byte each.
const minRecord = 7

// A Batch is one checked record batch.
type Batch struct {
	Base, Last int64 // first and last offset; compaction may have removed the records at either
	Producer   Producer
	Control    bool // holds a transaction's end, no records
	InTxn      bool
	LogTime    bool   // the records' times are the broker's (LogAppendTime), all the same
	Newest     int64  // the largest timestamp, Unix milliseconds
	Sum        uint32 // the checksum of its bytes
	codec      compress.Compression
	first      int64
	count      int
	body       []byte
	cut        bool // body is only the beginning: the batch is larger than we take
	old        bool // a message of format 0 or 1
	wrapped    bool // an old one, compressed, that holds others: Base is not known
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
	raw := set[:n]
	table, from := checked(raw)
	if b, err = batchOf(raw, crc32.Checksum(raw[from:], table)); err != nil {
		return nil, set, err
	}
	return b, set[n:], nil
}

// batchOf returns the batch that begins with these bytes.
func batchOf(raw []byte, sum uint32) (*Batch, error) {
	if raw[16] < 2 {
		b, err := oldBatch(raw, sum)
		if b != nil {
			b.Sum = sum
		}
		return b, err
	}
	be := binary.BigEndian
	base := int64(be.Uint64(raw))
	if sum != be.Uint32(raw[17:]) {
		return nil, fmt.Errorf("%w at offset %d: checksum differs", ErrCorrupt, base)
	}
	attrs, delta, count := be.Uint16(raw[21:]), int32(be.Uint32(raw[23:])), int32(be.Uint32(raw[57:]))
	if delta < 0 || count < 0 || int64(count) > int64(delta)+1 { // fewer than there are offsets, after compaction
		return nil, fmt.Errorf("%w at offset %d: %d records in %d offsets", ErrCorrupt, base, count, int64(delta)+1)
	}
	return &Batch{
		Base:     base,
		Last:     base + int64(delta),
		Producer: Producer{ID: int64(be.Uint64(raw[43:])), Epoch: int16(be.Uint16(raw[51:]))},
		Control:  attrs&0x20 != 0,
		InTxn:    attrs&0x10 != 0,
		LogTime:  attrs&8 != 0,
		Newest:   int64(be.Uint64(raw[35:])),
		Sum:      sum,
		codec:    compress.Compression(attrs & 7),
		first:    int64(be.Uint64(raw[27:])),
		count:    int(count),
		body:     raw[batchHeader:],
	}, nil
}

func batchLen(set []byte) (int, error) {
	if len(set) < 17 {
		return 0, errPartial
	}
	be := binary.BigEndian
	base, size := int64(be.Uint64(set)), int64(int32(be.Uint32(set[8:])))
	if set[16] > 2 {
		return 0, fmt.Errorf("%w at offset %d: record format v%d is not known", ErrCorrupt, base, set[16])
	}
	if size < [...]int64{oldHeader, oldHeader + 8, batchHeader - 12}[set[16]] {
		return 0, fmt.Errorf("%w at offset %d: length %d", ErrCorrupt, base, size)
	}
	if size+12 > int64(len(set)) {
		return 0, errPartial
	}
	return int(size) + 12, nil
}

// Records calls yield with each record of the batch, in order. The record, its
// bytes and its headers are valid until yield returns; see Stream.Next. An error of
// yield ends the walk and is returned.
func (b *Batch) Records(yield func(*Record) error, want ...string) error {
	return b.Open(want...).each(yield)
}

// Readable is Records for who goes on where nobody can read: see Stream.Rest.
func (b *Batch) Readable(yield func(*Record) error, want ...string) error {
	s := b.Open(want...)
	defer s.Close()
	for {
		rec, err := s.Next()
		if err != nil {
			rec = s.Rest()
		}
		if rec == nil {
			return nil
		}
		if err := yield(rec); err != nil {
			return err
		}
	}
}

// Headers is Records for who reads headers alone: a record's Key and Value are left
// out, and of its headers all but the wanted ones.
func (b *Batch) Headers(yield func(*Record) error, want ...string) error {
	s := b.Open(want...)
	s.headersOnly = true
	return s.each(yield)
}

// each calls yield with what is left of the stream, and closes it.
func (s *Stream) each(yield func(*Record) error) error {
	defer s.Close()
	for {
		rec, err := s.Next()
		if err != nil || rec == nil {
			return err
		}
		if err := yield(rec); err != nil {
			return err
		}
	}
}

// Body returns the bytes of all records, one after the other. Compressed ones are
// unpacked into buf, as far as they fit. False: they do not, or cannot be unpacked.
func (b *Batch) Body(buf []byte) ([]byte, bool) {
	if b.codec == 0 || b.cut {
		return b.body, !b.cut
	}
	rd, err := unpacker(b)
	if err != nil {
		return nil, false
	}
	defer rd.Close()
	n, empty := 0, 0
	for n < len(buf) && empty < 100 {
		m, err := rd.Read(buf[n:])
		n += m
		switch {
		case errors.Is(err, io.EOF):
			return buf[:n], true
		case err != nil:
			return nil, false
		case m == 0:
			empty++
		}
	}
	return nil, false
}

// Packed reports whether there is more to the batch than its records as they are:
// they are compressed, cut off, or in an old format.
func (b *Batch) Packed() bool { return b.codec != 0 || b.cut || b.old }

func (b *Batch) corrupt() error { return b.corruptBy(errFit) }

func (b *Batch) corruptBy(err error) error {
	if b.codec != 0 {
		return fmt.Errorf("%w at offset %d: %s: %v", ErrCorrupt, b.Base, b.codec, err)
	}
	return fmt.Errorf("%w at offset %d: %v", ErrCorrupt, b.Base, err)
}

// timeOf is a record's time.
func (b *Batch) timeOf(delta int64) int64 {
	if b.LogTime {
		return b.Newest
	}
	return b.first + delta
}

// read reads a record's fields. It reports whether they fit their lengths, and
// whether they fit MaxRecord.
func (rec *Record) read(fields []byte, b *Batch) (ok, fits bool) {
	r := reader{b: fields}
	r.take(1) // attributes, unused
	rec.Millis, rec.Beyond = b.timeOf(r.varint()), 0
	rec.Offset = b.Base + r.varint()
	rec.Key, rec.Value = r.bytes(), r.bytes()
	n := r.varint()
	if r.bad || n < 0 || n > int64(len(r.b))/2 { // a header takes two bytes at least
		return false, false
	}
	if int64(recordCost+len(fields))+n*headerCost > MaxRecord {
		return true, false
	}
	rec.Headers = rec.Headers[:0]
	for range n {
		rec.Headers = append(rec.Headers, Header{Key: r.bytes(), Value: r.bytes()})
	}
	return !r.bad && len(r.b) == 0, true
}

// readHeaders is read for headers that are wanted. It keeps nothing else.
func (rec *Record) readHeaders(f []byte, b *Batch, want []string) (ok, fits bool) {
	var delta, n, at int64
	i := 1 // attributes, unused
	if delta, i = varintAt(f, i); i < 0 {
		return false, false
	}
	if at, i = varintAt(f, i); i < 0 {
		return false, false
	}
	rec.Millis, rec.Offset, rec.Beyond = b.timeOf(delta), b.Base+at, 0
	for range 2 { // key and value
		if _, i = bytesAt(f, i); i < 0 {
			return false, false
		}
	}
	if n, i = varintAt(f, i); i < 0 || n < 0 || n > int64(len(f)-i)/2 {
		return false, false
	}
	if int64(recordCost+len(f))+n*headerCost > MaxRecord {
		return true, false
	}
	rec.Key, rec.Value, rec.Headers = nil, nil, rec.Headers[:0]
	for range n {
		var key, value []byte
		if key, i = bytesAt(f, i); i < 0 {
			return false, false
		}
		if value, i = bytesAt(f, i); i < 0 {
			return false, false
		}
		for _, w := range want {
			if string(key) == w {
				rec.Headers = append(rec.Headers, Header{Key: key, Value: value})
			}
		}
	}
	return i == len(f), true
}

// varintAt returns the number that begins at i, and where it ends; -1: it does not.
func varintAt(b []byte, i int) (v int64, next int) {
	if uint(i) < uint(len(b)) && b[i] < 0x80 {
		u := uint64(b[i])
		return int64(u>>1) ^ -int64(u&1), i + 1
	}
	if i < 0 || i >= len(b) {
		return 0, -1
	}
	v, n := binary.Varint(b[i:])
	if n <= 0 {
		return 0, -1
	}
	return v, i + n
}

// bytesAt is varintAt of bytes, with their length before them.
func bytesAt(b []byte, i int) (part []byte, next int) {
	n, i := varintAt(b, i)
	switch {
	case i < 0 || n < -1 || n > int64(len(b)-i):
		return nil, -1
	case n == -1:
		return nil, i
	}
	end := i + int(n)
	return b[i:end:end], end
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
