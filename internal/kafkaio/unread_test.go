package kafkaio

import (
	"bytes"
	"slices"
	"testing"

	"github.com/segmentio/kafka-go/compress"

	"paylink/internal/budget"
	"paylink/internal/kafkawire"
)

// A batch that unpacks to much is unpacked once, however often reading stops in its
// middle; of many such batches a few, so that they leave room for others.
func TestABatchIsUnpackedOnce(t *testing.T) {
	recs := make([]kafkawire.Record, 40)
	for i := range recs {
		recs[i].Value = bytes.Repeat([]byte{byte(i)}, 1<<20)
	}
	raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: -1, Epoch: -1}, -1, compress.Zstd, recs)
	if err != nil {
		t.Fatal(err)
	}
	open := func() *fetchedSet {
		set, _, err := openSet(0, &kafkawire.FetchPartitionResponse{Records: kafkawire.Raw{Bytes: raw[4:]}})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	s := &Source{unpacking: make(chan struct{}, mostUnpacking), parked: make(chan struct{}, 1)}
	c, account := &claim{s: s}, budget.New(heldBytes, heldShare).Open()
	var got []int64
	read := func(set *fetchedSet) {
		if set.parked == nil {
			s.unpacking <- struct{}{}
		}
		recs, _ := set.read(account)
		c.park(set)
		for _, r := range recs {
			got = append(got, r.Offset)
			r.Lease.Release()
		}
	}
	first, second := open(), open()
	read(first)
	stream := first.stream
	if stream == nil || len(s.unpacking) != 1 || len(s.parked) != 1 {
		t.Fatalf("after a part of it: stream %v, %d tokens, %d parked; want it open, with a token of each", stream, len(s.unpacking), len(s.parked))
	}
	read(second)
	if second.stream != nil || len(s.unpacking) != 1 || len(s.parked) != 1 {
		t.Errorf("the second one: stream %v, %d tokens, %d parked; want it closed", second.stream, len(s.unpacking), len(s.parked))
	}
	for len(first.batches) > 0 {
		if first.stream != stream {
			t.Fatal("it is unpacked anew")
		}
		read(first)
	}
	for len(second.batches) > 0 {
		read(second)
	}
	if slices.Sort(got); len(got) != 80 || got[0] != 0 || got[79] != 39 || len(s.unpacking)+len(s.parked) != 0 {
		t.Errorf("%d records, %d tokens, %d parked; want 80, and none", len(got), len(s.unpacking), len(s.parked))
	}
	third := open()
	read(third)
	third.drop()
	if len(s.unpacking)+len(s.parked) != 0 {
		t.Errorf("%d tokens, %d parked after it was dropped", len(s.unpacking), len(s.parked))
	}
}
