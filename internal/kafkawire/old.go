package kafkawire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Messages of formats 0 and 1 are those of Kafka before 0.11. Brokers have written
// format 2 ever since, whatever the emitter sends, unless a topic was told otherwise;
// Kafka 4 writes no other. What is left of them is checked and passed over: each is a
// record whose Beyond is OldFormat.

// OldFormat is Record.Beyond of a record in message format 0 or 1.
const OldFormat = -2

// oldHeader is the size of the smallest message of format 0, behind offset and length:
// checksum, format, attributes, null key, null value. Format 1 has a time besides.
const oldHeader = 4 + 1 + 1 + 4 + 4

// oldBatch returns the batch that is one message of format 0 or 1.
func oldBatch(raw []byte, sum uint32) (*Batch, error) {
	be := binary.BigEndian
	offset := int64(be.Uint64(raw))
	if sum != be.Uint32(raw[12:]) {
		return nil, fmt.Errorf("%w at offset %d: checksum differs", ErrCorrupt, offset)
	}
	b := &Batch{
		Base: offset, Last: offset, Producer: Producer{ID: -1, Epoch: -1}, Newest: -1, first: -1, count: 1,
		old: true, wrapped: raw[17]&7 != 0,
	}
	if raw[16] == 1 {
		b.first = int64(be.Uint64(raw[18:]))
		b.Newest, b.LogTime = b.first, raw[17]&8 != 0
	}
	return b, nil
}

// checked says how a batch's checksum is made, and from which byte on.
func checked(raw []byte) (*crc32.Table, int) {
	if raw[16] < 2 {
		return crc32.IEEETable, 16
	}
	return castagnoli, 21
}

// After says where reading has come to. Old messages that hold others, compressed, say
// only where the last of them stands: the first follows what was read before.
func (b *Batch) After(next int64) {
	if b.wrapped {
		b.Base = min(b.Last, next)
	}
}
