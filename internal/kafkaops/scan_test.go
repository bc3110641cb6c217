package kafkaops_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkaops"
)

// scanned returns the values of a range, by place.
func scanned(t *testing.T, brokers []string, r kafkaops.Range) []string {
	t.Helper()
	var got []string
	err := kafkaops.Scan(t.Context(), kafkaio.Connection{Brokers: brokers}, r, func(p event.Place, m event.Message) error {
		got = append(got, fmt.Sprintf("%d@%d %s", p.Partition, p.Offset, m.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestScanShowsARangeAsAReaderOfCommittedRecordsSeesIt(t *testing.T) {
	b, err := devstack.StartBroker(devstack.BrokerOptions{Topics: []devstack.Topic{{Name: "in", Partitions: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	scanRanges(t, b.Kafka(), "in")
}

// scanRanges fills an empty topic of two partitions and scans it.
func scanRanges(t *testing.T, k devstack.Kafka, topic string) {
	t.Helper()
	ctx, now := t.Context(), time.Now() // when the broker writes its control records
	at := func(value string, second int) event.Message {
		return event.Message{Value: []byte(value), Time: now.Add(time.Duration(second) * time.Second)}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keyed := func(value, key string) event.Message {
		return event.Message{Key: []byte(key), Value: []byte(value), Time: now}
	}
	must(k.EmitTo(ctx, topic, 0, at("a", -60), at("b", -30)))
	must(k.EmitTo(ctx, topic, 1, at("other", -60)))
	// Of the two keys one lies in each partition; whichever it is, an aborted
	// record and two control records come to stand in partition 0 or 1.
	must(k.EmitInTransaction(ctx, topic+"-t1", kgo.TryAbort, topic, keyed("aborted", "k1"), keyed("aborted", "k2"), keyed("aborted", "k3"), keyed("aborted", "k4")))
	must(k.EmitTo(ctx, topic, 0, at("c", 60), at("d", 90)))

	all := scanned(t, k.Brokers, kafkaops.Range{Topic: topic, Partition: -1})
	var values []string
	for _, line := range all {
		values = append(values, strings.Fields(line)[1])
	}
	if got := strings.Join(values, " "); got != "a b c d other" {
		t.Fatalf("all: %q, want a b c d other", all)
	}
	offset := func(i int) (n int64) {
		_, err := fmt.Sscanf(all[i], "0@%d", &n)
		must(err)
		return n
	}
	for _, tt := range []struct {
		name string
		r    kafkaops.Range
		want []string
	}{
		{"one partition", kafkaops.Range{Partition: 1}, all[4:]},
		{"from an offset", kafkaops.Range{From: kafkaops.Bound{Offset: 1}}, all[1:4]},
		{"to an offset, exclusive", kafkaops.Range{To: &kafkaops.Bound{Offset: offset(2)}}, all[:2]},
		{"between offsets", kafkaops.Range{From: kafkaops.Bound{Offset: offset(2)}, To: &kafkaops.Bound{Offset: offset(3)}}, all[2:3]},
		{"from a time", kafkaops.Range{From: kafkaops.Bound{At: now.Add(time.Minute)}}, all[2:4]},
		{"to a time, exclusive", kafkaops.Range{To: &kafkaops.Bound{At: now.Add(-30 * time.Second)}}, all[:1]},
		{"after everything", kafkaops.Range{From: kafkaops.Bound{At: now.Add(time.Hour)}}, nil},
		{"from a time before all times", kafkaops.Range{From: kafkaops.Bound{At: time.UnixMilli(-1)}, To: &kafkaops.Bound{At: now.Add(-30 * time.Second)}}, all[:1]},
		{"from a time that nanoseconds do not reach", kafkaops.Range{From: kafkaops.Bound{At: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}}, nil},
		{"beyond the end", kafkaops.Range{From: kafkaops.Bound{Offset: 1 << 40}}, nil},
		{"nothing between", kafkaops.Range{From: kafkaops.Bound{Offset: 3}, To: &kafkaops.Bound{Offset: 1}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.Topic = topic
			if got := scanned(t, k.Brokers, tt.r); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for _, r := range []kafkaops.Range{{Topic: topic, Partition: 2}, {Topic: "nowhere", Partition: -1}} {
		err := kafkaops.Scan(ctx, kafkaio.Connection{Brokers: k.Brokers}, r, func(event.Place, event.Message) error { return nil })
		if err == nil || !strings.Contains(err.Error(), r.Topic) {
			t.Errorf("%+v: %v, want an error that names the topic", r, err)
		}
	}
	stop := errors.New("stop")
	if err := kafkaops.Scan(ctx, kafkaio.Connection{Brokers: k.Brokers}, kafkaops.Range{Topic: topic}, func(event.Place, event.Message) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Scan = %v, want the error of yield", err)
	}
}

// TestScanEndsBeforeAnOpenTransaction: what is behind it is not settled yet, and
// waiting for it could take for ever.
func TestScanEndsBeforeAnOpenTransaction(t *testing.T) {
	b, err := devstack.StartBroker(devstack.BrokerOptions{Topics: []devstack.Topic{{Name: "in", Partitions: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Kafka().Emit(t.Context(), "in", event.Message{Value: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	c, err := b.Kafka().Client(kgo.TransactionalID("t"), kgo.DefaultProduceTopic("in"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := c.ProduceSync(t.Context(), kgo.StringRecord("open")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if got := scanned(t, b.Addrs(), kafkaops.Range{Topic: "in"}); len(got) != 1 || got[0] != "0@0 a" {
		t.Errorf("got %q, want the record before the transaction", got)
	}
}

// TestScanWaitsForALeader: a topic that was just made, or whose leader moves, is
// read a little later.
func TestScanWaitsForALeader(t *testing.T) {
	b, err := devstack.StartBroker(devstack.BrokerOptions{Topics: []devstack.Topic{{Name: "in", Partitions: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Kafka().Emit(t.Context(), "in", event.Message{Value: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []kmsg.Key{kmsg.ListOffsets, kmsg.Fetch} {
		h := b.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: kerr.NotLeaderForPartition, Count: 1})
		if got := scanned(t, b.Addrs(), kafkaops.Range{Topic: "in"}); len(got) != 1 || h.Hits() != 1 {
			t.Errorf("%s: got %q after %d faults", key.Name(), got, h.Hits())
		}
	}
}

// TestScanWaitsForABrokerThatRestarts: that takes longer than a leader needs to move, and
// the client says of it what it likes.
func TestScanWaitsForABrokerThatRestarts(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.ListOffsets, kmsg.Fetch} {
		t.Run(key.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				vn := &kfake.VirtualNetwork{}
				defer time.Sleep(time.Minute) // idle connections notice that it is over
				b, err := devstack.StartBroker(devstack.BrokerOptions{Topics: []devstack.Topic{{Name: "in", Partitions: 1}}, Listen: vn.Listen, Dial: vn.DialContext})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				k := b.Kafka()
				if err := k.Emit(t.Context(), "in", event.Message{Value: []byte("a")}); err != nil {
					t.Fatal(err)
				}
				h := b.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: kerr.UnknownServerError, Count: -1})
				time.AfterFunc(20*time.Second, h.Remove)
				got := 0
				err = kafkaops.Scan(t.Context(), kafkaio.Connection{Brokers: k.Brokers, Dial: k.Dial}, kafkaops.Range{Topic: "in"},
					func(event.Place, event.Message) error { got++; return nil })
				if err != nil || got != 1 {
					t.Errorf("%d records, %v, want one", got, err)
				}
			})
		})
	}
}
