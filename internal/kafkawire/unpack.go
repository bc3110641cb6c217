package kafkawire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

// errBeyond says that what is packed is intact, and takes more memory to unpack
// than we give it.
var errBeyond = errors.New("unpacking takes too much memory")

// unpackError is the error of a reader that ended too early.
func unpackError(err error) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return errBeyond
	case err == nil, errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// unpacker returns what unpacks a batch's records. What each holds is bounded: gzip
// 32 KiB, lz4 two blocks of 4 MiB, snappy by itself below, zstd maxWindow and as
// much again.
func unpacker(b *Batch) (io.ReadCloser, error) {
	switch b.codec {
	case compress.Gzip, compress.Lz4:
		return b.codec.Codec().NewReader(bytes.NewReader(b.body)), nil
	case compress.Snappy:
		return newSnappy(b.body), nil
	case compress.Zstd:
		rd, err := newZstd(b.body)
		if err != nil {
			return nil, b.corruptBy(err)
		}
		return rd, nil
	}
	return nil, fmt.Errorf("%w at offset %d: compression %d is unknown", ErrCorrupt, b.Base, b.codec)
}

// maxWindow bounds how far back zstd may refer. Java's producers stay below it up
// to level 19.
const maxWindow = 8 << 20

var zstdPool sync.Pool // *zstd.Decoder

type zstdReader struct {
	*zstd.Decoder
	narrowed bool // the frame says that it refers further back than we look
}

func newZstd(body []byte) (io.ReadCloser, error) {
	head, rest, narrowed := narrow(body)
	d, _ := zstdPool.Get().(*zstd.Decoder)
	if d == nil {
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
	}
	var src io.Reader = bytes.NewReader(body)
	if narrowed {
		src = io.MultiReader(bytes.NewReader(head), bytes.NewReader(rest))
	}
	if err := d.Reset(src); err != nil {
		zstdPool.Put(d)
		return nil, err
	}
	return &zstdReader{d, narrowed}, nil
}

// Read has what a narrowed frame refers to and we do not hold be beyond us.
func (z *zstdReader) Read(p []byte) (int, error) {
	n, err := z.Decoder.Read(p)
	if err != nil && z.narrowed && !errors.Is(err, io.EOF) {
		err = errBeyond
	}
	return n, err
}

// Close implements io.Closer.
func (z *zstdReader) Close() error {
	if z.Decoder.Reset(nil) == nil {
		zstdPool.Put(z.Decoder)
	}
	return nil
}

// narrow returns the header of a zstd frame (RFC 8878, 3.1.1.1) that says of itself
// that it takes a window larger than ours, with our window in its place. Levels 20
// and up say so of every frame, however short it is, and few refer so far back.
func narrow(body []byte) (head, rest []byte, narrowed bool) {
	const magic, single = 0xFD2FB528, 0x20
	var h zstd.Header
	if len(body) < 18 || binary.LittleEndian.Uint32(body) != magic || h.Decode(body) != nil {
		return nil, nil, false
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	if window <= maxWindow {
		return nil, nil, false
	}
	desc := body[4]
	rest = body[5:]
	if desc&single == 0 {
		rest = rest[1:]
	}
	head = append(head, body[:4]...)
	return append(head, desc&^single, byte(bits.Len(maxWindow)-1-10)<<3), rest, true
}

// snappyReader unpacks snappy: in the framing of Java's xerial library, or a single
// block. Blocks up to wholeBlock are unpacked at once, larger ones piece by piece.
type snappyReader struct {
	src     []byte
	framed  bool
	out     []byte // unpacked; what is before pos was read
	pos     int
	block   []byte // what is left of a block that is unpacked piece by piece
	size    int    // of it, unpacked, not made yet
	plain   int    // how many bytes of a literal are still to be copied
	trimmed bool   // out does not begin where the block does
	err     error
}

const (
	wholeBlock  = 1 << 20
	snappyReach = 8 << 20 // how far back a piece may refer: most stay below 64 KiB, but not all
)

var xerialMagic = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

func newSnappy(body []byte) *snappyReader {
	if len(body) >= 16 && bytes.HasPrefix(body, xerialMagic) {
		return &snappyReader{src: body[16:], framed: true}
	}
	return &snappyReader{src: body}
}

// bodies are what whole bodies are unpacked into.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// snappyBody unpacks a body of at most wholeBlock at once, which saves who reads it a
// copy. It returns nil where it is larger, or broken: the reader says what is wrong.
// Who has read it puts it back.
func snappyBody(body []byte) *[]byte {
	size, ok := snappySize(body)
	if !ok {
		return nil
	}
	out := bodies.Get().(*[]byte)
	if cap(*out) < size {
		*out = make([]byte, size)
	}
	*out = (*out)[:size]
	if unpackSnappy(*out, body) != nil {
		bodies.Put(out)
		return nil
	}
	return out
}

func unpackSnappy(to, body []byte) error {
	for block := range snappyBlocks(body) {
		got, err := snappy.Decode(to, block)
		if err != nil {
			return err
		}
		to = to[len(got):]
	}
	return nil
}

// snappySize is how much a body unpacks to, if that is not more than wholeBlock.
func snappySize(body []byte) (size int, ok bool) {
	whole := len(body)
	if bytes.HasPrefix(body, xerialMagic) {
		whole -= 16
	}
	for block, framed := range snappyBlocks(body) {
		n, at := binary.Uvarint(block)
		if at <= 0 || n > wholeBlock || size+int(n) > wholeBlock {
			return 0, false
		}
		size += int(n)
		whole -= len(block) + framed
	}
	return size, whole == 0
}

// snappyBlocks yields the blocks of a body, with how many bytes stand before each, up
// to where it is broken.
func snappyBlocks(body []byte) iter.Seq2[[]byte, int] {
	return func(yield func([]byte, int) bool) {
		if len(body) < 16 || !bytes.HasPrefix(body, xerialMagic) {
			yield(body, 0)
			return
		}
		for rest := body[16:]; len(rest) >= 4; {
			n := int64(binary.BigEndian.Uint32(rest))
			if n > int64(len(rest)-4) || !yield(rest[4:4+n], 4) {
				return
			}
			rest = rest[4+n:]
		}
	}
}

// Close implements io.Closer.
func (s *snappyReader) Close() error { return nil }

// Read implements io.Reader.
func (s *snappyReader) Read(p []byte) (int, error) {
	for s.pos == len(s.out) && s.err == nil {
		s.err = s.more()
	}
	n := copy(p, s.out[s.pos:])
	s.pos += n
	if n == 0 && len(p) > 0 {
		return 0, s.err
	}
	return n, nil
}

var errSnappy = errors.New("broken snappy block")

func (s *snappyReader) more() error {
	if len(s.block) > 0 || s.size > 0 {
		return s.piece()
	}
	block := s.src
	if len(block) == 0 {
		return io.EOF
	}
	s.src = nil
	if s.framed {
		if len(block) < 4 {
			return io.ErrUnexpectedEOF
		}
		n := int64(binary.BigEndian.Uint32(block))
		if n > int64(len(block)-4) {
			return io.ErrUnexpectedEOF
		}
		s.src, block = block[4+n:], block[4:4+n]
	}
	size, n := binary.Uvarint(block)
	if n <= 0 || size > 1<<32-1 {
		return errSnappy
	}
	if size > wholeBlock {
		s.out, s.pos, s.block, s.size, s.trimmed = s.out[:0], 0, block[n:], int(size), false
		return nil
	}
	out, err := snappy.Decode(s.out[:cap(s.out)], block)
	s.out, s.pos = out, 0
	return err
}

// piece unpacks some more of a large block.
func (s *snappyReader) piece() error {
	if keep := len(s.out) - snappyReach; keep > snappyReach/4 {
		s.out = append(s.out[:0], s.out[keep:]...)
		s.pos, s.trimmed = len(s.out), true
	}
	for end := len(s.out) + streamBuffer; len(s.out) < end && len(s.block) > 0; {
		before := len(s.out)
		if err := s.element(); err != nil {
			return err
		}
		if s.size -= len(s.out) - before; s.size < 0 {
			return errSnappy
		}
	}
	if len(s.block) == 0 && s.size > 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// element unpacks one literal or copy: google/snappy, format_description.txt.
func (s *snappyReader) element() error {
	if s.plain > 0 {
		n := min(s.plain, streamBuffer)
		s.out = append(s.out, s.block[:n]...)
		s.block, s.plain = s.block[n:], s.plain-n
		return nil
	}
	tag := s.block[0]
	kind, arg := tag&3, int(tag>>2)
	extra := [...]int{0, 1, 2, 4}[kind]
	if kind == 0 && arg >= 60 {
		extra = arg - 59
	}
	if len(s.block) < 1+extra {
		return io.ErrUnexpectedEOF
	}
	v := 0
	for i := range extra {
		v |= int(s.block[1+i]) << (8 * i)
	}
	s.block = s.block[1+extra:]
	if kind == 0 {
		n := arg + 1
		if extra > 0 {
			n = v + 1
		}
		if n > len(s.block) {
			return io.ErrUnexpectedEOF
		}
		s.plain = n
		return nil
	}
	n, back := arg+1, v
	if kind == 1 {
		n, back = 4+arg&7, arg>>3<<8|v
	}
	switch {
	case back == 0, back > len(s.out) && !s.trimmed:
		return errSnappy
	case back > len(s.out):
		return errBeyond
	}
	for range n {
		s.out = append(s.out, s.out[len(s.out)-back])
	}
	return nil
}
