package answered

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

func copyOf(s *Set) (b []byte, pieces int) {
	c := s.Copy()
	for i := range c.Len() {
		b = c.Append(b, i)
	}
	return b, c.Len()
}

// TestACopyKnowsTheSame, but for who answered: that was another life.
func TestACopyKnowsTheSame(t *testing.T) {
	s := New(4 * time.Hour)
	for i := range 5000 {
		s.Add(Outcome{ID: fmt.Append(nil, i), Digest: digest(i % 7), Ours: i%2 == 0, Offset: int64(i) - 3, At: t0.Add(time.Duration(i) * time.Second)})
	}
	b, pieces := copyOf(s)
	is := New(4 * time.Hour)
	if err := is.Read(bytes.NewReader(b), pieces, int64(len(b))); err != nil {
		t.Fatal(err)
	}
	if is.Len() != s.Len() || is.Bytes() != s.Bytes() {
		t.Errorf("%d intents in %d bytes, want %d in %d", is.Len(), is.Bytes(), s.Len(), s.Bytes())
	}
	for i := range 6000 {
		id := fmt.Append(nil, i)
		want := s.Look(id, digest(3))
		if want == Repeated {
			want = Answered
		}
		at, known := is.Place(id)
		wantAt, wantKnown := s.Place(id)
		if got := is.Look(id, digest(3)); got != want || at != wantAt || known != wantKnown {
			t.Fatalf("%d is %v at %d, want %v at %d", i, got, at, want, wantAt)
		}
	}
	later := t0.Add(6 * time.Hour)
	if a, b := s.Trim(later), is.Trim(later); !a.Equal(b) || a.IsZero() {
		t.Errorf("reach %v, want %v", b, a)
	}
	for i := range 20_000 {
		is.Add(Outcome{ID: fmt.Append(nil, "more", i), At: later})
	}
}

func TestACopyIsTakenWhileTheSetIsUsed(t *testing.T) {
	s := New(time.Hour)
	for i := range 2000 {
		s.Add(Outcome{ID: fmt.Append(nil, i), Offset: -1, At: t0})
	}
	c, b := s.Copy(), []byte(nil)
	for i := range c.Len() {
		b = c.Append(b, i)
		for j := range 50 {
			s.Add(Outcome{ID: fmt.Append(nil, "more", i, j), Offset: int64(j), At: t0.Add(time.Duration(i) * time.Minute)})
		}
		s.Trim(t0.Add(time.Duration(i) * time.Minute))
	}
	is := New(time.Hour)
	if err := is.Read(bytes.NewReader(b), c.Len(), int64(len(b))); err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if is.Look(fmt.Append(nil, i), digest(0)) != Answered {
			t.Fatalf("%d is not in the copy", i)
		}
	}
}

func TestWhatIsNoCopyIsRefused(t *testing.T) {
	s := New(time.Hour)
	for i := range 1000 {
		s.Add(Outcome{ID: fmt.Append(nil, i), At: t0})
	}
	b, pieces := copyOf(s)
	for _, c := range []struct {
		name   string
		b      []byte
		pieces int
	}{
		{"nothing", nil, pieces}, {"cut off", b[:len(b)-1], pieces}, {"half a part", b, pieces - 1}, {"fewer than none", b, -shards},
		{"too many", b, 1 << 30}, {"a lie about its size", append(bytes.Repeat([]byte{0xff}, pieceHead), b[pieceHead:]...), pieces},
		{"a table without room", full(b), pieces},
	} {
		if err := New(time.Hour).Read(bytes.NewReader(c.b), c.pieces, int64(len(c.b))); err == nil {
			t.Errorf("%s: read as a copy", c.name)
		}
	}
}

// full fills the first table's slots, and says so: a search in it would not end.
func full(b []byte) []byte {
	b = bytes.Clone(b)
	n := int(b[16])
	copy(b[20:], []byte{byte(n), 0, 0, 0})
	for i := range n * int(entrySize) {
		b[pieceHead+i] |= 1
	}
	return b
}
