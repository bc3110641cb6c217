package kafkawire_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/kafkawire"
)

// The reference batches are made, compressed and read by franz-go, so that our
// codec is never checked against itself.

// The attributes of a batch.
const (
	logTime   = 0x08
	inTxn     = 0x10
	isControl = 0x20
)

// reference makes a batch of records at an offset; change may break it before
// its checksum is made.
func reference(t testing.TB, base int64, codec kgo.CompressionCodec, recs []kafkawire.Record, change ...func(*kmsg.RecordBatch)) []byte {
	t.Helper()
	b := kmsg.NewRecordBatch()
	b.FirstOffset, b.PartitionLeaderEpoch, b.Magic = base, 7, 2
	b.LastOffsetDelta, b.NumRecords = int32(len(recs)-1), int32(len(recs))
	b.ProducerID, b.ProducerEpoch, b.FirstSequence = 4242, 3, 17
	if len(recs) > 0 {
		b.FirstTimestamp = recs[0].Millis
	}
	for i := range recs {
		b.MaxTimestamp = max(b.MaxTimestamp, recs[i].Millis)
		b.Records = appendReference(b.Records, &recs[i], int32(i), recs[i].Millis-b.FirstTimestamp)
	}
	pack(t, &b, codec)
	for _, f := range change {
		f(&b)
	}
	return seal(&b)
}

func appendReference(dst []byte, r *kafkawire.Record, delta int32, millis int64) []byte {
	k := kmsg.NewRecord()
	k.OffsetDelta, k.TimestampDelta64, k.TimestampDelta, k.Key, k.Value = delta, millis, int32(millis), r.Key, r.Value
	for _, h := range r.Headers {
		k.Headers = append(k.Headers, kmsg.Header{Key: string(h.Key), Value: h.Value})
	}
	body := k.AppendTo(nil)[1:] // without the length, which is zero here
	return append(binary.AppendVarint(dst, int64(len(body))), body...)
}

func pack(t testing.TB, b *kmsg.RecordBatch, codec kgo.CompressionCodec) {
	t.Helper()
	c, err := kgo.DefaultCompressor(codec)
	if err != nil {
		t.Fatal(err)
	}
	if c == nil {
		return
	}
	packed, kind := c.Compress(&bytes.Buffer{}, b.Records)
	b.Records, b.Attributes = bytes.Clone(packed), b.Attributes|int16(kind)
}

// seal gives a batch its length and checksum.
func seal(b *kmsg.RecordBatch) []byte {
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12)
	binary.BigEndian.PutUint32(raw[8:], uint32(b.Length))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// read reads a batch of ours with franz-go.
func read(t testing.TB, raw []byte) (kmsg.RecordBatch, []kafkawire.Record) {
	t.Helper()
	var b kmsg.RecordBatch
	if err := b.ReadFrom(raw); err != nil {
		t.Fatalf("franz-go cannot read our batch: %v", err)
	}
	if got := crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)); got != uint32(b.CRC) {
		t.Errorf("checksum %x, want %x", uint32(b.CRC), got)
	}
	body, err := kgo.DefaultDecompressor().Decompress(b.Records, kgo.CompressionCodecType(b.Attributes&7))
	if err != nil {
		t.Fatalf("franz-go cannot unpack our batch: %v", err)
	}
	var recs []kafkawire.Record
	for len(body) > 0 {
		size, n := binary.Varint(body)
		var k kmsg.Record
		if err := k.ReadFrom(body[:n+int(size)]); err != nil {
			t.Fatalf("franz-go cannot read our record: %v", err)
		}
		body = body[n+int(size):]
		r := kafkawire.Record{Offset: b.FirstOffset + int64(k.OffsetDelta), Millis: b.FirstTimestamp + k.TimestampDelta64, Key: k.Key, Value: k.Value}
		for _, h := range k.Headers {
			r.Headers = append(r.Headers, kafkawire.Header{Key: []byte(h.Key), Value: h.Value})
		}
		recs = append(recs, r)
	}
	return b, recs
}

var codecs = []struct {
	name  string
	codec kgo.CompressionCodec
}{
	{"none", kgo.NoCompression()},
	{"gzip", kgo.GzipCompression()},
	{"snappy", kgo.SnappyCompression()},
	{"lz4", kgo.Lz4Compression()},
	{"zstd", kgo.ZstdCompression()},
}
