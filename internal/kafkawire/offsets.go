package kafkawire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// UnstableOffsetCommit is what a broker says of an offset that an open transaction
// may still change: ask again.
const UnstableOffsetCommit = kafka.Error(88)

// A CommittedOffset is what a group has committed for one partition.
type CommittedOffset struct {
	Partition int32
	Offset    int64 // -1: nothing
	Metadata  string
	Err       error // UnstableOffsetCommit among others
}

// StableOffsets returns what a group has committed for partitions of a topic. Other
// than kafka.Client.OffsetFetch it sees to it that no transaction of a group's
// offsets is half-way: those answer UnstableOffsetCommit (KIP-447).
func StableOffsets(ctx context.Context, tr kafka.RoundTripper, addr net.Addr, group, topic string, partitions []int32) ([]CommittedOffset, error) {
	msg, err := tr.RoundTrip(ctx, addr, &stableRequest{group, topic, partitions})
	if err != nil {
		return nil, err
	}
	res := msg.(*stableResponse)
	return res.offsets, asError(res.code)
}

// stableVersion is the version of OffsetFetch that can require stable offsets, from
// Kafka 2.5 on. kafka-go ends at 5.
const stableVersion = 7

type stableRequest struct {
	group, topic string
	partitions   []int32
}

type stableResponse struct {
	offsets []CommittedOffset
	code    int16
}

// ApiKey implements protocol.Message.
func (*stableRequest) ApiKey() protocol.ApiKey { return protocol.OffsetFetch }

// ApiKey implements protocol.Message.
func (*stableResponse) ApiKey() protocol.ApiKey { return protocol.OffsetFetch }

// Group routes the request to the group's coordinator.
func (r *stableRequest) Group() string { return r.group }

// Required implements protocol.RawExchanger.
func (*stableRequest) Required(map[protocol.ApiKey]int16) bool { return true }

// maxOffsetsAnswer bounds an answer: each of 10,000 partitions may have 4 KiB of metadata.
const maxOffsetsAnswer = 64 << 20

// RawExchange implements protocol.RawExchanger. An error ends the connection.
func (r *stableRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	answer, err := exchange(rw, "offset fetch", r.encode(), maxOffsetsAnswer)
	if err != nil {
		return nil, err
	}
	return decodeStable(answer)
}

func (r *stableRequest) encode() []byte {
	b := flexible(protocol.OffsetFetch, stableVersion)
	b = appendCompact(b, r.group)
	b = append(b, 2) // one topic
	b = appendCompact(b, r.topic)
	b = binary.AppendUvarint(b, uint64(len(r.partitions)+1))
	for _, p := range r.partitions {
		b = binary.BigEndian.AppendUint32(b, uint32(p))
	}
	return append(b, 0, 1, 0) // no tags, require stable, no tags
}

// decodeStable reads an answer without its length and correlation id.
func decodeStable(b []byte) (*stableResponse, error) {
	d := compactReader{reader{b: b}}
	res := &stableResponse{}
	d.tags()
	d.take(4) // throttle time
	for range d.count() {
		d.text() // topic
		for range d.count() {
			p, offset := d.take(4), d.take(8)
			d.take(4) // leader epoch
			metadata, code := d.text(), d.take(2)
			d.tags()
			if d.bad {
				break
			}
			res.offsets = append(res.offsets, CommittedOffset{
				Partition: int32(binary.BigEndian.Uint32(p)), Offset: int64(binary.BigEndian.Uint64(offset)),
				Metadata: metadata, Err: asError(int16(binary.BigEndian.Uint16(code))),
			})
		}
		d.tags()
	}
	if code := d.take(2); !d.bad {
		res.code = int16(binary.BigEndian.Uint16(code))
	}
	d.tags()
	if d.bad || len(d.b) > 0 {
		return nil, errors.New("offset fetch: the fields do not fit the answer")
	}
	return res, nil
}
