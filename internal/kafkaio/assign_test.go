package kafkaio

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// spread returns how many partitions are given out, and the smallest and the
// largest share.
func spread(given map[string][]int32) (total, least, most int) {
	least = 1 << 30
	for _, parts := range given {
		total, least, most = total+len(parts), min(least, len(parts)), max(most, len(parts))
	}
	return total, least, most
}

// settle plays the group: members let go what they lose, then join again, until
// nothing changes. It returns the rounds it took and how many partitions moved.
func settle(t *testing.T, owned map[string][]int32, n int) (rounds, moved int) {
	t.Helper()
	before := map[int32]string{}
	for id, parts := range owned {
		for _, p := range parts {
			before[p] = id
		}
	}
	for rounds = 1; rounds < 10; rounds++ {
		given := assign(candidates(owned), n)
		checkOwners(t, owned, given, n)
		changed := false
		for id := range owned {
			changed = changed || !slices.Equal(owned[id], given[id])
			owned[id] = given[id]
		}
		if !changed {
			break
		}
	}
	for id, parts := range owned {
		for _, p := range parts {
			if was, ok := before[p]; ok && was != id {
				moved++
			}
		}
	}
	return rounds, moved
}

func candidates(owned map[string][]int32) []candidate {
	var cs []candidate
	for id, parts := range owned {
		cs = append(cs, candidate{id: id, owned: slices.Clone(parts)})
	}
	rand.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
	return cs
}

// checkOwners checks that no partition is given to two members, nor to one
// while another still has it.
func checkOwners(t *testing.T, owned, given map[string][]int32, n int) {
	t.Helper()
	owner, holder := map[int32]string{}, map[int32]string{}
	for id, parts := range owned {
		for _, p := range parts {
			holder[p] = id
		}
	}
	for id, parts := range given {
		for _, p := range parts {
			if other, twice := owner[p]; twice || p < 0 || int(p) >= n {
				t.Errorf("partition %d of %d is given to %s and to %q", p, n, id, other)
			}
			if h, given := holder[p]; given && h != id {
				t.Errorf("partition %d is given to %s while %s has it", p, id, h)
			}
			owner[p] = id
		}
	}
}

func TestAssignmentSettlesEvenlyWithFewestMoves(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		n, owned := 1+r.IntN(40), map[string][]int32{}
		for i := range 1 + r.IntN(6) {
			owned[fmt.Sprint("m", i)] = nil
		}
		settle(t, owned, n) // all anew
		for range 4 {       // members come and go
			members := len(owned)
			if id := fmt.Sprint("m", r.IntN(12)); owned[id] == nil {
				owned[id] = nil
			} else if members > 1 {
				delete(owned, id)
			}
			least := fewestMoves(owned, n)
			rounds, moved := settle(t, owned, n)
			total, low, high := spread(owned)
			if total != n || high-low > 1 || rounds > 4 || moved != least {
				t.Errorf("seed %d: %d of %d partitions given, shares %d to %d, %d rounds, %d moved; want all, evenly, %d moved", seed, total, n, low, high, rounds, moved, least)
			}
		}
	}
}

// fewestMoves is what members must let go for an even share, and no more: those
// with most keep the larger shares.
func fewestMoves(owned map[string][]int32, n int) (moves int) {
	var sizes []int
	for _, parts := range owned {
		sizes = append(sizes, len(parts))
	}
	slices.SortFunc(sizes, func(a, b int) int { return cmp.Compare(b, a) })
	for i, size := range sizes {
		share := n / len(sizes)
		if i < n%len(sizes) {
			share++
		}
		moves += max(0, size-share)
	}
	return moves
}

func TestAssignmentIsTheSameInAnyOrder(t *testing.T) {
	owned := map[string][]int32{"a": {0, 1, 2, 3, 4, 5, 6}, "b": {7, 8}, "c": nil, "d": {9}}
	want := assign(candidates(owned), 12)
	for range 50 {
		if got := assign(candidates(owned), 12); !reflect.DeepEqual(got, want) {
			t.Fatalf("assignment %v, then %v", want, got)
		}
	}
}

func TestAPartitionWithTwoOwnersIsGivenToNobody(t *testing.T) {
	given := assign([]candidate{{"a", []int32{0, 1}}, {"b", []int32{1, 2}}}, 4)
	for id, parts := range given {
		if slices.Contains(parts, 1) {
			t.Errorf("partition 1, which two members claim, is given to %s", id)
		}
	}
}

func FuzzAssign(f *testing.F) {
	f.Add(uint8(6), []byte{1, 0, 2, 1, 3})
	f.Fuzz(func(t *testing.T, n uint8, claims []byte) {
		cs := []candidate{{id: "a"}, {id: "b"}, {id: "c"}}
		claimed := map[int32]map[string]bool{}
		for i, p := range claims { // anything a member may say, also nonsense
			c, p := &cs[i%3], int32(int8(p))
			c.owned = append(c.owned, p)
			if claimed[p] == nil {
				claimed[p] = map[string]bool{}
			}
			claimed[p][c.id] = true
		}
		owner := map[int32]string{}
		for id, parts := range assign(cs, int(n)) {
			for _, p := range parts {
				if owner[p] != "" || p < 0 || p >= int32(n) || len(claimed[p]) > 1 || len(claimed[p]) == 1 && !claimed[p][id] {
					t.Errorf("partition %d of %d, claimed by %v, is given to %s and %q", p, n, claimed[p], id, owner[p])
				}
				owner[p] = id
			}
		}
	})
}
