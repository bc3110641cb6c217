package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/event"
)

// A printed is what a command line printed.
type printed struct {
	code     int
	out, err string
}

// lines reads JSON lines.
func (s printed) lines(t *testing.T) (all []map[string]any) {
	t.Helper()
	for _, l := range strings.Split(strings.TrimSpace(s.out), "\n") {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		all = append(all, m)
	}
	return all
}

// operator runs verbs against a broker of its own, whose topics have one partition.
func operator(t *testing.T) (k devstack.Kafka, do func(args ...string) printed) {
	t.Helper()
	broker, err := devstack.StartBroker(devstack.BrokerOptions{Topics: append(devstack.DefaultTopics(1), devstack.Topic{Name: "copy", Partitions: 1})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	environ := []string{"PAYLINK_KAFKA_BROKERS=" + strings.Join(broker.Addrs(), ","), "PAYLINK_MERCHANT_ID=540001", "PAYLINK_MERCHANT_SECRET=" + canary, "PATH=" + os.Getenv("PATH")}
	return broker.Kafka(), func(args ...string) printed {
		var out, errs strings.Builder
		code := run(t.Context(), args, world{environ: environ, out: &out, err: &errs})
		return printed{code, out.String(), errs.String()}
	}
}

func put(t *testing.T, k devstack.Kafka, topic string, messages ...event.Message) {
	t.Helper()
	if err := k.EmitTo(t.Context(), topic, 0, messages...); err != nil {
		t.Fatal(err)
	}
}

func anIntent(id string) event.Message {
	return event.Message{Key: []byte(id), Time: time.Now(), Value: fmt.Appendf(nil, `{"intent_id":%q,"amount":"10.00","description":"top-up","user_phone":%q}`, id, phone)}
}

func TestRedriveSpeaksAsTheContractSays(t *testing.T) {
	k, do := operator(t)
	for i, reason := range []event.DeadReason{event.Conflict, event.NotJSON} {
		m := anIntent(fmt.Sprint("i", i))
		put(t, k, devstack.DeadLetters, event.DeadLetter(m, event.Place{Topic: devstack.Intents, Offset: int64(i)}, "paylink", &event.Unreadable{Reason: reason}, time.Now()))
	}
	dry := do("redrive", "--output", "json")
	lines := dry.lines(t)
	if last := lines[len(lines)-1]; dry.code != exitOK || len(lines) != 3 || last["kind"] != "summary" || last["dry_run"] != true || last["redriven"] != 2.0 {
		t.Errorf("a dry run: exit %d, %s", dry.code, dry.out)
	}
	got := do("redrive", "--execute", "--output", "json", "--reason", "conflict")
	first := got.lines(t)[0]
	for name, want := range map[string]any{"kind": "redriven", "reason": "conflict", "partition": 0.0, "offset": 0.0, "cycles": 1.0} {
		if first[name] != want {
			t.Errorf("%s is %v, want %v: %s", name, first[name], want, got.out)
		}
	}
	left := do("redrive", "--execute", "--edit-with", "exit 4")
	if left.code != exitFailure || !strings.Contains(left.out, "redrove 0 dead letters; 0 stay parked, 1 are skipped; 1 were redriven before") ||
		!strings.Contains(left.out, "the command ended with exit status 4") {
		t.Errorf("a command that fails: exit %d, %s%s", left.code, left.out, left.err)
	}
	csv := do("redrive", "--execute", "--output", "csv")
	if want := "kind,reason,partition,offset,cycles,intent_id,detail,dry_run\nredriven,not_json,0,1,1,i1,,false\n"; csv.code != exitOK || csv.out != want {
		t.Errorf("csv: exit %d, %q, want %q", csv.code, csv.out, want)
	}
	recs, err := k.Read(t.Context(), devstack.Intents, devstack.ReadCommitted)
	if err != nil || len(recs) != 2 {
		t.Errorf("%d records, %v, want 2", len(recs), err)
	}
	for _, s := range []printed{dry, got, left, csv} {
		if strings.Contains(s.out+s.err, phone) || strings.Contains(s.out+s.err, canary) {
			t.Errorf("something secret was said:\n%s%s", s.out, s.err)
		}
	}
}

func TestReplayIntentsSetsBackAndCanBeUndone(t *testing.T) {
	k, do := operator(t)
	put(t, k, devstack.Intents, anIntent("a"), anIntent("b"), anIntent("c"))
	forward := do("replay", "intents", "--to-latest", "--execute")
	if forward.code != exitOK {
		t.Fatalf("exit %d, %s%s", forward.code, forward.out, forward.err)
	}
	dry := do("replay", "intents", "--shift-by=-2")
	if dry.code != exitOK || !strings.Contains(dry.out, "the gateway is called for 2;") || !strings.Contains(dry.out, "nothing was changed; --execute does it") {
		t.Errorf("a dry run: exit %d, %s%s", dry.code, dry.out, dry.err)
	}
	back := do("replay", "intents", "--by-duration", "PT1H", "--execute", "--output", "json")
	if last := back.lines(t)[1]; last["called"] != 3.0 || last["dry_run"] != false {
		t.Errorf("back by an hour: %s", back.out)
	}
	_, old, _ := strings.Cut(back.err, "--from-file:\n")
	if old != "payment-intents,0,3\n" {
		t.Fatalf("the old offsets are %q of %s", old, back.err)
	}
	file := filepath.Join(t.TempDir(), "undo.csv")
	if err := os.WriteFile(file, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	undo := do("replay", "intents", "--from-file", file, "--execute", "--output", "json")
	if first := undo.lines(t)[0]; undo.code != exitOK || first["old"] != 0.0 || first["new"] != 3.0 || first["passed_over"] != 3.0 {
		t.Errorf("undo: exit %d, %s%s", undo.code, undo.out, undo.err)
	}
	outside := do("replay", "intents", "--to-offset", "9", "--execute")
	if want := "paylink: payment-intents/0 holds offsets from 0 to 3, and 9 is none of them\n"; outside.code != exitFailure || outside.err != want {
		t.Errorf("outside of the log: exit %d, %q, want %q", outside.code, outside.err, want)
	}
	joined := make(chan struct{})
	c, err := k.Client(kgo.ConsumerGroup("paylink"), kgo.ConsumeTopics(devstack.Intents), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { close(joined) }))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-joined
	busy := do("replay", "intents", "--to-earliest", "--execute")
	if busy.code != exitFailure || !strings.Contains(busy.err, "the group paylink has members (paylink-dev") || strings.Count(busy.err, "\n") != 1 {
		t.Errorf("with a member: exit %d, %q", busy.code, busy.err)
	}
}

// A fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestAReportThatNobodyGotIsNone: it fails, with a line that says why; and what undoes a
// change was said before.
func TestAReportThatNobodyGotIsNone(t *testing.T) {
	k, do := operator(t)
	put(t, k, devstack.Intents, anIntent("a"))
	do("replay", "intents", "--to-latest", "--execute")
	environ := []string{"PAYLINK_KAFKA_BROKERS=" + k.Brokers[0], "PAYLINK_MERCHANT_ID=540001", "PAYLINK_MERCHANT_SECRET=" + canary}
	for _, line := range []string{"topics describe", "topics create", "schemas list", "verify", "replay intents --to-earliest --execute"} {
		var errs strings.Builder
		code := run(t.Context(), strings.Fields(line), world{environ: environ, out: fullDisk{}, err: &errs})
		if code != exitFailure || !strings.HasSuffix(errs.String(), "paylink: no space left on device\n") {
			t.Errorf("%s: exit %d, %q", line, code, errs.String())
		}
		if undo := strings.Contains(errs.String(), "--from-file:\npayment-intents,0,1\n"); undo != strings.HasSuffix(line, "--execute") {
			t.Errorf("%s: says how to undo it: %v", line, undo)
		}
	}
}

func TestReplayUnansweredAndOutcomes(t *testing.T) {
	k, do := operator(t)
	if got := do("replay", "outcomes", "--to-topic", "not-made"); got.code != exitFailure || !strings.HasPrefix(got.err, "paylink: read not-made: [3] Unknown Topic") {
		t.Errorf("a dry run for a topic that is not there: exit %d, %s", got.code, got.err)
	}
	put(t, k, devstack.Intents, anIntent("a"), anIntent("b"))
	put(t, k, devstack.Outcomes, event.Message{Key: []byte("a"), Value: []byte("{}"), Headers: []event.Header{{Key: event.HeaderIntentID, Value: []byte("a")}}})
	do("replay", "intents", "--to-latest", "--execute")
	for i, want := range []string{"emitted 1 intents again", "emitted 0 intents again"} {
		got := do("replay", "unanswered", "--execute")
		if got.code != exitOK || !strings.Contains(got.out, want) || strings.Contains(got.out, phone) {
			t.Errorf("run %d: exit %d, %s%s, want %s", i, got.code, got.out, got.err, want)
		}
	}
	places := filepath.Join(t.TempDir(), "places.csv")
	for i, want := range []string{"published 1 outcomes to copy", "published 0 outcomes to copy"} {
		got := do("replay", "outcomes", "--to-topic", "copy", "--places", places, "--execute")
		if got.code != exitOK || !strings.Contains(got.out, want) {
			t.Errorf("run %d: exit %d, %s%s, want %s", i, got.code, got.out, got.err, want)
		}
	}
	if copied, err := k.Read(t.Context(), "copy", devstack.ReadCommitted); err != nil || len(copied) != 1 {
		t.Errorf("%d records were copied, %v", len(copied), err)
	}
}

// TestReplayUnansweredSaysWhatItWaitsFor: brokers end the open transaction after seven
// seconds, and until then the verb cannot know what stands behind it.
func TestReplayUnansweredSaysWhatItWaitsFor(t *testing.T) {
	k, do := operator(t)
	put(t, k, devstack.Intents, anIntent("a"))
	do("replay", "intents", "--to-latest", "--execute")
	c, err := k.Client(kgo.TransactionalID("left open"), kgo.TransactionTimeout(7*time.Second), kgo.DefaultProduceTopic(devstack.Intents))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.BeginTransaction(), c.ProduceSync(t.Context(), kgo.StringRecord("left open")).FirstErr()); err != nil {
		t.Fatal(err)
	}
	put(t, k, devstack.Intents, anIntent("a"))
	got := do("replay", "unanswered", "--execute")
	const waits = "paylink: payment-intents/0: a transaction that began at offset 1 is open"
	if got.code != exitOK || !strings.Contains(got.out, "emitted 0 intents again") || !strings.Contains(got.err, waits) {
		t.Errorf("exit %d, %s%s, want %q, and nothing emitted", got.code, got.out, got.err, waits)
	}
}
