package config

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAPipeThatNobodyWritesToIsNotWaitedFor(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := parse(good("PAYLINK_MERCHANT_SECRET=", "PAYLINK_MERCHANT_SECRET_FILE="+pipe))
	if err == nil || !strings.HasPrefix(err.Error(), "PAYLINK_MERCHANT_SECRET: the secret is empty") {
		t.Errorf("a pipe: %v, want that the secret is empty", err)
	}
}
