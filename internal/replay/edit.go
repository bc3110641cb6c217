package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// An Editor pipes values through a command of a shell, each through a process of its
// own.
type Editor struct {
	Command string
	Environ []string      // of the command; Safe leaves our secrets out
	Limit   time.Duration // for one value
	Stderr  io.Writer     // of the command, which may hold personal data; nil: nowhere
}

// An EditError says why a value could not be edited: it stays where it is. It holds
// nothing of the value.
type EditError struct{ why string }

func (e *EditError) Error() string { return "the command " + e.why }

// outputBeyond is how much longer a value may become.
const outputBeyond = 1 << 20

// Edit returns what the command makes of a value. An error is an *EditError, or
// that of ctx.
func (e *Editor) Edit(ctx context.Context, value []byte) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, e.Limit)
	defer cancel()
	cmd := exec.CommandContext(limited, "sh", "-c", e.Command)
	out := &capped{left: len(value) + outputBeyond, full: cancel}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = bytes.NewReader(value), out, e.Stderr, e.Environ
	cmd.WaitDelay = time.Second // what its children still hold open
	alone(cmd)
	err := cmd.Run()
	switch exit, ok := errors.AsType[*exec.ExitError](err); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case out.over:
		return nil, &EditError{fmt.Sprintf("prints more than %d bytes beyond the value", outputBeyond)}
	case limited.Err() != nil:
		return nil, &EditError{fmt.Sprintf("did not end within %s", e.Limit)}
	case ok:
		return nil, &EditError{"ended with " + exit.String()}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return nil, &EditError{"could not be run"}
	case len(out.got) == 0:
		return nil, &EditError{"printed nothing"}
	}
	edited := out.got
	if !bytes.HasSuffix(value, []byte("\n")) {
		edited = bytes.TrimSuffix(edited, []byte("\n")) // tools end their output with one
	}
	return edited, nil
}

// A capped buffer takes so many bytes, and then calls full. It embeds no buffer,
// whose ReadFrom would go past Write.
type capped struct {
	got  []byte
	left int
	over bool
	full func()
}

func (c *capped) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		c.over = true
		c.full()
		return 0, io.ErrShortWrite
	}
	c.got = append(c.got, p...)
	return len(p), nil
}

// Safe is an environment without the secrets of our settings.
func Safe(environ []string) []string {
	var out []string
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		if !secret(strings.ToUpper(name)) {
			out = append(out, line)
		}
	}
	return out
}

func secret(name string) bool {
	return strings.HasPrefix(name, "PAYLINK_") &&
		(strings.Contains(name, "SECRET") || strings.Contains(name, "PASSWORD") || strings.Contains(name, "TOKEN"))
}
