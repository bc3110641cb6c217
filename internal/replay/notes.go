package replay

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"paylink/internal/kafkaops"
)

// notes know which dead letters were driven. Each is one bit, kept by Kafka as the
// metadata of an offset: dead letters of a partition are counted in blocks, and each
// block has a group of its own, because an offset holds 4 KiB of metadata only, and
// one offset could not say what was driven where filters leave gaps. A transaction
// commits a dead letter's bit and its record together.
//
// Brokers keep a group's offsets for offsets.retention.minutes, a week by default,
// from the last one on. A block is forgotten as a whole, and may have been begun anew
// since: what was buried before that time may have been driven, whatever its bit says.
type notes struct {
	kafka  *kafkaops.Reader
	group  string // of the service
	topic  string
	blocks map[int64]map[int32]*bits // by number, then by partition
}

// blockSize is how many dead letters a block has: 1 KiB of bits.
const blockSize = 8 << 10

// bits are which of a block were driven.
type bits struct {
	set     []byte
	highest int64 // offset; -1: none
}

// RedriveGroup names the group that notes the n-th block of dead letters.
func RedriveGroup(group string, n int64) string { return fmt.Sprintf("%s-redrive-%d", group, n) }

func newNotes(k *kafkaops.Reader, group, topic string) *notes {
	return &notes{kafka: k, group: group, topic: topic, blocks: map[int64]map[int32]*bits{}}
}

// of returns the bits of the block that an offset is in.
func (n *notes) of(ctx context.Context, partition int32, offset int64) (*bits, error) {
	number := offset / blockSize
	block, known := n.blocks[number]
	if !known {
		group := RedriveGroup(n.group, number)
		all, err := n.kafka.Noted(ctx, group, n.topic)
		if err != nil {
			return nil, err
		}
		block = map[int32]*bits{}
		for p, c := range all {
			if block[p], err = parseBits(c); err != nil {
				return nil, fmt.Errorf("the notes of the group %s on %s/%d: %w", group, n.topic, p, err)
			}
		}
		clear(n.blocks) // partitions are read one after the other: the last is enough
		n.blocks[number] = block
	}
	if block[partition] == nil {
		block[partition] = &bits{set: make([]byte, blockSize/8), highest: -1}
	}
	return block[partition], nil
}

func (b *bits) has(offset int64) bool {
	i := offset % blockSize
	return b.set[i/8]>>(i%8)&1 == 1
}

// with is the bits with some more, of the same block.
func (b *bits) with(offsets []int64) *bits {
	out := &bits{set: append([]byte(nil), b.set...), highest: b.highest}
	for _, o := range offsets {
		out.set[o%blockSize/8] |= 1 << (o % 8)
		out.highest = max(out.highest, o)
	}
	return out
}

// bitsNote is how metadata begin that hold bits.
const bitsNote = "driven "

// committed is the bits as an offset, behind the last that was driven.
func (b *bits) committed() kafkaops.Committed {
	set := b.set
	for len(set) > 0 && set[len(set)-1] == 0 {
		set = set[:len(set)-1]
	}
	return kafkaops.Committed{Offset: b.highest + 1, Note: bitsNote + base64.RawStdEncoding.EncodeToString(set)}
}

func parseBits(c kafkaops.Committed) (*bits, error) {
	text, ok := strings.CutPrefix(c.Note, bitsNote)
	set, err := base64.RawStdEncoding.DecodeString(text)
	if !ok || err != nil || len(set) > blockSize/8 {
		return nil, fmt.Errorf("they are not ours: a tool has set its offset, so it is not known what was driven; delete the group to forget all of it")
	}
	return &bits{set: append(set, make([]byte, blockSize/8-len(set))...), highest: c.Offset - 1}, nil
}
