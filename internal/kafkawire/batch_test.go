package kafkawire_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/compress"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/kafkawire"
)

// samples are n records of every shape: null and empty keys, values, headers.
func samples(n int) []kafkawire.Record {
	shapes := []kafkawire.Record{
		{Key: []byte("k"), Value: []byte(`{"intent_id":"a"}`), Headers: []kafkawire.Header{{Key: []byte("h"), Value: []byte("v")}, {Key: []byte("null")}, {Key: []byte{}, Value: []byte{}}}},
		{Key: nil, Value: nil},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("large"), Value: bytes.Repeat([]byte("0123456789"), 300)},
	}
	recs := make([]kafkawire.Record, n)
	for i := range recs {
		recs[i] = shapes[i%len(shapes)]
		recs[i].Offset, recs[i].Millis = 1000+int64(i), 1_790_000_000_000+int64(i*i%977-400) // times fall, too
	}
	return recs
}

// collect reads a whole record set.
func collect(set []byte) (batches []kafkawire.Batch, recs []kafkawire.Record, err error) {
	for {
		b, rest, err := kafkawire.NextBatch(set)
		if b == nil || err != nil {
			return batches, recs, err
		}
		set, batches = rest, append(batches, *b)
		if b.Control {
			continue
		}
		err = b.Records(func(r *kafkawire.Record) error {
			kept := *r
			kept.Key, kept.Value, kept.Headers = bytes.Clone(r.Key), bytes.Clone(r.Value), nil
			for _, h := range r.Headers {
				kept.Headers = append(kept.Headers, kafkawire.Header{Key: bytes.Clone(h.Key), Value: bytes.Clone(h.Value)})
			}
			recs = append(recs, kept)
			return nil
		})
		if err != nil {
			return batches, recs, err
		}
	}
}

func TestReferenceBatchesAreRead(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			want := samples(50)
			batches, got, err := collect(reference(t, 1000, c.codec, want))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("records (-want +got):\n%s", d)
			}
			if b := batches[0]; b.Base != 1000 || b.Last != 1049 || b.Producer != (kafkawire.Producer{ID: 4242, Epoch: 3}) || b.InTxn || b.Control || b.LogTime {
				t.Errorf("batch %+v", b)
			}
		})
	}
}

func TestOurBatchesAreReadByOthers(t *testing.T) {
	for _, codec := range []compress.Compression{0, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			want := samples(50)
			raw, err := kafkawire.AppendBatch([]byte("before"), kafkawire.Producer{ID: 1 << 40, Epoch: 12}, 77, codec, want)
			if err != nil {
				t.Fatal(err)
			}
			raw, ok := bytes.CutPrefix(raw, []byte("before"))
			if size := int(raw[0])<<24 | int(raw[1])<<16 | int(raw[2])<<8 | int(raw[3]); !ok || size != len(raw)-4 {
				t.Fatalf("length prefix %d of %d bytes", size, len(raw)-4)
			}
			b, got := read(t, raw[4:])
			for i := range want {
				want[i].Offset -= 1000 // the broker's to set
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("records (-want +got):\n%s", d)
			}
			if b.ProducerID != 1<<40 || b.ProducerEpoch != 12 || b.FirstSequence != 77 || b.LastOffsetDelta != 49 || b.NumRecords != 50 || b.Magic != 2 {
				t.Errorf("batch %+v", b)
			}
			if newest := maxMillis(want); b.MaxTimestamp != newest {
				t.Errorf("newest timestamp %d, want %d", b.MaxTimestamp, newest)
			}
			if codec != 0 && int(b.Attributes&7) != int(codec) {
				t.Errorf("attributes %x, want codec %d", b.Attributes, codec)
			}
		})
	}
}

func maxMillis(recs []kafkawire.Record) (newest int64) {
	for i := range recs {
		newest = max(newest, recs[i].Millis)
	}
	return newest
}

func TestWhatDoesNotShrinkIsNotCompressed(t *testing.T) {
	raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{}, 0, compress.Gzip, samples(2)[1:])
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := read(t, raw[4:]); b.Attributes != 0 {
		t.Errorf("attributes %x, want none", b.Attributes)
	}
}

func TestBatchSizeBoundsTheBatch(t *testing.T) {
	for i, r := range samples(4) {
		raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: 1}, 0, 0, []kafkawire.Record{r})
		if err != nil {
			t.Fatal(err)
		}
		if size := kafkawire.BatchSize(&r); len(raw)-4 > size || size > len(raw)+60 {
			t.Errorf("record %d: size bound %d of a batch of %d bytes", i, size, len(raw)-4)
		}
	}
}

func TestSequencesWrapAsKafkasDo(t *testing.T) {
	for _, c := range []struct {
		seq  int32
		n    int
		want int32
	}{{0, 3, 3}, {1<<31 - 1, 1, 0}, {1<<31 - 3, 10, 7}} {
		if got := kafkawire.NextSequence(c.seq, c.n); got != c.want {
			t.Errorf("NextSequence(%d, %d) = %d, want %d", c.seq, c.n, got, c.want)
		}
	}
}

func TestBrokerTimeIsTheBatchs(t *testing.T) {
	set := reference(t, 1000, codecs[0].codec, samples(3), func(b *kmsg.RecordBatch) {
		b.Attributes |= logTime
		b.MaxTimestamp = 1_800_000_000_000
	})
	batches, recs, err := collect(set)
	if err != nil || !batches[0].LogTime {
		t.Fatalf("batch %+v, %v; want the broker's time", batches, err)
	}
	for _, r := range recs {
		if r.Millis != 1_800_000_000_000 {
			t.Errorf("record %d has time %d, want the broker's", r.Offset, r.Millis)
		}
	}
}

func TestCompactedBatchesKeepTheirOffsets(t *testing.T) {
	left := samples(10)[4:6]
	set := reference(t, 1000, codecs[0].codec, nil, func(b *kmsg.RecordBatch) {
		b.FirstTimestamp, b.LastOffsetDelta, b.NumRecords = left[0].Millis, 9, 2
		for i := range left {
			b.Records = appendReference(b.Records, &left[i], int32(4+i), left[i].Millis-b.FirstTimestamp)
		}
	})
	batches, recs, err := collect(set)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(left, recs); d != "" || batches[0].Last != 1009 {
		t.Errorf("last offset %d, want 1009; records (-want +got):\n%s", batches[0].Last, d)
	}
}

func TestPiecesOfABatchAreLeft(t *testing.T) {
	whole, next := reference(t, 1000, codecs[3].codec, samples(20)), reference(t, 1020, codecs[0].codec, samples(20))
	for _, n := range []int{0, 1, 11, 16, 17, 60, 61, len(next) - 1} {
		batches, recs, err := collect(append(bytes.Clone(whole), next[:n]...))
		if err != nil || len(batches) != 1 || len(recs) != 20 {
			t.Errorf("%d bytes of the second batch: %d batches, %d records, %v; want the first batch alone", n, len(batches), len(recs), err)
		}
	}
}

// What is in an old format stands in nobody's way: it is passed over, and named.
func TestOldFormatsArePassedOver(t *testing.T) {
	one, many := []kafkawire.Record{{Millis: 7, Value: []byte("v")}}, samples(3)
	set := slices.Concat(oldMessage(t, 0, 100, 0, one), oldMessage(t, 1, 101, 0, one), oldMessage(t, 1, 102, 1, many),
		oldMessage(t, 0, 105, 2, many), reference(t, 108, codecs[0].codec, one))
	batches, recs, err := collect(set)
	if err != nil || len(batches) != 5 || batches[2].Last != 104 || batches[3].Last != 107 || len(recs) != 5 || recs[4].Offset != 108 {
		t.Fatalf("%d batches, records %+v, %v; want four old ones and a record at 108", len(batches), recs, err)
	}
	for i, r := range recs[:4] {
		if r.Beyond != kafkawire.OldFormat || r.Millis != [...]int64{-1, 7, many[2].Millis, -1}[i] {
			t.Errorf("record %d: %+v, want one of an old format", r.Offset, r)
		}
	}
	if b := batches[2]; true {
		b.After(102) // its first stands behind the one before
		var got []int64
		err := b.Records(func(r *kafkawire.Record) error { got = append(got, r.Offset); return nil })
		if want := []int64{102, 103, 104}; err != nil || !slices.Equal(got, want) {
			t.Errorf("records at %v, %v; want %v", got, err, want)
		}
	}
	set[20]++
	if _, _, err := collect(set); !errors.Is(err, kafkawire.ErrCorrupt) {
		t.Errorf("an old message with another checksum: %v, want %v", err, kafkawire.ErrCorrupt)
	}
}

func TestCorruptBatchesStopTheReading(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 0x40; return b }
	}
	good := func(change ...func(*kmsg.RecordBatch)) []byte {
		return reference(t, 1000, codecs[0].codec, samples(5), change...)
	}
	huge := func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 1<<30, 1<<30 }
	for name, set := range map[string][]byte{
		"a bit of a record":         flip(100)(good()),
		"a bit of the checksum":     flip(18)(good()),
		"a bit of the producer id":  flip(45)(good()),
		"format v3":                 append(good()[:16], append([]byte{3}, good()[17:]...)...),
		"a length below the header": func() []byte { b := good(); copy(b[8:], []byte{0, 0, 0, 48}); return b }(),
		"a negative length":         func() []byte { b := good(); copy(b[8:], []byte{0xff, 0xff, 0xff, 0xf0}); return b }(),
		"more records than offsets": good(func(b *kmsg.RecordBatch) { b.NumRecords = 6 }),
		"more records than bytes":   good(huge),
		"a negative count":          good(func(b *kmsg.RecordBatch) { b.NumRecords = -1 }),
		"a negative last offset":    good(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = -5 }),
		"records that end early":    good(func(b *kmsg.RecordBatch) { b.Records = b.Records[:len(b.Records)-30] }),
		"an unknown codec":          good(func(b *kmsg.RecordBatch) { b.Attributes |= 5 }),
		"a codec that it is not":    good(func(b *kmsg.RecordBatch) { b.Attributes |= 4 }),
		"a record beyond its batch": good(func(b *kmsg.RecordBatch) { b.Records[3] = 40 }), // its offset
		"absurd headers": good(func(b *kmsg.RecordBatch) {
			b.Records = []byte{22, 0, 0, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0}
			b.NumRecords, b.LastOffsetDelta = 1, 0
		}),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := collect(set); !errors.Is(err, kafkawire.ErrCorrupt) {
				t.Errorf("error %v, want %v", err, kafkawire.ErrCorrupt)
			}
		})
	}
}

func TestYieldsErrorEndsTheWalk(t *testing.T) {
	b, _, err := kafkawire.NextBatch(reference(t, 1000, codecs[0].codec, samples(5)))
	if err != nil {
		t.Fatal(err)
	}
	enough, n := fmt.Errorf("enough"), 0
	err = b.Records(func(*kafkawire.Record) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 {
		t.Errorf("walk ended after %d records with %v, want 3 and %v", n, err, enough)
	}
}

func FuzzRecordSet(f *testing.F) {
	for _, c := range codecs {
		f.Add(reference(f, 1000, c.codec, samples(5)), false)
	}
	f.Add(reference(f, 5, codecs[0].codec, nil, func(b *kmsg.RecordBatch) { b.Attributes |= isControl | inTxn }), false)
	f.Fuzz(func(t *testing.T, set []byte, mend bool) {
		if mend && len(set) > 61 { // let the fuzzer past length and checksum
			var b kmsg.RecordBatch
			if b.ReadFrom(set) == nil {
				set = seal(&b)
			}
		}
		_, recs, err := collect(set)
		if err != nil && !errors.Is(err, kafkawire.ErrCorrupt) {
			t.Errorf("error %v is no %v", err, kafkawire.ErrCorrupt)
		}
		for i := range recs {
			if len(recs[i].Key) > 64<<20 || recs[i].Offset < 0 && set[0]&0x80 == 0 {
				t.Errorf("record %d: %d bytes of key, offset %d", i, len(recs[i].Key), recs[i].Offset)
			}
		}
	})
}

func FuzzBatchRoundTrip(f *testing.F) {
	f.Add([]byte("k"), []byte("v"), []byte("h"), int64(1_790_000_000_000), int32(5), byte(3))
	f.Add([]byte(nil), []byte{}, []byte{}, int64(-1), int32(0), byte(0))
	f.Fuzz(func(t *testing.T, key, value, header []byte, millis int64, seq int32, codec byte) {
		want := []kafkawire.Record{
			{Millis: millis, Key: key, Value: value, Headers: []kafkawire.Header{{Key: header, Value: key}}},
			{Offset: 1, Millis: millis / 2, Key: value, Value: header},
		}
		if want[0].Headers[0].Key == nil {
			want[0].Headers[0].Key = []byte{} // the name of a header is never null
		}
		raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: 5}, seq, compress.Compression(codec%5), want)
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := collect(raw[4:]); err != nil || !cmp.Equal(want, got) {
			t.Errorf("round trip: %v (-want +got):\n%s", err, cmp.Diff(want, got))
		}
		read(t, raw[4:])
	})
}
