package kafkawire

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/protocol"
)

// Requests in flexible versions (KIP-482) that come after those of kafka-go. Its
// transport needs its own codecs, so these go over its connection as bytes of ours.

// correlation is the correlation id of such a request: its connection has no other
// one under way.
const correlation = 2

// flexible begins a request.
func flexible(key protocol.ApiKey, version uint16) []byte {
	b := make([]byte, 4, 128) // the length comes last
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint32(b, correlation)
	b = binary.BigEndian.AppendUint16(b, 0xffff) // no client id
	return append(b, 0)                          // no tags
}

// appendCompact appends a text.
func appendCompact(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s)+1)), s...)
}

// exchange sends a request that flexible has begun, and returns its answer without length
// and correlation id. An answer of more than so many bytes is none.
func exchange(rw io.ReadWriter, name string, request []byte, most int32) ([]byte, error) {
	binary.BigEndian.PutUint32(request, uint32(len(request)-4))
	if _, err := rw.Write(request); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, err
	}
	size := int32(binary.BigEndian.Uint32(head[:]))
	if size < 4 || size > most {
		return nil, fmt.Errorf("%s: an answer of %d bytes", name, size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(rw, body); err != nil {
		return nil, err
	}
	if got := binary.BigEndian.Uint32(body); got != correlation {
		return nil, fmt.Errorf("%s: correlation id %d, want %d", name, got, correlation)
	}
	return body[4:], nil
}

// A compactReader reads the fields of a flexible version, whose lengths are one more
// than they say, and unsigned.
type compactReader struct{ reader }

func (r *compactReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count is how many there are, no more than there are bytes left; none where it is null.
func (r *compactReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.b))+1 {
		r.bad, r.b = true, nil
	}
	if n == 0 || r.bad {
		return 0
	}
	return int(n - 1)
}

func (r *compactReader) text() string { return string(r.take(int64(r.count()))) }

// tags are passed over.
func (r *compactReader) tags() {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		r.uvarint()
		r.take(int64(min(r.uvarint(), 1<<31)))
	}
}
