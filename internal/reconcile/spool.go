package reconcile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// A spool is a file of matters that wait for the gateway. Nobody else sees it.
type spool struct {
	file *os.File
	w    *bufio.Writer
	size int64
	buf  []byte
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "spool-")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name()) // where that fails, close removes it
	return &spool{file: f, w: bufio.NewWriterSize(f, 64<<10)}, nil
}

func (s *spool) close() {
	s.file.Close()
	_ = os.Remove(s.file.Name())
}

func (s *spool) flush() error { return s.w.Flush() }

// put appends a matter and returns where it stands.
func (s *spool) put(m *matter) (at int64, err error) {
	s.buf = m.append(s.buf[:0])
	at = s.size
	s.size += 4 + int64(len(s.buf))
	if _, err = s.w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s.buf)))); err != nil {
		return at, err
	}
	_, err = s.w.Write(s.buf)
	return at, err
}

// get reads one matter, after flush. It may be called concurrently.
func (s *spool) get(at int64) (m matter, err error) {
	var room [512]byte
	n, err := s.file.ReadAt(room[:], at)
	if n < 4 {
		return m, err
	}
	size := int(binary.BigEndian.Uint32(room[:]))
	if size <= n-4 {
		return readMatter(string(room[4 : 4+size])), nil
	}
	b := make([]byte, size)
	if _, err := s.file.ReadAt(b, at+4); err != nil {
		return m, err
	}
	return readMatter(string(b)), nil
}

// each reads all matters in their order.
func (s *spool) each(yield func(*matter) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(s.file, 0, s.size), 256<<10)
	var b []byte
	for {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		b = append(b[:0], make([]byte, binary.BigEndian.Uint32(head[:]))...)
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		m := readMatter(string(b))
		if err := yield(&m); err != nil {
			return err
		}
	}
}

func (m *matter) append(b []byte) []byte {
	b = append(b, byte(m.class), byte(m.state), bit(m.ask))
	b = binary.AppendVarint(binary.AppendVarint(b, m.ageS), m.entry.payment)
	for _, s := range [...]string{m.id, m.entry.merchant, m.entry.order, m.entry.amount, m.entry.currency, m.detail} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

func readMatter(s string) (m matter) {
	r := textReader{s}
	m.class, m.state, m.ask, m.ageS, m.entry.payment = Class(r.byte()), state(r.byte()), r.byte() == 1, r.varint(), r.varint()
	for _, to := range [...]*string{&m.id, &m.entry.merchant, &m.entry.order, &m.entry.amount, &m.entry.currency, &m.detail} {
		*to = r.text()
	}
	return m
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
