package kafkaio

import (
	"context"
	"time"
)

// A gate lets so many through at a time, and nobody wait for long: a claim that cannot
// be taken over, because its brokers are away, holds up no other one.
//
// Without it a thousand partitions that are given to us at once would open as many
// connections.
type gate chan struct{}

// What a gate lets through, and how long it holds anybody up at most.
const (
	mostTakeOvers = 64
	gateWait      = time.Second
)

// enter waits for room, or until it has waited for long enough; who has entered calls
// leave.
func (g gate) enter(ctx context.Context) (leave func()) {
	select {
	case g <- struct{}{}:
		return func() { <-g }
	default:
	}
	t := time.NewTimer(gateWait)
	defer t.Stop()
	select {
	case g <- struct{}{}:
		return func() { <-g }
	case <-t.C:
	case <-ctx.Done():
	}
	return func() {}
}
