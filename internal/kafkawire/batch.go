package kafkawire

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/segmentio/kafka-go/compress"
)

// A Producer is who writes a batch: the broker accepts each sequence number of
// an id and epoch once, and refuses the batches of an older epoch.
type Producer struct {
	ID    int64
	Epoch int16
}

// A Record is one record of a batch. A nil Key or Value is null.
type Record struct {
	Offset  int64 // when read
	Millis  int64 // timestamp, Unix milliseconds
	Key     []byte
	Value   []byte
	Headers []Header

	// Beyond is set when the record was read past, because it is larger than MaxRecord:
	// how many bytes it takes in its batch, or -1 where that could not be looked at; or
	// because it is in an old format: OldFormat. Its value and headers are not here, and
	// its key only if it is small. Undecodable: see Stream.Rest.
	Beyond int64
}

// A Header is one header of a record.
type Header struct{ Key, Value []byte }

const (
	lengthPrefix = 4
	batchHeader  = 61 // of a v2 batch, its own 12 bytes of offset and length included
	maxInt31     = 1<<31 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendBatch appends to dst a record set, in the form kafka-go's raw produce
// request takes (a 4-byte length, then the set): one v2 batch of the records,
// whose first has the sequence number seq. The records' bytes are compressed if
// codec is not zero and that makes them smaller.
func AppendBatch(dst []byte, p Producer, seq int32, codec compress.Compression, recs []Record) ([]byte, error) {
	return appendBatch(dst, p, seq, codec, recs, 0)
}

// AppendTransactional is AppendBatch of a batch that belongs to the producer's open
// transaction.
func AppendTransactional(dst []byte, p Producer, seq int32, codec compress.Compression, recs []Record) ([]byte, error) {
	return appendBatch(dst, p, seq, codec, recs, transactional)
}

// transactional is the attribute of such a batch.
const transactional = 1 << 4

func appendBatch(dst []byte, p Producer, seq int32, codec compress.Compression, recs []Record, attributes uint16) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, lengthPrefix+batchHeader)...)
	body := len(dst)
	first, last := recs[0].Millis, recs[0].Millis
	for i := range recs {
		last = max(last, recs[i].Millis)
		dst = appendRecord(dst, &recs[i], int64(i), recs[i].Millis-first)
	}
	dst, packed, err := compressTail(dst, body, codec)
	if err != nil {
		return dst[:start], err
	}
	if !packed {
		codec = 0
	}
	be := binary.BigEndian
	be.PutUint32(dst[start:], uint32(len(dst)-start-lengthPrefix))
	b := dst[start+lengthPrefix:]
	be.PutUint64(b[0:], 0)
	be.PutUint32(b[8:], uint32(len(b)-12))
	be.PutUint32(b[12:], 0xffffffff) // leader epoch: the broker's to set
	b[16] = 2
	be.PutUint16(b[21:], uint16(codec)|attributes)
	be.PutUint32(b[23:], uint32(len(recs)-1))
	be.PutUint64(b[27:], uint64(first))
	be.PutUint64(b[35:], uint64(last))
	be.PutUint64(b[43:], uint64(p.ID))
	be.PutUint16(b[51:], uint16(p.Epoch))
	be.PutUint32(b[53:], uint32(seq))
	be.PutUint32(b[57:], uint32(len(recs)))
	be.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return dst, nil
}

// NextSequence returns the sequence number that follows n records from seq on.
// It wraps at 2³¹, as Kafka's own producer does.
func NextSequence(seq int32, n int) int32 {
	return int32((int64(seq) + int64(n)) & maxInt31)
}

func compressTail(dst []byte, body int, codec compress.Compression) ([]byte, bool, error) {
	if codec == 0 {
		return dst, false, nil
	}
	var out bytes.Buffer
	w := codec.Codec().NewWriter(&out)
	if _, err := w.Write(dst[body:]); err != nil {
		return dst, false, err
	}
	if err := w.Close(); err != nil {
		return dst, false, err
	}
	if out.Len() >= len(dst)-body {
		return dst, false, nil
	}
	return append(dst[:body], out.Bytes()...), true, nil
}

func appendRecord(dst []byte, r *Record, delta, millis int64) []byte {
	dst = binary.AppendVarint(dst, int64(recordSize(r, delta, millis)))
	dst = append(dst, 0)
	dst = binary.AppendVarint(dst, millis)
	dst = binary.AppendVarint(dst, delta)
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	dst = binary.AppendVarint(dst, int64(len(r.Headers)))
	for _, h := range r.Headers {
		dst = binary.AppendVarint(dst, int64(len(h.Key))) // never null
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

func recordSize(r *Record, delta, millis int64) int {
	n := 1 + varintLen(millis) + varintLen(delta) + bytesLen(r.Key) + bytesLen(r.Value) + varintLen(int64(len(r.Headers)))
	for _, h := range r.Headers {
		n += varintLen(int64(len(h.Key))) + len(h.Key) + bytesLen(h.Value)
	}
	return n
}

// BatchSize bounds the size of an uncompressed batch of one record.
func BatchSize(r *Record) int {
	const varints = 3 * binary.MaxVarintLen64
	return batchHeader + varints + recordSize(r, 0, 0)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

func bytesLen(b []byte) int {
	if b == nil {
		return 1
	}
	return varintLen(int64(len(b))) + len(b)
}

func varintLen(v int64) int {
	n := 1
	for u := uint64(v<<1) ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
