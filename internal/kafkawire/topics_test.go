package kafkawire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/kafkawire"
)

// A brokers' side of a connection: what it was sent, and what it says.
type side struct {
	sent bytes.Buffer
	says io.Reader
}

func (s *side) Write(p []byte) (int, error) { return s.sent.Write(p) }
func (s *side) Read(p []byte) (int, error)  { return s.says.Read(p) }

// versions is a broker's answer to the question for its versions, as franz-go writes it.
func versions(highest int16) []byte {
	res := kmsg.NewPtrApiVersionsResponse()
	res.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: int16(kmsg.Produce), MaxVersion: 9}, {ApiKey: int16(kmsg.Metadata), MaxVersion: highest}}
	return framed(1, false, res.AppendTo(nil))
}

func framed(correlation uint32, flexible bool, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), correlation)
	if flexible {
		b = append(b, 0)
	}
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func topicsAnswer() []byte {
	res := kmsg.NewPtrMetadataResponse()
	res.Version = 10
	rack, cluster, intents, gone := "r", "cluster", "intents", "gone"
	res.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 1, Host: "a", Port: 9092}, {NodeID: 2, Host: "b", Port: 9092, Rack: &rack}}
	res.ClusterID = &cluster
	res.Topics = []kmsg.MetadataResponseTopic{
		{Topic: &intents, TopicID: [16]byte{1, 2, 15: 3}, Partitions: []kmsg.MetadataResponseTopicPartition{
			{Partition: 0, Leader: 1, Replicas: []int32{1, 2}, ISR: []int32{1}, OfflineReplicas: []int32{2}}, {Partition: 1, Leader: 2},
		}},
		{Topic: &gone, ErrorCode: kerr.UnknownTopicOrPartition.Code},
	}
	return framed(2, true, res.AppendTo(nil))
}

func TestTopicIDsAreRead(t *testing.T) {
	s := &side{says: bytes.NewReader(append(versions(12), topicsAnswer()...))}
	msg, err := (&kafkawire.TopicsRequest{Topics: []string{"intents", "gone"}}).RawExchange(s)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]kafkawire.TopicID{"intents": {1, 2, 15: 3}}
	if got := msg.(*kafkawire.TopicsResponse); got.Err != nil || !cmp.Equal(got.IDs, want) {
		t.Errorf("ids %v, %v; want %v", got.IDs, got.Err, want)
	}

	sent := s.sent.Bytes()[4+binary.BigEndian.Uint32(s.sent.Bytes()):] // behind the question for versions
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 10
	if err := req.ReadFrom(sent[4+2+2+4+2+1:]); err != nil || int(binary.BigEndian.Uint32(sent)) != len(sent)-4 {
		t.Fatalf("franz-go cannot read our request: %v", err)
	}
	if len(req.Topics) != 2 || *req.Topics[0].Topic != "intents" || *req.Topics[1].Topic != "gone" || req.AllowAutoTopicCreation {
		t.Errorf("request %+v, want the two topics, and that none is made", req)
	}
}

func TestAnOldBrokerIsNotAskedForTopicIDs(t *testing.T) {
	s := &side{says: bytes.NewReader(versions(9))}
	msg, err := (&kafkawire.TopicsRequest{Topics: []string{"intents"}}).RawExchange(s)
	if err != nil || !errors.Is(msg.(*kafkawire.TopicsResponse).Err, kafkawire.ErrNoTopicIDs) {
		t.Errorf("%+v, %v; want %v", msg, err, kafkawire.ErrNoTopicIDs)
	}
}

func TestBrokenMetadataIsAnError(t *testing.T) {
	whole := topicsAnswer()
	for n := range whole {
		cut := bytes.Clone(whole[:n])
		if n >= 4 {
			binary.BigEndian.PutUint32(cut, uint32(n-4))
		}
		s := &side{says: bytes.NewReader(append(versions(12), cut...))}
		if msg, err := (&kafkawire.TopicsRequest{}).RawExchange(s); err == nil {
			t.Errorf("%d of %d bytes: %+v, want an error", n, len(whole), msg)
		}
	}
}

func TestATopicIDIsText(t *testing.T) {
	id := kafkawire.TopicID{0xab, 15: 1}
	if got, ok := kafkawire.ParseTopicID(id.String()); !ok || got != id {
		t.Errorf("ParseTopicID(%s) = %v, %v", id, got, ok)
	}
	for _, bad := range []string{"", "ab", "-", id.String() + "00"} {
		if got, ok := kafkawire.ParseTopicID(bad); ok {
			t.Errorf("ParseTopicID(%q) = %v, want none", bad, got)
		}
	}
}
