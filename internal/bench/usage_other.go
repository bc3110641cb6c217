//go:build !unix

package bench

import "time"

// processUsage knows nothing here: the bench shows zeros.
func processUsage() (cpu time.Duration, peakRSS int64) { return 0, 0 }
