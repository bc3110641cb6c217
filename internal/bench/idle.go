package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"paylink/internal/devstack"
)

// idlePart measures what partitions cost in which nothing happens, and how long it
// takes until all of them are served.
func (o *Options) idlePart(s Streams) part {
	trials := []trial{o.trial(paylinkLoop), o.trial(plainLoop)}
	for i := range trials {
		trials[i].partitions = o.Partitions
	}
	return part{"partitions", fmt.Sprintf("%d partitions, one intent in each, then idle for %s", o.Partitions, o.Duration), trials,
		func(ctx context.Context, t trial) (measurement, error) {
			few := t
			few.partitions = max(1, min(12, t.partitions/2))
			base, err := o.idle(ctx, s, few)
			if err != nil {
				return base, err
			}
			m, err := o.idle(ctx, s, t)
			m.BytesEach = (float64(m.held) - float64(base.held)) / float64(max(1, t.partitions-few.partitions))
			return m, err
		}}
}

// idle starts a loop on partitions that hold an intent each, and leaves it idle when
// all have their outcomes.
func (o *Options) idle(ctx context.Context, s Streams, t trial) (m measurement, err error) {
	t.gateway.Draw = nil
	b, err := o.prepare(ctx, s, t)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, b.close(ctx)) }()
	a := newAudience(measuredPrefix, t.partitions)
	stop := b.watch(ctx, a)
	defer stop()
	if err := o.oneEach(ctx, b, t, measuredPrefix); err != nil {
		return m, err
	}
	start := time.Now()
	p, before, err := o.start(ctx, s, b, t)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, p.end()) }()
	err = a.wait(ctx, p)
	if lost := t.loop == plainLoop && errors.Is(err, errStalled); err != nil && !lost { // it repeats nothing
		return m, err
	}
	done := err == nil
	if err := m.fill(b, p, before, a); err != nil {
		return m, err
	}
	m.CPUReady = m.CPU * time.Duration(m.Intents)
	if m.StartUp = a.first.Sub(start); done {
		m.Ready = a.last.Sub(start)
	}
	if !devstack.SleepUntil(ctx, time.Now().Add(o.settleTime())) {
		return m, ctx.Err()
	}
	begun, err := p.usage(idleWord)
	if err != nil {
		return m, err
	}
	since := time.Now()
	if !devstack.SleepUntil(ctx, since.Add(o.Duration)) {
		return m, ctx.Err()
	}
	after, err := p.usage("")
	if err != nil {
		return m, err
	}
	m.IdleCPU = (after.CPU - begun.CPU).Seconds() / time.Since(since).Seconds()
	held, err := p.usage(collectWord)
	m.held = held.Held
	return m, err
}

// oneEach publishes an intent to each partition.
func (o *Options) oneEach(ctx context.Context, b *bed, t trial, prefix string) error {
	writers, err := b.writers(ctx, t.loop)
	if err != nil {
		return err
	}
	return b.kafka.Spread(ctx, b.intents(), t.partitions, t.partitions, o.intents(prefix, t.merchants, writers))
}
