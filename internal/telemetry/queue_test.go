package telemetry_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"paylink/internal/telemetry"
)

// A stalled destination takes nothing until it is let go.
type stalled struct {
	let chan struct{}
	buf bytes.Buffer
}

func (s *stalled) Write(p []byte) (int, error) {
	<-s.let
	return s.buf.Write(p)
}

func TestALogThatStallsStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stalled{let: make(chan struct{})}
		q := telemetry.NewQueue(w, 100)
		log, err := telemetry.NewLogger(q, telemetry.JSON, "info")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			log.Info(i) // would block the bubble for ever
		}
		close(w.let)
		q.Close(time.Minute)
		got := w.buf.String()
		if !strings.Contains(got, `"message":"0"`) {
			t.Errorf("the first line is not in %q", got)
		}
		if n := strings.Count(got, "\n"); n > 4 || !strings.Contains(got, "log lines were dropped") {
			t.Errorf("%d lines, want at most 100 bytes of them and one that says how many were dropped:\n%s", n, got)
		}
	})
}

func TestAQueueKeepsOrderAndLosesNothingThatFits(t *testing.T) {
	var want, got bytes.Buffer
	q := telemetry.NewQueue(&got, telemetry.QueueBytes)
	for i := range 1000 {
		fmt.Fprintln(io.MultiWriter(&want, q), i)
	}
	q.Close(10 * time.Second)
	if got.String() != want.String() {
		t.Errorf("%d bytes arrived, want %d in their order", got.Len(), want.Len())
	}
}

func TestAQueueIsNotWaitedForLongerThanAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stalled{let: make(chan struct{})}
		q := telemetry.NewQueue(w, 100)
		fmt.Fprintln(q, "line")
		began := time.Now()
		q.Close(2 * time.Second)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("Close took %v, want 2s", took)
		}
		close(w.let)
		synctest.Wait()
	})
}
