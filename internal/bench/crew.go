package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"paylink/internal/gatewaysim"
)

// A trial is what one column of a part stands for: a loop, on what, and how many
// of it.
type trial struct {
	name       string // of the column
	loop       string // paylinkLoop, plainLoop or a format's
	replicas   int
	merchants  int
	partitions int           // of each topic
	interval   time.Duration // between two calls of a merchant, at its rate; 0: none that is felt
	gateway    gatewaysim.Latency
	folder     string // in which ledgers are kept; empty: none
	observed   bool   // its log is read, its metrics are scraped; one replica only
	traced     bool   // a collector gets its traces
	sampler    string // that decides which; empty: the service's own
}

// trial is the usual one of a loop: one replica, one merchant, no rate.
func (o *Options) trial(loop string) trial {
	return trial{name: loop, loop: loop, replicas: 1, merchants: 1, partitions: o.TopicPartitions, gateway: o.Gateway}
}

// A crew is the replicas of a loop, each a process.
type crew struct {
	all   []*child
	ended chan struct{} // closed when the first of them has ended

	observer *observer // nil: none
}

// start starts the replicas of a trial one after the other, and returns what they
// had used before they began.
func (o *Options) start(ctx context.Context, s Streams, b *bed, t trial) (*crew, usage, error) {
	l := subject{
		Plain: t.loop == plainLoop, Brokers: b.kafka.Brokers, Name: b.name, Gateway: b.gateway, InFlight: o.InFlight,
		Merchants: t.merchants, Interval: t.interval, Format: outcomeFormat(t.loop), Registry: b.registry, Folder: t.folder,
		Observed: t.observed, Traces: b.traces, Sampler: t.sampler,
	}
	c := &crew{ended: make(chan struct{})}
	var first sync.Once
	var before usage
	if t.observed {
		c.observer = &observer{others: s.Err}
		s.Err = c.observer
	}
	for i := range t.replicas {
		if o.CPUProfile != "" {
			column := strings.ReplaceAll(t.name, " ", "-")
			l.CPUProfile = fmt.Sprintf("%s-%s.pprof", o.CPUProfile, column)
			if i > 0 {
				l.CPUProfile = fmt.Sprintf("%s-%s-%d.pprof", o.CPUProfile, column, i+1)
			}
		}
		var used usage
		p, err := o.spawn(ctx, s, &used, job{Loop: &l})
		if err != nil {
			return nil, before, errors.Join(err, c.end())
		}
		c.all = append(c.all, p)
		before.add(used)
		go func() {
			<-p.exited
			first.Do(func() { close(c.ended) })
		}()
	}
	if t.observed {
		var admin string
		if err := c.all[0].ask(adminWord, &admin); err != nil {
			return nil, before, errors.Join(fmt.Errorf("ask for the admin address: %w", err), c.end())
		}
		c.observer.scrape(ctx, admin)
	}
	return c, before, nil
}

// usage is what all of them have used; word is for each.
func (c *crew) usage(word string) (sum usage, err error) {
	for _, p := range c.all {
		var used usage
		if err := p.ask(word, &used); err != nil {
			return sum, fmt.Errorf("ask loop: %w", err)
		}
		sum.add(used)
	}
	return sum, nil
}

func (u *usage) add(other usage) {
	u.CPU += other.CPU
	u.Mallocs += other.Mallocs
	u.Bytes += other.Bytes
	u.PeakRSS = max(u.PeakRSS, other.PeakRSS)
	u.Held += other.Held
}

// end lets them finish and waits for them.
func (c *crew) end() (err error) {
	if w := c.observer; w != nil && w.stop != nil {
		w.stop()
		<-w.ceased
	}
	for _, p := range c.all {
		p.in.Close()
	}
	for _, p := range c.all {
		err = errors.Join(err, p.end())
	}
	return err
}
