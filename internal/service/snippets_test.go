package service_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"paylink/internal/config"
	"paylink/internal/service"
	"paylink/schemas"
)

var snippet = regexp.MustCompile("(?s)<!-- run: (\\w+) -->\n```\\w+\n(.*?)```")

// TestSnippets runs the snippets of schemas/README.md, as they stand there,
// against the service.
func TestSnippets(t *testing.T) {
	readme, err := schemas.FS.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := snippet.FindAllStringSubmatch(string(readme), -1)
	if len(found) != 2 {
		t.Fatalf("%d snippets to run, want 2", len(found))
	}
	stack, cfg := world(t)
	cfg.Gateway.Rate = config.Rate{Events: 1000, Per: time.Second, Burst: 100}
	log, err := service.Logger(cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx, cfg, service.Deps{Log: log}) }()
	t.Cleanup(func() { stop(); <-ended })
	for _, s := range found {
		t.Run(s[1], func(t *testing.T) {
			cmd := commandOf(t, ctx, s[1], s[2])
			cmd.Env = append(os.Environ(), "KAFKA_BROKERS="+stack.Broker.Addrs()[0])
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil || !strings.HasPrefix(string(out), "payment-created http") {
				t.Errorf("%v: %s\n%s", err, out, stderr.String())
			}
		})
	}
}

func commandOf(t *testing.T, ctx context.Context, language, text string) *exec.Cmd {
	t.Helper()
	// The folder lies in the module, so that go run finds its requirements.
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("testdata", "snippet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, map[string]string{"go": "main.go", "python": "main.py"}[language])
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if language == "go" {
		return exec.CommandContext(ctx, "go", "run", name)
	}
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.CommandContext(ctx, python, "-c", "import confluent_kafka").Run(); err != nil {
		t.Skip("confluent-kafka is not installed for " + python + ": pip install confluent-kafka, or set PYTHON")
	}
	return exec.CommandContext(ctx, python, name)
}
