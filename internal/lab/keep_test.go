package lab

import (
	"os"
	"testing"
)

func TestKeep(t *testing.T) {
	out := os.Getenv("LAB_KEEP")
	if out == "" {
		t.Skip()
	}
	if err := build(t.TempDir(), out, nil); err != nil {
		t.Fatal(err)
	}
}
