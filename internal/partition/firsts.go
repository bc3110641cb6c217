package partition

import "encoding/binary"

// A first is the first record of an intent id that is not settled, loaded or not: what
// it says is what the intent is. Whoever owned the partition before us took the records
// in the same order, so it is also what may have been called for already. There may be
// many, so of its offset and of its digest only a part is kept.
type first struct{ offset, digest uint32 }

// Says notes what a record says that was taken: the digest of its content. It reports
// whether one before it, of the same intent id and not settled, says something else:
// then this one is in conflict with it, whatever becomes of that. It may be asked
// again when a record is read again.
func (p *Partition) Says(offset int64, id Hash, digest [16]byte) (conflict bool) {
	f, ok := p.firsts[id]
	if !ok {
		p.firsts[id] = first{uint32(offset), part(digest)}
		return false
	}
	return f.offset != uint32(offset) && f.digest != part(digest)
}

// Unsays forgets what a record said: it is settled, or was found to be gone.
func (p *Partition) Unsays(offset int64, id Hash) {
	if f, ok := p.firsts[id]; ok && f.offset == uint32(offset) {
		delete(p.firsts, id)
	}
}

func part(digest [16]byte) uint32 { return binary.BigEndian.Uint32(digest[:]) }
