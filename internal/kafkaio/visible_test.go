package kafkaio

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"
	"time"
	"unsafe"

	"paylink/internal/event"
	"paylink/internal/kafkawire"
)

// set is a record set of one record per time, in one batch.
func set(t *testing.T, attributes byte, millis ...int64) []byte {
	t.Helper()
	recs := make([]kafkawire.Record, len(millis))
	for i, ms := range millis {
		recs[i] = kafkawire.Record{Millis: ms, Value: []byte("v")}
	}
	raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: -1, Epoch: -1}, -1, 0, recs)
	if err != nil {
		t.Fatal(err)
	}
	raw = raw[4:]
	raw[22] |= attributes
	return Seal(raw)
}

func TestRecordsTellWhoseTimeTheyHave(t *testing.T) {
	at := time.Now().UnixMilli()
	for _, c := range []struct {
		name       string
		attributes byte
		millis     int64
		want       time.Time
		broker     bool
	}{
		{"the producer's", 0, at, time.UnixMilli(at), false},
		{"the broker's", 8, at, time.UnixMilli(at), true},
		{"none", 0, -1, time.Time{}, false},
	} {
		recs, next, err := Visible(0, &kafkawire.FetchPartitionResponse{Records: kafkawire.Raw{Bytes: set(t, c.attributes, c.millis)}})
		if err != nil || next != 1 || len(recs) != 1 || !recs[0].Time.Equal(c.want) || recs[0].BrokerTime != c.broker {
			t.Errorf("%s: records %+v, next %d, %v; want the time %v, the broker's: %v", c.name, recs, next, err, c.want, c.broker)
		}
	}
}

func TestOffsetsBeforeTheAskedOneAreLeftOut(t *testing.T) {
	recs, next, err := Visible(2, &kafkawire.FetchPartitionResponse{Records: kafkawire.Raw{Bytes: set(t, 0, 1, 2, 3, 4)}})
	if err != nil || next != 4 || len(recs) != 2 || recs[0].Offset != 2 {
		t.Errorf("records %+v, next %d, %v; want those at 2 and 3", recs, next, err)
	}
}

// A record that waits for long must not keep the fetch it came with in memory.
func TestRecordsHaveBytesOfTheirOwn(t *testing.T) {
	bytes := set(t, 0, 1)
	recs, _, err := Visible(0, &kafkawire.FetchPartitionResponse{Records: kafkawire.Raw{Bytes: bytes}})
	if err != nil {
		t.Fatal(err)
	}
	clear(bytes)
	if string(recs[0].Value) != "v" {
		t.Errorf("value %q after the fetched bytes were used again, want v", recs[0].Value)
	}
}

// old is a message of format 1, as Kafka wrote before 0.11: one record, or, with a
// codec, what holds all records up to its offset.
func old(offset int64, codec byte) []byte {
	raw := make([]byte, 12, 12+22+1)
	raw = append(raw, 0, 0, 0, 0, 1, codec, 0, 0, 0, 0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 'v')
	binary.BigEndian.PutUint64(raw, uint64(offset))
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[12:], crc32.ChecksumIEEE(raw[16:]))
	return raw
}

// Records in old formats stand in nobody's way: each gets a dead letter by reference.
func TestOldRecordsArePassedOver(t *testing.T) {
	bytes := slices.Concat(old(7, 0), old(10, 1), set(t, 0, 1))
	binary.BigEndian.PutUint64(bytes[len(old(7, 0))+len(old(10, 1)):], 11)
	recs, next, err := Visible(7, &kafkawire.FetchPartitionResponse{Records: kafkawire.Raw{Bytes: bytes}})
	if err != nil || next != 12 || len(recs) != 5 {
		t.Fatalf("%d records, next %d, %v; want five, and 12", len(recs), next, err)
	}
	for i, r := range recs {
		if r.Offset != int64(7+i) || (r.TooLarge == event.OldFormat) != (i < 4) {
			t.Errorf("record %d: offset %d, TooLarge %d", i, r.Offset, r.TooLarge)
		}
	}
}

// A thousand small batches take more than their bytes, and are counted so.
func TestSmallBatchesAreCounted(t *testing.T) {
	one := set(t, 0, 1)
	var many []byte
	for i := range 1000 {
		one := slices.Clone(one)
		binary.BigEndian.PutUint64(one, uint64(i))
		many = append(many, one...)
	}
	got, _, err := openSet(0, &kafkawire.FetchPartitionResponse{Records: kafkawire.Raw{Bytes: many}})
	least := cap(many) + 1000*int(unsafe.Sizeof(kafkawire.Batch{})+unsafe.Sizeof(&kafkawire.Batch{}))
	if err != nil || len(got.batches) != 1000 || got.bytes < least {
		t.Errorf("%d batches are counted as %d bytes, %v; want at least %d", len(got.batches), got.bytes, err, least)
	}
}
