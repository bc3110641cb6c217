package kafkaio_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
)

// holds says whether a request brings a record with one of the keys to a partition.
func holds(t *testing.T, req kmsg.Request, topic string, partition int32, keys ...string) (found bool) {
	for _, rt := range req.(*kmsg.ProduceRequest).Topics {
		for _, p := range rt.Partitions {
			if rt.Topic != topic || p.Partition != partition {
				continue
			}
			b, _, err := kafkawire.NextBatch(p.Records)
			if err == nil {
				err = b.Records(func(r *kafkawire.Record) error {
					found = found || slices.Contains(keys, string(r.Key))
					return nil
				})
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	return found
}

// What a broker refuses for good holds up nothing but itself: the records beside it,
// in its own batch and elsewhere, go on. It is said within seconds, tried now and
// then, and goes on when the topic's setting is mended.
func TestARecordThatTheBrokerRefusesHoldsUpOnlyItself(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.InvalidRecord, kerr.InvalidTimestamp} {
		t.Run(refusal.Message, func(t *testing.T) {
			inLab(t, 2, func(l *lab) {
				l.gate.took = func(n int) time.Duration { return 2*time.Second - time.Duration(n)*time.Nanosecond } // many at once
				m := l.start("a")
				time.Sleep(10 * time.Second)
				var mu sync.Mutex
				mended := false
				var refused *kfake.FaultHandle
				bad := []string{"i-00003", "i-00040"}
				for p := range int32(2) {
					refused = l.broker.Fault(kfake.Fault{
						Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Outcomes, Partitions: []int32{p}, Err: refusal, Count: -1,
						When: func(r kmsg.Request) bool {
							mu.Lock()
							defer mu.Unlock()
							return !mended && holds(t, r, devstack.Outcomes, p, bad...)
						},
					})
				}
				l.emit(0, 60)
				time.Sleep(8 * time.Second) // two of them to call
				if n := m.metric(t, "records_appended_total"); n != 58 {
					t.Errorf("%v outcomes are appended, want 58: all but the two", n)
				}
				got := m.trouble(kafkaio.AppendBlocked)
				if len(got) == 0 || got[0].Cause != strings.ToLower(refusal.Message) || !strings.Contains(got[0].What, devstack.Outcomes) {
					t.Errorf("troubles %+v, want one of %s that names the topic", got, refusal.Message)
				}
				before := refused.Hits()
				time.Sleep(time.Minute)
				if n := refused.Hits() - before; n < 10 || n > 150 {
					t.Errorf("%d refusals in a minute, want a try now and then", n)
				}
				if n := m.said.times("Kafka does not take some records"); n != len(got) {
					t.Errorf("said %d times, want once for each of %d partitions", n, len(got))
				}
				l.emit(60, 10)
				time.Sleep(5 * time.Second)
				if n := m.metric(t, "records_appended_total"); n != 68 {
					t.Errorf("%v outcomes are appended, want 68: others go on", n)
				}
				mu.Lock()
				mended = true
				mu.Unlock()
				l.judge(70)
				time.Sleep(time.Second)
				if got := m.trouble(kafkaio.AppendBlocked); len(got) != 0 {
					t.Errorf("troubles %+v after the setting was mended, want none", got)
				}
				m.leave(t)
				l.calls(70, 1)
			})
		})
	}
}
