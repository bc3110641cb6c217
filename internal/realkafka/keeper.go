//go:build integration

package realkafka

import (
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// A keeper runs a command when this process ends, however it ends: a shell waits
// for the end of a pipe of which only we hold the other side. Test binaries die
// by time limits and signals too, and would leave their brokers behind.
type keeper struct {
	cmd  *exec.Cmd
	pipe io.Closer // kept: the collector would close what nobody refers to
	end  func() error
}

// keep arranges for a command to be run.
func keep(name string, args ...string) (*keeper, error) {
	const script = `trap '' INT TERM HUP; read -r never || :; exec "$0" "$@"`
	cmd := exec.Command("sh", append([]string{"-c", script, name}, args...)...)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("keep %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("keep %s: %w", name, err)
	}
	k := &keeper{cmd: cmd, pipe: pipe}
	k.end = sync.OnceValue(k.run)
	return k, nil
}

// run has the command run now, and waits for it.
func (k *keeper) run() error {
	if err := k.pipe.Close(); err != nil {
		return err
	}
	return k.cmd.Wait()
}
