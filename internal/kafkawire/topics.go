package kafkawire

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
)

// A TopicID is what the cluster gave a topic when it was made: another one, when a
// topic of the same name is made again. The zero TopicID is none.
type TopicID [16]byte

// String is the id in 32 hexadecimal digits.
func (id TopicID) String() string { return hex.EncodeToString(id[:]) }

// ParseTopicID reads what String writes.
func ParseTopicID(s string) (id TopicID, ok bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return TopicID(b), true
}

// ErrNoTopicIDs says that a broker gives topics no ids: it is older than Kafka 2.8.
var ErrNoTopicIDs = errors.New("the broker knows no topic ids")

// TopicIDs returns the ids of those of the topics that exist and that we may see.
func TopicIDs(ctx context.Context, tr kafka.RoundTripper, addr net.Addr, topics ...string) (map[string]TopicID, error) {
	res, err := tr.RoundTrip(ctx, addr, &TopicsRequest{Topics: topics})
	if err != nil {
		return nil, err
	}
	return res.(*TopicsResponse).IDs, res.(*TopicsResponse).Err
}

// idsVersion is the version of Metadata that brings ids. kafka-go ends at 8.
const idsVersion = 10

// A TopicsRequest is Metadata of some topics, version 10.
type TopicsRequest struct{ Topics []string }

// ApiKey implements protocol.Message.
func (*TopicsRequest) ApiKey() protocol.ApiKey { return protocol.Metadata }

// A TopicsResponse is of Metadata what kafka-go's lacks.
type TopicsResponse struct {
	IDs map[string]TopicID
	Err error // ErrNoTopicIDs, or nil
}

// ApiKey implements protocol.Message.
func (*TopicsResponse) ApiKey() protocol.ApiKey { return protocol.Metadata }

// Required implements protocol.RawExchanger.
func (*TopicsRequest) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange implements protocol.RawExchanger. A broker hangs up on a version that it
// does not know, so it is asked first. An error ends the connection.
func (r *TopicsRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	msg, err := protocol.RoundTrip(rw, 0, 1, "", &apiversions.Request{})
	if err != nil {
		return nil, err
	}
	if !knows(msg.(*apiversions.Response), protocol.Metadata, idsVersion) {
		return &TopicsResponse{Err: ErrNoTopicIDs}, nil
	}
	answer, err := exchange(rw, "metadata", r.encode(), maxTopicsAnswer)
	if err != nil {
		return nil, err
	}
	return decodeTopics(answer)
}

// maxTopicsAnswer bounds an answer: three topics of thousands of partitions fit.
const maxTopicsAnswer = 16 << 20

func knows(res *apiversions.Response, key protocol.ApiKey, version int16) bool {
	for _, k := range res.ApiKeys {
		if protocol.ApiKey(k.ApiKey) == key {
			return k.MinVersion <= version && version <= k.MaxVersion
		}
	}
	return false
}

func (r *TopicsRequest) encode() []byte {
	b := flexible(protocol.Metadata, idsVersion)
	b = binary.AppendUvarint(b, uint64(len(r.Topics)+1))
	for _, t := range r.Topics {
		b = append(b, make([]byte, len(TopicID{}))...) // by name, not by id
		b = append(appendCompact(b, t), 0)
	}
	return append(b, 0, 0, 0, 0) // make no topic, say nothing of rights, no tags
}

// decodeTopics reads an answer without its length and correlation id.
func decodeTopics(b []byte) (*TopicsResponse, error) {
	r := compactReader{reader{b: b}}
	r.tags()
	r.take(4) // throttle time
	for range r.count() {
		r.take(4) // broker
		r.text()  // host
		r.take(4) // port
		r.text()  // rack
		r.tags()
	}
	r.text()  // cluster
	r.take(4) // controller
	ids := map[string]TopicID{}
	for range r.count() {
		code, name, id := r.take(2), r.text(), r.take(int64(len(TopicID{})))
		r.take(1) // internal
		for range r.count() {
			r.take(2 + 3*4) // error, partition, leader and its epoch
			for range 3 {   // replicas: all, in sync, offline
				r.take(4 * int64(r.count()))
			}
			r.tags()
		}
		r.take(4) // what we may do
		r.tags()
		if !r.bad && code[0]|code[1] == 0 && TopicID(id) != (TopicID{}) {
			ids[name] = TopicID(id)
		}
	}
	r.take(4) // what we may do with the cluster
	r.tags()
	if r.bad || len(r.b) > 0 {
		return nil, errors.New("metadata: the fields do not fit the answer")
	}
	return &TopicsResponse{IDs: ids}, nil
}
