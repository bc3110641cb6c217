package outcomes_test

import (
	"context"
	"testing"

	"paylink/internal/event/outcomes"
)

func BenchmarkDecode(b *testing.B) {
	d := outcomes.NewDecoder(ours())
	for name, s := range samples(b) {
		if name != "created_full" && name != "created" {
			continue
		}
		m := encoded(b, s.d, s.o)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(context.Background(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
