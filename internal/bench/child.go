package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

// A job is what a child is for: one of these.
type job struct {
	Backend *backend `json:",omitempty"`
	Loop    *subject `json:",omitempty"`
	Fetch   *fetcher `json:",omitempty"`
}

// env is what the environment of a child holds beside that of its parent: libraries
// read it by themselves.
func (j job) env() []string {
	if j.Loop == nil || j.Loop.Traces == "" {
		return nil
	}
	return []string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=" + j.Loop.Sampler,
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT=" + j.Loop.Traces}
}

// Child is the life of a child: what the command of Options.Child does with its
// last argument.
func Child(ctx context.Context, text string, s Streams) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("job of a child: %w", err)
	}
	switch {
	case j.Backend != nil:
		return j.Backend.run(ctx, s)
	case j.Loop != nil:
		return j.Loop.run(ctx, s)
	case j.Fetch != nil:
		return j.Fetch.run(ctx, s)
	}
	return errors.New("job of a child: there is none")
}

// A child is this program again, under a hidden command. It writes a JSON line
// when it is ready and one for every line it reads, which is empty or a word, and
// ends when its standard input does: also when its parent dies.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader

	exited chan struct{} // closed when it has ended
	err    error         // how; set before exited is closed
}

// spawn starts a child and reads its first answer into hello.
func (o *Options) spawn(ctx context.Context, s Streams, hello any, j job) (*child, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, append(slices.Clone(o.Child), string(text))...)
	cmd.Args[0] = os.Args[0] // a test binary knows by it which program it plays
	cmd.Stderr = s.Err
	cmd.Env = append(os.Environ(), j.env()...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, in: in, out: bufio.NewReader(out), exited: make(chan struct{})}
	go func() {
		defer close(c.exited)
		c.err = cmd.Wait()
	}()
	if err := c.read(hello); err != nil {
		c.kill()
		return nil, fmt.Errorf("start %s: %w", text, err)
	}
	return c, nil
}

func (c *child) read(answer any) error {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return json.Unmarshal(line, answer)
}

// ask makes the child answer to a word, which may be empty.
func (c *child) ask(word string, answer any) error {
	if _, err := io.WriteString(c.in, word+"\n"); err != nil {
		return err
	}
	return c.read(answer)
}

// end lets the child finish and waits for it.
func (c *child) end() error {
	c.in.Close()
	<-c.exited
	return c.err
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended already
	<-c.exited
}

// answerParent is the child's side: hello first, then an answer for every line,
// until standard input ends.
func answerParent(s Streams, hello any, answer func(word string) any) error {
	enc := json.NewEncoder(s.Out)
	if err := enc.Encode(hello); err != nil {
		return err
	}
	for lines := bufio.NewScanner(s.In); lines.Scan(); {
		if err := enc.Encode(answer(lines.Text())); err != nil {
			return err
		}
	}
	return nil
}
