package main

import (
	"context"
	"errors"
	"io"

	"paylink/internal/config"
)

// runService runs the service itself until ctx ends and it has drained.
func runService(ctx context.Context, cfg config.Run, log io.Writer) error {
	return errors.New("service is not there yet")
}
