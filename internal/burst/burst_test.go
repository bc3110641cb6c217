package burst_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"paylink/internal/burst"
)

func TestABurstIsWrittenOnceAndThenCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		write := func(line string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, line)
		}
		l := burst.New(2)
		say := func(key string, times int) {
			for range times {
				l.Say(key, func() { write(key) }, func(more int) { write(fmt.Sprint(key, "+", more)) })
			}
		}
		want := func(when string, lines ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(got, lines) {
				t.Errorf("%s: lines %q, want %q", when, got, lines)
			}
			got = nil
		}
		say("a", 100)
		say("b", 1)
		want("in the burst", "a", "a", "b")
		time.Sleep(burst.Length + time.Millisecond)
		want("at its end", "a+98")
		say("a", 2)
		want("in the next one", "a", "a")
		time.Sleep(burst.Length + time.Millisecond)
		want("at an end with nothing to add")
		say("a", 5)
		l.Flush()
		want("flushed", "a", "a", "a+3")
		time.Sleep(2 * burst.Length)
		want("after that")
		l.Sum("s", func() { write("s") }, func() { write("sum") })
		time.Sleep(burst.Length + time.Millisecond)
		want("summed up in any case", "s", "sum")
	})
}
