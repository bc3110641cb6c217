//go:build !jumping

package lab

import (
	"context"

	"paylink/internal/config"
	"paylink/internal/service"
)

// clocksJump says that the plan's jumps happen: see clocks_test.go.
const clocksJump = false

func (l *life) byItsClock(ctx context.Context, run func(context.Context, config.Run, service.Deps) error, cfg config.Run, deps service.Deps) error {
	return run(ctx, cfg, deps)
}
