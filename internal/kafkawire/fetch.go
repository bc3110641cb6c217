package kafkawire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// The isolation levels. ReadCommitted ends at the last stable offset and lists
// the aborted transactions.
const (
	ReadUncommitted int8 = 0
	ReadCommitted   int8 = 1
)

// A FetchRequest asks one broker for records, versions 4 to 11.
type FetchRequest struct {
	ReplicaID       int32            `kafka:"min=v4,max=v11"`
	MaxWaitTime     int32            `kafka:"min=v4,max=v11"` // milliseconds
	MinBytes        int32            `kafka:"min=v4,max=v11"`
	MaxBytes        int32            `kafka:"min=v4,max=v11"`
	IsolationLevel  int8             `kafka:"min=v4,max=v11"`
	SessionID       int32            `kafka:"min=v7,max=v11"`
	SessionEpoch    int32            `kafka:"min=v7,max=v11"`
	Topics          []FetchTopic     `kafka:"min=v4,max=v11"`
	ForgottenTopics []FetchForgotten `kafka:"min=v7,max=v11"`
	RackID          string           `kafka:"min=v11,max=v11"`
	Node            int32            `kafka:"-"` // the broker to ask
}

// ApiKey implements protocol.Message.
func (*FetchRequest) ApiKey() protocol.ApiKey { return protocol.Fetch }

// Broker routes the request to its node.
func (r *FetchRequest) Broker(c protocol.Cluster) (protocol.Broker, error) {
	if b, ok := c.Brokers[r.Node]; ok {
		return b, nil
	}
	return protocol.Broker{ID: -1}, fmt.Errorf("broker %d: %w", r.Node, kafka.BrokerNotAvailable)
}

// A FetchTopic names partitions of one topic.
type FetchTopic struct {
	Topic      string           `kafka:"min=v4,max=v11"`
	Partitions []FetchPartition `kafka:"min=v4,max=v11"`
}

// A FetchPartition is where to read on in one partition.
type FetchPartition struct {
	Partition          int32 `kafka:"min=v4,max=v11"`
	CurrentLeaderEpoch int32 `kafka:"min=v9,max=v11"` // -1: unknown
	FetchOffset        int64 `kafka:"min=v4,max=v11"`
	LogStartOffset     int64 `kafka:"min=v5,max=v11"` // -1: we are no follower
	PartitionMaxBytes  int32 `kafka:"min=v4,max=v11"`
}

// A FetchForgotten belongs to fetch sessions, which are not used.
type FetchForgotten struct {
	Topic      string  `kafka:"min=v7,max=v11"`
	Partitions []int32 `kafka:"min=v7,max=v11"`
}

// A FetchResponse answers a FetchRequest.
type FetchResponse struct {
	ThrottleTimeMs int32                `kafka:"min=v4,max=v11"`
	ErrorCode      int16                `kafka:"min=v7,max=v11"`
	SessionID      int32                `kafka:"min=v7,max=v11"`
	Topics         []FetchTopicResponse `kafka:"min=v4,max=v11"`
}

// ApiKey implements protocol.Message.
func (*FetchResponse) ApiKey() protocol.ApiKey { return protocol.Fetch }

// A FetchTopicResponse holds partitions of one topic.
type FetchTopicResponse struct {
	Topic      string                   `kafka:"min=v4,max=v11"`
	Partitions []FetchPartitionResponse `kafka:"min=v4,max=v11"`
}

// A FetchPartitionResponse holds the record set of one partition.
type FetchPartitionResponse struct {
	Partition            int32     `kafka:"min=v4,max=v11"`
	ErrorCode            int16     `kafka:"min=v4,max=v11"`
	HighWatermark        int64     `kafka:"min=v4,max=v11"`
	LastStableOffset     int64     `kafka:"min=v4,max=v11"`
	LogStartOffset       int64     `kafka:"min=v5,max=v11"`
	AbortedTransactions  []Aborted `kafka:"min=v4,max=v11"`
	PreferredReadReplica int32     `kafka:"min=v11,max=v11"`
	Records              Raw       `kafka:"min=v4,max=v11"`
}

// An Aborted is a transaction whose records must not be seen.
type Aborted struct {
	ProducerID  int64 `kafka:"min=v4,max=v11"`
	FirstOffset int64 `kafka:"min=v4,max=v11"`
}

// Raw is a record set as it came: whole batches, perhaps a piece of one more.
type Raw struct{ Bytes []byte }

// maxRecordSet bounds the record set of a partition. A broker sends its first
// batch whole even beyond the asked size, so this is the largest
// message.max.bytes that we can read.
const maxRecordSet = 128 << 20

// trusted is how much a length alone can make us allocate; beyond it, memory
// grows with the bytes that really come.
const trusted = 16 << 20

// ReadFrom reads the length and the bytes; kafka-go's decoder calls it.
func (r *Raw) ReadFrom(src io.Reader) (int64, error) {
	var head [4]byte
	if _, err := io.ReadFull(src, head[:]); err != nil {
		return 0, err
	}
	n := int32(binary.BigEndian.Uint32(head[:]))
	r.Bytes = nil
	if n <= 0 {
		return 4, nil
	}
	if n > maxRecordSet {
		return 4, fmt.Errorf("record set of %d bytes", n)
	}
	if n <= trusted {
		r.Bytes = make([]byte, n)
		m, err := io.ReadFull(src, r.Bytes)
		return int64(4 + m), err
	}
	buf := bytes.NewBuffer(make([]byte, 0, trusted))
	m, err := io.CopyN(buf, src, int64(n))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	r.Bytes = buf.Bytes()
	return 4 + m, err
}

// WriteTo is required by kafka-go's codec and never called: we answer no fetch.
func (r *Raw) WriteTo(io.Writer) (int64, error) {
	return 0, errors.New("a record set is only read")
}
