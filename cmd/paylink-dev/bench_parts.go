package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/event"
)

// The prefixes of intent ids in a bench.
const (
	measuredPrefix = "b-"
	warmUpPrefix   = "w-"
)

// backlog measures how fast a loop works off what is there before it starts.
func (c *benchCmd) backlog(ctx context.Context, w world, loop string) (m measurement, err error) {
	b, err := c.prepare(ctx, w)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, b.close(ctx)) }()
	client, err := producer(b.kafka)
	if err != nil {
		return m, err
	}
	defer client.Close()
	writers, err := b.writers(ctx, loop)
	if err != nil {
		return m, err
	}
	if err := c.publish(ctx, client, load{topic: b.intents(), writers: writers, prefix: measuredPrefix, n: c.Intents}); err != nil {
		return m, err
	}
	a := newAudience(measuredPrefix, c.Intents)
	stop := b.watch(ctx, a)
	defer stop()

	start := time.Now()
	p, before, err := c.startLoop(ctx, w, b, loop)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, p.end()) }()
	if err := a.wait(ctx, p); err != nil {
		return m, err
	}
	err = m.fill(b, p, before, a)
	m.StartUp = a.first.Sub(start)
	return m, err
}

// schedule measures how long outcomes take while intents come at a fixed rate.
func (c *benchCmd) schedule(ctx context.Context, w world, loop string) (m measurement, err error) {
	b, err := c.prepare(ctx, w)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, b.close(ctx)) }()
	warm := newAudience(warmUpPrefix, max(100, 10*c.Partitions))
	a := newAudience(measuredPrefix, max(1, int(c.Rate*c.Duration.Seconds())))
	stop := b.watch(ctx, warm, a)
	defer stop()

	client, err := producer(b.kafka)
	if err != nil {
		return m, err
	}
	defer client.Close()
	p, _, err := c.startLoop(ctx, w, b, loop)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, p.end()) }()
	writers, err := b.writers(ctx, loop)
	if err != nil {
		return m, err
	}
	if err := c.publish(ctx, client, load{topic: b.intents(), writers: writers, prefix: warmUpPrefix, n: len(warm.at)}); err != nil {
		return m, err
	}
	if err := warm.wait(ctx, p); err != nil {
		return m, fmt.Errorf("warm up: %w", err)
	}
	var before usage
	if err := p.ask(&before); err != nil {
		return m, fmt.Errorf("ask loop: %w", err)
	}
	start := time.Now()
	if err := c.publish(ctx, client, load{topic: b.intents(), writers: writers, prefix: measuredPrefix, n: len(a.at), rate: c.Rate, start: start}); err != nil {
		return m, err
	}
	if err := a.wait(ctx, p); err != nil {
		return m, err
	}
	if err := m.fill(b, p, before, a); err != nil {
		return m, err
	}
	m.spread(a, func(i int) time.Time { return start.Add(due(i, c.Rate)) })
	return m, nil
}

// first is the error that came first: what follows it is its consequence.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A load is intents to be published.
type load struct {
	topic   string
	writers []writer
	prefix  string // of their ids
	n       int
	rate    float64 // per second from start on; 0: as fast as it goes
	start   time.Time
}

func (c *benchCmd) publish(ctx context.Context, client *kgo.Client, l load) error {
	intents, i := c.intents(l.prefix, l.writers), -1
	acked, err := pour(ctx, client, emission{topic: l.topic, rate: l.rate, start: l.start, count: l.n, next: func() (event.Message, error) {
		i++
		return intents(i)
	}})
	if err == nil && acked < l.n {
		err = fmt.Errorf("published %d of %d intents: %w", acked, l.n, context.Cause(ctx))
	}
	return err
}
