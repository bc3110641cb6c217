package replay_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/facts"
	"paylink/internal/kafkaops"
	"paylink/internal/replay"
)

// redrive is a run that executes, unless it is changed.
func (b *bench) redrive(lines *[]string) *replay.Redrive {
	return &replay.Redrive{
		Archive: b.archive, Group: group, MaxCycles: 3, Rate: rate.Inf, Emit: b.emitter(devstack.Intents, "test/redrive"),
		Oldest: b.archive.Now.Add(-time.Hour),
		Tell: func(l replay.RedriveLine) error {
			*lines = append(*lines, strings.TrimSpace(fmt.Sprintf("%s %s %d@%d %d %s", l.Kind, l.Reason, l.Partition, l.Offset, l.Cycles, l.Detail)))
			return nil
		},
	}
}

func (b *bench) run(r *replay.Redrive) replay.RedriveSums {
	b.Helper()
	got, err := r.Run(b.Context(), b.spans(devstack.DeadLetters))
	b.must(err)
	return got
}

func TestRedriveRestoresTheRecordAndDrivesItOnce(t *testing.T) {
	b := newBench(t, 2)
	first, second := emitted("a", time.Now()), event.Message{Value: []byte("no json"), Time: time.Now()}
	b.bury(0, first, source(1, 5), event.Conflict)
	b.bury(0, second, source(0, 6), event.NotJSON)
	var lines []string
	if got := b.run(b.redrive(&lines)); got.Redriven != 2 {
		t.Fatalf("%+v, want 2 redriven", got)
	}
	recs := b.read(devstack.Intents)
	first.Headers = append(first.Headers, event.Header{Key: replay.HeaderCycles, Value: []byte("1")})
	second.Headers = []event.Header{{Key: replay.HeaderCycles, Value: []byte("1")}}
	for i, want := range []devstack.Record{{Message: second, Place: event.Place{Partition: 0}}, {Message: first, Place: event.Place{Partition: 1}}} {
		got := recs[i]
		if got.Partition != want.Partition || string(got.Key) != string(want.Key) || (got.Key == nil) != (want.Key == nil) || string(got.Value) != string(want.Value) ||
			cmp.Diff(want.Headers, got.Headers) != "" {
			t.Errorf("record %d is %+v, want %+v", i, got, want)
		}
		if got.Time.Before(b.archive.Now.Truncate(time.Millisecond)) {
			t.Errorf("record %d has the time %s, want one of now", i, got.Time)
		}
	}
	if got := b.run(b.redrive(&lines)); got != (replay.RedriveSums{Already: 2}) {
		t.Errorf("the second run: %+v, want nothing but 2 that were driven before", got)
	}
	if want := []string{"redriven conflict 0@0 1", "redriven not_json 0@1 1"}; cmp.Diff(want, lines) != "" {
		t.Errorf("lines %q, want %q", lines, want)
	}
}

func TestRedriveLeavesAloneWhatIsNotToBeDriven(t *testing.T) {
	b := newBench(t, 1)
	now := time.Now()
	worn := emitted("worn", now)
	worn.Headers = append(worn.Headers, event.Header{Key: replay.HeaderCycles, Value: []byte("3")})
	b.bury(0, worn, source(0, 1), event.Conflict)
	b.bury(0, emitted("old", now.Add(-2*time.Hour)), source(0, 2), event.Conflict)
	b.bury(0, emitted("beyond", now), source(0, 3), event.TooOld)
	b.bury(0, emitted("else", now), event.Place{Topic: "elsewhere", Offset: 4}, event.Conflict)
	b.must(b.kafka.EmitTo(t.Context(), devstack.DeadLetters, 0, emitted("stranger", now)))
	var lines []string
	sums := b.run(b.redrive(&lines))
	if want := (replay.RedriveSums{Parked: 1, Skipped: 4}); sums != want {
		t.Errorf("%+v, want %+v", sums, want)
	}
	want := []string{
		"parked conflict 0@0 3 it was driven 3 times",
		"skipped conflict 0@1 0 whether it was answered is not known: it is older than the ledger window",
		"skipped too_old 0@2 0 whether it was answered is not known: the ledger did not reach back to it",
		"skipped conflict 0@3 0 it comes from another topic",
		"skipped  0@4 0 it has no headers of a dead letter of paylink",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	r := b.redrive(&lines)
	r.Oldest = time.Time{}
	if got := b.run(r); got.Redriven != 2 {
		t.Errorf("with the word of the operator: %+v, want 2 redriven", got)
	}
	if got := b.idsOf(devstack.Intents); cmp.Diff(map[string]int{"old": 1, "beyond": 1}, got) != "" {
		t.Errorf("driven were %v", got)
	}
}

func TestRedriveByFiltersDrivesEachOnceInAnyOrder(t *testing.T) {
	b := newBench(t, 1)
	for i := range 20 {
		b.bury(0, emitted(fmt.Sprint("i", i), time.Now()), source(0, int64(i)), []event.DeadReason{event.Conflict, event.TooLarge}[i%2])
	}
	var lines []string
	byReason, one := b.redrive(&lines), func(f facts.Fact) bool { return f.Intent == "i7" }
	byReason.Reasons = []string{"conflict"}
	if got := b.run(byReason); got.Redriven != 10 {
		t.Errorf("by reason: %+v", got)
	}
	byIntent := b.redrive(&lines)
	byIntent.Wants = one
	if got := b.run(byIntent); got.Redriven != 1 {
		t.Errorf("by intent: %+v", got)
	}
	if got := b.run(b.redrive(&lines)); got != (replay.RedriveSums{Redriven: 9, Already: 11}) {
		t.Errorf("the rest: %+v", got)
	}
	for id, n := range b.idsOf(devstack.Intents) {
		if n != 1 {
			t.Errorf("%s was driven %d times", id, n)
		}
	}
}

func TestARedriveThatDiesAgainIsCountedUpAndParked(t *testing.T) {
	b := newBench(t, 1)
	m := emitted("a", time.Now())
	b.bury(0, m, source(0, 0), event.Conflict)
	var lines []string
	for range 4 {
		b.run(b.redrive(&lines))
		recs := b.read(devstack.Intents)
		last := recs[len(recs)-1]
		if got := len(b.read(devstack.DeadLetters)); got == len(recs) {
			b.bury(0, last.Message, last.Place, event.Conflict) // as the service does
		}
	}
	want := []string{"redriven conflict 0@0 1", "redriven conflict 0@1 2", "redriven conflict 0@2 3", "parked conflict 0@3 3 it was driven 3 times"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestRedriveReadsTheOriginalOfADeadLetterByReference(t *testing.T) {
	b := newBench(t, 1)
	there := emitted("there", time.Now())
	b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 0, there, emitted("other", time.Now().Add(-time.Minute))))
	for _, from := range []event.Place{source(0, 0), source(0, 1), source(0, 9)} {
		dead := event.DeadLetterByReference(there, from, group, &event.Unreadable{Reason: event.TooLarge}, time.Now())
		b.must(b.kafka.EmitTo(t.Context(), devstack.DeadLetters, 0, dead))
	}
	var lines []string
	b.run(b.redrive(&lines))
	want := []string{
		"redriven too_large 0@0 1",
		"skipped too_large 0@1 0 another record stands now where its original was",
		"skipped too_large 0@2 0 its original is gone from the topic",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	recs := b.read(devstack.Intents)
	if last := recs[len(recs)-1]; string(last.Value) != string(there.Value) || string(last.Header("trace")) != "there" || last.Header(replay.HeaderCycles) == nil {
		t.Errorf("driven was %+v", last)
	}
}

func TestADryRunOfRedriveChangesNothing(t *testing.T) {
	b := newBench(t, 1)
	b.bury(0, emitted("a", time.Now()), source(0, 0), event.Conflict)
	var lines []string
	r := b.redrive(&lines)
	r.Emit = nil
	for range 2 {
		if got := b.run(r); got.Redriven != 1 {
			t.Errorf("%+v, want 1 that would be redriven", got)
		}
	}
	if got := b.read(devstack.Intents); len(got) != 0 {
		t.Errorf("%d records were written", len(got))
	}
}

// buryInPieces buries so many, with a stranger after every five: it ends a
// transaction, so that a run has several.
func (b *bench) buryInPieces(n int) {
	b.Helper()
	for i := range n {
		b.bury(0, emitted(fmt.Sprint("i", i), time.Now()), source(0, int64(i)), event.Conflict)
		if i%5 == 4 {
			b.must(b.kafka.EmitTo(b.Context(), devstack.DeadLetters, 0, emitted("stranger", time.Now())))
		}
	}
}

// each tells how many intents were driven, and fails if one was more than once.
func (b *bench) each() int {
	b.Helper()
	got := b.idsOf(devstack.Intents)
	for id, n := range got {
		if n != 1 {
			b.Errorf("%s was driven %d times", id, n)
		}
	}
	return len(got)
}

// TestTwoRedrivesAtOnceDriveNothingTwice: the second one to open shuts the first one
// out, at whatever place that is.
func TestTwoRedrivesAtOnceDriveNothingTwice(t *testing.T) {
	b := newBench(t, 1)
	b.buryInPieces(50)
	var lines []string
	older := b.redrive(&lines)
	older.Tell = func(replay.RedriveLine) error {
		if lines == nil {
			if got := b.run(b.redrive(&lines)); got.Redriven != 45 || got.Already != 5 {
				t.Errorf("the newer run: %+v, want what the older one has left", got)
			}
		}
		return nil
	}
	if _, err := older.Run(t.Context(), b.spans(devstack.DeadLetters)); !errors.Is(err, kafkaops.ErrOutFenced) {
		t.Errorf("the older run ends with %v, want that it was shut out", err)
	}
	if n := b.each(); n != 50 {
		t.Errorf("%d of 50 were driven", n)
	}
}

func TestAnInterruptedRedriveGoesOnWhereItEnded(t *testing.T) {
	b := newBench(t, 1)
	b.buryInPieces(50)
	for runs := 1; ; runs++ {
		ctx, stop := context.WithCancel(t.Context())
		var lines []string
		r := b.redrive(&lines)
		tell := r.Tell
		r.Tell = func(l replay.RedriveLine) error {
			if l.Kind == replay.Redriven && len(lines) > 7 {
				stop()
			}
			return tell(l)
		}
		sums, err := r.Run(ctx, b.spans(devstack.DeadLetters))
		stop()
		if err == nil {
			if sums.Already < 40 || runs < 3 {
				t.Errorf("run %d: %+v, want that earlier runs did the most", runs, sums)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || runs > 50 {
			t.Fatalf("run %d: %v", runs, err)
		}
	}
	if n := b.each(); n != 50 {
		t.Errorf("%d of 50 were driven", n)
	}
}

func TestNotesThatAToolHasOverwrittenStopARedrive(t *testing.T) {
	b := newBench(t, 1)
	b.bury(0, emitted("a", time.Now()), source(0, 0), event.Conflict)
	b.must(b.archive.Kafka.SetOffsets(t.Context(), replay.RedriveGroup(group, 0), devstack.DeadLetters, map[int32]int64{0: 1}))
	var lines []string
	_, err := b.redrive(&lines).Run(t.Context(), b.spans(devstack.DeadLetters))
	if err == nil || !strings.Contains(err.Error(), "a tool has set its offset") {
		t.Errorf("%v, want that it is not known what was driven", err)
	}
	if got := b.read(devstack.Intents); len(got) != 0 {
		t.Errorf("%d records were written", len(got))
	}
}

// TestRedriveDrivesNothingOfBeforeItsNotes: brokers forget notes. What was driven before
// they did is never driven again, also when the block of notes was begun anew since.
func TestRedriveDrivesNothingOfBeforeItsNotes(t *testing.T) {
	b := newBench(t, 1)
	b.bury(0, emitted("driven", time.Now()), source(0, 1), event.Conflict)
	var lines []string
	if got := b.run(b.redrive(&lines)); got.Redriven != 1 {
		t.Fatalf("%+v, want 1 redriven", got)
	}
	time.Sleep(2 * time.Millisecond) // records have milliseconds
	forgotten := time.Now()
	b.bury(0, emitted("new", time.Now()), source(0, 2), event.Conflict)
	for _, want := range []replay.RedriveSums{{Redriven: 1, Skipped: 1}, {Already: 1, Skipped: 1}} {
		r := b.redrive(&lines)
		r.Group, r.NotesSince = "without a note", forgotten.Truncate(time.Millisecond)
		if got := b.run(r); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if got := b.idsOf(devstack.Intents); cmp.Diff(map[string]int{"driven": 1, "new": 1}, got) != "" {
		t.Errorf("driven were %v, want each once", got)
	}
	want := "skipped conflict 0@0 0 whether it was driven before is not known: brokers have forgotten such notes since"
	if lines[1] != want {
		t.Errorf("line %q, want %q", lines[1], want)
	}
}
