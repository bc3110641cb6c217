//go:build integration && !linux

package torture

import "syscall"

// withUs can do nothing here: processes may outlive a test binary that is killed.
func withUs() *syscall.SysProcAttr { return nil }
