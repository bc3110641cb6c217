package schedule_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"paylink/internal/pace"
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

// BenchmarkViews looks at 10,000 merchants, each with an intent that backs off.
func BenchmarkViews(b *testing.B) {
	s := schedule.New(schedule.Config{Concurrency: 256, GiveUpAfter: giveUp, Window: 1000})
	s.Share([]int32{0}, 1, 1, noon)
	for i := range 10_000 {
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

// BenchmarkIdle is BenchmarkCall of one merchant beside others that have had work and
// have none; and what changes for all of them cost.
func BenchmarkIdle(b *testing.B) {
	for _, c := range []struct{ idle, hosts int }{{0, 1}, {10_000, 1}, {10_000, 1000}} {
		name := fmt.Sprintf("idle=%d/hosts=%d", c.idle, c.hosts)
		terms := func(i int) schedule.Terms {
			return schedule.Terms{Endpoint: fmt.Sprint("gateway", i%c.hosts), Rate: pace.Rate{Events: 1_000_000, Per: time.Second, Burst: 1_000_000}}
		}
		world := func() *schedule.Scheduler {
			s := schedule.New(schedule.Config{Concurrency: 256, GiveUpAfter: giveUp, Window: 1000})
			s.Share([]int32{0}, 12, 1, noon.Add(-time.Hour))
			for i := range c.idle {
				s.Bind(payment.MerchantID(fmt.Sprint(540001+i)), terms(i), false, noon.Add(-time.Hour))
			}
			return s
		}
		b.Run(name+"/call", func(b *testing.B) {
			s, now := world(), noon
			w := schedule.Work{At: now}
			w.Own(s.Bind("1", terms(0), false, now.Add(-time.Hour)))
			for b.Loop() {
				now = now.Add(time.Millisecond)
				s.Queue(&w, schedule.First, now)
				step := s.Next(now)
				s.Begin(step.Work, now)
				s.End(step.Work, answered, now)
				s.Next(now)
			}
		})
		b.Run(name+"/share", func(b *testing.B) {
			s, now := world(), noon
			for b.Loop() {
				now = now.Add(time.Millisecond)
				s.Share([]int32{0, 1, 2, 3}, 12, 4, now)
				s.Share([]int32{0, 1, 2}, 12, 3, now)
			}
		})
		b.Run(name+"/memory", func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				s := world()
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(s)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(max(c.idle, 1)), "bytes/lane")
		})
	}
}
