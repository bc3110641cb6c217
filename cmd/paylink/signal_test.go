package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
)

// phone stands for personal data.
const phone = "77011234567"

// A process is `paylink run`, and everything it said.
type process struct {
	*exec.Cmd
	t     *testing.T
	log   io.Closer
	lines *bufio.Scanner
	said  strings.Builder
}

func start(t *testing.T, stack *devstack.Stack, environ ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := stack.Broker.Kafka().CreateTopics(t.Context(), devstack.DefaultTopics(3)...); err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(t.Context(), exe, "run"), t: t}
	p.Env = append(os.Environ(), bePaylink+"=1", "PAYLINK_KAFKA_BROKERS="+stack.Broker.Addrs()[0], "PAYLINK_GATEWAY_URL="+stack.Gateway.URL,
		"PAYLINK_MERCHANT_ID=540001", "PAYLINK_MERCHANT_SECRET="+canary, "PAYLINK_ADMIN_ADDR=127.0.0.1:0", "PAYLINK_LOG_LEVEL=debug")
	p.Env = append(p.Env, environ...)
	out, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.log, p.lines = out, bufio.NewScanner(out)
	return p
}

// await reads the log up to a line that holds a text.
func (p *process) await(text string) {
	p.t.Helper()
	for p.lines.Scan() {
		p.said.WriteString(p.lines.Text() + "\n")
		if strings.Contains(p.lines.Text(), text) {
			return
		}
	}
	p.t.Fatalf("the log ended without %q:\n%s", text, p.said.String())
}

// end reads the rest of the log and returns how the process ended.
func (p *process) end() error {
	for p.lines.Scan() {
		p.said.WriteString(p.lines.Text() + "\n")
	}
	return p.Wait()
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func emit(t *testing.T, stack *devstack.Stack, id string) {
	t.Helper()
	value := fmt.Sprintf(`{"intent_id":%q,"amount":"1500.00","description":"top-up","user_phone":%q,"user_contact_email":"payer-%s@example.com","user_ip":"203.0.113.77"}`, id, phone, id)
	if err := stack.Broker.Kafka().Emit(t.Context(), devstack.Intents, event.Message{Key: []byte(id), Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}

func TestTheFirstSignalDrainsAndNothingSecretWasSaid(t *testing.T) {
	stack := startStack(t)
	p := start(t, stack)
	emit(t, stack, "first")
	p.await(`"first"`)
	if _, err := stack.Broker.Kafka().ReadN(t.Context(), devstack.Outcomes, devstack.ReadUncommitted, 1); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	if err := p.end(); err != nil {
		t.Errorf("after SIGTERM: %v, want exit code 0\n%s", err, p.said.String())
	}
	for _, secret := range []string{canary, phone, "payer-first@example.com", "203.0.113.77"} {
		if strings.Contains(p.said.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestTheSecondSignalEndsItAtOnce(t *testing.T) {
	stack := startStack(t)
	called := make(chan struct{}, 10)
	stack.Gateway.Sim.SetLatency(func(*rand.Rand) time.Duration { called <- struct{}{}; return 20 * time.Second })
	p := start(t, stack)
	p.await("partition taken over")
	emit(t, stack, "slow")
	<-called // in flight: the drain has to wait for it
	p.signal(syscall.SIGTERM)
	p.await("stopping")
	began := time.Now()
	p.signal(syscall.SIGTERM)
	var ended *exec.ExitError
	if err := p.end(); !errors.As(err, &ended) || ended.ExitCode() != exitFailure {
		t.Errorf("after the second SIGTERM: %v, want exit code %d", err, exitFailure)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v, want less than the call in flight", took)
	}
}

// TestTheServiceOutlivesWhoeverReadsItsLog: a collector that ends takes only the log with it.
func TestTheServiceOutlivesWhoeverReadsItsLog(t *testing.T) {
	stack := startStack(t)
	p := start(t, stack)
	p.await("partition taken over")
	if err := p.log.Close(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"first", "second"} { // the first line that nobody takes comes after the first outcome
		emit(t, stack, id)
	}
	if _, err := stack.Broker.Kafka().ReadN(t.Context(), devstack.Outcomes, devstack.ReadUncommitted, 2); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v, want exit code 0", err)
	}
}

// TestHangupReadsTheSettingsAnew changes them behind a link, where nobody watches:
// it is the signal that has them read.
func TestHangupReadsTheSettingsAnew(t *testing.T) {
	stack, dir := startStack(t), t.TempDir()
	link := filepath.Join(dir, "current")
	for version, text := range map[string]string{"1": "log_level: info\nconcurrency: 8\n", "2": "log_level: debug\nconcurrency: 9\ngive_up_after: 2h\n"} {
		if err := errors.Join(os.Mkdir(filepath.Join(dir, version), 0o700), os.WriteFile(filepath.Join(dir, version, "paylink.yaml"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("1", link); err != nil {
		t.Fatal(err)
	}
	p := start(t, stack, "PAYLINK_LOG_LEVEL=", "PAYLINK_CONFIG="+filepath.Join(link, "paylink.yaml"))
	p.await("partition taken over")
	p.signal(syscall.SIGHUP)
	p.await("settings read anew: nothing has changed")
	if err := errors.Join(os.Remove(link), os.Symlink("2", link)); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	p.await(`"message":"setting changed: PAYLINK_CONCURRENCY","new":9,"old":8`)
	p.await(`"message":"setting changed: PAYLINK_LOG_LEVEL","new":"debug","old":"info"`)
	p.await(`"settings":["PAYLINK_GIVE_UP_AFTER"]`)
	p.signal(syscall.SIGTERM)
	if err := p.end(); err != nil {
		t.Errorf("after SIGTERM: %v, want exit code 0\n%s", err, p.said.String())
	}
}
