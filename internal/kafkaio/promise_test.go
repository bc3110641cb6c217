package kafkaio_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/kafkaio"
)

// calls checks how often the gateway was called.
func (l *lab) calls(want, wantMost int) {
	l.t.Helper()
	if calls, most := l.gate.counts(); calls != want || most > wantMost {
		l.t.Errorf("%d calls, up to %d of one intent; want %d, up to %d", calls, most, want, wantMost)
	}
}

func TestEveryIntentGetsOneOutcome(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		l.emit(0, 300)
		m := l.start("a")
		l.emit(300, 300)
		l.judge(600)
		m.leave(t)
		l.calls(600, 1)
	})
}

func TestGracefulHandOverRepeatsNoCall(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		l.gate.took = func(int) time.Duration { return 2 * time.Second }
		l.emit(0, 400)
		a := l.start("a")
		time.Sleep(3 * time.Second)
		b := l.start("b")
		time.Sleep(5 * time.Second)
		a.leave(t)
		time.Sleep(3 * time.Second)
		c := l.start("c")
		l.judge(400)
		b.leave(t)
		c.leave(t)
		l.calls(400, 1)
	})
}

func TestKilledMemberLeavesNothingBehind(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		l.gate.took = func(int) time.Duration { return 500 * time.Millisecond }
		l.emit(0, 600)
		a, b := l.start("a"), l.start("b")
		time.Sleep(2 * time.Second)
		a.net.cut()
		time.Sleep(20 * time.Second) // b has it all
		a.net.mend()                 // and a comes back as a zombie, with answers in its hands
		l.judge(600)
		a.leave(t)
		b.leave(t)
		if calls, _ := l.gate.counts(); calls > 600+2*64 {
			t.Errorf("%d calls of 600 intents: more were repeated than 64 in flight and as many unpublished", calls)
		}
	})
}

func TestOffsetResetCallsNobody(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		l.emit(0, 500)
		a := l.start("a")
		l.judge(500)
		a.leave(t)
		adm := kadm.NewClient(l.client)
		if _, err := adm.DeleteGroup(context.Background(), "paylink"); err != nil {
			t.Fatal(err)
		}
		b := l.start("b")
		l.emit(500, 10)
		l.judge(510)
		b.leave(t)
		l.calls(510, 1)
	})
}

func TestUpstreamDuplicatesAreCalledOnce(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		for i := range 50 {
			for _, key := range []string{"x", "y", "z"} {
				r := &kgo.Record{Topic: devstack.Intents, Key: []byte(key), Value: fmt.Appendf(nil, `{"intent_id":"i-%d","amount":"10.00","description":"x"}`, i)}
				if err := l.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
		m := l.start("a")
		time.Sleep(30 * time.Second)
		recs, err := l.broker.Kafka().Read(context.Background(), devstack.Outcomes, devstack.ReadCommitted)
		if err != nil || len(recs) != 50 {
			t.Errorf("%d outcomes, %v; want 50", len(recs), err)
		}
		m.leave(t)
		l.calls(50, 1)
	})
}

func TestSecondContentIsAConflict(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		for _, amount := range []string{"10.00", "99.00"} {
			r := &kgo.Record{Topic: devstack.Intents, Key: []byte("k"), Value: fmt.Appendf(nil, `{"intent_id":"i","amount":%q,"description":"x"}`, amount)}
			if err := l.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		m := l.start("a")
		time.Sleep(30 * time.Second)
		dead, err := l.broker.Kafka().Read(context.Background(), devstack.DeadLetters, devstack.ReadUncommitted)
		if err != nil || len(dead) != 1 || string(dead[0].Header("paylink-reason")) != "conflict" {
			t.Errorf("dead letters %v, %v; want one conflict", dead, err)
		}
		m.leave(t)
		l.calls(1, 1)
	})
}

func TestStaticMemberRestartMovesNothing(t *testing.T) {
	inLab(t, 6, func(l *lab) {
		as := func(id string) func(*kafkaio.Config) { return func(c *kafkaio.Config) { c.InstanceID = id } }
		a, b := l.start("a", as("a")), l.start("b", as("b"))
		l.emit(0, 200)
		l.judge(200)
		time.Sleep(10 * time.Second) // the hand-over of half the partitions is through
		hadA, hadB := a.source.Owned(), b.source.Owned()
		a.leave(t)
		time.Sleep(time.Second)
		a = l.start("a", as("a"))
		l.emit(200, 200)
		l.judge(400)
		if !slices.Equal(a.source.Owned(), hadA) || !slices.Equal(b.source.Owned(), hadB) {
			t.Errorf("partitions %v and %v after the restart, were %v and %v", a.source.Owned(), b.source.Owned(), hadA, hadB)
		}
		a.leave(t)
		b.leave(t)
		l.calls(400, 1)
	})
}
