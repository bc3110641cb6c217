package kafkaio

import (
	"encoding/binary"
	"hash/crc32"
	"maps"
	"slices"
	"testing"
	"time"

	"paylink/internal/budget"
	"paylink/internal/shelf"
)

// RenewFenceEvery makes a source renew its fences sooner than in half a day,
// which is a long time to beat a heart even where time is virtual.
func (s *Source) RenewFenceEvery(d time.Duration) { s.refence = d }

// Owned returns the partitions in a source's hands, in order.
func (s *Source) Owned() (out []int32) {
	for _, p := range s.State().Partitions {
		out = append(out, p.Number)
	}
	return out
}

// Loops returns the brokers that a fetch loop runs for, in order.
func (s *Source) Loops() []int32 {
	s.fetcher.mu.Lock()
	defer s.fetcher.mu.Unlock()
	return slices.Sorted(maps.Keys(s.fetcher.loops))
}

// Seal makes a batch's checksum good.
func Seal(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// Held is how many bytes of the budget are used.
func (s *Source) Held() int { return s.budget.Used() }

// HoldAtMost gives a source that does not run yet another budget.
func (s *Source) HoldAtMost(size, share int) { s.budget = budget.New(size, share) }

// Known is how many answered intents are remembered.
func (s *Source) Known() (n int) {
	for _, l := range s.ledgers.list() {
		n += l.size()
	}
	return n
}

// SaveLedgersFrom has ledgers written from so few new outcomes on.
func (s *Source) SaveLedgersFrom(n int64) { s.saveFrom = n }

// TakeLedgerDir is another process that has the folder, until the test ends.
func TakeLedgerDir(t *testing.T, dir string) {
	s, err := shelf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
}

// CPU is the processor time of this process.
func CPU() time.Duration { return cpu() }
