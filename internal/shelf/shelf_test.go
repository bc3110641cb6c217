package shelf

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func open(t *testing.T, dir string) *Shelf {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t *testing.T, s *Shelf, name, text string) {
	t.Helper()
	if err := s.Write(name, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
		t.Fatal(err)
	}
}

func read(s *Shelf, name string) (text string, err error) {
	err = s.Read(name, func(r io.Reader, size int64) error {
		b := make([]byte, size)
		_, err := io.ReadFull(r, b)
		text = string(b)
		return err
	})
	return text, err
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "made", "here"))
	if _, err := read(s, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v, want %v", err, fs.ErrNotExist)
	}
	write(t, s, "a", "one")
	write(t, s, "a", "another one")
	if text, err := read(s, "a"); err != nil || text != "another one" {
		t.Errorf("%q, %v", text, err)
	}
	failed := errors.New("no")
	if err := s.Write("a", func(io.Writer) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("write: %v, want %v", err, failed)
	}
	if text, err := read(s, "a"); err != nil || text != "another one" {
		t.Errorf("after a write that failed: %q, %v; want the one before", text, err)
	}
	if err := s.PutAside("a"); err != nil {
		t.Error(err)
	}
	if _, err := read(s, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("put aside: %v, want %v", err, fs.ErrNotExist)
	}
}

// Whatever is done to a file, it is read as it was, or not believed.
func TestADamagedFileIsNotBelieved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	write(t, s, "a", "some text that is kept")
	path := filepath.Join(dir, "a")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := [][]byte{append(bytes.Clone(good), 0)}
	for n := range good {
		damaged = append(damaged, good[:n])
		for bit := range 8 {
			b := bytes.Clone(good)
			b[n] ^= 1 << bit
			damaged = append(damaged, b)
		}
	}
	for _, b := range damaged {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := read(s, "a"); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%q is read: %v, want %v", b, err, ErrDamaged)
		}
	}
}

func TestAFolderBelongsToOne(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := Open(dir); !errors.Is(err, ErrShared) {
		t.Errorf("opened twice: %v, want %v", err, ErrShared)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"+newSuffix), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Close()
	open(t, dir)
	if left, _ := filepath.Glob(filepath.Join(dir, "*"+newSuffix)); len(left) > 0 {
		t.Errorf("%q left of who was killed while writing", left)
	}
}

func TestAFolderThatCannotBeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil {
		t.Error("a file is opened as a folder")
	}
}
