package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/event"
)

// A Stream is records to be published one by one.
type Stream struct {
	Topic string
	Rate  float64   // per second, on a fixed schedule that waits for nobody; 0: as fast as possible
	Start time.Time // of the schedule; zero: now
	Count int       // 0: until Next ends
	Next  func() (event.Message, error)
}

// Due returns when the i-th record is published, which needs a Rate.
func (s Stream) Due(i int) time.Time {
	return s.Start.Add(time.Duration(float64(i) / s.Rate * 1e9))
}

// A Publisher publishes streams, each record to the partition of its key as
// Java's clients choose it.
type Publisher struct{ client *kgo.Client }

// Publisher returns a Publisher, which must be closed.
func (k Kafka) Publisher() (*Publisher, error) {
	client, err := k.Client(kgo.ProducerLinger(0), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return nil, err
	}
	return &Publisher{client}, nil
}

// Close drops what no Publish waits for.
func (p *Publisher) Close() { p.client.Close() }

// Publish publishes until Next returns io.EOF, the count, or the end of ctx,
// which is no error. It returns how many records the brokers have acknowledged.
func (p *Publisher) Publish(ctx context.Context, s Stream) (int, error) {
	if s.Start.IsZero() {
		s.Start = time.Now()
	}
	var r receipts
	for i := 0; (s.Count == 0 || i < s.Count) && r.err() == nil; i++ {
		if s.Rate > 0 && !SleepUntil(ctx, s.Due(i)) || ctx.Err() != nil {
			break
		}
		m, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return r.acknowledged(), fmt.Errorf("read record %d: %w", i+1, err)
		}
		p.client.Produce(ctx, toRecord(s.Topic, m), r.note)
	}
	// What is on its way is worth waiting for, but not for ever.
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := p.client.Flush(flush); err != nil {
		return r.acknowledged(), fmt.Errorf("publish to %s: %w", s.Topic, err)
	}
	if err := r.err(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return r.acknowledged(), fmt.Errorf("publish to %s: %w", s.Topic, err)
	}
	return r.acknowledged(), nil
}

// Spread publishes n records of next to the partitions of a topic in turn, as fast as
// possible and in large batches.
func (k Kafka) Spread(ctx context.Context, topic string, partitions, n int, next func() (event.Message, error)) error {
	client, err := k.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.UnknownTopicRetries(30)) // the topic may have been made a moment ago
	if err != nil {
		return err
	}
	defer client.Close()
	var r receipts
	for i := 0; i < n && r.err() == nil && ctx.Err() == nil; i++ {
		m, err := next()
		if err != nil {
			return fmt.Errorf("make record %d: %w", i+1, err)
		}
		rec := toRecord(topic, m)
		rec.Partition = int32(i % partitions)
		client.Produce(ctx, rec, r.note)
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return r.err()
}

// receipts count acknowledgements.
type receipts struct {
	mu    sync.Mutex // guards what follows
	acked int
	first error
}

func (r *receipts) note(_ *kgo.Record, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.acked++
	} else if r.first == nil {
		r.first = err
	}
}

func (r *receipts) acknowledged() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acked
}

func (r *receipts) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

// SleepUntil waits until t and reports whether ctx was still going on then.
func SleepUntil(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
