package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"paylink/internal/gatewaysim"
	"slices"
	"time"

	"paylink/internal/devstack"
)

// The prefixes of intent ids in a bench.
const (
	measuredPrefix = "b-"
	warmUpPrefix   = "w-"
)

// A part is a table: columns that are measured in turn.
type part struct {
	name   string // in JSON
	title  string
	trials []trial
	do     func(context.Context, trial) (measurement, error)
}

// parts are what the options ask for.
func (o *Options) parts(s Streams) []part {
	var all []part
	add := func(some ...part) { all = append(all, some...) }
	if o.Figures || !o.special() {
		add(o.backlogPart(s))
		if !o.Figures && o.Rate != 0 {
			add(o.schedulePart(s))
		}
	}
	if o.OpenLoop || o.Figures {
		add(o.openLoopParts(s)...)
	}
	if o.Merchants > 0 {
		add(o.merchantsPart(s))
	}
	if o.Replicas > 0 && o.Sparse {
		add(o.sparsePart(s))
	} else if o.Replicas > 0 {
		add(o.replicasPart(s))
	}
	if o.Telemetry || o.Figures {
		add(o.telemetryPart(s))
	}
	if o.Partitions > 0 {
		add(o.idlePart(s))
	}
	if o.Ledger > 0 {
		add(o.ledgerPart(s))
	}
	return all
}

// special reports whether something else than the usual two parts is asked for.
func (o *Options) special() bool {
	return o.OpenLoop || o.Merchants > 0 || o.Replicas > 0 || o.Partitions > 0 || o.Ledger > 0 || o.Telemetry
}

// loops are the usual trials.
func (o *Options) loops() []trial {
	all := []trial{o.trial(paylinkLoop)}
	if o.Baseline || o.Figures {
		all = append(all, o.trial(plainLoop))
	}
	if o.Formats {
		for _, loop := range formatLoops() {
			all = append(all, o.trial(loop))
		}
	}
	return all
}

func (o *Options) backlogPart(s Streams) part {
	return part{backlogName, "worked off at once", o.loops(), func(ctx context.Context, t trial) (measurement, error) {
		return o.backlog(ctx, s, t)
	}}
}

func (o *Options) schedulePart(s Streams) part {
	return part{scheduleName, fmt.Sprintf("%.0f/s for %s, from the scheduled time", o.Rate, o.Duration), o.loops(),
		func(ctx context.Context, t trial) (measurement, error) { return o.schedule(ctx, s, t, o.Rate) }}
}

// openLoopParts are schedules beside the plain loop, at the rate asked for or at two
// usual ones.
func (o *Options) openLoopParts(s Streams) (all []part) {
	rates := []float64{200, 1000}
	if o.Rate > 0 {
		rates = []float64{o.Rate}
	}
	for _, rate := range rates {
		all = append(all, part{fmt.Sprintf("%s-%.0f", scheduleName, rate), fmt.Sprintf("%.0f/s for %s, from the scheduled time", rate, o.Duration),
			[]trial{o.trial(paylinkLoop), o.trial(plainLoop)},
			func(ctx context.Context, t trial) (measurement, error) { return o.schedule(ctx, s, t, rate) }})
	}
	return all
}

func (o *Options) merchantsPart(s Streams) part {
	one, many, plain := o.trial(paylinkLoop), o.trial(paylinkLoop), o.trial(plainLoop)
	one.name, many.name = "1 merchant", fmt.Sprintf("%d merchants", o.Merchants)
	many.merchants, plain.merchants = o.Merchants, o.Merchants
	return part{"merchants", fmt.Sprintf("%d intents worked off at once, of one merchant and of %d in turn", o.Intents, o.Merchants),
		[]trial{one, many, plain}, func(ctx context.Context, t trial) (measurement, error) { return o.backlog(ctx, s, t) }}
}

func (o *Options) replicasPart(s Streams) part {
	one, many, plain := o.trial(paylinkLoop), o.trial(paylinkLoop), o.trial(plainLoop)
	one.name, many.name, plain.name = "1 replica", fmt.Sprintf("%d replicas", o.Replicas), fmt.Sprintf("%d plain", o.Replicas)
	many.replicas, plain.replicas = o.Replicas, o.Replicas
	return part{"replicas", fmt.Sprintf("%d intents worked off at once, by one replica and by %d", o.Intents, o.Replicas),
		[]trial{one, many, plain}, func(ctx context.Context, t trial) (measurement, error) { return o.backlog(ctx, s, t) }}
}

// backlog measures how fast a loop works off what is there before it starts.
func (o *Options) backlog(ctx context.Context, s Streams, t trial) (m measurement, err error) {
	b, err := o.prepare(ctx, s, t)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, b.close(ctx)) }()
	publisher, err := b.kafka.Publisher()
	if err != nil {
		return m, err
	}
	defer publisher.Close()
	writers, err := b.writers(ctx, t.loop)
	if err != nil {
		return m, err
	}
	if err := publish(ctx, publisher, devstack.Stream{
		Topic: b.intents(), Count: o.Intents, Next: o.intents(measuredPrefix, t.merchants, writers),
	}); err != nil {
		return m, err
	}
	a := newAudience(measuredPrefix, o.Intents)
	stop := b.watch(ctx, a)
	defer stop()

	start := time.Now()
	p, before, err := o.start(ctx, s, b, t)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, p.end()) }()
	if err := a.wait(ctx, p); err != nil {
		return m, err
	}
	err = m.fill(b, p, before, a)
	m.StartUp = a.first.Sub(start)
	return m, first(err, m.observed(b, p))
}

// schedule measures how long outcomes take while intents come at a fixed rate.
func (o *Options) schedule(ctx context.Context, s Streams, t trial, rate float64) (m measurement, err error) {
	b, err := o.prepare(ctx, s, t)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, b.close(ctx)) }()
	warm := newAudience(warmUpPrefix, t.warmUp())
	a := newAudience(measuredPrefix, max(1, int(rate*o.Duration.Seconds())))
	stop := b.watch(ctx, warm, a)
	defer stop()

	publisher, err := b.kafka.Publisher()
	if err != nil {
		return m, err
	}
	defer publisher.Close()
	p, _, err := o.start(ctx, s, b, t)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, p.end()) }()
	writers, err := b.writers(ctx, t.loop)
	if err != nil {
		return m, err
	}
	if err := publish(ctx, publisher, devstack.Stream{
		Topic: b.intents(), Count: len(warm.at), Next: o.intents(warmUpPrefix, t.merchants, writers),
	}); err != nil {
		return m, err
	}
	if err := warm.wait(ctx, p); err != nil {
		return m, fmt.Errorf("warm up: %w", err)
	}
	if t.interval > 0 && !devstack.SleepUntil(ctx, time.Now().Add(min(o.Duration, t.round()))) {
		return m, ctx.Err()
	}
	before, err := p.usage("")
	if err != nil {
		return m, err
	}
	schedule := devstack.Stream{
		Topic: b.intents(), Rate: rate, Start: time.Now(), Count: len(a.at), Next: o.intents(measuredPrefix, t.merchants, writers),
	}
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
	m.Gateway = usualTime(t.gateway)
	return m, nil
}

// warmUp is how many intents come before those that are measured. At a rate that is
// felt it is one of each merchant.
func (t trial) warmUp() int {
	if t.interval > 0 {
		return t.merchants
	}
	return max(100, 10*t.partitions)
}

// round is how long it takes until each replica has had a slot of each merchant, and
// so a turn to use or to lend, since it has its partitions: these count after an
// interval.
func (t trial) round() time.Duration { return time.Duration(t.replicas+1) * t.interval }

// settleTime is how long a loop is left alone after what came before.
func (o *Options) settleTime() time.Duration { return min(o.Duration, 2*time.Second) }

// usualTime is the median of a gateway's times.
func usualTime(l gatewaysim.Latency) time.Duration {
	if l.Draw == nil {
		return 0
	}
	rng, some := rand.New(rand.NewPCG(3, 4)), make([]time.Duration, 1001)
	for i := range some {
		some[i] = l.Draw(rng)
	}
	slices.Sort(some)
	return quantile(some, 0.5)
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
