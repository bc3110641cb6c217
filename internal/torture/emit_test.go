//go:build integration

package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/history"
)

// An emitter publishes intents and writes down where they stand. Its methods
// may be called concurrently.
type emitter struct {
	t      testing.TB
	client *kgo.Client
	topic  string
	keys   int  // so many keys; 0: every intent has its own
	mixed  bool // upstream duplicates, broken intents and garbage among them

	mu      sync.Mutex
	rng     *rand.Rand
	made    int // ids so far
	old     []*kgo.Record
	emitted []history.Intent
}

func newEmitter(t testing.TB, brokers []string, topic string, rng *rand.Rand) *emitter {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(2*time.Millisecond),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.DialTimeout(2*time.Second), kgo.RequestTimeoutOverhead(3*time.Second))
	if err != nil {
		t.Fatalf("emitter: %v", err)
	}
	t.Cleanup(c.Close)
	return &emitter{t: t, client: c, topic: topic, keys: 50, rng: rand.New(rand.NewPCG(rng.Uint64(), 1))}
}

// emit publishes n records and returns when all in-sync replicas have them.
func (e *emitter) emit(n int) {
	e.t.Helper()
	for range n {
		e.send(context.Background(), false)
	}
	e.flush()
}

// flow publishes so many records a second until stop is called, which waits
// until the last of them stands.
func (e *emitter) flow(perSecond int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		const tick = 10 * time.Millisecond
		began, sent := time.Now(), 0
		for t := time.NewTicker(tick); ; {
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case <-t.C:
			}
			for due := int(time.Since(began).Seconds() * float64(perSecond)); sent < due; sent++ {
				e.send(context.Background(), false)
			}
		}
	}()
	return func() {
		e.t.Helper()
		cancel()
		<-ended
		e.flush()
	}
}

func (e *emitter) flush() {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := e.client.Flush(ctx); err != nil {
		e.t.Errorf("emit: %v", err)
	}
}

// send publishes one record. hidden says that its transaction will come to nothing.
func (e *emitter) send(ctx context.Context, hidden bool) {
	r, in := e.next()
	in.Hidden = hidden
	e.client.Produce(ctx, r, func(r *kgo.Record, err error) {
		if err != nil {
			e.t.Errorf("emit %s: %v", in.ID, err)
			return
		}
		in.At = history.Place{Partition: r.Partition, Offset: r.Offset}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.emitted = append(e.emitted, in)
	})
}

// next makes a record.
func (e *emitter) next() (*kgo.Record, history.Intent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	pick := 100
	if e.mixed {
		pick = e.rng.IntN(100)
	}
	if pick < 4 && len(e.old) > 0 {
		r := e.old[e.rng.IntN(len(e.old))]
		id := string(r.Headers[0].Value)
		return &kgo.Record{Key: r.Key, Value: r.Value, Headers: r.Headers}, history.Intent{ID: id, Key: string(r.Key), Content: id}
	}
	e.made++
	id := fmt.Sprintf("i-%06d", e.made)
	key := id
	if e.keys > 0 {
		key = fmt.Sprintf("key-%d", e.rng.IntN(e.keys))
	}
	if pick == 4 {
		return &kgo.Record{Key: []byte(key), Value: []byte("no intent " + id)}, history.Intent{Key: key}
	}
	amount := "10.00"
	if pick == 5 {
		amount = "-1"
	}
	r := &kgo.Record{Key: []byte(key), Headers: []kgo.RecordHeader{{Key: "test-id", Value: []byte(id)}},
		Value: fmt.Appendf(nil, `{"intent_id":%q,"amount":%q,"description":"order %s"}`, id, amount, id)}
	if len(e.old) < 1000 {
		e.old = append(e.old, r)
	}
	return r, history.Intent{ID: id, Key: key, Content: id}
}

// all returns what was emitted so far.
func (e *emitter) all() []history.Intent {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]history.Intent(nil), e.emitted...)
}
