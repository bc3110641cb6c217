package kafkawire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/kafkawire"
)

// seen is what is told of a record.
type seen struct {
	Offset, Beyond int64
	Key, Value     string
	Headers        int
}

// see reads a set and says what was allocated for it, in MiB.
func see(t *testing.T, raw *kafkawire.Raw) (out []seen, mib uint64, err error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for {
		b, err := raw.Next()
		if err == nil && b != nil {
			err = b.Records(func(r *kafkawire.Record) error {
				out = append(out, seen{r.Offset, r.Beyond, string(r.Key), string(r.Value), len(r.Headers)})
				return nil
			})
		}
		if err != nil || b == nil {
			runtime.ReadMemStats(&after)
			return out, (after.TotalAlloc - before.TotalAlloc) >> 20, err
		}
	}
}

func packed(t testing.TB, codec compress.Compression, recs ...kafkawire.Record) []byte {
	t.Helper()
	raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: -1, Epoch: -1}, -1, codec, recs)
	if err != nil {
		t.Fatal(err)
	}
	return raw[4:]
}

// What is too large is read past, and those before and behind it are delivered.
func TestTooLargeIsReadPast(t *testing.T) {
	headers := make([]kafkawire.Header, 2<<20)
	for i := range headers {
		headers[i].Key = []byte{}
	}
	value := make([]byte, 30<<20)
	for _, codec := range []compress.Compression{0, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			set := packed(t, codec,
				kafkawire.Record{Key: []byte("a"), Value: []byte("1")},
				kafkawire.Record{Key: []byte("value"), Value: value},
				kafkawire.Record{Key: []byte("headers"), Value: []byte("{}"), Headers: headers},
				kafkawire.Record{Key: []byte("few"), Value: []byte("{}"), Headers: headers[:40_000]}, // small on the wire
				kafkawire.Record{Key: bytes.Repeat([]byte("k"), 2<<20)},
				kafkawire.Record{Key: []byte("b"), Value: []byte("2")})
			got, mib, err := see(t, &kafkawire.Raw{Bytes: set})
			if err != nil {
				t.Fatal(err)
			}
			beyond := map[int64]string{1: "value", 2: "headers", 3: "few", 4: ""}
			for _, r := range got {
				key, large := beyond[r.Offset]
				if large && (r.Beyond <= 0 || r.Key != key || r.Value != "" || r.Headers != 0) || !large && r.Beyond != 0 {
					t.Errorf("record %d: beyond %d, key %.10q, value %.10q, %d headers", r.Offset, r.Beyond, r.Key, r.Value, r.Headers)
				}
			}
			if len(got) != 6 || got[0].Value != "1" || got[5].Value != "2" {
				t.Errorf("%d records, want 6, with the good ones' values", len(got))
			}
			if mib > 48 {
				t.Errorf("%d MiB allocated", mib)
			}
		})
	}
}

func TestTheLargestRecordFits(t *testing.T) {
	for _, codec := range []compress.Compression{0, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		got, _, err := see(t, &kafkawire.Raw{Bytes: packed(t, codec, kafkawire.Record{Value: make([]byte, 1<<20)})})
		if err != nil || len(got) != 1 || got[0].Beyond != 0 || len(got[0].Value) != 1<<20 {
			t.Errorf("%s: a value of 1 MiB: %d records, %v; want it whole", codec, len(got), err)
		}
	}
}

// repack puts other compressed bytes into a batch.
func repack(set, body []byte, codec compress.Compression) []byte {
	set = append(bytes.Clone(set[:61]), body...)
	binary.BigEndian.PutUint32(set[8:], uint32(len(set)-12))
	set[22] = set[22]&^7 | byte(codec)
	binary.BigEndian.PutUint32(set[17:], crc32.Checksum(set[21:], crc32.MakeTable(crc32.Castagnoli)))
	return set
}

// Java's zstd at level 22 says of every frame that it takes a window of 128 MiB.
func TestZstdOfALargeWindow(t *testing.T) {
	plain := packed(t, 0, kafkawire.Record{Key: []byte("a"), Value: bytes.Repeat([]byte("0123456789"), 300)}, kafkawire.Record{Value: []byte("b")})
	var frame bytes.Buffer
	w, err := zstd.NewWriter(&frame, zstd.WithWindowSize(128<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	w.Write(plain[61:])
	w.Flush() // or it would be a frame that knows its size
	w.Close()
	got, mib, err := see(t, &kafkawire.Raw{Bytes: repack(plain, frame.Bytes(), compress.Zstd)})
	if err != nil || len(got) != 2 || got[0].Key != "a" || got[1].Value != "b" {
		t.Errorf("records %+v, %v; want both", got, err)
	}
	if mib > 32 {
		t.Errorf("%d MiB allocated", mib)
	}
}

// A snappy block says how long it is; nothing is allocated for its word alone.
func TestSnappyThatLies(t *testing.T) {
	plain := packed(t, 0, kafkawire.Record{Value: []byte("b")})
	for name, body := range map[string][]byte{
		"long":         binary.AppendUvarint(nil, 1<<32-1),
		"long, framed": append([]byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf0}, plain[61:]...),
		"back":         append(binary.AppendUvarint(nil, 2<<20), 1, 9),
	} {
		_, mib, err := see(t, &kafkawire.Raw{Bytes: repack(plain, body, compress.Snappy)})
		if !errors.Is(err, kafkawire.ErrCorrupt) || mib > 4 {
			t.Errorf("%s: %v, %d MiB allocated; want %v", name, err, mib, kafkawire.ErrCorrupt)
		}
	}
}

func answer(t *testing.T, set []byte) (*kafkawire.Raw, uint64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	raw := new(kafkawire.Raw)
	if _, err := raw.ReadFrom(bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, uint32(len(set))), set...))); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	return raw, (after.TotalAlloc - before.TotalAlloc) >> 20
}

// Brokers send the first batch whole, however large it is.
func TestLargeAnswers(t *testing.T) {
	five := packed(t, 0, kafkawire.Record{Key: []byte("k"), Value: make([]byte, 5<<20)}, kafkawire.Record{Value: []byte("v")})
	raw, _ := answer(t, five)
	if second, _ := answer(t, five); !second.Busy || len(second.Bytes) > 0 {
		t.Errorf("a second large answer beside the first: busy %v, %d bytes", second.Busy, len(second.Bytes))
	}
	got, _, err := see(t, raw)
	if want := []seen{{Offset: 0, Beyond: 5<<20 + 10, Key: "k"}, {Offset: 1, Value: "v"}}; err != nil || !cmp.Equal(got, want) {
		t.Errorf("records %+v, %v; want %+v", got, err, want)
	}
	raw.Release()
	raw.Release()
	if third, _ := answer(t, five); third.Busy {
		t.Error("the room was not given back")
	} else {
		third.Release()
	}

	huge := packed(t, 0, kafkawire.Record{Key: []byte("k"), Value: make([]byte, 40<<20)}, kafkawire.Record{Value: []byte("v")})
	raw, _ = answer(t, huge)
	got, mib, err := see(t, raw)
	if err != nil || len(got) != 2 || got[0].Key != "k" || got[0].Beyond < 40<<20 || got[1].Beyond != -1 || got[1].Offset != 1 || mib > 1 {
		t.Errorf("a batch of 40 MiB: records %+v, %v, %d MiB; want two references", got, err, mib)
	}
	huge[100]++
	raw, _ = answer(t, huge)
	if _, _, err := see(t, raw); !errors.Is(err, kafkawire.ErrCorrupt) {
		t.Errorf("a batch of 40 MiB that is corrupt: %v", err)
	}
}

func TestWantedHeadersOfALargeRecord(t *testing.T) {
	set := packed(t, compress.Zstd, kafkawire.Record{Value: make([]byte, 9<<20), Headers: []kafkawire.Header{
		{Key: []byte("other"), Value: make([]byte, 3<<20)}, {Key: make([]byte, 2<<20)}, {Key: []byte("wanted"), Value: []byte("x")}}})
	b, _, err := kafkawire.NextBatch(set)
	if err != nil {
		t.Fatal(err)
	}
	err = b.Records(func(r *kafkawire.Record) error {
		if len(r.Headers) != 1 || string(r.Headers[0].Value) != "x" {
			t.Errorf("headers %v", r.Headers)
		}
		return nil
	}, "wanted")
	if err != nil {
		t.Fatal(err)
	}
}

// A name that is wanted is no way past the bounds.
func TestManyWantedHeadersAreOne(t *testing.T) {
	headers := make([]kafkawire.Header, 300_000)
	for i := range headers {
		headers[i] = kafkawire.Header{Key: []byte("wanted"), Value: fmt.Append(nil, i%10)}
	}
	b, _, err := kafkawire.NextBatch(packed(t, compress.Zstd, kafkawire.Record{Headers: headers}))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = b.Records(func(r *kafkawire.Record) error {
		seen++
		if len(r.Headers) != 1 || string(r.Headers[0].Value) != "9" || cap(r.Headers) > 8 {
			t.Errorf("%d headers with room for %d, want the last one", len(r.Headers), cap(r.Headers))
		}
		return nil
	}, "wanted", "other")
	if err != nil || seen != 1 {
		t.Errorf("%d records, %v; want one", seen, err)
	}
}

// BenchmarkRecords is the reading of an ordinary batch: 500 intents of 700 bytes.
func BenchmarkRecords(b *testing.B) {
	recs := make([]kafkawire.Record, 500)
	for i := range recs {
		recs[i] = kafkawire.Record{Millis: 1_790_000_000_000 + int64(i), Key: fmt.Appendf(nil, "order-%d", i),
			Value:   fmt.Appendf(nil, `{"intent_id":"intent-%012d","order_id":"order-%d","amount":"%d.00","description":%q}`, i, i, 100+i*7, bytes.Repeat([]byte{byte('a' + i%26)}, 600)),
			Headers: []kafkawire.Header{{Key: []byte("traceparent"), Value: fmt.Appendf(nil, "00-%032x-%016x-01", i*7919, i)}}}
	}
	for _, codec := range []compress.Compression{0, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		b.Run(codec.String(), func(b *testing.B) {
			raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: 1}, 0, codec, recs)
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				batch, _, err := kafkawire.NextBatch(raw[4:])
				if err != nil {
					b.Fatal(err)
				}
				err = batch.Records(func(r *kafkawire.Record) error {
					n += len(bytes.Clone(r.Key)) + len(bytes.Clone(r.Value))
					for _, h := range r.Headers {
						n += len(string(h.Key)) + len(bytes.Clone(h.Value))
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// disorder is a batch of three records with these offsets, where one says 0, 1, 2.
func disorder(t *testing.T, codec compress.Compression, deltas [3]int32) []byte {
	t.Helper()
	var body []byte
	for i, delta := range deltas {
		body = appendReference(body, &kafkawire.Record{Value: fmt.Append(nil, i)}, delta, 0)
	}
	set := reference(t, 5, codecs[0].codec, nil, func(b *kmsg.RecordBatch) {
		b.Records, b.LastOffsetDelta, b.NumRecords = body, 2, 3
	})
	if codec == 0 {
		return set
	}
	return repack(set, pressed(t, codec, body), codec)
}

// franz-go writes snappy as one block, and refers back as far as it finds what is alike.
func TestSnappyThatRefersFarBack(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var recs []kafkawire.Record
	for i := range 9000 {
		recs = append(recs, kafkawire.Record{Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, `{"intent_id":"%x","description":"%s"}`, i,
			bytes.Repeat([]byte{byte('a' + rnd.IntN(26)), byte('a' + rnd.IntN(26))}, 300))})
	}
	set := packed(t, 0, recs...)
	got, mib, err := see(t, &kafkawire.Raw{Bytes: repack(set, s2.EncodeSnappy(nil, set[61:]), compress.Snappy)})
	if err != nil || len(got) != len(recs) {
		t.Fatalf("%d records, %v; want %d", len(got), err, len(recs))
	}
	for i, r := range got {
		if r.Beyond != 0 || r.Value != string(recs[i].Value) {
			t.Fatalf("record %d: beyond %d, value %.40q; want it as it was written", i, r.Beyond, r.Value)
		}
	}
	if mib > 48 {
		t.Errorf("%d MiB allocated", mib)
	}
}

// zeros is a zstd frame of so much, and then of 128 KiB of zeros so many times: four bytes
// for each.
func zeros(begin []byte, times int) []byte {
	out := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3}, byte(len(begin)<<3), byte(len(begin)>>5), 0)
	out = append(out, begin...)
	for range times {
		out = append(out, 1<<1, 0, 1<<(17+3-16), 0)
	}
	return append(out, 1, 0, 0)
}

// Of a batch that unpacks to very much only the beginning is unpacked, or one of a megabyte
// would take half a minute, time and again.
func TestABatchIsNotUnpackedWithoutEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("it unpacks gigabytes")
	}
	const gib = 8192 // times 128 KiB
	begin := appendReference(nil, &kafkawire.Record{Value: []byte("good")}, 0, 0)
	begin = binary.AppendVarint(begin, 5*gib<<17)
	begin = append(begin, 0, 0, 2, 1) // attributes, time, offset, no key
	begin = binary.AppendVarint(begin, 5*gib<<17-100)
	set := reference(t, 5, codecs[0].codec, nil, func(b *kmsg.RecordBatch) { b.LastOffsetDelta, b.NumRecords = 2, 3 })
	b, _, err := kafkawire.NextBatch(repack(set, zeros(begin, 6*gib), compress.Zstd))
	if err != nil {
		t.Fatal(err)
	}
	var got []seen
	err = b.Records(func(r *kafkawire.Record) error {
		got = append(got, seen{Offset: r.Offset, Beyond: r.Beyond})
		return nil
	})
	if want := []seen{{Offset: 5}, {Offset: 6, Beyond: -1}, {Offset: 7, Beyond: -1}}; err != nil || !cmp.Equal(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func pressed(t testing.TB, codec compress.Compression, parts ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := codec.Codec().NewWriter(&out)
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Brokers do not look at the offsets of records that are not compressed. None is left out
// in silence: those whose place is not certain are what cannot be read.
func TestRecordsOutOfOrderAreNotLeftOut(t *testing.T) {
	for _, codec := range []compress.Compression{0, compress.Gzip} {
		for _, tt := range []struct {
			deltas [3]int32
			want   int // records that are read
		}{{[3]int32{0, 1, 2}, 3}, {[3]int32{0, 0, 0}, 1}, {[3]int32{0, 1, 1}, 2}, {[3]int32{0, 2, 1}, 1}, {[3]int32{2, 1, 0}, 0}, {[3]int32{1, 2, 3}, 0}} {
			b, _, err := kafkawire.NextBatch(disorder(t, codec, tt.deltas))
			if err != nil {
				t.Fatal(err)
			}
			var got []seen
			if err := b.Readable(func(r *kafkawire.Record) error {
				got = append(got, seen{Offset: r.Offset, Beyond: r.Beyond})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			var want []seen
			for i := range tt.want {
				want = append(want, seen{Offset: 5 + int64(i)})
			}
			if tt.want < 3 {
				want = append(want, seen{Offset: 5 + int64(tt.want), Beyond: kafkawire.Undecodable})
			}
			if !cmp.Equal(got, want) {
				t.Errorf("%s, offsets %v: %+v, want %+v", codec, tt.deltas, got, want)
			}
		}
	}
}
