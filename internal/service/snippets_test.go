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
// against the service: all of them where their clients are installed.
func TestSnippets(t *testing.T) {
	readme, err := schemas.FS.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := snippet.FindAllStringSubmatch(string(readme), -1)
	if len(found) != len(languages) {
		t.Fatalf("%d snippets to run, want one for each of %d languages", len(found), len(languages))
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
			l, known := languages[s[1]]
			if !known {
				t.Fatal("nobody knows how to run it")
			}
			name, args := l.command(t, filepath.Join(folder(t), l.file), s[2])
			cmd := exec.CommandContext(ctx, name, args...)
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

// A language says how a snippet is run: in which file, by which command. It
// skips where the client that the snippet uses is not installed.
type language struct {
	file string
	with func(t *testing.T, file string) []string
}

func (l language) command(t *testing.T, file, text string) (string, []string) {
	t.Helper()
	words := l.with(t, file)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return words[0], words[1:]
}

var languages = map[string]language{
	"go":     {"main.go", func(_ *testing.T, file string) []string { return []string{"go", "run", file} }},
	"python": {"main.py", withPython},
	"java":   {"Main.java", withJava},
	"node":   {"main.mjs", withNode},
}

// folder lies in the module, so that go run finds its requirements.
func folder(t *testing.T) string {
	t.Helper()
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("testdata", "snippet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func withPython(t *testing.T, file string) []string {
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.CommandContext(t.Context(), python, "-c", "import confluent_kafka").Run(); err != nil {
		t.Skip("confluent-kafka is not installed for " + python + ": pip install confluent-kafka, or set PYTHON")
	}
	return []string{python, file}
}

func withJava(t *testing.T, file string) []string {
	jars := os.Getenv("JAVA_CLIENT")
	if _, err := exec.LookPath("java"); err != nil || jars == "" {
		t.Skip("spring-kafka is not installed: set JAVA_CLIENT to the folder of its jars, and have java")
	}
	return []string{"java", "-cp", filepath.Join(jars, "*"), file}
}

func withNode(t *testing.T, file string) []string {
	dir := os.Getenv("NODE_CLIENT")
	if _, err := exec.LookPath("node"); err != nil || dir == "" {
		t.Skip("kafkajs is not installed: npm install --prefix FOLDER kafkajs, and set NODE_CLIENT to it")
	}
	if err := os.Symlink(filepath.Join(dir, "node_modules"), filepath.Join(filepath.Dir(file), "node_modules")); err != nil {
		t.Fatal(err)
	}
	return []string{"node", file}
}
