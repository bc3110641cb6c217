//go:build integration

package torture

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is one life of the service.
type process struct {
	cmd   *exec.Cmd
	book  *logbook
	ended chan struct{} // closed when it is gone and its log is read
	code  int           // after ended; -1: by a signal
}

// launch starts the service. env is all of its environment; its log goes to
// book, line by line.
func launch(file string, env []string, book *logbook) (*process, error) {
	cmd := exec.Command(file, "run")
	cmd.Env = env
	cmd.SysProcAttr = withUs()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, book: book, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		book.read(stderr)
		if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
			book.note(fmt.Sprintf("wait: %v", err))
		}
		p.code = cmd.ProcessState.ExitCode()
	}()
	return p, nil
}

func (p *process) signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL) // gone already is gone
	<-p.ended
}

// term asks the process to stop and returns its exit code; after the limit it
// is killed.
func (p *process) term(limit time.Duration) (int, error) {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return -1, err
	}
	select {
	case <-p.ended:
		return p.code, nil
	case <-time.After(limit):
		p.kill()
		return -1, fmt.Errorf("did not stop within %s", limit)
	}
}

// alive reports whether the process has not ended.
func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// A line is one line of a log.
type line struct {
	At     time.Time      `json:"time"`
	Level  string         `json:"level"`
	Text   string         `json:"message"`
	fields map[string]any // all of them
	raw    string
}

// A logbook keeps the log of one replica over all of its lives. The lines of
// single intents are left out.
type logbook struct {
	mu    sync.Mutex
	lines []line
	news  chan struct{} // closed and replaced at every line
}

func newLogbook() *logbook { return &logbook{news: make(chan struct{})} }

func (b *logbook) read(r io.Reader) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		l := line{raw: s.Text()}
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			l = line{At: time.Now(), Level: "raw", Text: l.raw, raw: l.raw} // a panic, or a sentence before the logger stands
		} else {
			_ = json.Unmarshal(s.Bytes(), &l.fields) // it just was valid
		}
		b.add(l)
	}
}

func (b *logbook) note(text string) {
	b.add(line{At: time.Now(), Level: "note", Text: text, raw: "--- " + time.Now().UTC().Format(time.RFC3339Nano) + " " + text})
}

func (b *logbook) add(l line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.Text == "settled" || l.Text == "dead letter" {
		return
	}
	b.lines = append(b.lines, l)
	close(b.news)
	b.news = make(chan struct{})
}

// find returns the lines with a text, from a time on.
func (b *logbook) find(text string, from time.Time) []line {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []line
	for _, l := range b.lines {
		if !l.At.Before(from) && strings.Contains(l.Text, text) {
			found = append(found, l)
		}
	}
	return found
}

// await waits for the first line with a text, from a time on.
func (b *logbook) await(text string, from time.Time, limit time.Duration) (line, error) {
	deadline := time.After(limit)
	for {
		b.mu.Lock()
		news := b.news
		b.mu.Unlock()
		if found := b.find(text, from); len(found) > 0 {
			return found[0], nil
		}
		select {
		case <-news:
		case <-deadline:
			return line{}, fmt.Errorf("no line %q within %s", text, limit)
		}
	}
}

// logged returns the lines but for a list of goroutines that we asked for.
func (b *logbook) logged() []line {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.IndexFunc(b.lines, func(l line) bool { return l.Text == dumpNote }); i >= 0 {
		return slices.Clone(b.lines[:i])
	}
	return slices.Clone(b.lines)
}

// show prints what is worth reading of a log.
func (b *logbook) show(t testing.TB, name string) {
	lines := b.logged()
	const most = 150
	var out strings.Builder
	for i, l := range lines[max(0, len(lines)-most):] {
		if i == 0 {
			fmt.Fprintf(&out, "the last %d of %d lines\n", min(most, len(lines)), len(lines))
		}
		out.WriteString(l.raw + "\n")
	}
	t.Logf("log of %s: %s", name, out.String())
}
