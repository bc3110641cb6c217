package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/payment"
)

// The merchant of all intents, if there is one. The secret opens nothing but a simulator.
const (
	merchant = "540001"
	secret   = "paylink-dev-secret"
)

// merchantID is the i-th of several merchants.
func merchantID(i int) string { return strconv.Itoa(540001 + i) }

// secretOf is a merchant's own.
func secretOf(id string) payment.Secret {
	if id == merchant {
		return secret
	}
	return payment.Secret(secret + "-" + id)
}

// An intent is what all intents of a bench hold.
type intent struct {
	IntentID    string `json:"intent_id"`
	MerchantID  string `json:"merchant_id,omitempty"`
	OrderID     string `json:"order_id"`
	Amount      string `json:"amount"`
	Currency    string `json:"currency"`
	Description string `json:"description"`
	UserPhone   string `json:"user_phone"`
}

// A bed is where one loop is measured: broker and gateway in a child, fresh topics.
type bed struct {
	kafka    devstack.Kafka
	name     string // of topics and group
	backend  *child
	gateway  string
	registry string // empty: none is needed
	traces   string // where the collector is; empty: none is needed
	made     bool   // topics are ours to delete
}

func (o *Options) prepare(ctx context.Context, s Streams, t trial) (*bed, error) {
	var hello backendHello
	backend, err := o.spawn(ctx, s, &hello, job{Backend: &backend{
		Broker: len(o.Brokers) == 0, Registry: o.Formats, Partitions: t.partitions, Strict: o.Strict, Latency: t.gateway,
		Interval: t.interval, Collector: t.traced,
	}})
	if err != nil {
		return nil, err
	}
	b := &bed{kafka: devstack.Kafka{Brokers: hello.Brokers}, name: "bench", backend: backend, gateway: hello.Gateway, registry: hello.Registry, traces: hello.Collector}
	if len(o.Brokers) > 0 {
		b.kafka.Brokers, b.made = o.Brokers, true
		b.name = fmt.Sprintf("paylink-bench-%d", time.Now().UnixNano())
		if err := b.kafka.CreateTopics(ctx, benchTopics(b.name, t.partitions)...); err != nil {
			backend.kill()
			return nil, err
		}
	}
	return b, nil
}

func (b *bed) intents() string  { return b.name + "-intents" }
func (b *bed) outcomes() string { return b.name + "-outcomes" }

func (b *bed) close(ctx context.Context) error {
	var err error
	if b.made {
		err = b.kafka.DeleteTopics(context.WithoutCancel(ctx), b.intents(), b.outcomes(), b.name+"-dead-letters", b.name+"-turns")
	}
	return errors.Join(err, b.backend.end())
}

// intents makes the intents of a bench, one after the other: keys by distribution,
// values by the writers in turn, merchants in turn if there are several.
func (o *Options) intents(prefix string, merchants int, writers []writer) func() (event.Message, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	key := func(i int) int { return i }
	if o.Keys > 0 {
		key = func(int) int { return rng.IntN(o.Keys) }
	}
	if o.Keys > 0 && o.Zipf > 1 {
		zipf := rand.NewZipf(rng, o.Zipf, 1, uint64(o.Keys-1))
		key = func(int) int { return int(zipf.Uint64()) }
	}
	made := 0
	return func() (event.Message, error) {
		i := made
		made++
		in := intent{
			IntentID: fmt.Sprintf("%s%08d", prefix, i), OrderID: fmt.Sprintf("order-%s%08d", prefix, i),
			Amount: "1500.00", Currency: "KZT", Description: "Пополнение баланса, заказ " + strconv.Itoa(i), UserPhone: "77001234567",
		}
		if merchants > 1 {
			in.MerchantID = merchantID(i % merchants)
		}
		value, err := writers[i%len(writers)](in)
		return event.Message{Key: []byte("key-" + strconv.Itoa(key(i))), Value: value}, err
	}
}

// An audience watches the outcomes of n intents with one prefix.
type audience struct {
	prefix string

	mu    sync.Mutex // guards what follows
	at    []time.Time
	seen  int
	twice int
	first time.Time
	last  time.Time
	all   chan struct{} // closed when every intent has an outcome
}

func newAudience(prefix string, n int) *audience {
	return &audience{prefix: prefix, at: make([]time.Time, n), all: make(chan struct{})}
}

func (a *audience) see(r devstack.Record) error {
	now := time.Now()
	number, ok := indexOf(r, a.prefix)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !ok || number >= len(a.at) {
		return nil
	}
	if !a.at[number].IsZero() {
		a.twice++
		return nil
	}
	if a.seen == 0 {
		a.first = now
	}
	a.at[number], a.last = now, now
	if a.seen++; a.seen == len(a.at) {
		close(a.all)
	}
	return nil
}

func indexOf(r devstack.Record, prefix string) (int, bool) {
	id := string(r.Header(event.HeaderIntentID))
	if len(id) <= len(prefix) || id[:len(prefix)] != prefix {
		return 0, false
	}
	n, err := strconv.Atoi(id[len(prefix):])
	return n, err == nil && n >= 0
}

// patience is how long nothing may happen before a measurement is given up.
const patience = time.Minute

// errStalled says that no outcome comes any more.
var errStalled = errors.New("no outcome")

// wait returns when every intent has its outcome, or an error when none comes
// any more.
func (a *audience) wait(ctx context.Context, loop *crew) error {
	check := time.NewTicker(patience)
	defer check.Stop()
	for before := -1; ; {
		select {
		case <-a.all:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-loop.ended:
			return errors.New("the loop has ended")
		case <-check.C:
			a.mu.Lock()
			now := a.seen
			a.mu.Unlock()
			if now == before {
				return fmt.Errorf("%w for %s: %d of %d intents have theirs", errStalled, patience, now, len(a.at))
			}
			before = now
		}
	}
}

// watch lets audiences see what is published to the outcome topic from now on, until
// the returned function is called.
func (b *bed) watch(ctx context.Context, audiences ...*audience) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		tail := devstack.Tail{Topics: []string{b.outcomes()}, Ready: func() { close(ready) }}
		done <- b.kafka.Follow(ctx, tail, func(r devstack.Record) error {
			for _, a := range audiences {
				if err := a.see(r); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	select {
	case <-ready:
	case err := <-done:
		done <- err
	}
	return func() {
		cancel()
		<-done // its error is the context's, or the audience went without
	}
}

// fill measures what the loop used from one usage to the other.
func (m *measurement) fill(b *bed, loop *crew, before usage, a *audience) error {
	after, err := loop.usage("")
	if err != nil {
		return err
	}
	var calls backendCount
	if err := b.backend.ask("", &calls); err != nil {
		return fmt.Errorf("ask gateway: %w", err)
	}
	n := float64(len(a.at))
	m.Intents = len(a.at)
	m.CPU = time.Duration(float64(after.CPU-before.CPU) / n)
	m.Allocs = float64(after.Mallocs-before.Mallocs) / n
	m.Bytes = float64(after.Bytes-before.Bytes) / n
	m.PeakRSS = after.PeakRSS
	m.Calls, m.RepeatedKeys, m.Ahead = calls.Calls, calls.Repeated, calls.Ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	m.Twice = a.twice
	m.PerSecond = n / max(a.last.Sub(a.first), time.Millisecond).Seconds()
	return nil
}

// spread fills the quantiles of latencies, each from its scheduled time.
func (m *measurement) spread(a *audience, scheduled func(i int) time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	latencies := make([]time.Duration, len(a.at))
	for i, at := range a.at {
		latencies[i] = at.Sub(scheduled(i))
	}
	slices.Sort(latencies)
	m.P50, m.P90 = quantile(latencies, 0.5), quantile(latencies, 0.9)
	m.P99, m.P999 = quantile(latencies, 0.99), quantile(latencies, 0.999)
	m.Max = latencies[len(latencies)-1]
}
