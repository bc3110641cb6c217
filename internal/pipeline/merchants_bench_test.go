//go:build unix

package pipeline_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// BenchmarkMerchants is what an intent costs of processor time, with one merchant and
// with many that have rates of their own, in turns in the same run. x_one is how many
// times that of one merchant.
func BenchmarkMerchants(b *testing.B) {
	const intents = 60_000
	for _, merchants := range []int64{3000, 10_000} {
		b.Run(fmt.Sprint(merchants), func(b *testing.B) {
			var one, many time.Duration
			for b.Loop() {
				one += settleOf(b, 1, intents)
				many += settleOf(b, merchants, intents)
			}
			n := float64(b.N) * intents
			b.ReportMetric(float64(one.Nanoseconds())/n, "one_ns/intent")
			b.ReportMetric(float64(many.Nanoseconds())/n, "many_ns/intent")
			b.ReportMetric(float64(many)/float64(one), "x_one")
		})
	}
}

// settleOf is the processor time in which an engine settles the intents of so many
// merchants, whose rates hold none of them up.
func settleOf(b *testing.B, merchants, intents int64) time.Duration {
	log := logrus.New()
	log.SetOutput(io.Discard)
	e := pipeline.New(pipeline.Config{
		Gateway: prompt{new(atomic.Int64)}, Decoder: event.NewDecoder(event.DecoderConfig{}), Encoder: event.NewEncoder(event.EncoderConfig{}),
		Group: "paylink", Topic: "payment-intents", Concurrency: 256, GiveUpAfter: time.Hour, Log: log, Registerer: prometheus.NewRegistry(),
		Terms: func(payment.MerchantID) pipeline.Terms {
			return pipeline.Terms{Rate: pace.Rate{Events: 1_000_000, Per: time.Second, Burst: 1_000_000}, Endpoint: "gateway"}
		},
	})
	c := &market{crowd: crowd{flood: flood{n: intents, done: make(chan struct{}), at: time.Now()}, merchants: merchants}}
	runtime.GC()
	began := processorTime(b)
	if err := e.Run(context.Background(), c); err != nil {
		b.Fatal(err)
	}
	if got := c.committed.Load(); got != intents {
		b.Fatalf("committed %d, want %d", got, intents)
	}
	return processorTime(b) - began
}

// A market is a crowd that is over when all are committed.
type market struct{ crowd }

func (m *market) Run(_ context.Context, serve func(pipeline.Claim)) error { serve(m); return nil }

func (m *market) Commit(next int64) { m.flood.Commit(next) }

func (m *market) Poll(ctx context.Context) ([]pipeline.Record, int64, error) {
	recs, next, err := m.flood.Poll(ctx)
	for i := range recs {
		recs[i] = m.record(recs[i].Offset)
	}
	return recs, next, err
}

// processorTime is what this process has used of it.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
