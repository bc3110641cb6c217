package pipeline

import (
	"fmt"
	"testing"
	"time"

	"paylink/internal/payment"
	"paylink/internal/schedule"
)

// TestMerchantsWithoutWorkKeepNoBacklog: however many have had some in a partition. One
// that is used stays, whatever it is used for.
func TestMerchantsWithoutWorkKeepNoBacklog(t *testing.T) {
	s, now := schedule.New(schedule.Config{Concurrency: 1, GiveUpAfter: time.Hour, Window: 1000}), time.Now()
	w := newWorker(nil, &Config{})
	lane := func(i int) *schedule.Lane {
		return s.Bind(payment.MerchantID(fmt.Sprint(i)), schedule.Terms{Endpoint: "gateway"}, false, now)
	}
	loaded, put, reading := w.backlog(lane(1)), w.backlog(lane(2)), w.backlog(lane(3))
	loaded.Load(1)
	put.Put(schedule.Entry{}, schedule.Arrival{By: now}, now)
	reading.Put(schedule.Entry{}, schedule.Arrival{By: now}, now)
	if got := reading.Read(schedule.Room{}, now); len(got) != 1 {
		t.Fatalf("%d to be read, want 1", len(got))
	}
	for i := range 10_000 {
		b := w.backlog(lane(10 + i))
		b.Load(1)
		b.Unload(1)
		if len(w.backlogs) != len(w.ordered) || len(w.ordered) > fewBacklogs {
			t.Fatalf("after %d merchants: %d backlogs, %d in order, want at most %d", i, len(w.backlogs), len(w.ordered), fewBacklogs)
		}
	}
	if w.backlog(lane(1)) != loaded || w.backlog(lane(2)) != put || w.backlog(lane(3)) != reading {
		t.Error("a backlog that is used is made anew")
	}
	for i := range 1000 { // all of them used
		w.backlog(lane(20_000 + i)).Load(1)
	}
	if n := len(w.ordered); n < 1003 || n > 1003+fewBacklogs {
		t.Errorf("%d backlogs, want those that are used", n)
	}
}
