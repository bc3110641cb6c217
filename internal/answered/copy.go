package answered

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
	"unsafe"
)

// A Copy is a set that is copied piece by piece while it is in use: what comes between
// two pieces may be in it, or not.
type Copy struct{ parts []*part }

// Copy begins a copy, of a set that is not loading.
func (s *Set) Copy() Copy { return Copy{append([]*part(nil), s.parts...)} }

// Len is how many pieces there are.
func (c Copy) Len() int { return len(c.parts) * shards }

// A piece is one table, behind pieceHead bytes: when its part of the window began, in
// Unix nanoseconds; the part's base; how many slots the table has, and how many of them
// are used. Slots are written as they stand in memory, which is the same everywhere.
const (
	pieceHead = 8 + 8 + 4 + 4
	noBase    = math.MinInt64
)

// Append appends a piece. It needs of its caller what Look needs.
func (c Copy) Append(dst []byte, i int) []byte {
	p := c.parts[i/shards]
	t, base := &p.shards[i%shards], int64(noBase)
	if p.based {
		base = p.base
	}
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(p.since.UnixNano()))
	dst = le.AppendUint64(dst, uint64(base))
	dst = le.AppendUint32(dst, uint32(len(t.slots)))
	dst = le.AppendUint32(dst, uint32(t.used))
	return append(dst, bytesOf(t.slots)...)
}

// errCopy says that something else was written than a copy.
var errCopy = errors.New("it is no copy of a set")

// Read fills an empty set with a copy of so many pieces, which take at most so many
// bytes. All that it knows was then answered by others. After an error the set must not
// be used.
func (s *Set) Read(r io.Reader, pieces int, most int64) error {
	if pieces < 0 || pieces%shards != 0 || int64(pieces)*pieceHead > most {
		return errCopy
	}
	head := make([]byte, pieceHead)
	for i := range pieces {
		if _, err := io.ReadFull(r, head); err != nil {
			return fmt.Errorf("%w: %v", errCopy, err)
		}
		le := binary.LittleEndian
		slots, used := int64(le.Uint32(head[16:])), int(le.Uint32(head[20:]))
		if most -= pieceHead + slots*entrySize; most < 0 {
			return errCopy
		}
		if i%shards == 0 {
			s.parts = append(s.parts, &part{since: time.Unix(0, int64(le.Uint64(head)))})
		}
		p := s.parts[len(s.parts)-1]
		if base := int64(le.Uint64(head[8:])); base != noBase {
			p.base, p.based = base, true
		}
		if err := p.shards[i%shards].read(r, int(slots), used); err != nil {
			return err
		}
	}
	return nil
}

// read reads a table's slots.
func (t *table) read(r io.Reader, slots, used int) error {
	t.slots = make([]entry, slots)
	if _, err := io.ReadFull(r, bytesOf(t.slots)); err != nil {
		return fmt.Errorf("%w: %v", errCopy, err)
	}
	for i := range t.slots {
		if e := &t.slots[i]; e.id != (hash{}) {
			e.content[len(e.content)-1] &^= ours
			t.used++
		}
	}
	if t.used != used || slots > 0 && used == slots { // a search ends at a free slot
		return errCopy
	}
	return nil
}

// bytesOf is the memory of entries, which are nothing but bytes.
func bytesOf(e []entry) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(e))), len(e)*int(entrySize))
}
