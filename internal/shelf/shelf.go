// Package shelf keeps files in a folder that are whole or not believed.
//
// A folder belongs to one process at a time, by a lock. A file is written beside its
// place, with its checksum, synced, and put into its place at once: whoever is killed
// while writing leaves the one before. What is read is to be believed only when Read
// has returned without an error: the checksum stands at the end. What is damaged is put
// aside under another name, for people to look at.
//
// It does not know what the files hold.
package shelf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// ErrDamaged says that a file is not what was written.
var ErrDamaged = errors.New("the file is damaged")

// ErrShared says that another process has the folder.
var ErrShared = errors.New("another process is using it")

const (
	lockName  = "lock"
	newSuffix = ".new"
	oldSuffix = ".aside"

	// magic begins every file. Another form of files gets another one.
	magic   = "paylink shelf 1\n"
	trailer = 4 // the checksum
	buffer  = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Shelf is a folder that is ours until Close. It is safe for concurrent use, of
// different files.
type Shelf struct {
	dir  string
	lock *flock.Flock
}

// Open makes the folder if it is not there, and takes it. It needs to write there.
func Open(dir string) (*Shelf, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Shelf{dir: dir, lock: flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))}
	switch ours, err := s.lock.TryLock(); {
	case err != nil:
		return nil, err
	case !ours:
		return nil, fmt.Errorf("%s: %w", dir, ErrShared)
	}
	left, _ := filepath.Glob(s.path("*" + newSuffix)) // of one that was killed
	for _, path := range left {
		os.Remove(path)
	}
	return s, nil
}

// Close gives the folder to others.
func (s *Shelf) Close() error { return s.lock.Unlock() }

func (s *Shelf) path(name string) string { return filepath.Join(s.dir, name) }

// Write makes a file of what body writes, in the place of the one before. With an error
// that one stays.
func (s *Shelf) Write(name string, body func(io.Writer) error) (err error) {
	f, err := os.OpenFile(s.path(name+newSuffix), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	buf, sum := bufio.NewWriterSize(f, buffer), crc32.New(castagnoli)
	w := io.MultiWriter(buf, sum)
	if _, err = io.WriteString(w, magic); err != nil {
		return err
	}
	if err = body(w); err != nil {
		return err
	}
	if _, err = buf.Write(binary.BigEndian.AppendUint32(nil, sum.Sum32())); err != nil {
		return err
	}
	if err = errors.Join(buf.Flush(), f.Sync()); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), s.path(name)); err != nil {
		return err
	}
	return s.syncDir()
}

// syncDir makes sure that a new name stays.
func (s *Shelf) syncDir() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Read gives body the bytes that were written, and how many there are. Where they are
// not, also if body finds that, the error is ErrDamaged; if there is no file,
// fs.ErrNotExist. Any other error of body is returned as it is.
func (s *Shelf) Read(name string, body func(r io.Reader, size int64) error) error {
	f, err := os.Open(s.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size() - int64(len(magic)+trailer)
	if size < 0 {
		return fmt.Errorf("%w: it has %d bytes", ErrDamaged, info.Size())
	}
	r := &summing{from: io.LimitReader(f, info.Size()-trailer)}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
		return fmt.Errorf("%w: it does not begin as one of ours", ErrDamaged)
	}
	if err := body(r, size); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	var want [trailer]byte
	if _, err := io.ReadFull(f, want[:]); err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if r.sum != binary.BigEndian.Uint32(want[:]) {
		return fmt.Errorf("%w: its checksum differs", ErrDamaged)
	}
	return nil
}

// summing takes the checksum of what is read.
type summing struct {
	from io.Reader
	sum  uint32
}

// Read implements io.Reader.
func (s *summing) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	s.sum = crc32.Update(s.sum, castagnoli, p[:n])
	return n, err
}

// PutAside gives a file another name, in the place of the one that was put aside
// before.
func (s *Shelf) PutAside(name string) error {
	return os.Rename(s.path(name), s.path(name+oldSuffix))
}
