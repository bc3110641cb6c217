package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// pack makes an image of files that are made for it, and returns its file.
func pack(t *testing.T, epoch string, modified time.Time) string {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(f, modified, modified); err != nil {
			t.Fatal(err)
		}
		return f
	}
	out := filepath.Join(dir, "out.tar")
	args := []string{"-name", "paylink:dev", "-binary", file("paylink", "program"), "-cmd", "run", "-port", "8080/tcp", "-version", "1.2.3",
		"-arch", "arm64", "-add", "/etc/ssl/certs/ca-certificates.crt=" + file("ca", "certificates"), "-add", "/LICENCES=" + file("l", "texts"), "-out", out}
	if err := run(args, epoch, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTheSameFilesMakeTheSameBytes, whenever and wherever they were written.
func TestTheSameFilesMakeTheSameBytes(t *testing.T) {
	read := func(name string) []byte {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first := read(pack(t, "1700000000", time.Unix(1, 0)))
	if !bytes.Equal(first, read(pack(t, "1700000000", time.Unix(2_000_000_000, 0)))) {
		t.Error("the same files make other bytes at another time")
	}
	if bytes.Equal(first, read(pack(t, "1700000001", time.Unix(1, 0)))) {
		t.Error("another commit's date makes the same bytes: it is not in force")
	}
}

func TestTheImageStartsTheBinaryAsNobody(t *testing.T) {
	img, err := tarball.ImageFromPath(pack(t, "1700000000", time.Now()), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got.OS != "linux" || got.Architecture != "arm64" || got.Created.Unix() != 1_700_000_000 {
		t.Errorf("made for %s/%s at %v, want linux/arm64 at 1700000000", got.OS, got.Architecture, got.Created)
	}
	want := v1.Config{User: "65532:65532", Entrypoint: []string{"/paylink"}, Cmd: []string{"run"}, WorkingDir: "/",
		ExposedPorts: map[string]struct{}{"8080/tcp": {}}, Labels: map[string]string{"org.opencontainers.image.version": "1.2.3"}}
	if diff := cmp.Diff(want, got.Config); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutADateThereIsNoImage(t *testing.T) {
	if err := run([]string{"-name", "paylink:dev"}, "", new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("run: %v, want an error that names SOURCE_DATE_EPOCH", err)
	}
}
