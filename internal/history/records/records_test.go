package records_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/history"
	"paylink/internal/history/records"
	"paylink/internal/payment"
)

var (
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	from = event.Place{Topic: "payment-intents", Partition: 2, Offset: 7}
)

func record(m event.Message) devstack.Record {
	return devstack.Record{Message: m, Place: event.Place{Topic: "t", Partition: 1, Offset: 9}}
}

func TestOutcomesAreReadWithAndWithoutASchema(t *testing.T) {
	d := event.Decoded{Intent: payment.Intent{ID: "i"}}
	for _, tt := range []struct {
		outcome payment.Outcome
		want    history.Outcome
	}{
		{payment.Created{Link: payment.Link{PaymentID: 5, RedirectURL: "u"}, At: noon}, history.Outcome{Created: true, Payment: 5, Link: "u"}},
		{payment.Failed{Reason: payment.Duplicate, PaymentID: 5, PaymentMayExist: true, At: noon}, history.Outcome{Payment: 5, MayExist: true, Reason: "duplicate"}},
	} {
		m, err := event.NewEncoder(event.EncoderConfig{}).Outcome(t.Context(), d, []byte("k"), from, tt.outcome)
		if err != nil {
			t.Fatal(err)
		}
		framed := m
		framed.Value = append([]byte{0, 0, 0, 0, 1}, m.Value...)
		got, err := records.Outcomes([]devstack.Record{record(m), record(framed)})
		if err != nil {
			t.Fatal(err)
		}
		tt.want.At, tt.want.Source = history.Place{Partition: 1, Offset: 9}, history.Place{Partition: 2, Offset: 7}
		tt.want.Time, tt.want.Key, tt.want.Intent = noon, "k", "i"
		if diff := cmp.Diff([]history.Outcome{tt.want, tt.want}, got); diff != "" {
			t.Errorf("%T (-want +got):\n%s", tt.outcome, diff)
		}
	}
	if _, err := records.Outcomes([]devstack.Record{record(event.Message{Value: []byte("{}")})}); err == nil {
		t.Error("Outcomes of {}: want an error")
	}
}

func TestDeadLettersTellTheirSource(t *testing.T) {
	m := event.DeadLetter(event.Message{Value: []byte("x"), Time: noon}, from, "g", &event.Unreadable{Reason: event.NotJSON, Text: "t"}, noon)
	got, err := records.DeadLetters([]devstack.Record{record(m)})
	want := []history.DeadLetter{{At: history.Place{Partition: 1, Offset: 9}, Source: history.Place{Partition: 2, Offset: 7}, Reason: "not_json", Time: noon}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("DeadLetters: %v (-want +got):\n%s", err, diff)
	}
	if _, err := records.DeadLetters([]devstack.Record{record(event.Message{})}); err == nil {
		t.Error("DeadLetters without headers: want an error")
	}
}
