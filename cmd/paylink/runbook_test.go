package main

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/devstack"
)

// runbook is the page whose commands TestRunbook runs. A section names the scene that
// its commands meet in a comment, "<!-- scene: name -->". What stands under a command
// in a block ```console is what it printed; -update writes it.
const runbook = "../../deploy/runbook.md"

// night is when the page's commands are given: what the scene's own now is told as.
var night = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)

func TestRunbook(t *testing.T) {
	data, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.SplitAfter(string(data), "\n## ")
	played := map[string]bool{}
	got := sections[0]
	for _, section := range sections[1:] {
		title, _, _ := strings.Cut(section, "\n")
		t.Run(title, func(t *testing.T) { got += play(t, section, played) })
	}
	if t.Failed() {
		return
	}
	for name := range scenes {
		if !played[name] {
			t.Errorf("no section has the scene %s", name)
		}
	}
	if *update {
		if err := os.WriteFile(runbook, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(string(data), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-update writes it; -want +got):\n%s", runbook, diff)
	}
}

var sceneMark = regexp.MustCompile(`^<!-- scene: (\S+) -->$`)

// play runs the commands of a section, and returns it with what they print.
func play(t *testing.T, section string, played map[string]bool) string {
	var out []string
	var st *stage
	console, commands := false, 0
	for _, line := range strings.Split(section, "\n") {
		command, given := strings.CutPrefix(line, "$ ")
		if console && !given && line != "```" {
			continue // what was printed last time
		}
		out = append(out, line)
		if m := sceneMark.FindStringSubmatch(line); m != nil {
			played[m[1]] = true
			st = newStage(t, m[1])
		}
		if console && given {
			if st == nil {
				t.Fatalf("no scene before %q", line)
			}
			commands++
			out = append(out, st.shell(command)...)
		}
		console = line == "```console" || console && line != "```"
	}
	if commands == 0 || console {
		t.Errorf("%d commands, want some, and every block ended", commands)
	}
	return strings.Join(out, "\n")
}

// A stage is a desk with a scene on it. Seconds count from 02:00 of the page's night.
type stage struct {
	*desk
	now      time.Time // 03:00 of the night
	dir      string    // where commands run
	page, is []string  // names of the page, and what they are here
}

// newStage sets a scene up.
func newStage(t *testing.T, scene string) *stage {
	t.Helper()
	set := scenes[scene]
	if set == nil {
		t.Fatalf("there is no scene %s", scene)
	}
	s := &stage{desk: deskOf(t, startStack(t)), now: time.Now().UTC().Truncate(time.Second), dir: t.TempDir()}
	s.began = s.now.Add(-time.Hour)
	s.called("broker-1:9092", s.Broker.Addrs()[0])
	s.called("gateway.example", strings.TrimPrefix(s.Gateway.URL, "http://"))
	s.environ = append(s.environ, "PAYLINK_GATEWAY_URL="+s.Gateway.URL, "PAYLINK_MERCHANT_SECRET="+canary, "PAYLINK_RATE=1000/s",
		"PATH="+os.Getenv("PATH"), "TMPDIR="+t.TempDir())
	set(s)
	return s
}

// called gives an address the name that the page has for it.
func (s *stage) called(page, is string) { s.page, s.is = append(s.page, page), append(s.is, is) }

// topics makes the three topics.
func (s *stage) topics(partitions int32) {
	s.t.Helper()
	if err := s.Broker.Kafka().CreateTopics(s.t.Context(), devstack.DefaultTopics(partitions)...); err != nil {
		s.t.Fatal(err)
	}
}

// shell runs a command line as an operator does, and returns the lines that it
// printed, as the page has them.
func (s *stage) shell(line string) []string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", s.fromPage(line))
	cmd.Dir, cmd.Env = s.dir, s.environ
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && (!errors.As(err, &ended) || ended.ExitCode() != exitFailure) {
		s.t.Errorf("%s: %v\n%s", line, err, out)
	}
	for _, secret := range []string{canary, phone, "payer@example.com", "203.0.113.77", "customer="} {
		if strings.Contains(string(out), secret) {
			s.t.Errorf("%s shows %q", line, secret)
		}
	}
	text := strings.TrimRight(s.toPage(string(out)), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

var (
	stamps    = regexp.MustCompile(`20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)`)
	durations = regexp.MustCompile(`\b((?:\d+h)?\d+m)\d+(\.\d+)?s\b`)
	anHour    = regexp.MustCompile(`\b36[0-5]\d\b`)
)

// fromPage puts what a command means here into it.
func (s *stage) fromPage(line string) string {
	return shift(s.replace(line, s.page, s.is), func(at time.Time) time.Time { return at.Add(s.now.Sub(night)) })
}

// toPage writes what a command printed as the page has it: with the page's names and
// times, all that happens while the test runs at 03:00:00, and durations in minutes.
func (s *stage) toPage(text string) string {
	text = shift(s.replace(text, s.is, s.page), func(at time.Time) time.Time {
		if at = at.Add(night.Sub(s.now)); at.After(night) {
			return night
		}
		return at
	})
	return anHour.ReplaceAllString(durations.ReplaceAllString(text, "${1}0s"), "3600")
}

func (s *stage) replace(text string, from, to []string) string {
	for i := range from {
		text = strings.ReplaceAll(text, from[i], to[i])
	}
	return text
}

// shift changes all times in a text.
func shift(text string, to func(time.Time) time.Time) string {
	return stamps.ReplaceAllStringFunc(text, func(stamp string) string {
		layout := time.RFC3339
		if strings.HasSuffix(stamp, "UTC") {
			layout = "2006-01-02 15:04:05 MST"
		}
		at, err := time.Parse(layout, stamp)
		if err != nil {
			return stamp
		}
		return to(at).Format(layout)
	})
}

// serve starts the service, and waits until its admin address is known.
func (s *stage) serve(environ ...string) *process {
	s.t.Helper()
	p := start(s.t, s.Stack, environ...)
	s.t.Cleanup(func() { _, _ = p.Process.Kill(), p.Wait() }) // it may have ended
	p.await("paylink starts")
	_, after, _ := strings.Cut(p.lines.Text(), `"admin":"http://`)
	admin, _, _ := strings.Cut(after, `"`)
	s.called("paylink-0:8080", admin)
	return p
}
