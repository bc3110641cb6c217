package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// freePorts lets every part of a run choose a free port.
var freePorts = []string{"--port-broker=0", "--port-registry=0", "--port-gateway=0", "--port-console=0"}

// A lookout calls found once, when what is written to it holds text.
type lookout struct {
	text  string
	found func(soFar string)

	mu  sync.Mutex // guards what follows
	all bytes.Buffer
	hit bool
}

func (l *lookout) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.Write(p)
	if !l.hit && strings.Contains(l.all.String(), l.text) {
		l.hit = true
		l.found(l.all.String())
	}
	return len(p), nil
}

func (l *lookout) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

var linkLine = regexp.MustCompile(`(?m)^payment link (http://\S+)$`)

func TestWithoutArgumentsTheFirstLinkOpensAndAnInterruptEndsItWell(t *testing.T) {
	ctx, interrupt := context.WithTimeout(t.Context(), time.Minute)
	defer interrupt()
	page := make(chan error, 1)
	out := &lookout{text: "Ctrl-C ends everything", found: func(soFar string) {
		link := linkLine.FindStringSubmatch(soFar)
		go func() {
			defer interrupt()
			page <- opens(ctx, link)
		}()
	}}
	var errs bytes.Buffer
	code := run(ctx, append([]string{"--rate=20"}, freePorts...), world{in: strings.NewReader(""), out: out, err: &errs})
	if code != exitOK {
		t.Fatalf("exit code %d, want %d\n%s%s", code, exitOK, out, &errs)
	}
	if err := <-page; err != nil {
		t.Errorf("payment page: %v\n%s", err, out)
	}
	if !strings.Contains(out.String(), "intents with more than one outcome: 0") {
		t.Errorf("no summary at the end:\n%s", out)
	}
}

func opens(ctx context.Context, link []string) error {
	if link == nil {
		return fmt.Errorf("no line %v", linkLine)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link[1], nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("<html")) {
		err = fmt.Errorf("%s answers %s: %s", link[1], resp.Status, body)
	}
	return err
}

func TestARunTellsWhatCameOfEveryKindOfSample(t *testing.T) {
	args := append([]string{"run", "--for=8s", "--count=60", "--rate=60", "--pace=1000/s", "--latency=1ms", "--kind",
		"--invalid=0.2", "--dead=0.2", "--duplicates=0.2", "--conflicts=0.1"}, freePorts...)
	code, out, errs := script(t.Context(), "", args...)
	if code != exitOK {
		t.Fatalf("exit code %d, want %d\n%s%s", code, exitOK, out, errs)
	}
	got := map[string]int{}
	for _, name := range []string{"emitted", "created", "failed", "dead letters"} {
		got[name] = number(t, out, `(?m)^emitted .*?`, name)
	}
	repeats := number(t, out, `emitted \d+ records, `, "")
	if got["emitted"] != 60 || got["created"] == 0 || got["failed"] == 0 || got["dead letters"] == 0 {
		t.Errorf("got %v, want 60 emitted and some of each kind\n%s", got, out)
	}
	if settled := got["created"] + got["failed"] + got["dead letters"] + repeats; settled != 60 {
		t.Errorf("%v and %d repeats: %d settled, want all 60\n%s", got, repeats, settled, out)
	}
}

// number finds the number after a word in the output's last line that begins with pattern.
func number(t *testing.T, out, pattern, word string) int {
	t.Helper()
	if word == "emitted" {
		pattern = `(?m)^`
	}
	m := regexp.MustCompile(pattern + word + ` ?(\d+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no number of %q in\n%s", word, out)
	}
	var n int
	if _, err := fmt.Sscan(m[1], &n); err != nil {
		t.Fatal(err)
	}
	return n
}
