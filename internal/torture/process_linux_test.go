//go:build integration && linux

package torture

import "syscall"

// withUs has the kernel kill a process when this one dies, however that is.
func withUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
