package replay_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/replay"
)

func TestTheEditor(t *testing.T) {
	for _, tt := range []struct {
		name, command, want, problem string
	}{
		{"edits", "tr a b", `{"bbb":1}`, ""},
		{"the newline of a tool goes", "cat; echo", `{"aaa":1}`, ""},
		{"fails", "cat; exit 3", "", "the command ended with exit status 3"},
		{"is unknown", "no-such-command-here", "", "the command ended with exit status 127"},
		{"prints nothing", "true", "", "the command printed nothing"},
		{"prints without end", "yes", "", "the command prints more than 1048576 bytes beyond the value"},
		{"is killed", "kill -9 $$", "", "the command ended with signal: killed"},
		{"does not read", "echo '{}'", "{}", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &replay.Editor{Command: tt.command, Limit: time.Minute}
			got, err := e.Edit(t.Context(), []byte(`{"aaa":1}`))
			if string(got) != tt.want || err == nil != (tt.problem == "") || err != nil && err.Error() != tt.problem {
				t.Errorf("%q: %q, %v, want %q, %s", tt.command, got, err, tt.want, tt.problem)
			}
		})
	}
}

func TestAnEditorThatHangsIsEndedWithItsChildren(t *testing.T) {
	e := &replay.Editor{Command: "sleep 600 | cat", Limit: 50 * time.Millisecond}
	began := time.Now()
	_, err := e.Edit(t.Context(), []byte("x"))
	if _, ok := errors.AsType[*replay.EditError](err); !ok || !strings.Contains(err.Error(), "did not end within 50ms") {
		t.Errorf("%v, want that its time is over", err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestTheEditorIsGivenNoSecret(t *testing.T) {
	environ := []string{"PATH=/bin", "PAYLINK_MERCHANT_SECRET=s1", "PAYLINK_KAFKA_SASL_PASSWORD=s2", "paylink_x_token=s3", "PAYLINK_KAFKA_GROUP=g", "TOKEN=mine"}
	if diff := cmp.Diff([]string{"PATH=/bin", "PAYLINK_KAFKA_GROUP=g", "TOKEN=mine"}, replay.Safe(environ)); diff != "" {
		t.Errorf("Safe (-want +got):\n%s", diff)
	}
	e := &replay.Editor{Command: "env", Environ: replay.Safe(environ), Limit: time.Minute}
	got, err := e.Edit(t.Context(), nil)
	if err != nil || strings.Contains(string(got), "s1") || !strings.Contains(string(got), "PAYLINK_KAFKA_GROUP=g") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestRedriveEditsOrLeavesTheRecordWhereItIs(t *testing.T) {
	b := newBench(t, 1)
	now := time.Now()
	b.bury(0, event.Message{Key: []byte("k"), Value: []byte(`{"intent_id":"mended","amount":"10.00","description":"x"`), Time: now}, source(0, 0), event.NotJSON)
	b.bury(0, emitted("a", now), source(0, 1), event.Conflict)
	var lines []string
	for _, tt := range []struct{ name, command, reason, want string }{
		{"nonsense", "echo nonsense", "conflict", "skipped conflict 0@1 0 what the command prints is no intent: not_json"},
		{"another id", `echo '{"intent_id":"b","amount":"10.00","description":"x"}'`, "conflict", "skipped conflict 0@1 0 the command changes the intent id"},
		{"breaks a rule", `echo '{"intent_id":"a","amount":"-1","description":"x"}'`, "conflict", "skipped conflict 0@1 0 what the command prints breaks a rule: amount"},
		{"no intent", `echo '[]'`, "not_json", "skipped not_json 0@0 0 what the command prints is no intent: not_json"},
		{"fails", `false`, "not_json", "skipped not_json 0@0 0 the command ended with exit status 1"},
		{"mends", `cat; echo '}'`, "not_json", "redriven not_json 0@0 1"},
	} {
		r := b.redrive(&lines)
		r.Reasons = []string{tt.reason}
		r.Edit = &replay.Editor{Command: tt.command, Limit: time.Minute}
		lines = nil
		b.run(r)
		if len(lines) != 1 || lines[0] != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, lines, tt.want)
		}
	}
	recs := b.read(devstack.Intents)
	if len(recs) != 1 || string(recs[0].Value) != `{"intent_id":"mended","amount":"10.00","description":"x"}` || string(recs[0].Key) != "k" {
		t.Errorf("driven were %+v, want the mended intent alone", recs)
	}
}
