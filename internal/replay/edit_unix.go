//go:build unix

package replay

import (
	"os/exec"
	"syscall"
)

// alone gives a command a process group of its own: Ctrl-C on the terminal is ours
// to handle, and when its time is over its children end with it.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
