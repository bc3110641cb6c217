package kafkaio_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/payment"
)

// A stream emits intents to every partition in turn, until it is stopped.
type stream struct {
	l       *lab
	parts   int
	emitted map[payment.IntentID]emission
	quit    chan struct{}
	done    chan struct{}
}

// An emission is where an intent went, and when.
type emission struct {
	partition int
	at        time.Time
}

// stream begins to emit, one intent in two seconds to each partition.
func (l *lab) stream(parts int) *stream {
	s := &stream{l, parts, map[payment.IntentID]emission{}, make(chan struct{}), make(chan struct{})}
	go s.run()
	return s
}

func (s *stream) run() {
	defer close(s.done)
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.l.broker.Addrs()...), kgo.Dialer(s.l.vn.DialContext), kgo.DefaultProduceTopic(devstack.Intents),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		s.l.t.Error(err)
		return
	}
	defer cl.Close()
	for tick := time.NewTicker(time.Second / 50); ; {
		select {
		case <-s.quit:
			return
		case <-tick.C:
		}
		var recs []*kgo.Record
		for range s.parts / 100 {
			n := len(s.emitted)
			id := fmt.Sprintf("i-%05d", n)
			s.emitted[payment.IntentID(id)] = emission{n % s.parts, time.Now()}
			recs = append(recs, &kgo.Record{Partition: int32(n % s.parts), Key: []byte(id), Value: []byte(intent(id))})
		}
		if err := cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
			s.l.t.Error(err)
			return
		}
	}
}

func (s *stream) stop() {
	close(s.quit)
	<-s.done
}

// longest is how long intents waited for their first call, at most, by partition: of
// those that were emitted in a stretch of time.
func (s *stream) longest(from, to time.Time) []time.Duration {
	waits, called := make([]time.Duration, s.parts), map[payment.IntentID]bool{}
	s.l.gate.mu.Lock()
	defer s.l.gate.mu.Unlock()
	for _, c := range s.l.gate.log {
		e := s.emitted[c.id]
		if called[c.id] || e.at.Before(from) || !e.at.Before(to) {
			continue
		}
		called[c.id] = true
		waits[e.partition] = max(waits[e.partition], c.at.Sub(e.at))
	}
	return waits
}

// A rebalance is what comes of something that happens to a group.
type rebalance struct {
	name     string
	from, to time.Time
	had, has map[int]string // who owned each partition before and after
	fences   float64        // that were made
	most     int            // partitions that may move
	longest  time.Duration  // that these may stand still
}

// TestARebalanceInterruptsNobodyElse: 200 partitions of five members, into each of which
// an intent comes every two seconds. A sixth joins, one leaves, one is killed: only what
// must move does, only that is fenced, and only that stands still.
func TestARebalanceInterruptsNobodyElse(t *testing.T) {
	const parts = 200
	inLab(t, parts, func(l *lab) {
		members := map[string]*life{}
		gone := map[string]*life{}
		owners := func() map[int]string {
			out := map[int]string{}
			for name, m := range members {
				for _, p := range m.source.Owned() {
					if was := out[int(p)]; was != "" {
						t.Errorf("partition %d is owned by %s and %s", p, was, name)
					}
					out[int(p)] = name
				}
			}
			if len(out) != parts {
				t.Errorf("%d partitions are owned, want %d", len(out), parts)
			}
			return out
		}
		fences := func() (n float64) {
			for _, some := range []map[string]*life{members, gone} {
				for _, m := range some {
					n += m.metric(t, "fences_total")
				}
			}
			return n
		}
		join := func(name string) {
			members[name] = l.start(name)
			members[name].net.set(func(k kmsg.Key) treatment {
				if k == kmsg.InitProducerID {
					return treatment{slow: 300 * time.Millisecond} // a fence takes its time, as on real brokers
				}
				return treatment{}
			})
		}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			join(name)
		}
		time.Sleep(20 * time.Second)
		s := l.stream(parts)
		time.Sleep(2 * time.Second)
		var all []rebalance
		happens := func(name string, most int, longest, settled time.Duration, do func()) {
			r := rebalance{name: name, from: time.Now(), had: owners(), fences: fences(), most: most, longest: longest}
			do()
			time.Sleep(settled)
			r.to, r.has, r.fences = time.Now(), owners(), fences()-r.fences
			all = append(all, r)
		}
		happens("f joins", parts/6, 3*time.Second, 8*time.Second, func() { join("f") })
		happens("b leaves", parts/6+1, 3*time.Second, 8*time.Second, func() {
			members["b"].leave(t)
			gone["b"] = members["b"]
			delete(members, "b")
		})
		happens("c is killed", parts/5, 9*time.Second, 12*time.Second, func() {
			l.kill("c", members["c"])
			gone["c"] = members["c"]
			delete(members, "c")
		})
		s.stop()
		l.judge(len(s.emitted))
		if calls, _ := l.gate.counts(); calls > len(s.emitted)+64 {
			t.Errorf("%d calls for %d intents, want none repeated but those that were in flight at a kill", calls, len(s.emitted))
		}
		for _, r := range all {
			r.judge(t, s)
		}
		for _, m := range members {
			m.leave(t)
		}
	})
}

func (r rebalance) judge(t *testing.T, s *stream) {
	t.Helper()
	moved, movedFor, stayedFor := 0, time.Duration(0), time.Duration(0)
	for p, wait := range s.longest(r.from, r.to) {
		if r.had[p] == r.has[p] {
			stayedFor = max(stayedFor, wait)
			continue
		}
		moved++
		movedFor = max(movedFor, wait)
	}
	t.Logf("%s: %d partitions move, with %v fences; their intents wait for %s at most, those of others for %s", r.name, moved, r.fences, movedFor, stayedFor)
	if moved > r.most || moved == 0 || r.fences != float64(moved) {
		t.Errorf("%s: %d partitions moved with %v fences, want some, %d at most, and as many fences", r.name, moved, r.fences, r.most)
	}
	if stayedFor > 100*time.Millisecond {
		t.Errorf("%s: an intent of a partition that stays waits for %s", r.name, stayedFor)
	}
	if movedFor > r.longest {
		t.Errorf("%s: an intent of a partition that moves waits for %s, want %s at most", r.name, movedFor, r.longest)
	}
}
