package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// BenchmarkCall is the way of one intent through a Scheduler that holds work of
// many merchants: Queue, Next, Begin, End.
func BenchmarkCall(b *testing.B) {
	for _, merchants := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(merchants, " merchants"), func(b *testing.B) {
			s := schedule.New(schedule.Config{Concurrency: 256, GiveUpAfter: giveUp, Window: 1000})
			s.Share([]int32{0}, 1, 1, noon)
			now, lanes := noon, make([]*schedule.Lane, merchants)
			for i := range lanes {
				lanes[i] = s.Bind(payment.MerchantID(fmt.Sprint(i)), schedule.Terms{Endpoint: "gateway"}, false, now)
			}
			works := make([]schedule.Work, 1000)
			queue := func(i int, w *schedule.Work) {
				*w = schedule.Work{At: now}
				w.Own(lanes[i%merchants])
				s.Queue(w, schedule.First, now)
			}
			for i := range works {
				queue(i, &works[i])
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now = now.Add(time.Microsecond)
				step := s.Next(now)
				s.Begin(step.Work, now)
				s.End(step.Work, answered, now)
				queue(i, step.Work)
			}
		})
	}
}

// BenchmarkViews looks at 5,000 merchants, each with an intent that backs off.
func BenchmarkViews(b *testing.B) {
	s := schedule.New(schedule.Config{Concurrency: 256, GiveUpAfter: giveUp, Window: 1000})
	s.Share([]int32{0}, 1, 1, noon)
	for i := range 5000 {
		m := payment.MerchantID(fmt.Sprint(540001 + i))
		w := &schedule.Work{ID: payment.IntentID(m), At: noon}
		w.Own(s.Bind(m, schedule.Terms{Endpoint: "gateway"}, false, noon))
		s.BackOff(w, schedule.First, time.Minute, noon)
	}
	for b.Loop() {
		for range s.Views(func(*schedule.Work) time.Time { return noon }, noon) {
		}
	}
}
