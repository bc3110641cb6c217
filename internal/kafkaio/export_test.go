package kafkaio

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// RenewFenceEvery makes a source renew its fences sooner than in half a day,
// which is a long time to beat a heart even where time is virtual.
func (s *Source) RenewFenceEvery(d time.Duration) { s.refence = d }

// Seal makes a batch's checksum good.
func Seal(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}
