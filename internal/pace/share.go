package pace

import (
	"cmp"
	"slices"
)

// A Share is which of a topic's partitions a member owns, turned into which
// slots of a Limit are its own. It does not change, so all merchants' limits
// have one in common: make it once per change of ownership.
//
// Slot k belongs to the partition at place k mod total. Places are not in the
// order of partitions: members own runs of partitions, and would have runs of
// slots with long pauses between. Partitions are placed in the order of
// p × golden ratio (mod 1), which spreads any run evenly over the round.
type Share struct {
	total int64
	own   []int32 // places, ascending
}

// NewShare returns the share of a member that owns some of total partitions.
// Partitions that are not among 0 … total-1 do not count.
func NewShare(parts []int32, total int) *Share {
	total = max(total, 1)
	mine := make([]bool, total)
	for _, p := range parts {
		if p >= 0 && int(p) < total {
			mine[p] = true
		}
	}
	s := &Share{total: int64(total)}
	for place, p := range places(total) {
		if mine[p] {
			s.own = append(s.own, int32(place))
		}
	}
	return s
}

// places lists the partitions in the order of their slots.
func places(total int) []int32 {
	order := make([]int32, total)
	for p := range order {
		order[p] = int32(p)
	}
	const golden = 0x9E3779B97F4A7C15 // 2^64 / golden ratio
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Compare(uint64(a)*golden, uint64(b)*golden)
	})
	return order
}

func (s *Share) size() int64 { return int64(len(s.own)) }

// has reports whether a slot is among the owned ones.
func (s *Share) has(slot int64) bool {
	_, ok := slices.BinarySearch(s.own, int32(slot%s.total))
	return ok
}

// within reports whether all of s is in o.
func (s *Share) within(o *Share) bool {
	if s == o || len(s.own) == 0 {
		return true
	}
	if s.total != o.total || len(s.own) > len(o.own) {
		return false
	}
	for _, place := range s.own {
		if _, ok := slices.BinarySearch(o.own, place); !ok {
			return false
		}
	}
	return true
}

// and returns what is in both. Shares of unlike totals have nothing in common.
func (s *Share) and(o *Share) *Share {
	switch {
	case s.within(o) && s.total == o.total:
		return s
	case o.within(s):
		return o
	}
	both := &Share{total: o.total}
	for _, place := range s.own {
		if _, ok := slices.BinarySearch(o.own, place); ok && s.total == o.total {
			both.own = append(both.own, place)
		}
	}
	return both
}

// upTo counts the owned slots among 0 … k.
func (s *Share) upTo(k int64) int64 {
	round, i := s.find(k)
	return round*s.size() + i
}

// after returns the first owned slot after k; there must be one.
func (s *Share) after(k int64) int64 {
	round, i := s.find(k)
	if i == s.size() {
		round, i = round+1, 0
	}
	return round*s.total + int64(s.own[i])
}

// last returns the last owned slot that is not after k; there must be one.
func (s *Share) last(k int64) int64 {
	round, i := s.find(k)
	if i == 0 {
		round, i = round-1, s.size()
	}
	return round*s.total + int64(s.own[i-1])
}

// find returns the round that slot k is in, and how many owned places of it
// are not after k.
func (s *Share) find(k int64) (round, i int64) {
	round = k / s.total
	at, found := slices.BinarySearch(s.own, int32(k%s.total))
	if found {
		at++
	}
	return round, int64(at)
}
