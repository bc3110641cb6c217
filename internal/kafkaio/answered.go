package kafkaio

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"paylink/internal/event"
	"paylink/internal/pipeline"
)

// answered is the set of answered intents, kept for a window of time. Each
// costs one map entry of 24 bytes plus the map's slack: a hash of the id, long
// enough that nobody can find two ids that share it, and half of the digest.
//
// It is a row of maps by time, so that what is older than the window goes in one
// piece, and the memory with it.
type answered struct {
	window  time.Duration
	buckets []bucket // oldest first
}

type bucket struct {
	since time.Time // its first record's, at the earliest
	byID  map[idHash]uint64
}

type idHash [16]byte

// bucketsPerWindow trades how exactly the window is kept for look-ups per intent.
const bucketsPerWindow = 4

func hashID(id []byte) (h idHash) {
	sum := sha256.Sum256(id)
	copy(h[:], sum[:])
	return h
}

// half is the half of a digest that is kept, but for the last bit: that one says
// who answered.
func half(d event.Digest) uint64 { return binary.BigEndian.Uint64(d[:]) &^ ours }

// ours marks what this process answered itself.
const ours = 1

// add notes an answered intent. Times of one partition rise, more or less.
func (a *answered) add(id []byte, digest uint64, at time.Time) {
	width := a.window / bucketsPerWindow
	if n := len(a.buckets); n == 0 || at.Sub(a.buckets[n-1].since) >= width {
		a.buckets = append(a.buckets, bucket{since: at, byID: map[idHash]uint64{}})
	}
	byID := a.buckets[len(a.buckets)-1].byID
	h := hashID(id)
	if _, ok := byID[h]; !ok {
		byID[h] = digest // the first answer is the answer
	}
}

func (a *answered) look(id []byte, digest uint64) pipeline.Known {
	h := hashID(id)
	for i := range a.buckets {
		if d, ok := a.buckets[i].byID[h]; ok {
			switch {
			case d&^ours != digest&^ours:
				return pipeline.Differs
			case d&ours != 0:
				return pipeline.Repeated
			}
			return pipeline.Answered
		}
	}
	return pipeline.Unknown
}

// trim forgets what is wholly older than the window. It returns the time from
// which on everything is still known, or the zero time if nothing was forgotten.
func (a *answered) trim(now time.Time) (reach time.Time) {
	for len(a.buckets) > 1 && now.Sub(a.buckets[1].since) > a.window {
		a.buckets = a.buckets[1:]
		reach = a.buckets[0].since
	}
	return reach
}

func (a *answered) len() int {
	n := 0
	for i := range a.buckets {
		n += len(a.buckets[i].byID)
	}
	return n
}
