package kafkawire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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
// Kafka 2.5 on. kafka-go's codec ends at 5, and its client needs that one, so this
// request goes over the transport's connection as bytes of ours.
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
	const correlation = 1
	if _, err := rw.Write(r.encode(correlation)); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, err
	}
	size := int32(binary.BigEndian.Uint32(head[:]))
	if size < 4 || size > maxOffsetsAnswer || binary.BigEndian.Uint32(head[4:]) != correlation {
		return nil, fmt.Errorf("offset fetch: an answer of %d bytes, or not ours", size)
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(rw, body); err != nil {
		return nil, err
	}
	return decodeStable(body)
}

func (r *stableRequest) encode(correlation uint32) []byte {
	be := binary.BigEndian
	text := func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s)+1)), s...) }
	b := make([]byte, 4, 128)
	b = be.AppendUint16(b, uint16(protocol.OffsetFetch))
	b = be.AppendUint16(b, stableVersion)
	b = be.AppendUint32(b, correlation)
	b = be.AppendUint16(b, 0xffff) // no client id
	b = append(b, 0)               // no tags
	b = text(b, r.group)
	b = append(b, 2) // one topic
	b = text(b, r.topic)
	b = binary.AppendUvarint(b, uint64(len(r.partitions)+1))
	for _, p := range r.partitions {
		b = be.AppendUint32(b, uint32(p))
	}
	b = append(b, 0, 1, 0) // no tags, require stable, no tags
	be.PutUint32(b, uint32(len(b)-4))
	return b
}

// decodeStable reads an answer without its length and correlation id.
func decodeStable(b []byte) (*stableResponse, error) {
	d := offsetsReader{b: b}
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

// An offsetsReader reads the fields of a flexible version (KIP-482), whose lengths
// are unsigned, and one more than they say.
type offsetsReader struct {
	b   []byte
	bad bool
}

func (r *offsetsReader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *offsetsReader) uvarint() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > maxOffsetsAnswer {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

// count is how many there are, no more than there are bytes left; none where it is null.
func (r *offsetsReader) count() int {
	n := max(0, r.uvarint()-1)
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return 0
	}
	return n
}

func (r *offsetsReader) text() string { return string(r.take(r.count())) }

// tags are passed over.
func (r *offsetsReader) tags() {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		r.uvarint()
		r.take(r.uvarint())
	}
}
