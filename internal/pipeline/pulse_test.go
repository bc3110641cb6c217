package pipeline

import (
	"context"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"paylink/internal/pulse"
)

// quiet is a source that hands nothing out.
type quiet struct{}

func (quiet) Run(ctx context.Context, _ func(Claim)) error {
	<-ctx.Done()
	return nil
}

// Who keeps the lock for ever is seen. This is in the time of the world, since
// virtual time stands still while somebody waits for a lock.
func TestAnEngineThatStandsStillIsSeen(t *testing.T) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	var loops pulse.Pulse
	e := New(Config{Concurrency: 1, Log: log, Registerer: prometheus.NewRegistry(), Pulse: &loops})
	e.beatEvery, e.mostRound = time.Millisecond, 20*time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, quiet{}) }()
	is := func(stuck bool) {
		t.Helper()
		for start := time.Now(); slices.Contains(loops.Stuck(), "engine") != stuck; runtime.Gosched() {
			if time.Since(start) > time.Minute {
				t.Fatalf("for a minute the engine is not seen with stuck %v", stuck)
			}
		}
	}
	e.mu.Lock()
	is(true)
	e.mu.Unlock()
	is(false)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
