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
// There may be many millions, so an entry is 24 bytes without a pointer: a hash of
// the id, long enough that nobody can find two ids that share it, and half of the
// digest. Entries stand in flat tables that are at least four fifths full, so one costs
// 30 bytes at most, and the garbage collector has nothing to follow. A table is one of
// many (shards), so that the one that grows is small: nobody waits long for it, and
// the memory is never there twice.
package answered

import (
	"crypto/sha256"
	"encoding/binary"
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
	At     time.Time
}

// A Set is the answered intents of a window. Make one with New.
//
// It is a row of parts by time, so that what is older than the window goes in one
// piece, and the memory with it.
type Set struct {
	window time.Duration
	parts  []*part // oldest first
}

// A part is the intents that were answered in one part of the window.
type part struct {
	since  time.Time // its first outcome's, at the earliest
	shards [shards]table
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
		s.parts = append(s.parts, &part{since: o.At})
	}
	h := hashOf(o.ID)
	s.parts[len(s.parts)-1].shard(h).add(entry{h, contentOf(o.Digest, o.Ours)})
}

// Look says what is known of an intent with this content.
func (s *Set) Look(id []byte, digest [16]byte) Known {
	h := hashOf(id)
	for _, p := range s.parts {
		if e := p.shard(h).find(h); e != nil {
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
	}
	return n
}

// Bytes is how much memory they take.
func (s *Set) Bytes() (n int64) {
	for _, p := range s.parts {
		for i := range p.shards {
			n += int64(cap(p.shards[i].slots)) * entrySize
		}
	}
	return n
}

func (p *part) shard(h hash) *table { return &p.shards[h[0]%shards] }

// A hash stands for an intent id.
type hash [16]byte

func hashOf(id []byte) (h hash) {
	sum := sha256.Sum256(id)
	copy(h[:], sum[:])
	return h
}

// A content is half of a digest, but for its last bit: that one says who answered.
type content uint64

const ours = 1

func contentOf(digest [16]byte, mine bool) content {
	c := content(binary.BigEndian.Uint64(digest[:])) &^ ours
	if mine {
		c |= ours
	}
	return c
}

func (c content) same(other content) bool { return c&^ours == other&^ours }
func (c content) isOurs() bool            { return c&ours != 0 }
