package pipeline_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// BenchmarkSettle is what the engine adds to an intent: the gateway answers at
// once, and what is published is durable at once.
func BenchmarkSettle(b *testing.B) { benchmark(b, pipeline.Unknown, pipeline.Tracing{}) }

// BenchmarkSettleTraced is the same with spans, which are thrown away in batches.
func BenchmarkSettleTraced(b *testing.B) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(tracetest.NewNoopExporter()))
	defer func() {
		if err := provider.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	benchmark(b, pipeline.Unknown, pipeline.Tracing{Tracer: provider.Tracer("bench"), Outcomes: "payment-outcomes"})
}

// BenchmarkSkip is how fast answered intents are skipped.
func BenchmarkSkip(b *testing.B) { benchmark(b, pipeline.Answered, pipeline.Tracing{}) }

func benchmark(b *testing.B, f pipeline.Known, spans pipeline.Tracing) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	e := pipeline.New(pipeline.Config{
		Gateway: prompt{new(atomic.Int64)}, Decoder: event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), Encoder: event.NewEncoder(event.EncoderConfig{}),
		Group: "paylink", Topic: "payment-intents", Concurrency: 256, GiveUpAfter: time.Hour, Log: log, Registerer: prometheus.NewRegistry(), Tracing: spans,
	})
	c := &flood{n: int64(b.N), known: f, done: make(chan struct{}), at: time.Now()}
	b.ReportAllocs()
	b.ResetTimer()
	if err := e.Run(context.Background(), c); err != nil {
		b.Fatal(err)
	}
	if got := c.committed.Load(); got != c.n {
		b.Fatalf("committed %d, want %d", got, c.n)
	}
}

// prompt is a gateway that answers at once.
type prompt struct{ next *atomic.Int64 }

func (p prompt) Open(_ context.Context, in payment.Intent) (payment.Link, error) {
	return payment.Link{PaymentID: p.next.Add(1), RedirectURL: "https://pay.example/p", RedirectURLType: payment.URLNeedData}, nil
}

func (prompt) Find(context.Context, payment.Intent) (payment.Status, error) {
	return payment.Status{}, payment.ErrNotFound
}

// A flood is a source with one claim on n records, of which everything is
// durable at once. It drains when all are committed.
type flood struct {
	n         int64
	known     pipeline.Known
	at        time.Time
	next      int64
	committed atomic.Int64
	done      chan struct{}
}

func (f *flood) Run(_ context.Context, serve func(pipeline.Claim)) error { serve(f); return nil }
func (f *flood) Partition() int32                                        { return 0 }
func (f *flood) Reach() time.Time                                        { return time.Time{} }
func (f *flood) Fresh() int64                                            { return 0 }
func (f *flood) Continues() bool                                         { return true }
func (f *flood) Live() bool                                              { return true }
func (f *flood) Draining() <-chan struct{}                               { return f.done }
func (f *flood) Lost() <-chan struct{}                                   { return nil }
func (f *flood) Append(_ pipeline.Answer, done func(error))              { go done(nil) }
func (f *flood) Bury(_ event.Message, done func(error))                  { go done(nil) }

func (f *flood) Look(payment.IntentID, event.Digest) pipeline.Known { return f.known }

func (f *flood) Reread(_ context.Context, offsets []int64) ([]pipeline.Record, error) {
	recs := make([]pipeline.Record, len(offsets))
	for i, o := range offsets {
		recs[i] = f.record(o)
	}
	return recs, nil
}

func (f *flood) Poll(context.Context) ([]pipeline.Record, int64, error) {
	if f.next == f.n {
		<-f.done
		return nil, 0, pipeline.ErrDraining
	}
	recs := make([]pipeline.Record, 0, 500)
	for ; len(recs) < cap(recs) && f.next < f.n; f.next++ {
		recs = append(recs, f.record(f.next))
	}
	return recs, f.next, nil
}

func (f *flood) record(o int64) pipeline.Record {
	id := fmt.Sprintf("ord-2026-%09d", o)
	return pipeline.Record{Offset: o, Message: event.Message{Key: []byte(id), Value: []byte(intent(id)), Time: f.at}}
}

func (f *flood) Commit(next int64) {
	if f.committed.Swap(next) != f.n && next == f.n {
		close(f.done)
	}
}

// BenchmarkScrape is one answer to a scraper while 5,000 merchants' intents wait, most of
// them in backlogs.
func BenchmarkScrape(b *testing.B) {
	_, reg := crowded(b, 5000)
	handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	for b.Loop() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		b.ReportMetric(float64(w.Body.Len()), "bytes")
	}
}

// BenchmarkRenew is for how long nothing else is decided when the merchants' settings
// have changed, of one or of all of 10,000 merchants whose intents wait.
func BenchmarkRenew(b *testing.B) {
	for name, mended := range map[string]func(payment.MerchantID) bool{
		"one": func(m payment.MerchantID) bool { return m == "1" }, "all": func(payment.MerchantID) bool { return true },
	} {
		b.Run(name, func(b *testing.B) {
			e, _ := crowded(b, 10_000)
			for b.Loop() {
				e.Renew(mended)
			}
		})
	}
}

// crowded is an engine that has in hand twenty intents of each of so many merchants.
func crowded(b *testing.B, merchants int64) (*pipeline.Engine, *prometheus.Registry) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	reg := prometheus.NewRegistry()
	e := pipeline.New(pipeline.Config{
		Gateway: prompt{new(atomic.Int64)}, Decoder: event.NewDecoder(event.DecoderConfig{}), Encoder: event.NewEncoder(event.EncoderConfig{}),
		Group: "paylink", Topic: "payment-intents", Concurrency: 256, GiveUpAfter: time.Hour, Log: log, Registerer: reg,
		Terms: func(payment.MerchantID) pipeline.Terms {
			return pipeline.Terms{Rate: pace.Rate{Events: 1, Per: time.Hour, Burst: 1}, Endpoint: "gateway"}
		},
	})
	c := &crowd{flood: flood{n: merchants * 20, done: make(chan struct{}), at: time.Now()}, merchants: merchants, read: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(context.Background(), c) }()
	<-c.read
	b.Cleanup(func() {
		close(c.done)
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return e, reg
}

// A crowd is a flood of many merchants' intents. It says when all are read, and is not
// over before it is closed.
type crowd struct {
	flood
	merchants int64
	read      chan struct{}
}

func (c *crowd) Run(_ context.Context, serve func(pipeline.Claim)) error { serve(c); return nil }

func (c *crowd) Commit(int64) {}

func (c *crowd) Poll(ctx context.Context) ([]pipeline.Record, int64, error) {
	if c.next == c.n {
		close(c.read)
	}
	recs, next, err := c.flood.Poll(ctx)
	for i := range recs {
		recs[i] = c.record(recs[i].Offset)
	}
	return recs, next, err
}

func (c *crowd) Reread(_ context.Context, offsets []int64) (recs []pipeline.Record, _ error) {
	for _, o := range offsets {
		recs = append(recs, c.record(o))
	}
	return recs, nil
}

func (c *crowd) record(o int64) pipeline.Record {
	r := c.flood.record(o)
	r.Value = []byte(of(fmt.Sprint(1+o%c.merchants), string(r.Key)))
	return r
}
