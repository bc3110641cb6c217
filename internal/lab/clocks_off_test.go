//go:build !jumping

package lab

import (
	"context"

	"paylink/internal/config"
	"paylink/internal/service"
)

// clocksJump says that the plan's jumps happen: see clocks_test.go.
const clocksJump = false

func (l *life) run(ctx context.Context, cfg config.Run, deps service.Deps) error {
	return service.Run(ctx, cfg, deps)
}
