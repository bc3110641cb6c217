package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// A child is this program again, under a hidden command. It writes a JSON line
// when it is ready and one for every line it reads, and ends when its standard
// input does: also when its parent dies.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader

	exited chan struct{} // closed when it has ended
	err    error         // how; set before exited is closed
}

// spawn starts a child and reads its first answer into hello.
func spawn(ctx context.Context, w world, hello any, args ...string) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Args[0] = os.Args[0] // a test binary knows by it which program it plays
	cmd.Stderr = w.err
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
		return nil, fmt.Errorf("start %s: %w", args[0], err)
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

// ask makes the child answer.
func (c *child) ask(answer any) error {
	if _, err := io.WriteString(c.in, "\n"); err != nil {
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
func answerParent(w world, hello any, answer func() any) error {
	enc := json.NewEncoder(w.out)
	if err := enc.Encode(hello); err != nil {
		return err
	}
	for lines := bufio.NewScanner(w.in); lines.Scan(); {
		if err := enc.Encode(answer()); err != nil {
			return err
		}
	}
	return nil
}
