package kafkawire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/kafkawire"
)

// oldMessage makes a message of format 0 or 1 at an offset; compressed by a codec, one
// that holds all the records.
func oldMessage(t testing.TB, magic int8, base int64, codec int, recs []kafkawire.Record) []byte {
	t.Helper()
	if codec == 0 {
		return sealOld(magic, base, 0, recs[0].Millis, recs[0].Key, recs[0].Value)
	}
	var inner []byte
	for i, r := range recs {
		offset := base + int64(i)
		if magic == 1 {
			offset = int64(i) // relative
		}
		inner = append(inner, sealOld(magic, offset, 0, r.Millis, r.Key, r.Value)...)
	}
	c, err := kgo.DefaultCompressor(codecs[codec].codec)
	if err != nil {
		t.Fatal(err)
	}
	packed, kind := c.Compress(&bytes.Buffer{}, inner)
	last := len(recs) - 1
	return sealOld(magic, base+int64(last), int8(kind), recs[last].Millis, nil, bytes.Clone(packed))
}

func sealOld(magic int8, offset int64, attrs int8, millis int64, key, value []byte) (raw []byte) {
	if magic == 0 {
		raw = (&kmsg.MessageV0{Offset: offset, Magic: 0, Attributes: attrs, Key: key, Value: value}).AppendTo(nil)
	} else {
		raw = (&kmsg.MessageV1{Offset: offset, Magic: 1, Attributes: attrs, Timestamp: millis, Key: key, Value: value}).AppendTo(nil)
	}
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[12:], crc32.ChecksumIEEE(raw[16:]))
	return raw
}

// randomSet makes a record set of batches of every codec and format. It returns the
// offsets that are in an old one.
func randomSet(t testing.TB, rnd *rand.Rand) (set []byte, old map[int64]bool) {
	t.Helper()
	old = map[int64]bool{}
	for next := rnd.Int64N(1 << 40); len(set) == 0 || rnd.IntN(6) > 0; next += rnd.Int64N(3) {
		recs := randomRecords(rnd)
		codec := rnd.IntN(len(codecs))
		if magic := rnd.IntN(8); magic < 2 {
			codec = min(codec, 2+magic) // they know no zstd, and the older one no lz4
			if codec == 0 {
				recs = recs[:1]
			}
			set = append(set, oldMessage(t, int8(magic), next, codec, recs)...)
			for i := range recs {
				old[next+int64(i)] = true
			}
			next += int64(len(recs))
			continue
		}
		gap := rnd.Int32N(2) // compaction
		set = append(set, reference(t, next, codecs[codec].codec, recs, func(b *kmsg.RecordBatch) {
			b.Attributes |= [...]int16{0, 0, logTime, inTxn, isControl | inTxn}[rnd.IntN(5)]
			b.LastOffsetDelta += gap
		})...)
		next += int64(len(recs)) + int64(gap)
	}
	return set, old
}

func randomRecords(rnd *rand.Rand) []kafkawire.Record {
	recs := make([]kafkawire.Record, 1+rnd.IntN(30))
	text := func(most int) []byte {
		switch rnd.IntN(8) {
		case 0:
			return nil
		case 1:
			return []byte{}
		case 2:
			most *= 5
		}
		b := make([]byte, rnd.IntN(most))
		for i := range b {
			b[i] = byte('a' + rnd.Uint32()&7)
		}
		return b
	}
	for i := range recs {
		recs[i] = kafkawire.Record{Millis: 1_790_000_000_000 + rnd.Int64N(1<<32) - 1<<31, Key: text(20), Value: text(900)}
		for range rnd.IntN(4) {
			recs[i].Headers = append(recs[i].Headers, kafkawire.Header{Key: append([]byte{}, text(10)...), Value: text(40)})
		}
	}
	return recs
}

// franz reads a set with franz-go, which unpacks whole batches, in simple steps.
func franz(set []byte) (recs []kafkawire.Record, err error) {
	got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{}, &kmsg.FetchResponseTopicPartition{RecordBatches: set}, kgo.DefaultDecompressor(), nil)
	for _, r := range got.Records {
		rec := kafkawire.Record{Offset: r.Offset, Millis: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, kafkawire.Header{Key: []byte(h.Key), Value: h.Value})
		}
		recs = append(recs, rec)
	}
	return recs, got.Err
}

// Whatever the codec and the format, and wherever the set is cut off or spoilt, our
// stream reads what another reader reads.
func FuzzTheStreamReadsWhatFranzGoReads(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed, uint32(0), uint32(0))
		f.Add(seed, uint32(1+seed*7919), uint32(0))
		f.Add(seed, uint32(0), uint32(1+seed*7919))
	}
	f.Fuzz(func(t *testing.T, seed uint64, cut, spoil uint32) {
		set, old := randomSet(t, rand.New(rand.NewPCG(seed, 1)))
		if cut > 0 {
			set = set[:int(cut)%len(set)]
		}
		if at := int(spoil) % (len(set) + 1); spoil > 0 && at < len(set) && at > 16 && inChecksum(set, at) {
			set[at] ^= 0x10
		}
		want, werr := franz(bytes.Clone(set))
		_, got, err := collect(set)
		if (err != nil) != (werr != nil) || err != nil && !errors.Is(err, kafkawire.ErrCorrupt) {
			t.Fatalf("error %v, franz-go has %v", err, werr)
		}
		if err == nil {
			headersAreThose(t, set, got)
		}
		var ours, theirs []kafkawire.Record
		for _, r := range got {
			if r.Beyond != kafkawire.OldFormat {
				ours = append(ours, r)
			} else if !old[r.Offset] {
				t.Errorf("offset %d is called old", r.Offset)
			}
		}
		for _, r := range want {
			if !old[r.Offset] {
				theirs = append(theirs, r)
			}
		}
		if len(ours) != len(theirs) {
			t.Fatalf("%d records, franz-go reads %d", len(ours), len(theirs))
		}
		for i := range ours {
			if !same(&ours[i], &theirs[i]) {
				t.Fatalf("record %d of %d: %.300v, franz-go reads %.300v", i, len(ours), ours[i], theirs[i])
			}
		}
	})
}

// headersAreThose says whether who reads headers alone reads those of the records.
func headersAreThose(t *testing.T, set []byte, recs []kafkawire.Record) {
	t.Helper()
	want := []string{"", "a", "b"}
	for b, rest, err := kafkawire.NextBatch(set); b != nil && err == nil; b, rest, err = kafkawire.NextBatch(rest) {
		if b.Control {
			continue
		}
		err := b.Headers(func(r *kafkawire.Record) error {
			is := recs[0]
			recs, is.Key, is.Value = recs[1:], nil, nil
			is.Headers = slices.DeleteFunc(slices.Clone(is.Headers), func(h kafkawire.Header) bool { return !slices.Contains(want, string(h.Key)) })
			if !same(r, &is) {
				t.Errorf("headers of %.300v, want those of %.300v", *r, is)
			}
			return nil
		}, want...)
		if err != nil {
			t.Error(err)
		}
	}
	if len(recs) > 0 {
		t.Errorf("%d records have no headers", len(recs))
	}
}

// same compares two records; null is not the same as empty.
func same(a, b *kafkawire.Record) bool {
	equal := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
	return a.Offset == b.Offset && a.Millis == b.Millis && a.Beyond == b.Beyond && equal(a.Key, b.Key) && equal(a.Value, b.Value) &&
		slices.EqualFunc(a.Headers, b.Headers, func(a, b kafkawire.Header) bool {
			return bytes.Equal(a.Key, b.Key) && equal(a.Value, b.Value)
		})
}

// inChecksum says whether a byte of a set is one that a checksum covers: what stands
// before it, lengths and formats, may be spoilt into anything.
func inChecksum(set []byte, at int) bool {
	for start := 0; start+17 < len(set); {
		from := 21
		if set[start+16] < 2 {
			from = 16
		}
		end := start + 12 + int(binary.BigEndian.Uint32(set[start+8:]))
		if at < end {
			return at >= start+from && set[start+16] <= 2 && at != start+16
		}
		start = end
	}
	return false
}

// Spoilt in any place, under a checksum that is good, it is read or refused, and ends.
func FuzzTheStreamEnds(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint32(seed*104729), byte(seed*31))
	}
	f.Fuzz(func(t *testing.T, seed uint64, spoil uint32, with byte) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		set := reference(t, 5, codecs[rnd.IntN(len(codecs))].codec, randomRecords(rnd))
		set[21+int(spoil)%(len(set)-21)] ^= with
		binary.BigEndian.PutUint32(set[17:], crc32.Checksum(set[21:], crc32.MakeTable(crc32.Castagnoli)))
		_, recs, err := collect(set)
		if err != nil && !errors.Is(err, kafkawire.ErrCorrupt) {
			t.Errorf("%d records, %v", len(recs), err)
		}
	})
}
