package partition

import "testing"

// BenchmarkRecord is the way of one record through a partition that holds a
// thousand: Took, Load, Settle, Watermark.
func BenchmarkRecord(b *testing.B) {
	p := New(roomy)
	ring := make([]Record, 1000)
	var offset int64
	load := func(r *Record) {
		*r = Record{Offset: offset, Key: Hash(1 + offset), Size: 1000}
		p.Took(offset)
		p.Load(r, false)
		offset++
	}
	for i := range ring {
		load(&ring[i])
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := &ring[i%len(ring)]
		p.Settle(r)
		if p.Watermark() < 0 {
			b.Fatal("no watermark")
		}
		load(r)
	}
}
