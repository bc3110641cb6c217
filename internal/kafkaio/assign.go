package kafkaio

import (
	"cmp"
	"slices"
)

// A candidate is a member as the group's leader sees it.
type candidate struct {
	id    string
	owned []int32 // also what it is draining
}

// assign gives out partitions 0 to n-1: evenly, and moving as few as possible.
// It is cooperative: a partition that has to move is given to nobody until its
// owner has let it go and joined again, so no partition ever has two owners.
// The same candidates, in any order, get the same partitions.
func assign(members []candidate, n int) map[string][]int32 {
	out := make(map[string][]int32, len(members))
	if len(members) == 0 {
		return out
	}
	owners := ownersOf(members, n)
	sole := make(map[string][]int32, len(members))
	for p := range int32(n) {
		if o := owners[p]; len(o) == 1 {
			sole[o[0]] = append(sole[o[0]], p)
		}
	}
	// Who owns most keeps the larger share, so that fewest partitions move.
	order := slices.Clone(members)
	slices.SortFunc(order, func(a, b candidate) int {
		return cmp.Or(len(sole[b.id])-len(sole[a.id]), cmp.Compare(a.id, b.id))
	})
	var free []int32
	for p := range int32(n) {
		if len(owners[p]) == 0 {
			free = append(free, p)
		}
	}
	for i, m := range order {
		share := n / len(order)
		if i < n%len(order) {
			share++
		}
		keep := sole[m.id][:min(share, len(sole[m.id]))]
		take := free[:min(share-len(keep), len(free))]
		free = free[len(take):]
		out[m.id] = append(slices.Clone(keep), take...)
		slices.Sort(out[m.id])
	}
	return out
}

// ownersOf lists who says to own each partition. More than one is a mistake;
// such a partition is given to nobody, and all who own it let it go.
func ownersOf(members []candidate, n int) map[int32][]string {
	owners := make(map[int32][]string, n)
	for _, m := range members {
		for _, p := range m.owned {
			if p >= 0 && int(p) < n && !slices.Contains(owners[p], m.id) {
				owners[p] = append(owners[p], m.id)
			}
		}
	}
	return owners
}
