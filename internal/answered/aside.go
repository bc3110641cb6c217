package answered

// An aside holds entries that have no table yet, by shard, in the order in which they
// came. It writes to the end of a list only, so it is fast whatever its size.
type aside struct{ lists [shards]asideList }

type asideList struct {
	chunks [][]entry
	n      int
}

// Chunks are of sizes that the allocator does not round up. The first ones are small:
// most partitions hold little.
const (
	smallChunk = 8
	largeChunk = 512
)

func (a *aside) add(e entry) {
	l := &a.lists[e.id[0]%shards]
	last := len(l.chunks) - 1
	if last < 0 || len(l.chunks[last]) == cap(l.chunks[last]) {
		l.chunks = append(l.chunks, make([]entry, 0, min(largeChunk, smallChunk<<(3*min(len(l.chunks), 2)))))
		last++
	}
	l.chunks[last] = append(l.chunks[last], e)
	l.n++
}

// find returns the first entry of a hash, nil if there is none. It looks at all of the
// shard's.
func (a *aside) find(h hash) *entry {
	for _, some := range a.lists[h[0]%shards].chunks {
		for i := range some {
			if some[i].id == h {
				return &some[i]
			}
		}
	}
	return nil
}

// len is how many entries there are; of nil, none.
func (a *aside) len() (n int) {
	if a == nil {
		return 0
	}
	for i := range a.lists {
		n += a.lists[i].n
	}
	return n
}

// bytes is how much memory they take.
func (a *aside) bytes() (n int64) {
	if a == nil {
		return 0
	}
	for i := range a.lists {
		for _, some := range a.lists[i].chunks {
			n += int64(cap(some)) * entrySize
		}
	}
	return n
}
