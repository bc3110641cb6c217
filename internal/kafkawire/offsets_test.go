package kafkawire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The reference for both directions is another client's codec.

func TestStableOffsetsAsksAsAnotherClientDoes(t *testing.T) {
	want := kmsg.NewPtrOffsetFetchRequest()
	want.Version, want.Group, want.RequireStable = stableVersion, "a-group", true
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic, topic.Partitions = "a-topic", []int32{0, 7, 300}
	want.Topics = append(want.Topics, topic)
	body := want.AppendTo(nil)
	got := (&stableRequest{"a-group", "a-topic", []int32{0, 7, 300}}).encode()
	const head = 4 + 2 + 2 + 4 + 2 + 1 // length, key, version, correlation, no client id, no tags
	if diff := cmp.Diff(body, got[head:]); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func answerOfOffsets() *kmsg.OffsetFetchResponse {
	res := kmsg.NewPtrOffsetFetchResponse()
	res.Version = stableVersion
	topic := kmsg.NewOffsetFetchResponseTopic()
	topic.Topic = "a-topic"
	for i, code := range []int16{0, 88, 0} {
		p := kmsg.NewOffsetFetchResponseTopicPartition()
		p.Partition, p.Offset, p.ErrorCode = int32(i), int64(i)*1000-1, code
		if i != 2 {
			p.Metadata = kmsg.StringPtr("a note")
		}
		topic.Partitions = append(topic.Partitions, p)
	}
	res.Topics = append(res.Topics, topic)
	return res
}

func TestStableOffsetsReadsWhatAnotherClientWrites(t *testing.T) {
	got, err := decodeStable(append([]byte{0}, answerOfOffsets().AppendTo(nil)...)) // no tags in its head
	if err != nil {
		t.Fatal(err)
	}
	want := []CommittedOffset{
		{Partition: 0, Offset: -1, Metadata: "a note"},
		{Partition: 1, Offset: 999, Metadata: "a note", Err: UnstableOffsetCommit},
		{Partition: 2, Offset: 1999},
	}
	if diff := cmp.Diff(want, got.offsets, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("offsets (-want +got):\n%s", diff)
	}
	res := answerOfOffsets()
	res.ErrorCode = int16(kafka.NotCoordinatorForGroup)
	if got, err = decodeStable(append([]byte{0}, res.AppendTo(nil)...)); err != nil || asError(got.code) != kafka.NotCoordinatorForGroup {
		t.Errorf("an answer that refuses: %v, code %d", err, got.code)
	}
}

func FuzzStableOffsetsNeverPanics(f *testing.F) {
	whole := append([]byte{0}, answerOfOffsets().AppendTo(nil)...)
	for n := range whole {
		f.Add(whole[:n])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if res, err := decodeStable(b); (res == nil) != (err != nil) {
			t.Errorf("%x: %v, %v", b, res, err)
		}
	})
}
