// Package answered is the memory of what was answered: which intents of one outcome
// partition have their outcome, for a window of time.
//
// It takes in what somebody else reads or writes, and answers one question: was this
// intent answered, and with this content? It holds no lock, no goroutine, no clock
// and no logger, and knows no broker. A Set belongs to whoever makes it; Look, Len
// and Bytes may be called at the same time as each other.
//
// # What an answered intent costs
//
// There may be many millions, so an entry is 28 bytes without a pointer: a hash of
// the id, long enough that nobody can find two ids that share it, half of the digest,
// and where the outcome stands, counted from the first one of its part of the window.
// Entries stand in flat tables that are at least four fifths full, so one costs
// 36 bytes at most, and the garbage collector has nothing to follow. A table is one of
// many (shards), so that the one that grows is small: nobody waits long for it, and
// the memory is never there twice.
//
// # Many at once
//
// Between BeginLoad and EndLoad outcomes are only put aside, shard by shard. Their
// tables are made when their part of the window is whole: of the right size at once,
// and one after the other, each of which fits a processor's cache. To grow tables
// instead, entry by entry, costs four times as much.
package answered

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"
)

// Known is what is known of an intent.
type Known int

const (
	Unknown  Known = iota // not answered yet
	Answered              // answered before we came: a redelivery or a replay
	Repeated              // answered by us: an upstream duplicate, or a replay
	Differs               // its id was answered with other content: a conflict
)

// String names it as metrics and logs do.
func (k Known) String() string {
	return [...]string{"unknown", "redelivered", "repeated", "conflict"}[k]
}

// An Outcome is what is remembered of one.
type Outcome struct {
	ID     []byte   // the intent's
	Digest [16]byte // of its content
	Ours   bool     // this process published it
	Offset int64    // where it stands in the outcome partition; negative: not known
	At     time.Time
}

// A Set is the answered intents of a window. Make one with New.
//
// It is a row of parts by time, so that what is older than the window goes in one
// piece, and the memory with it.
type Set struct {
	window  time.Duration
	parts   []*part // oldest first
	loading bool    // the newest part's entries are put aside
}

// A part is the intents that were answered in one part of the window.
type part struct {
	since  time.Time // its first outcome's, at the earliest
	base   int64     // offset from which places count
	based  bool      // base is known
	shards [shards]table
	aside  *aside // entries that have no table yet; nil: none
}

const (
	// partsPerWindow trades how exactly the window is kept for look-ups per intent.
	partsPerWindow = 4

	shards = 64
)

// New returns an empty set that knows what is younger than the window.
func New(window time.Duration) *Set { return &Set{window: window} }

// Add notes an answered intent. The first answer is the answer. Times of one
// partition rise, more or less.
func (s *Set) Add(o Outcome) {
	if n := len(s.parts); n == 0 || o.At.Sub(s.parts[n-1].since) >= s.window/partsPerWindow {
		if n > 0 {
			s.parts[n-1].settle()
		}
		s.parts = append(s.parts, &part{since: o.At})
	}
	h := hashOf(o.ID)
	p := s.parts[len(s.parts)-1]
	e := entry{h, contentOf(o.Digest, o.Ours), p.placeOf(o.Offset)}
	if !s.loading {
		p.shard(h).add(e)
		return
	}
	if p.aside == nil {
		p.aside = &aside{}
	}
	p.aside.add(e)
}

// BeginLoad says that many outcomes are added now. Until EndLoad all is known as ever,
// but a look-up takes longer.
func (s *Set) BeginLoad() { s.loading = true }

// EndLoad makes look-ups fast again.
func (s *Set) EndLoad() {
	s.loading = false
	if n := len(s.parts); n > 0 {
		s.parts[n-1].settle()
	}
}

// Place returns where the outcome of an intent stands, negative if that is not known,
// and whether the intent was answered. The partition may have been made again since:
// who reads there has to see whose outcome it is.
func (s *Set) Place(id []byte) (offset int64, answered bool) {
	h := hashOf(id)
	for _, p := range s.parts {
		if e := p.find(h); e != nil {
			return p.offset(e.place), true
		}
	}
	return -1, false
}

// Look says what is known of an intent with this content.
func (s *Set) Look(id []byte, digest [16]byte) Known {
	h := hashOf(id)
	for _, p := range s.parts {
		if e := p.find(h); e != nil {
			switch {
			case !e.content.same(contentOf(digest, false)):
				return Differs
			case e.content.isOurs():
				return Repeated
			}
			return Answered
		}
	}
	return Unknown
}

// Trim forgets what is wholly older than the window. It returns the time from which
// on everything is still known, or the zero time if nothing was forgotten.
func (s *Set) Trim(now time.Time) (reach time.Time) {
	for len(s.parts) > 1 && now.Sub(s.parts[1].since) > s.window {
		s.parts[0] = nil
		s.parts = s.parts[1:]
		reach = s.parts[0].since
	}
	return reach
}

// Len is how many intents are known.
func (s *Set) Len() (n int) {
	for _, p := range s.parts {
		for i := range p.shards {
			n += p.shards[i].used
		}
		n += p.aside.len()
	}
	return n
}

// Bytes is how much memory they take.
func (s *Set) Bytes() (n int64) {
	for _, p := range s.parts {
		for i := range p.shards {
			n += int64(cap(p.shards[i].slots)) * entrySize
		}
		n += p.aside.bytes()
	}
	return n
}

// A place is an offset, counted from a little before the first one that its part
// knew: outcomes may be told out of order. 0: it is not known, or too far off. It is
// bytes, the lowest first, so that an entry is the same on every machine.
type place [4]byte

// beforeFirst is how far before its first offset a part still knows places.
const beforeFirst = 1 << 20

func (p *part) placeOf(offset int64) place {
	if offset < 0 {
		return place{}
	}
	if !p.based {
		p.base, p.based = offset-beforeFirst, true
	}
	if d := offset - p.base; d > 0 && d <= math.MaxUint32 {
		var at place
		binary.LittleEndian.PutUint32(at[:], uint32(d))
		return at
	}
	return place{}
}

func (p *part) offset(at place) int64 {
	if at == (place{}) {
		return -1
	}
	return p.base + int64(binary.LittleEndian.Uint32(at[:]))
}

func (p *part) shard(h hash) *table { return &p.shards[h[0]%shards] }

// find returns the entry of a hash, nil if there is none.
func (p *part) find(h hash) *entry {
	if e := p.shard(h).find(h); e != nil || p.aside == nil {
		return e
	}
	return p.aside.find(h)
}

// settle makes the tables of what was put aside.
func (p *part) settle() {
	if p.aside == nil {
		return
	}
	for i := range p.shards {
		list := &p.aside.lists[i]
		p.shards[i].reserve(list.n)
		for _, some := range list.chunks {
			for j := range some {
				p.shards[i].add(some[j])
			}
		}
		*list = asideList{}
	}
	p.aside = nil
}

// A hash stands for an intent id.
type hash [16]byte

func hashOf(id []byte) (h hash) {
	sum := sha256.Sum256(id)
	copy(h[:], sum[:])
	return h
}

// A content is half of a digest, but for its last bit: that one says who answered. It
// is bytes and no number, so that an entry has no gap.
type content [8]byte

const ours = 1

func contentOf(digest [16]byte, mine bool) (c content) {
	copy(c[:], digest[:])
	c[7] &^= ours
	if mine {
		c[7] |= ours
	}
	return c
}

func (c content) same(other content) bool {
	c[7], other[7] = c[7]&^ours, other[7]&^ours
	return c == other
}

func (c content) isOurs() bool { return c[7]&ours != 0 }
