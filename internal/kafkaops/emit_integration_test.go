//go:build integration

package kafkaops

import (
	"testing"

	"github.com/segmentio/kafka-go"

	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkawire"
	"paylink/internal/realkafka"
)

// TestNotesAreNotReadWhileATransactionStandsOpen: what it has noted may still be
// undone. The embedded broker does not tell so of a group that is new.
func TestNotesAreNotReadWhileATransactionStandsOpen(t *testing.T) {
	brokers := realkafka.Start(t)
	topic, group := realkafka.Topic(t, brokers, "in", 2), realkafka.Name(t, "group")
	conn := kafkaio.Connection{Brokers: brokers}
	e, err := OpenEmitter(t.Context(), conn, topic, realkafka.Name(t, "id"))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	mark := Mark{Group: group, Topic: topic, Partition: 1, Committed: Committed{Offset: 7, Note: "a note"}}
	if err := e.write(t.Context(), []Emission{{Message: event.Message{Value: []byte("a")}}}, []Mark{mark}); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(conn, topic)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.committedOnce(t.Context(), group, topic, []int32{0, 1}); kafkaio.Code(err) != kafkawire.UnstableOffsetCommit {
		t.Errorf("while the transaction stands open: %v, want %v", err, kafkawire.UnstableOffsetCommit)
	}
	if err := e.abort(kafka.Unknown); err != kafka.Unknown {
		t.Fatal(err)
	}
	if got, err := r.Noted(t.Context(), group, topic); err != nil || len(got) != 0 {
		t.Errorf("after the abort: %v, %v, want nothing", got, err)
	}
	if err := e.Emit(t.Context(), nil, mark); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Noted(t.Context(), group, topic); err != nil || got[1] != mark.Committed || len(got) != 1 {
		t.Errorf("after the commit: %v, %v", got, err)
	}
}
