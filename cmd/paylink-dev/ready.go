package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"paylink/internal/devstack"
)

// A readyCmd asks whether a page answers: a health check for images that have
// no shell and no curl.
type readyCmd struct {
	URL     string        `arg:"" help:"Page to ask for, such as http://127.0.0.1:8090/status/healthcheck."`
	Timeout time.Duration `default:"3s" help:"How long to wait for an answer (default ${default})."`
	Wait    time.Duration `placeholder:"DURATION" help:"Ask again and again for so long. Default: once."`
}

// Run fails unless the answer is 2xx.
func (c *readyCmd) Run(ctx context.Context) error {
	for end := time.Now().Add(c.Wait); ; {
		err := c.ask(ctx)
		if err == nil || time.Now().After(end) || !devstack.SleepUntil(ctx, time.Now().Add(100*time.Millisecond)) {
			return err
		}
	}
}

func (c *readyCmd) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // the status says it all
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", c.URL, resp.Status)
	}
	return nil
}
