package service

import (
	"context"
	"time"
)

// heapLimit is where Go's collector begins to work harder: the bound of M1 (see
// kafkaio/memory.go), less what the collector does not count.
const heapLimit = 448 << 20

// limitMemory tells the collector how much memory there is for us, beside the
// ledger, which grows with the intents that were answered.
func (s *service) limitMemory(ctx context.Context) {
	if s.deps.LimitMemory == nil {
		return
	}
	for tick := time.NewTicker(10 * time.Second); ; {
		s.deps.LimitMemory(heapLimit + s.source.LedgerBytes())
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}
