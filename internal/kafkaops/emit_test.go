package kafkaops

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
)

// emission is a record for each partition of two, and the mark beside it.
func emission(value string) (records []Emission, mark Mark) {
	for p := range int32(2) {
		records = append(records, Emission{Partition: p, Message: event.Message{Value: []byte(value)}})
	}
	return records, Mark{Group: "notes", Topic: "in", Partition: 1, Committed: Committed{Offset: 7, Note: "of " + value}}
}

// noted is what the group of the marks has.
func noted(t *testing.T, conn kafkaio.Connection) string {
	t.Helper()
	r, err := NewReader(conn, "in")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := r.Noted(t.Context(), "notes", "in")
	if err != nil {
		t.Fatal(err)
	}
	return got[1].Note
}

func valuesOf(t *testing.T, conn kafkaio.Connection) string {
	t.Helper()
	recs, err := devstack.Kafka{Brokers: conn.Brokers}.Read(t.Context(), "out", devstack.ReadCommitted)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, r := range recs {
		values = append(values, fmt.Sprintf("%d:%s", r.Partition, r.Value))
	}
	return strings.Join(values, " ")
}

func openEmitter(t *testing.T, conn kafkaio.Connection, id string) *Emitter {
	t.Helper()
	e, err := OpenEmitter(t.Context(), conn, "out", id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestEmitWaitsOutTroubleAndWritesOnce(t *testing.T) {
	for _, tt := range []struct {
		key kmsg.Key
		err *kerr.Error
	}{
		{kmsg.InitProducerID, kerr.CoordinatorLoadInProgress},
		{kmsg.AddPartitionsToTxn, kerr.ConcurrentTransactions},
		{kmsg.Produce, kerr.NotLeaderForPartition},
		{kmsg.Produce, kerr.RequestTimedOut}, // it is applied, and answered so
		{kmsg.Produce, kerr.NotEnoughReplicasAfterAppend},
		{kmsg.AddOffsetsToTxn, kerr.ConcurrentTransactions},
		{kmsg.TxnOffsetCommit, kerr.CoordinatorLoadInProgress},
		{kmsg.EndTxn, kerr.NotCoordinator},
		{kmsg.OffsetFetch, kerr.UnstableOffsetCommit},
	} {
		t.Run(fmt.Sprint(tt.key.Name(), " ", tt.err.Message), func(t *testing.T) {
			k, conn := cluster(t, 1, kfake.SeedTopics(2, "in", "out"))
			h := k.Fault(kfake.Fault{Keys: []kmsg.Key{tt.key}, Err: tt.err, Count: 2})
			records, mark := emission("a")
			if err := openEmitter(t, conn, "id").Emit(t.Context(), records, mark); err != nil {
				t.Fatal(err)
			}
			if got := valuesOf(t, conn); got != "0:a 1:a" || noted(t, conn) != "of a" {
				t.Errorf("%s, noted %q", got, noted(t, conn))
			}
			if h.Hits() != 2 {
				t.Errorf("the fault came %d times, want twice", h.Hits())
			}
		})
	}
}

func TestEmitWritesAllOrNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault kfake.Fault
		want  string
	}{
		{"a partition is refused", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Partitions: []int32{1}, Err: kerr.TopicAuthorizationFailed}, "a right is missing: Write on topic out"},
		{"the note is refused", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.GroupAuthorizationFailed}, "a right is missing: Read on group notes"},
		{"the group is refused", kfake.Fault{Keys: []kmsg.Key{kmsg.AddOffsetsToTxn}, Err: kerr.GroupAuthorizationFailed}, "a right is missing: Read on group notes"},
		{"the transaction is refused", kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Err: kerr.TransactionalIDAuthorizationFailed}, "a right is missing: Write on transactional-id prefix id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, conn := cluster(t, 1, kfake.SeedTopics(2, "in", "out"))
			e := openEmitter(t, conn, "id")
			first, mark := emission("a")
			if err := e.Emit(t.Context(), first, mark); err != nil {
				t.Fatal(err)
			}
			tt.fault.Count = -1
			h := k.Fault(tt.fault)
			second, mark := emission("b")
			if err := e.Emit(t.Context(), second, mark); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want one line with %q", err, tt.want)
			}
			h.Remove()
			if got := valuesOf(t, conn); got != "0:a 1:a" || noted(t, conn) != "of a" {
				t.Errorf("after the refusal: %s, noted %q, want what was before", got, noted(t, conn))
			}
			if err := e.Emit(t.Context(), second, mark); err == nil {
				t.Error("it writes on after a failure")
			}
			if err := openEmitter(t, conn, "id").Emit(t.Context(), second, mark); err != nil {
				t.Fatal(err)
			}
			if got := valuesOf(t, conn); got != "0:a 0:b 1:a 1:b" || noted(t, conn) != "of b" {
				t.Errorf("once more: %s, noted %q", got, noted(t, conn))
			}
		})
	}
}

func TestANewerEmitterShutsTheOlderOut(t *testing.T) {
	_, conn := cluster(t, 1, kfake.SeedTopics(2, "in", "out"))
	older := openEmitter(t, conn, "id")
	records, mark := emission("a")
	if err := older.Emit(t.Context(), records, mark); err != nil {
		t.Fatal(err)
	}
	openEmitter(t, conn, "id")
	late, mark := emission("late")
	if err := older.Emit(t.Context(), late, mark); !errors.Is(err, ErrOutFenced) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want in one line that another run has begun", err)
	}
	if got := valuesOf(t, conn); got != "0:a 1:a" || noted(t, conn) != "of a" {
		t.Errorf("%s, noted %q", got, noted(t, conn))
	}
}

func TestWhatATopicDoesNotTakeIsSaidAndTheEmitterGoesOn(t *testing.T) {
	for _, id := range []string{"", "id"} {
		k, conn := cluster(t, 1, kfake.SeedTopics(1, "in"))
		limit := "1000"
		if err := k.CreateTopic("out", 1, map[string]string{"max.message.bytes": limit}); err != nil {
			t.Fatal(err)
		}
		e := openEmitter(t, conn, id)
		large := make([]byte, 5000)
		for i := range large { // nothing to compress
			large[i] = byte(i*i>>3 ^ i*31)
		}
		err := e.Emit(t.Context(), []Emission{{Message: event.Message{Value: large}}})
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("id %q: %v, want that it is too large", id, err)
		}
		if err := e.Emit(t.Context(), []Emission{{Message: event.Message{Value: []byte("small")}}}); err != nil {
			t.Errorf("id %q: %v", id, err)
		}
		if got := valuesOf(t, conn); got != "0:small" {
			t.Errorf("id %q: %s", id, got)
		}
	}
}

func TestKeyPartitionIsThatOfOtherClients(t *testing.T) {
	partition := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for i := range 200 {
		key := fmt.Appendf(nil, "order-%d", i*7919)
		want := partition.Partition(&kgo.Record{Key: key}, 12)
		if got := KeyPartition(key, 12); int(got) != want {
			t.Errorf("%s: %d, want %d", key, got, want)
		}
	}
}

func TestANewGroupHasNoMembersAndNoOffsets(t *testing.T) {
	_, conn := cluster(t, 1, kfake.SeedTopics(2, "in"))
	r, err := NewReader(conn, "in")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	state, err := r.Group(t.Context(), "new", "in")
	if err != nil || state.HasMembers() || len(state.Committed) > 0 {
		t.Errorf("%+v, %v", state, err)
	}
	want := map[int32]int64{0: 3, 1: 0}
	if err := r.SetOffsets(t.Context(), "new", "in", want); err != nil {
		t.Fatal(err)
	}
	if state, err = r.Group(t.Context(), "new", "in"); err != nil || cmp.Diff(want, state.Committed) != "" {
		t.Errorf("%+v, %v, want %v", state, err, want)
	}
}

// TestSetOffsetsKeepsWhatTheServiceNotedOfItsTopics but not who fenced last.
func TestSetOffsetsKeepsWhatTheServiceNotedOfItsTopics(t *testing.T) {
	_, conn := cluster(t, 1, kfake.SeedTopics(2, "in", "out"))
	mark := Mark{Group: "g", Topic: "in", Partition: 1, Committed: Committed{Offset: 7, Note: "fence 77 1800000000 of a in b 5"}}
	if err := openEmitter(t, conn, "id").Emit(t.Context(), nil, mark); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(conn, "in")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SetOffsets(t.Context(), "g", "in", map[int32]int64{0: 1, 1: 2}); err != nil {
		t.Fatal(err)
	}
	want := map[int32]Committed{0: {1, ""}, 1: {2, "fence -1 1800000000 of a in b 5"}}
	if got, err := r.Noted(t.Context(), "g", "in"); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}
