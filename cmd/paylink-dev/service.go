package main

import (
	"context"
	"io"

	"paylink/internal/config"
	"paylink/internal/service"
)

// runService runs the service itself, as cmd/paylink does, until ctx ends and
// it has drained. It logs to log.
func runService(ctx context.Context, cfg config.Run, log io.Writer) error {
	logger, err := service.Logger(cfg, log)
	if err != nil {
		return err
	}
	return service.Run(ctx, cfg, service.Deps{Log: logger, Version: "dev", ShowLinks: true})
}
