//go:build unix

package bench

import (
	"runtime"
	"syscall"
	"time"
)

// processUsage returns the CPU time of this process, user and system, and the
// most memory it ever held.
func processUsage() (cpu time.Duration, peakRSS int64) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, 0
	}
	peak := int64(r.Maxrss)
	if runtime.GOOS != "darwin" { // there it is bytes, elsewhere KiB
		peak <<= 10
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), peak
}
