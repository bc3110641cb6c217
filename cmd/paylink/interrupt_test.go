//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
)

func TestAnInterruptedVerbSaysInOneLineHowToGoOn(t *testing.T) {
	k, _ := operator(t)
	put(t, k, devstack.DeadLetters, event.DeadLetter(anIntent("a"), event.Place{Topic: devstack.Intents}, "paylink", &event.Unreadable{Reason: event.Conflict}, time.Now()))
	ctx, stop := context.WithCancel(t.Context())
	begun := filepath.Join(t.TempDir(), "begun")
	if err := syscall.Mkfifo(begun, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { // as Ctrl-C does, in the middle of a command
		if f, err := os.OpenFile(begun, os.O_RDONLY, 0); err == nil { // once the command opens it
			_ = f.Close() // nothing was to be read
		}
		stop()
	}()
	var out, errs strings.Builder
	code := run(ctx, []string{"redrive", "--execute", "--output", "json", "--edit-with", "echo > " + begun + "; sleep 600", "--edit-timeout", "1h"},
		world{environ: []string{"PAYLINK_KAFKA_BROKERS=" + k.Brokers[0], "PATH=" + os.Getenv("PATH")}, out: &out, err: &errs})
	if want := "paylink: interrupted; 0 dead letters were redriven, and it is noted which; run it again to go on\n"; code != exitFailure || errs.String() != want {
		t.Errorf("exit %d, %q, want %q", code, errs.String(), want)
	}
}
