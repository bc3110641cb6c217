package bench

import (
	"context"
	"fmt"
	"time"

	"paylink/internal/devstack"
)

// The prefixes of intent ids in a bench.
const (
	measuredPrefix = "b-"
	warmUpPrefix   = "w-"
)

// backlog measures how fast a loop works off what is there before it starts.
func (o *Options) backlog(ctx context.Context, s Streams, loop string) (m measurement, err error) {
	b, err := o.prepare(ctx, s)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, b.close(ctx)) }()
	publisher, err := b.kafka.Publisher()
	if err != nil {
		return m, err
	}
	defer publisher.Close()
	writers, err := b.writers(ctx, loop)
	if err != nil {
		return m, err
	}
	if err := publish(ctx, publisher, devstack.Stream{Topic: b.intents(), Count: o.Intents, Next: o.intents(measuredPrefix, writers)}); err != nil {
		return m, err
	}
	a := newAudience(measuredPrefix, o.Intents)
	stop := b.watch(ctx, a)
	defer stop()

	start := time.Now()
	p, before, err := o.startLoop(ctx, s, b, loop)
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
func (o *Options) schedule(ctx context.Context, s Streams, loop string) (m measurement, err error) {
	b, err := o.prepare(ctx, s)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, b.close(ctx)) }()
	warm := newAudience(warmUpPrefix, max(100, 10*o.Partitions))
	a := newAudience(measuredPrefix, max(1, int(o.Rate*o.Duration.Seconds())))
	stop := b.watch(ctx, warm, a)
	defer stop()

	publisher, err := b.kafka.Publisher()
	if err != nil {
		return m, err
	}
	defer publisher.Close()
	p, _, err := o.startLoop(ctx, s, b, loop)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, p.end()) }()
	writers, err := b.writers(ctx, loop)
	if err != nil {
		return m, err
	}
	if err := publish(ctx, publisher, devstack.Stream{Topic: b.intents(), Count: len(warm.at), Next: o.intents(warmUpPrefix, writers)}); err != nil {
		return m, err
	}
	if err := warm.wait(ctx, p); err != nil {
		return m, fmt.Errorf("warm up: %w", err)
	}
	var before usage
	if err := p.ask(&before); err != nil {
		return m, fmt.Errorf("ask loop: %w", err)
	}
	schedule := devstack.Stream{Topic: b.intents(), Rate: o.Rate, Start: time.Now(), Count: len(a.at), Next: o.intents(measuredPrefix, writers)}
	if err := publish(ctx, publisher, schedule); err != nil {
		return m, err
	}
	if err := a.wait(ctx, p); err != nil {
		return m, err
	}
	if err := m.fill(b, p, before, a); err != nil {
		return m, err
	}
	m.spread(a, schedule.Due)
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

// publish publishes all of a stream.
func publish(ctx context.Context, p *devstack.Publisher, s devstack.Stream) error {
	acked, err := p.Publish(ctx, s)
	if err == nil && acked < s.Count {
		err = fmt.Errorf("published %d of %d intents: %w", acked, s.Count, context.Cause(ctx))
	}
	return err
}
