package kafkaio_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
)

// What a burst leaves out is counted and told at its end.
func TestABurstOfATakeOverTellsWhatItLeftOut(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress, Count: 8})
		m := l.start("a")
		time.Sleep(30 * time.Second)
		if first, rest := m.said.times("taking the partition over: waiting for the brokers"), m.said.times("goes on waiting for the brokers"); first != 1 || rest != 1 {
			t.Errorf("said %d times, the rest %d times; want once each", first, rest)
		}
		m.leave(t)
	})
}

func TestABurstOfAMissingRightTellsWhatItLeftOut(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start("a")
		time.Sleep(10 * time.Second)
		h := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Outcomes, Err: kerr.TopicAuthorizationFailed, Count: -1})
		l.emit(0, 1)
		time.Sleep(8 * time.Second)
		h.Remove()
		l.judge(1)
		time.Sleep(10 * time.Second)
		if n := m.said.times("more requests were refused for it"); n != 1 {
			t.Errorf("the rest was told %d times, want once", n)
		}
		m.leave(t)
	})
}
