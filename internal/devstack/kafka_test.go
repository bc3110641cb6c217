package devstack

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/event"
)

func startBroker(t *testing.T, o BrokerOptions) Kafka {
	t.Helper()
	b, err := StartBroker(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b.Kafka()
}

func values(recs []Record) []string {
	var vs []string
	for _, r := range recs {
		vs = append(vs, string(r.Value))
	}
	return vs
}

func messages(values ...string) []event.Message {
	var ms []event.Message
	for _, v := range values {
		ms = append(ms, event.Message{Key: []byte("k"), Value: []byte(v), Headers: []event.Header{{Key: "h", Value: []byte(v)}}})
	}
	return ms
}

func TestReadReturnsWhatEmitPublished(t *testing.T) {
	k := startBroker(t, BrokerOptions{Brokers: 2})
	ctx := t.Context()
	for i := range 20 {
		m := event.Message{Key: fmt.Appendf(nil, "key-%d", i), Value: fmt.Appendf(nil, "v%d", i)}
		if err := k.Emit(ctx, Intents, m); err != nil {
			t.Fatal(err)
		}
	}
	recs, err := k.Read(ctx, Intents, ReadUncommitted)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, r := range recs {
		seen[string(r.Key)] = string(r.Value)
	}
	if len(recs) != 20 || seen["key-7"] != "v7" {
		t.Errorf("Read: %d records, key-7 is %q; want 20, v7", len(recs), seen["key-7"])
	}
}

func TestReadKeepsHeadersAndNulls(t *testing.T) {
	k := startBroker(t, BrokerOptions{})
	want := []event.Message{
		{Key: nil, Value: []byte("v"), Headers: []event.Header{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}}},
		{Key: []byte("k"), Value: nil},
	}
	if err := k.EmitTo(t.Context(), Intents, 3, want...); err != nil {
		t.Fatal(err)
	}
	recs, err := k.Read(t.Context(), Intents, ReadCommitted)
	if err != nil {
		t.Fatal(err)
	}
	var got []event.Message
	for i, r := range recs {
		if want := (event.Place{Topic: Intents, Partition: 3, Offset: int64(i)}); r.Place != want {
			t.Errorf("record %d stands at %v, want %v", i, r.Place, want)
		}
		r.Time = time.Time{}
		got = append(got, r.Message)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Read (-want +got):\n%s", d)
	}
}

func TestReadBothTellsAbortedRecordsApart(t *testing.T) {
	k := startBroker(t, BrokerOptions{})
	ctx := t.Context()
	steps := []error{
		k.EmitTo(ctx, Outcomes, 0, messages("plain")...),
		k.EmitInTransaction(ctx, "tx", kgo.TryAbort, Outcomes, messages("aborted")...),
		k.EmitInTransaction(ctx, "tx", kgo.TryCommit, Outcomes, messages("committed")...),
		k.EmitInTransaction(ctx, "tx", kgo.TryAbort, Outcomes, messages("aborted too")...),
	}
	for i, err := range steps {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	uncommitted, committed, err := k.ReadBoth(ctx, Outcomes)
	if err != nil {
		t.Fatal(err)
	}
	if len(uncommitted) != 4 {
		t.Errorf("uncommitted: %q, want four", values(uncommitted))
	}
	if len(committed) != 2 {
		t.Errorf("committed: %q, want two", values(committed))
	}
}

func TestReadOfAnEmptyTopicEnds(t *testing.T) {
	k := startBroker(t, BrokerOptions{})
	recs, err := k.Read(t.Context(), DeadLetters, ReadCommitted)
	if err != nil || recs != nil {
		t.Errorf("Read: %v, %v, want nothing", recs, err)
	}
}

func TestFollowFromNowOnMissesNothingAfterReady(t *testing.T) {
	k := startBroker(t, BrokerOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := k.Emit(ctx, Intents, messages("before")...); err != nil {
		t.Fatal(err)
	}
	var got []string
	tail := Tail{Topics: []string{Intents}, Ready: func() {
		if err := k.Emit(ctx, Intents, messages("one", "two")...); err != nil {
			t.Error(err)
		}
	}}
	err := k.Follow(ctx, tail, func(r Record) error {
		if got = append(got, string(r.Value)); len(got) == 2 {
			return errEnough
		}
		return nil
	})
	if d := cmp.Diff([]string{"one", "two"}, got); d != "" || err != errEnough {
		t.Errorf("Follow: %v (-want +got):\n%s", err, d)
	}
}

func TestReadNWaitsForATopicYetToBeMade(t *testing.T) {
	k := startBroker(t, BrokerOptions{Topics: []Topic{}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := k.CreateTopics(ctx, Topic{Name: "late", Partitions: 1}, Topic{Name: "other", Partitions: 1})
		if err == nil {
			err = k.Emit(ctx, "late", messages("x")...)
		}
		done <- err
	}()
	recs, err := k.ReadN(ctx, "late", ReadCommitted, 1)
	if e := <-done; e != nil || err != nil {
		t.Fatal(e, err)
	}
	if d := cmp.Diff([]string{"x"}, values(recs)); d != "" {
		t.Error(d)
	}
	if err := k.DeleteTopics(ctx, "late", "other"); err != nil {
		t.Error(err)
	}
}

func TestBrokerRunsInsideASynctestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var vn kfake.VirtualNetwork
		b, err := StartBroker(BrokerOptions{Brokers: 3, Listen: vn.Listen, Dial: vn.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		k := b.Kafka()
		if err := k.Emit(t.Context(), Intents, messages("x")...); err != nil {
			t.Fatal(err)
		}
		recs, err := k.ReadN(t.Context(), Intents, ReadCommitted, 1)
		if err != nil || len(recs) != 1 {
			t.Errorf("ReadN: %d records, %v", len(recs), err)
		}
		time.Sleep(time.Hour)
		b.Close()
	})
}
