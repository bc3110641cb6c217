package partition

import "testing"

func TestWhatComesFirstIsTheIntent(t *testing.T) {
	p := New(Limit{Count: 10, Bytes: 1000, Backlog: 10})
	id, other := HashOf([]byte("i")), HashOf([]byte("j"))
	a, b := [16]byte{1}, [16]byte{2}
	first := &Record{Offset: 0, ID: "i"}
	p.Load(first, false)
	for _, s := range []struct {
		offset int64
		id     Hash
		digest [16]byte
		want   bool
	}{
		{0, id, a, false}, {1, id, b, true}, {2, id, a, false}, {3, other, b, false},
		{0, id, b, false}, // read again, after settings changed that its content rests on: it is no conflict with itself
		{1, id, b, true},  // read again
	} {
		if got := p.Says(s.offset, s.id, s.digest); got != s.want {
			t.Errorf("%d says %v: conflict %v, want %v", s.offset, s.digest[0], got, s.want)
		}
	}
	p.Unsays(2, id) // it is not the first
	if !p.Says(4, id, b) {
		t.Error("no conflict with the first, which is not settled")
	}
	p.Settle(first)
	if p.Says(5, id, b) || len(p.firsts) != 2 {
		t.Errorf("a conflict with what is settled, or %d remembered, want 2", len(p.firsts))
	}
}
