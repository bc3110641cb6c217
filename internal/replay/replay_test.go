package replay_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/facts"
	"paylink/internal/kafkaops"
	"paylink/internal/replay"
)

func TestOutcomesAreCopiedInOrderWithTheTimeOfTheReplay(t *testing.T) {
	b := newBench(t, 2)
	at := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	for i := range 700 { // more than one batch
		b.settleMany(fmt.Sprint("i", i%50, "-", i), source(int32(i%2), int64(i)), at.Add(time.Duration(i)))
	}
	b.must(b.flush())
	b.must(b.kafka.EmitTo(t.Context(), devstack.Outcomes, 0, event.Message{Value: []byte("foreign")}))
	run := replay.Outcomes{Archive: b.archive, Emit: b.emitter("copy", "")}
	var places []event.Place
	run.Done = func(p []event.Place) error { places = p; return nil }
	rows, err := run.Run(t.Context(), b.spans(devstack.Outcomes))
	b.must(err)
	if rows[0].Outcomes+rows[1].Outcomes != 700 || rows[0].Foreign != 1 || rows[0].Next != 351 || rows[1].Next != 350 {
		t.Errorf("rows %+v", rows)
	}
	if diff := cmp.Diff(replay.NextOf(devstack.Outcomes, rows), places); diff != "" {
		t.Errorf("the last places (-want +got):\n%s", diff)
	}
	from, to := map[string][]event.Message{}, map[string][]event.Message{}
	for _, r := range b.read(devstack.Outcomes) {
		if r.Key != nil {
			from[string(r.Key)] = append(from[string(r.Key)], r.Message)
		}
	}
	stamp := b.archive.Now.UTC().Format(time.RFC3339)
	for _, r := range b.read("copy") {
		last := len(r.Headers) - 1
		if h := r.Headers[last]; h.Key != replay.HeaderReplayedAt || string(h.Value) != stamp {
			t.Fatalf("the last header is %s %s, want %s %s", h.Key, h.Value, replay.HeaderReplayedAt, stamp)
		}
		r.Headers = r.Headers[:last]
		to[string(r.Key)] = append(to[string(r.Key)], r.Message)
	}
	if diff := cmp.Diff(from, to); diff != "" {
		t.Errorf("records by key (-outcomes +copy):\n%s", diff)
	}
}

func TestOutcomesGoOnWhereAnInterruptedReplayEnded(t *testing.T) {
	b := newBench(t, 1)
	for i := range 1200 {
		b.settleMany(fmt.Sprint("i", i), source(0, int64(i)), time.Now())
	}
	b.must(b.flush())
	file := filepath.Join(t.TempDir(), "places.csv")
	ctx, stop := context.WithCancel(t.Context())
	run := replay.Outcomes{Archive: b.archive, Emit: b.emitter("copy", "")}
	run.Done = func(p []event.Place) error { stop(); return replay.KeepPlaces(file, p) }
	if _, err := run.Run(ctx, b.spans(devstack.Outcomes)); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want that it was interrupted", err)
	}
	spans := b.spans(devstack.Outcomes)
	places := b.places(file, devstack.Outcomes)
	if places[0] <= 0 || places[0] >= 1200 {
		t.Fatalf("it ended at %d", places[0])
	}
	spans[0].From = places[0]
	run.Done = nil
	_, err := run.Run(t.Context(), spans)
	b.must(err)
	if got := len(b.read("copy")); got != 1200 {
		t.Errorf("%d records, want 1200", got)
	}
}

func TestOutcomesOfOneMerchantAlone(t *testing.T) {
	b := newBench(t, 1)
	b.settle("a", source(0, 0), time.Now())
	b.settle("b", source(0, 1), time.Now())
	run := replay.Outcomes{Archive: b.archive}
	run.Wants = func(f facts.Fact) bool { return f.Intent == "b" }
	rows, err := run.Run(t.Context(), b.spans(devstack.Outcomes))
	b.must(err)
	if rows[0].Outcomes != 1 || !rows[0].DryRun || len(b.read("copy")) != 0 {
		t.Errorf("%+v, and %d records: want 1, of a dry run", rows, len(b.read("copy")))
	}
}

func (b *bench) unanswered(lines *[]string) *replay.Unanswered {
	return &replay.Unanswered{
		Archive: b.archive, Group: group, Emit: b.emitter(devstack.Intents, "test/unanswered"),
		Tell: func(l replay.UnansweredLine) error {
			*lines = append(*lines, strings.TrimSpace(fmt.Sprintf("%s %s %d@%d %s", l.Kind, l.Intent, l.Partition, l.Offset, l.Detail)))
			return nil
		},
	}
}

func TestUnansweredEmitsExactlyWhatWasPassedByWithoutAnAnswer(t *testing.T) {
	b := newBench(t, 2)
	now := time.Now().Add(-10 * time.Minute)
	b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 0, emitted("answered", now), emitted("lost", now), emitted("buried", now), emitted("lost", now),
		event.Message{Value: []byte("no intent"), Time: now}, emitted("again", now), emitted("waits", now), emitted("again", now)))
	b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 1, emitted("early", now), emitted("lost-too", now)))
	b.settle("answered", source(0, 0), now)
	b.settle("early", source(1, 0), now.Add(-time.Hour)) // of an earlier record
	b.bury(0, emitted("buried", now), source(0, 2), event.Conflict)
	b.commit(map[int32]int64{0: 6, 1: 2})
	var lines []string
	dry := b.unanswered(&lines)
	dry.Emit = nil
	got, err := dry.Run(t.Context(), b.spans(devstack.Intents))
	b.must(err)
	want := replay.UnansweredSums{Intents: 6, Answered: 2, Waiting: 1, Buried: 1, Unreadable: 1, Emitted: 2}
	if got != want || len(b.read(devstack.Intents)) != 10 {
		t.Errorf("a dry run: %+v, want %+v; %d records, want 10", got, want, len(b.read(devstack.Intents)))
	}
	lines = nil
	if got, err = b.unanswered(&lines).Run(t.Context(), b.spans(devstack.Intents)); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if diff := cmp.Diff([]string{"emitted lost 0@1", "emitted lost-too 1@1"}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	recs := b.read(devstack.Intents)
	var again []devstack.Record
	for _, r := range recs {
		if r.Header(replay.HeaderReplayedAt) != nil {
			again = append(again, r)
		}
	}
	if len(again) != 2 || again[0].Partition != 0 || string(again[0].Key) != "key-lost" || string(again[0].Value) != string(intent("lost")) ||
		string(again[0].Header("trace")) != "lost" || again[0].Time.Before(b.archive.Now.Add(-time.Second)) || again[1].Partition != 1 {
		t.Errorf("emitted again were %+v", again)
	}
	for range 2 { // further runs find them on the topic
		if got, err := b.unanswered(&lines).Run(t.Context(), b.spans(devstack.Intents)); err != nil || got.Emitted != 0 || got.Waiting != 3 {
			t.Errorf("once more: %+v, %v, want that nothing is emitted", got, err)
		}
	}
}

func TestUnansweredLeavesAloneWhoseOutcomeMayHaveBeenDeleted(t *testing.T) {
	b := newBench(t, 1)
	now := time.Now()
	b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 0, emitted("before", now.Add(-2*time.Hour)), emitted("after", now.Add(-time.Minute))))
	b.settle("gone", source(0, 8), now.Add(-90*time.Minute))
	b.settle("kept", source(0, 9), now.Add(-time.Hour))
	b.deleteBefore(devstack.Outcomes, 0, 1)
	b.commit(map[int32]int64{0: 2})
	var lines []string
	got, err := b.unanswered(&lines).Run(t.Context(), b.spans(devstack.Intents))
	b.must(err)
	want := []string{"skipped before 0@0 its outcome may have been deleted: the outcome topic does not reach back to it", "emitted after 0@1"}
	if diff := cmp.Diff(want, lines); diff != "" || got.Skipped != 1 {
		t.Errorf("%+v, lines (-want +got):\n%s", got, diff)
	}
	u := b.unanswered(&lines)
	u.AssumeUnanswered = true
	if got, err := u.Run(t.Context(), b.spans(devstack.Intents)[:1]); err != nil || got.Emitted != 1 {
		t.Errorf("with the word of the operator: %+v, %v, want 1 emitted", got, err)
	}
}

// An outcome topic that was made again begins at 0 like one that never lost anything. What
// the service has noted beside its offsets tells them apart, and so does the topic's id.
// A record whose time is to come may be of any age.
func TestUnansweredLeavesAloneWhatATopicThatWasMadeAgainHasForgotten(t *testing.T) {
	now := time.Now()
	const other = "00000000000000000000000000000001"
	for _, c := range []struct {
		name, note string
		emitted    int64
	}{
		{"noted by the next owner", fmt.Sprintf("fence 7 %d of %s in %s %d", now.Unix(), other, strings.Repeat("0", 32), now.Add(-time.Hour).Unix()), 1},
		{"no owner since", fmt.Sprintf("fence 7 %d of %s in %s 0", now.Unix(), other, other), 0},
		{"nothing was lost", fmt.Sprintf("fence 7 %d of %s in %s 0", now.Unix(), other, strings.Repeat("0", 32)), 3},
		{"of another tool", "", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, 1)
			b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 0, emitted("before", now.Add(-2*time.Hour)), emitted("after", now.Add(-time.Minute)),
				emitted("in-microseconds", time.UnixMilli(now.UnixMicro()))))
			b.commitWith(map[int32]int64{0: 3}, c.note)
			var lines []string
			got, err := b.unanswered(&lines).Run(t.Context(), b.spans(devstack.Intents))
			b.must(err)
			if got.Emitted != c.emitted || got.Skipped != 3-c.emitted {
				t.Errorf("%+v, want %d emitted and the others skipped: %q", got, c.emitted, lines)
			}
		})
	}
}

// giveUp is the age at which the service of these tests gives up.
const giveUp = 90 * time.Minute

func (b *bench) plan(to replay.Target, window time.Duration) ([]replay.Move, error) {
	b.Helper()
	state, err := b.archive.Kafka.Group(b.Context(), group, devstack.Intents)
	b.must(err)
	run := replay.Intents{Archive: b.archive, Group: group, Window: window, GiveUp: giveUp}
	return run.Plan(b.Context(), to, state)
}

func number(n int64) *int64 { return &n }

func TestAPlanTellsWhatSettingOffsetsWouldDo(t *testing.T) {
	b := newBench(t, 1)
	now := time.Now()
	b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 0,
		emitted("old", now.Add(-3*time.Hour)), emitted("answered", now.Add(-time.Hour)), emitted("called", now), emitted("called", now),
		event.Message{Value: []byte(`{"intent_id":"bad","amount":"-1"}`), Time: now}, event.Message{Value: []byte("no json"), Time: now}, emitted("next", now)))
	b.settle("old", source(0, 0), now.Add(-3*time.Hour)) // beyond the ledger
	b.settle("answered", source(0, 1), now)
	b.commit(map[int32]int64{0: 6})
	for _, tt := range []struct {
		name string
		to   replay.Target
		want replay.Move
	}{
		{"earliest", replay.Target{First: true}, replay.Move{New: 0, Skipped: 2, Called: 1, Invalid: 1, TooOld: 1, Buried: 1}},
		{"a time", replay.Target{At: now.Add(-2 * time.Hour)}, replay.Move{New: 1, Skipped: 2, Called: 1, Invalid: 1, Buried: 1}},
		{"back", replay.Target{Shift: number(-2)}, replay.Move{New: 4, Invalid: 1, Buried: 1}},
		{"an offset", replay.Target{Offset: number(5)}, replay.Move{New: 5, Buried: 1}},
		{"of a file", replay.Target{Offsets: map[int32]int64{0: 3}}, replay.Move{New: 3, Called: 1, Invalid: 1, Buried: 1}},
		{"latest", replay.Target{Last: true}, replay.Move{New: 7, PassedOver: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Kind, tt.want.Topic, tt.want.Old, tt.want.DryRun = "offset", devstack.Intents, 6, true
			got, err := b.plan(tt.to, 2*time.Hour)
			if diff := cmp.Diff([]replay.Move{tt.want}, got); err != nil || diff != "" {
				t.Errorf("%v, (-want +got):\n%s", err, diff)
			}
		})
	}
	for _, to := range []replay.Target{{Shift: number(-7)}, {Offset: number(8)}, {Offsets: map[int32]int64{1: 0}}, {First: true, Partitions: []int32{3}}} {
		if _, err := b.plan(to, time.Hour); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), devstack.Intents) {
			t.Errorf("%+v: %v, want one line that names the topic", to, err)
		}
	}
}

// Whose id was answered with other content, or stands further up with other content, gets
// a dead letter.
func TestAPlanTellsConflicts(t *testing.T) {
	b := newBench(t, 1)
	now := time.Now()
	other := func(id string) event.Message {
		return event.Message{Value: fmt.Appendf(nil, `{"intent_id":%q,"amount":"11.00","description":"top-up"}`, id), Time: now}
	}
	b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 0,
		emitted("answered", now), other("answered"), emitted("called", now), emitted("called", now), other("called")))
	b.settle("answered", source(0, 0), now)
	b.commit(map[int32]int64{0: 5})
	for _, tt := range []struct {
		to   replay.Target
		want replay.Move
	}{
		{replay.Target{First: true}, replay.Move{Old: 5, Skipped: 2, Called: 1, Buried: 2}},
		{replay.Target{Last: true}, replay.Move{Old: 0, New: 5, PassedOver: 4}},
	} {
		b.commit(map[int32]int64{0: tt.want.Old})
		tt.want.Kind, tt.want.Topic, tt.want.DryRun = "offset", devstack.Intents, true
		got, err := b.plan(tt.to, 2*time.Hour)
		if diff := cmp.Diff([]replay.Move{tt.want}, got); err != nil || diff != "" {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
	}
}

func TestAPlanTellsWhoIsTooOldToBeCalled(t *testing.T) {
	b := newBench(t, 1)
	now := time.Now()
	b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 0, emitted("aged", now.Add(-giveUp-time.Minute)), emitted("in-time", now.Add(time.Minute-giveUp))))
	b.commit(map[int32]int64{0: 2})
	got, err := b.plan(replay.Target{First: true}, 24*time.Hour)
	want := []replay.Move{{Kind: "offset", Topic: devstack.Intents, Old: 2, New: 0, GivenUp: 1, Called: 1, DryRun: true}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

func TestOffsetsAreSetAndSetBackAgain(t *testing.T) {
	b := newBench(t, 2)
	b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 0, emitted("a", time.Now()), emitted("b", time.Now())))
	b.commit(map[int32]int64{0: 2})
	moves, err := b.plan(replay.Target{First: true}, time.Hour)
	b.must(err)
	run := replay.Intents{Archive: b.archive, Group: group}
	b.must(run.Set(t.Context(), moves))
	b.isCommitted(map[int32]int64{0: 0, 1: 0})
	var undo strings.Builder
	b.must(replay.WritePlaces(&undo, replay.OldPlaces(moves)))
	if undo.String() != "payment-intents,0,2\n" {
		t.Errorf("the old offsets are %q", undo.String())
	}
	places, err := replay.ReadPlaces(strings.NewReader(undo.String()), group, devstack.Intents)
	b.must(err)
	moves, err = b.plan(replay.Target{Offsets: places}, time.Hour)
	b.must(err)
	b.must(run.Set(t.Context(), moves))
	b.isCommitted(map[int32]int64{0: 2, 1: 0})
}

func TestOffsetsAreNotSetWhileTheGroupHasMembers(t *testing.T) {
	b := newBench(t, 1)
	b.must(b.kafka.EmitTo(t.Context(), devstack.Intents, 0, emitted("a", time.Now())))
	b.commit(map[int32]int64{0: 1})
	defer b.join()()
	state, err := b.archive.Kafka.Group(t.Context(), group, devstack.Intents)
	b.must(err)
	if !state.HasMembers() || len(state.Members) != 1 || !strings.Contains(state.Members[0], "paylink-dev") {
		t.Errorf("the group is %+v, want one member that is named", state)
	}
	err = b.archive.Kafka.SetOffsets(t.Context(), group, devstack.Intents, map[int32]int64{0: 0})
	if !errors.Is(err, kafkaops.ErrMembers) {
		t.Errorf("%v, want that it has members", err)
	}
	b.isCommitted(map[int32]int64{0: 1})
}

func TestReadPlaces(t *testing.T) {
	for _, tt := range []struct{ text, want, problem string }{
		{"t,0,5\nt,1,7\n", "map[0:5 1:7]", ""},
		{"\xef\xbb\xbf\"g\",\"t\",0,5\r\n", "map[0:5]", ""},
		{"\"g\",\"t\",0,5\n\"other\",\"x\",0,9\n", "map[0:5]", ""},
		{"# a comment\n\nt, 2, 3\n", "map[2:3]", ""},
		{"paylink: to undo it, put these \"lines\" there:\nt,0,5\n", "map[0:5]", ""},
		{"t,0\n", "", "line 1: want topic,partition,offset"},
		{"x,0,5\n", "", `line 1: it is about topic "x", not t`},
		{"t,0,5\nt,zero,5\n", "", "line 2: want a partition and an offset, both whole numbers"},
		{"t,0,-1\n", "", "line 1: want a partition and an offset, both whole numbers"},
		{"t,0,5\nt,0,6\n", "", "line 2: partition 0 stands there twice"},
	} {
		got, err := replay.ReadPlaces(strings.NewReader(tt.text), "g", "t")
		if tt.problem != "" && (err == nil || err.Error() != tt.problem) || tt.problem == "" && fmt.Sprint(got) != tt.want {
			t.Errorf("%q: %v, %v, want %s%s", tt.text, got, err, tt.want, tt.problem)
		}
	}
}
