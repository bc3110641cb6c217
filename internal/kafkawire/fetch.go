package kafkawire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"sync/atomic"

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

// Raw is a record set as it came: whole batches, perhaps a piece of one more. Of a
// batch that is larger than maxSet only the beginning is kept.
type Raw struct {
	Bytes []byte
	Busy  bool // it was too large to be held beside another one: ask again a little later

	cut   []byte // the beginning of a batch that is larger than maxSet
	sum   uint32 // its checksum
	large *large
}

// What a record set may take. A broker sends its first batch whole even beyond the
// asked size (KIP-74), so sets can be as large as the topic's max.message.bytes.
const (
	// usualSet is what any record set may take.
	usualSet = 1<<20 + 256<<10

	// maxSet is what one that is larger may take. Of those there are so many bytes in
	// the process at a time.
	maxSet = 32 << 20

	// cutAt is how much is kept of a batch that is larger than maxSet.
	cutAt = 64 << 10
)

// largeHeld is how many bytes of large record sets are held.
var largeHeld atomic.Int64

// A large is the room of a large record set.
type large struct{ held atomic.Bool }

func takeLarge() *large {
	if largeHeld.Add(maxSet) > maxSet {
		largeHeld.Add(-maxSet)
		return nil
	}
	l := &large{}
	l.held.Store(true)
	// An answer that nobody waits for any more is dropped by kafka-go.
	runtime.SetFinalizer(l, (*large).release)
	return l
}

func (l *large) release() {
	if l != nil && l.held.Swap(false) {
		largeHeld.Add(-maxSet)
	}
}

// Release gives back the room of the set, whose bytes must not be used any more.
func (r *Raw) Release() { r.large.release() }

// IsLarge says that the set has taken the room of the large ones.
func (r *Raw) IsLarge() bool { return r.large != nil }

// Held is how many bytes the set keeps in memory, but for a large one, which has
// room of its own.
func (r *Raw) Held() int {
	if r.large != nil {
		return 0
	}
	return cap(r.Bytes) + cap(r.cut)
}

// Next takes the first batch off the set, as NextBatch does.
func (r *Raw) Next() (*Batch, error) {
	b, rest, err := NextBatch(r.Bytes)
	r.Bytes = rest
	if b != nil || err != nil || r.cut == nil {
		return b, err
	}
	b, err = batchOf(r.cut, r.sum)
	if b != nil {
		b.cut, r.cut = true, nil
	}
	return b, err
}

// ReadFrom reads the length and the bytes; kafka-go's decoder calls it.
func (r *Raw) ReadFrom(src io.Reader) (int64, error) {
	var head [4]byte
	if _, err := io.ReadFull(src, head[:]); err != nil {
		return 0, err
	}
	n := int64(int32(binary.BigEndian.Uint32(head[:])))
	*r = Raw{}
	if n <= 0 {
		return 4, nil
	}
	if n > usualSet {
		m, err := r.readLarge(src, n)
		return 4 + m, err
	}
	r.Bytes = make([]byte, n)
	m, err := io.ReadFull(src, r.Bytes)
	return int64(4 + m), err
}

// readLarge reads a set that is larger than usual.
func (r *Raw) readLarge(src io.Reader, n int64) (read int64, err error) {
	defer func() {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	}()
	begin := make([]byte, batchHeader)
	m, err := io.ReadFull(src, begin)
	if err != nil {
		return int64(m), err
	}
	first := int64(int32(binary.BigEndian.Uint32(begin[8:]))) + 12
	switch {
	case begin[16] <= 2 && first > maxSet && first <= n:
		err = r.readCut(src, begin, first)
		n -= first
	case n <= maxSet:
		if r.large = takeLarge(); r.large != nil {
			return n, r.readAll(src, begin, n)
		}
		fallthrough
	default:
		r.Busy = true
		n -= batchHeader
	}
	if err != nil {
		return batchHeader, err
	}
	m64, err := io.CopyN(io.Discard, src, n)
	return batchHeader + m64, err
}

// readAll reads the whole set. Memory grows with the bytes that really come.
func (r *Raw) readAll(src io.Reader, begin []byte, n int64) error {
	buf := bytes.NewBuffer(make([]byte, 0, usualSet))
	buf.Write(begin)
	_, err := io.CopyN(buf, src, n-int64(len(begin)))
	r.Bytes = buf.Bytes()
	if err != nil {
		r.Release()
	}
	return err
}

// readCut keeps the beginning of a batch, and its checksum.
func (r *Raw) readCut(src io.Reader, begin []byte, size int64) error {
	r.cut = make([]byte, cutAt)
	copy(r.cut, begin)
	if _, err := io.ReadFull(src, r.cut[len(begin):]); err != nil {
		return err
	}
	table, from := checked(begin)
	sum := crc32.New(table)
	sum.Write(r.cut[from:])
	_, err := io.CopyN(sum, src, size-cutAt)
	r.sum = sum.Sum32()
	return err
}

// WriteTo is required by kafka-go's codec and never called: we answer no fetch.
func (r *Raw) WriteTo(io.Writer) (int64, error) {
	return 0, errors.New("a record set is only read")
}
