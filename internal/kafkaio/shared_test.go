package kafkaio

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestOneAnswerServesAllWhoAskedBefore: nobody gets an answer to a question that was
// sent before he asked.
func TestOneAnswerServesAllWhoAskedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, sent := newShared[int](), 0
		ask := func(context.Context) (int, error) {
			sent++
			n := sent
			time.Sleep(time.Second)
			return n, nil
		}
		got := make(chan int, 1000)
		for i := range 1000 {
			go func() {
				if i > 0 {
					time.Sleep(100 * time.Millisecond) // while the first is on its way
				}
				n, err := s.ask(t.Context(), ask)
				if err != nil {
					t.Error(err)
				}
				got <- n
			}()
		}
		byAnswer := map[int]int{}
		for range 1000 {
			byAnswer[<-got]++
		}
		if sent != 2 || byAnswer[1] != 1 || byAnswer[2] != 999 {
			t.Errorf("%d questions, answers %v; want 2, the first for one and the second for 999", sent, byAnswer)
		}
	})
}

// TestWhoGivesUpTakesNobodyAlong: also if it was he who would have asked, or who asks.
func TestWhoGivesUpTakesNobodyAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared[int]()
		ask := func(ctx context.Context) (int, error) {
			select {
			case <-time.After(time.Second):
				return 7, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		hasty := func(d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			if _, err := s.ask(ctx, ask); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want the deadline's", err)
			}
		}
		go hasty(500 * time.Millisecond) // asks
		time.Sleep(100 * time.Millisecond)
		go hasty(200 * time.Millisecond) // would ask next
		time.Sleep(100 * time.Millisecond)
		if n, err := s.ask(t.Context(), ask); n != 7 || err != nil {
			t.Errorf("answer %d, error %v; want 7", n, err)
		}
		synctest.Wait()
	})
}
