package kafkaio_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestWhoIsInTheGroup(t *testing.T) {
	inLab(t, 5, func(l *lab) {
		a, b := l.start("a"), l.start("b")
		time.Sleep(20 * time.Second)
		seen := map[string]bool{}
		for _, m := range []*life{a, b} {
			state, members, err := m.source.Group(l.t.Context())
			if err != nil || state != "Stable" || len(members) != 2 {
				t.Fatalf("group = %s, %v, %v, want two members", state, members, err)
			}
			var all []int32
			for _, is := range members {
				all = append(all, is.Partitions...)
				if is.Us {
					seen[is.ID] = true
					if got, want := fmt.Sprint(is.Partitions), fmt.Sprint(slices.Sorted(slices.Values(m.source.Owned()))); got != want {
						t.Errorf("we are said to have %s, and have %s", got, want)
					}
				}
			}
			slices.Sort(all)
			if fmt.Sprint(all) != "[0 1 2 3 4]" {
				t.Errorf("partitions %v are given out, want all five", all)
			}
		}
		if len(seen) != 2 {
			t.Errorf("the two members are %v by their own word", seen)
		}
		a.net.cut()
		if _, _, err := a.source.Group(l.t.Context()); err == nil {
			t.Error("cut off, and yet it knows the group")
		}
		a.net.mend()
		a.leave(t)
		b.leave(t)
	})
}
