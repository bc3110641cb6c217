//go:build integration

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
	"paylink/internal/realkafka"
)

// A real is three topics and a group of its own on a real Kafka.
type real struct {
	*testing.T
	kafka                    devstack.Kafka
	group                    string
	intents, outcomes, tombs string
}

func onRealKafka(t *testing.T, partitions int) *real {
	t.Helper()
	brokers := realkafka.Start(t)
	return &real{
		T: t, kafka: devstack.Kafka{Brokers: brokers}, group: realkafka.Name(t, "group"),
		intents:  realkafka.Topic(t, brokers, "intents", partitions),
		outcomes: realkafka.Topic(t, brokers, "outcomes", partitions),
		tombs:    realkafka.Topic(t, brokers, "dead", partitions),
	}
}

// paylink is a process of the program with these arguments.
func (r *real) paylink(environ []string, args ...string) *exec.Cmd {
	r.Helper()
	exe, err := os.Executable()
	if err != nil {
		r.Fatal(err)
	}
	cmd := exec.CommandContext(r.Context(), exe, args...)
	cmd.Env = append(os.Environ(), bePaylink+"=1", "PAYLINK_KAFKA_BROKERS="+strings.Join(r.kafka.Brokers, ","), "PAYLINK_KAFKA_GROUP="+r.group,
		"PAYLINK_TOPIC_INTENTS="+r.intents, "PAYLINK_TOPIC_OUTCOMES="+r.outcomes, "PAYLINK_TOPIC_DEAD_LETTERS="+r.tombs, "PAYLINK_MERCHANT_ID=540001")
	cmd.Env = append(cmd.Env, environ...)
	return cmd
}

// bury puts so many dead letters of conflicts on each partition. A record of
// somebody else after every five ends a transaction, so that a run has many.
func (r *real) bury(partitions, each int) (ids map[string]bool) {
	r.Helper()
	ids = map[string]bool{}
	for p := range int32(partitions) {
		var batch []event.Message
		for i := range each {
			id := fmt.Sprintf("i-%d-%d", p, i)
			ids[id] = true
			m := event.Message{Key: []byte(id), Value: fmt.Appendf(nil, `{"intent_id":%q,"amount":"10.00","description":"x"}`, id), Time: time.Now()}
			batch = append(batch, event.DeadLetter(m, event.Place{Topic: r.intents, Partition: p, Offset: int64(i)}, r.group, &event.Unreadable{Reason: event.Conflict}, time.Now()))
			if i%5 == 4 {
				batch = append(batch, event.Message{Value: []byte("somebody else's"), Time: time.Now()})
			}
		}
		if err := r.kafka.EmitTo(r.Context(), r.tombs, p, batch...); err != nil {
			r.Fatal(err)
		}
	}
	return ids
}

// TestRedriveIsKilledAndDrivesEachOnce kills real processes at twenty random
// moments, most of them in the middle of their transactions.
func TestRedriveIsKilledAndDrivesEachOnce(t *testing.T) {
	r := onRealKafka(t, 2)
	ids := r.bury(2, 1000)
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	kills, began := 0, time.Now()
	for kills < 20 {
		cmd := r.paylink(nil, "redrive", "--execute", "--from", "earliest", "--output", "json")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := rng.IntN(80); n > 0 && lines.Scan(); {
			if strings.Contains(lines.Text(), `"kind":"redriven"`) {
				n--
			}
		}
		go func() { _, _ = io.Copy(io.Discard, out) }() // it must not wait for a reader
		time.Sleep(time.Duration(rng.IntN(15000)) * time.Microsecond)
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		var ended *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &ended) || ended.ExitCode() != -1 {
			t.Fatalf("life %d ended with %v before it was killed", kills+1, err)
		}
		kills++
	}
	before := len(r.driven())
	cmd := r.paylink(nil, "redrive", "--execute", "--from", "earliest", "--output", "json")
	out, err := cmd.Output()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != exitFailure { // the records of somebody else are skipped
		t.Fatalf("the last run: %v", err)
	}
	tail := string(out[strings.LastIndex(strings.TrimSpace(string(out)), "\n")+1:])
	got := r.driven()
	for id := range ids {
		if got[id] != 1 {
			t.Errorf("%s was driven %d times", id, got[id])
		}
	}
	if len(got) != len(ids) {
		t.Errorf("%d intents on the topic, want %d", len(got), len(ids))
	}
	t.Logf("%d dead letters, %d kills in %.1f s, %d driven before the last run, which says %s", len(ids), kills, time.Since(began).Seconds(), before, tail)
}

// driven counts, as a consumer of committed records does, how often each intent was
// written.
func (r *real) driven() map[string]int {
	r.Helper()
	recs, err := r.kafka.Read(r.Context(), r.intents, devstack.ReadCommitted)
	if err != nil {
		r.Fatal(err)
	}
	out := map[string]int{}
	for _, rec := range recs {
		out[string(rec.Key)]++
	}
	return out
}

// TestDeadLettersAreMendedAndCreated is the whole story: a service that runs buries
// what it cannot read, and answers it once redrive has mended it.
func TestDeadLettersAreMendedAndCreated(t *testing.T) {
	r := onRealKafka(t, 1)
	gateway, err := devstack.StartGateway(t.Context(), devstack.GatewayOptions{Config: gatewaysim.Config{Merchants: map[string]payment.Secret{"540001": canary}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	service := r.paylink([]string{"PAYLINK_GATEWAY_URL=" + gateway.URL, "PAYLINK_MERCHANT_SECRET=" + canary, "PAYLINK_ADMIN_ADDR=127.0.0.1:0", "PAYLINK_RATE=1000/s+10"}, "run")
	service.Cancel = func() error { return service.Process.Signal(syscall.SIGTERM) }
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = service.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := service.Wait(); err != nil {
			t.Errorf("the service ended with %v", err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 3 {
		m := event.Message{Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, `{"intent_id":"broken-%d","amount":"10.00","description":"top-up"`, i)}
		if err := r.kafka.Emit(ctx, r.intents, m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.kafka.ReadN(ctx, r.tombs, devstack.ReadCommitted, 3); err != nil {
		t.Fatal(err)
	}
	secret := []string{"PAYLINK_MERCHANT_SECRET=" + canary}
	out, err := r.paylink(secret, "redrive", "--execute", "--reason", "not_json", "--output", "json", "--edit-with", `env | grep -q `+canary+` && exit 1; cat; printf '}'`).CombinedOutput()
	if err != nil {
		t.Fatalf("redrive: %v\n%s", err, out)
	}
	outcomes, err := r.kafka.ReadN(ctx, r.outcomes, devstack.ReadCommitted, 3)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, o := range outcomes {
		var said struct {
			Intent string `json:"intent_id"`
		}
		if err := json.Unmarshal(o.Value, &said); err != nil || !strings.HasPrefix(said.Intent, "broken-") || !strings.Contains(string(o.Header("ce_type")), "payment-created") {
			t.Errorf("an outcome is %s of %s", o.Header("ce_type"), o.Value)
		}
	}
	if out, err := r.paylink(nil, "redrive", "--execute", "--output", "json").CombinedOutput(); err != nil || !strings.Contains(string(out), `"redriven":0,"parked":0,"skipped":0,"already":3`) {
		t.Errorf("once more: %v\n%s", err, out)
	}
}
