package kafkawire

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/segmentio/kafka-go/compress"
)

// What a record takes in memory once it is kept, beside its bytes: event.Cost.
const (
	recordCost = 2 << 10
	headerCost = 48
)

// MaxRecord bounds what one record takes in memory, by Cost. A topic takes 1 MiB
// uncompressed unless told otherwise, and that fits.
const MaxRecord = 1<<20 + 128<<10

// maxKey is the largest key that is kept of a record that is larger than MaxRecord.
const maxKey = 4 << 10

// Cost is what the record takes in memory once it is kept.
func (rec *Record) Cost() int {
	n := recordCost + len(rec.Key) + len(rec.Value)
	for _, h := range rec.Headers {
		n += headerCost + len(h.Key) + len(h.Value)
	}
	return n
}

// A Stream reads the records of a batch one by one. It never holds more than one
// record, the window of the batch's compression, and a buffer.
type Stream struct {
	b    *Batch
	rd   io.ReadCloser // what unpacks; nil: all there is stands in buf
	buf  []byte
	r, w int // buf[r:w] is not read yet
	own  bool
	left int   // records
	next int64 // the lowest offset that the next record can have
	lost bool  // the rest cannot be unpacked within our bounds
	err  error // why nothing can be read; nil: it can
	want []string
	rec  Record

	headersOnly bool    // all else of a record is passed over
	body        *[]byte // what buf is of, unpacked at once; nil: it is not

	read64   int64 // bytes passed, for who counts
	unpacked int64 // bytes
}

// maxUnpacked is how many bytes of one batch are unpacked: no client packs more. A megabyte
// can be made to unpack to 32 GiB, which takes half a minute, and as long again each time
// that a record behind is read again.
const maxUnpacked = 2 << 30

var streamBuffers = sync.Pool{New: func() any { return new([streamBuffer]byte) }}

const streamBuffer = 64 << 10

// Open begins to read the batch's records. The names are those of headers that are
// wanted even of a record that is larger than MaxRecord.
func (b *Batch) Open(want ...string) *Stream {
	s := &Stream{b: b, left: b.count, next: b.Base, want: want}
	if b.old {
		s.lost = true
		return s
	}
	if b.codec == 0 || b.cut && b.codec != 0 {
		s.buf, s.w = b.body, len(b.body)
		s.lost = b.codec != 0
		if !b.cut && b.count > len(b.body)/minRecord {
			s.err = b.corrupt()
		}
		return s
	}
	if b.codec == compress.Snappy {
		if s.body = snappyBody(b.body); s.body != nil {
			s.buf, s.w = *s.body, len(*s.body)
			return s
		}
	}
	if s.rd, s.err = unpacker(b); s.err == nil {
		s.own, s.buf = true, streamBuffers.Get().(*[streamBuffer]byte)[:]
	}
	return s
}

// Close gives back what the stream holds. The last record is not valid any more.
func (s *Stream) Close() {
	if s.rd != nil {
		s.rd.Close()
	}
	if s.own && len(s.buf) == streamBuffer {
		streamBuffers.Put((*[streamBuffer]byte)(s.buf))
	}
	if s.body != nil {
		bodies.Put(s.body)
	}
	s.rd, s.buf, s.own, s.body, s.left, s.lost = nil, nil, false, nil, 0, false
}

// Next returns the next record, which is valid until the one after it is asked for,
// or nil after the last. Of a record whose Beyond is not zero only that, its offset
// and its time are known, and its key if that is small.
func (s *Stream) Next() (*Record, error) {
	if s.left == 0 && !s.lost {
		return nil, nil
	}
	if s.err != nil {
		return nil, s.err
	}
	rec, err := s.read()
	if err != nil && (errors.Is(err, errBeyond) || s.b.cut && errors.Is(err, io.ErrUnexpectedEOF)) {
		s.lost, err = true, nil
	}
	switch {
	case s.lost:
		return s.reference(), nil
	case err != nil:
		return nil, s.b.corruptBy(err)
	}
	s.left--
	s.next = max(s.next, rec.Offset+1)
	return rec, nil
}

// Undecodable is Record.Beyond of what stands for records that nobody can read.
const Undecodable = -3

// Rest ends a stream of which Next returned an error. It returns one record that stands
// for those that were not read, nil if there can be none: the batch's checksum is that
// of who wrote it, so they will not become readable.
func (s *Stream) Rest() *Record {
	s.left, s.lost = 0, false
	if s.next > s.b.Last {
		return nil
	}
	s.rec = Record{Offset: s.next, Millis: s.b.timeOf(0), Beyond: Undecodable}
	return &s.rec
}

// maxReferences bounds how many records of a batch are told one by one that cannot be
// looked at: how many there are is only what the batch says. Of more, one stands for all.
const maxReferences = 100_000

// reference stands for a record that cannot be looked at.
func (s *Stream) reference() *Record {
	if s.next > s.b.Last {
		s.lost, s.left = false, 0
		return nil
	}
	s.rec = Record{Offset: s.next, Millis: s.b.timeOf(0), Beyond: -1}
	if s.b.old {
		s.rec.Beyond = OldFormat
	}
	if s.next++; s.b.Last-s.next >= maxReferences {
		s.next = s.b.Last + 1
	}
	return &s.rec
}

func (s *Stream) read() (*Record, error) {
	if s.lost {
		return nil, nil
	}
	size, err := s.varint()
	if err != nil {
		return nil, err
	}
	if size < 0 {
		return nil, errFit
	}
	if size <= MaxRecord {
		if err := s.need(int(size)); err != nil {
			return nil, err
		}
		fields := s.buf[s.r : s.r+int(size) : s.r+int(size)]
		var ok, fits bool
		if s.headersOnly {
			ok, fits = s.rec.readHeaders(fields, s.b, s.want)
		} else {
			ok, fits = s.rec.read(fields, s.b)
		}
		if !ok || !s.inOrder(s.rec.Offset) {
			return nil, errFit
		}
		if fits {
			s.r += int(size)
			return &s.rec, nil
		}
	}
	return s.readLarge(size)
}

// errFit says that the fields of a record do not fit its length, or its batch.
var errFit = errors.New("records do not fit their lengths")

// inOrder reports whether the next record can have this offset: behind those before it,
// and with room for those that follow. Two that share one could not both be settled, and
// brokers do not look at it. Who reads headers alone does not mind.
func (s *Stream) inOrder(offset int64) bool {
	if s.headersOnly {
		return s.b.Base <= offset && offset <= s.b.Last
	}
	return s.next <= offset && offset <= s.b.Last-int64(s.left-1)
}

// readLarge reads past a record, and keeps of it what is small.
func (s *Stream) readLarge(size int64) (*Record, error) {
	f := fields{s: s, left: size}
	f.skip(1) // attributes
	rec := Record{Millis: s.b.timeOf(f.varint()), Offset: s.b.Base + f.varint(), Beyond: size}
	if f.err == nil && !s.inOrder(rec.Offset) {
		return nil, errFit
	}
	if n := f.varint(); n >= 0 && n <= maxKey {
		rec.Key = f.bytes(n)
	} else {
		f.skip(max(0, n))
	}
	f.skip(max(0, f.varint())) // the value
	if n := f.varint(); f.err == nil && (n < 0 || n > f.left/2) {
		return nil, errFit
	} else if len(s.want) > 0 {
		for ; n > 0 && f.err == nil; n-- {
			f.header(&rec)
		}
	}
	f.skip(f.left)
	if f.err != nil && !(rec.Offset >= s.next && s.b.cut && errors.Is(f.err, io.ErrUnexpectedEOF)) {
		return nil, f.err
	}
	s.rec = rec
	return &s.rec, nil
}

// fields are those of one record that is read past: the first error stays.
type fields struct {
	s    *Stream
	left int64
	err  error
}

func (f *fields) varint() int64 {
	if f.err != nil {
		return 0
	}
	before := f.s.read64
	v, err := f.s.varint()
	f.left -= f.s.read64 - before
	if f.err = err; err == nil && f.left < 0 {
		f.err = errFit
	}
	return v
}

func (f *fields) skip(n int64) {
	switch {
	case f.err != nil:
	case n > f.left:
		f.err = errFit
	default:
		f.err = f.s.discard(n)
		f.left -= n
	}
}

// bytes returns a copy of the next n bytes, of which there must be few.
func (f *fields) bytes(n int64) []byte {
	if f.err == nil && n > f.left {
		f.err = errFit
	}
	if f.err == nil {
		f.err = f.s.need(int(n))
	}
	if f.err != nil {
		return nil
	}
	out := append([]byte{}, f.s.buf[f.s.r:f.s.r+int(n)]...)
	f.skip(n)
	return out
}

// header keeps a header that is wanted: of several that have one name the last, which is
// the one that counts, so that a million of them take no more than one.
func (f *fields) header(rec *Record) {
	n := f.varint()
	if n < 0 || n > maxName {
		f.skip(max(0, n))
		f.skip(max(0, f.varint()))
		return
	}
	key := f.bytes(n)
	if n = f.varint(); n < 0 || n > maxName || !slices.Contains(f.s.want, string(key)) {
		f.skip(max(0, n))
		return
	}
	rec.Headers = slices.DeleteFunc(rec.Headers, func(h Header) bool { return string(h.Key) == string(key) })
	rec.Headers = append(rec.Headers, Header{Key: key, Value: f.bytes(n)})
}

// maxName bounds the headers that are looked at in a record that is read past.
const maxName = 512

// varint takes a number.
func (s *Stream) varint() (int64, error) {
	for {
		v, n := binary.Varint(s.buf[s.r:s.w])
		switch {
		case n > 0:
			s.r += n
			s.read64 += int64(n)
			return v, nil
		case n < 0:
			return 0, errFit
		}
		if err := s.need(s.w - s.r + 1); err != nil {
			return 0, err
		}
	}
}

// need has n bytes in the buffer, in one piece.
func (s *Stream) need(n int) error {
	if s.w-s.r >= n {
		return nil
	}
	if s.rd == nil {
		return io.ErrUnexpectedEOF
	}
	if n > len(s.buf) { // grows with what really comes: a length alone allocates little
		return s.grow(n)
	}
	if s.r+n > len(s.buf) || s.r == s.w {
		s.w, s.r = copy(s.buf, s.buf[s.r:s.w]), 0
	}
	for empty := 0; s.w-s.r < n; {
		m, err := s.rd.Read(s.buf[s.w:])
		s.w += m
		if s.unpacked += int64(m); s.unpacked > maxUnpacked {
			return errBeyond
		}
		if m == 0 {
			empty++
		}
		if s.w-s.r >= n {
			return nil
		}
		if err != nil || empty > 100 {
			return unpackError(err)
		}
	}
	return nil
}

// grow has n bytes in a larger buffer.
func (s *Stream) grow(n int) error {
	for len(s.buf) < n {
		if err := s.need(len(s.buf)); err != nil {
			return err
		}
		larger := make([]byte, min(2*len(s.buf), MaxRecord+streamBuffer))
		s.w, s.r = copy(larger, s.buf[s.r:s.w]), 0
		if len(s.buf) == streamBuffer {
			streamBuffers.Put((*[streamBuffer]byte)(s.buf))
		}
		s.buf = larger
	}
	return s.need(n)
}

// discard passes n bytes over.
func (s *Stream) discard(n int64) error {
	s.read64 += n
	for {
		m := min(n, int64(s.w-s.r))
		s.r += int(m)
		if n -= m; n == 0 {
			return nil
		}
		if err := s.need(1); err != nil {
			return err
		}
	}
}
