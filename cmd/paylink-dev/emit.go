package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/config"
	"paylink/internal/devstack"
	"paylink/internal/event"
)

// An emitCmd publishes intents to any broker.
type emitCmd struct {
	Cluster  clusterFlags  `embed:""`
	Topic    string        `default:"payment-intents" env:"PAYLINK_TOPIC_INTENTS" help:"Topic of intents (default ${default})."`
	File     string        `short:"f" placeholder:"PATH" help:"Publish the JSON lines of this file; - is standard input. Without it, samples are made up."`
	KeyField string        `placeholder:"FIELD" help:"Field whose value is the record's key. Default: order_id, or intent_id where there is none."`
	Rate     float64       `default:"-1" placeholder:"N" help:"Records per second; 0: as fast as possible. Default: 2 for samples, 0 for files."`
	Count    int           `placeholder:"N" help:"Stop after that many records; 0: never, or at the end of the file."`
	For      time.Duration `placeholder:"DURATION" help:"Stop after that time; 0: never."`
	Merchant []string      `placeholder:"ID" help:"Merchants that samples name, in turn by chance. Default: none, so that the service's default applies."`
	Prefix   string        `placeholder:"TEXT" help:"How intent ids of samples begin. Default: made from the clock, so that runs do not meet."`
	Seed     uint64        `default:"1" help:"Seed of the samples (default ${default})."`
	Mix      mix           `embed:""`
}

// Run publishes until the end of the input, the count, the time, or a signal.
func (c *emitCmd) Run(ctx context.Context, w world) error {
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	source, err := c.source(w)
	if err != nil {
		return err
	}
	k, err := c.Cluster.kafka()
	if err != nil {
		return err
	}
	if err := reach(ctx, k); err != nil {
		return err
	}
	n, err := emitAll(ctx, k, emission{topic: c.Topic, rate: c.rate(), count: c.Count, next: source})
	fmt.Fprintf(w.out, "emitted %d records to %s\n", n, c.Topic)
	return err
}

func (c *emitCmd) rate() float64 {
	switch {
	case c.Rate >= 0:
		return c.Rate
	case c.File != "":
		return 0
	}
	return 2
}

func (c *emitCmd) source(w world) (func() (event.Message, error), error) {
	switch c.File {
	case "":
		if c.Prefix == "" {
			c.Prefix = runPrefix()
		}
		s := newSampler(c.Prefix, c.Merchant, c.Mix, c.Seed)
		return func() (event.Message, error) { return s.next(), nil }, nil
	case "-":
		return lines(w.in, c.KeyField), nil
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, err
	}
	next := lines(f, c.KeyField)
	return func() (event.Message, error) {
		m, err := next()
		if err != nil {
			f.Close()
		}
		return m, err
	}, nil
}

// runPrefix is distinct for each second: intent ids of two runs must not meet.
func runPrefix() string { return "ord-" + time.Now().UTC().Format("060102-150405") }

// lines returns the lines that are not blank as messages, then io.EOF. A line
// need not be JSON: it is published as it is, for the service to judge.
func lines(r io.Reader, keyField string) func() (event.Message, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	config.SkipMark(in)
	return func() (event.Message, error) {
		for {
			line, err := in.ReadBytes('\n')
			if trimmed := trim(line); len(trimmed) > 0 {
				return event.Message{Key: keyOf(trimmed, keyField), Value: trimmed}, nil
			}
			if err != nil {
				return event.Message{}, err
			}
		}
	}
}

func trim(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}

// keyOf returns the value of the key's field as text, or nil for no key.
func keyOf(value []byte, field string) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(value, &fields) != nil {
		return nil
	}
	names := []string{field}
	if field == "" {
		names = []string{"order_id", "intent_id"}
	}
	for _, name := range names {
		raw, ok := fields[name]
		if !ok || string(raw) == "null" || string(raw) == `""` {
			continue
		}
		var text string
		if json.Unmarshal(raw, &text) == nil {
			return []byte(text)
		}
		return raw
	}
	return nil
}

// An emission is a stream of records to be published.
type emission struct {
	topic string
	rate  float64   // per second, on a fixed schedule; 0: as fast as possible
	start time.Time // of the schedule; zero: now
	count int       // 0: until next ends
	next  func() (event.Message, error)
}

// emitAll publishes and returns how many records the brokers have acknowledged.
// The end of ctx ends it without an error.
func emitAll(ctx context.Context, k devstack.Kafka, e emission) (int, error) {
	client, err := producer(k)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	return pour(ctx, client, e)
}

func producer(k devstack.Kafka) (*kgo.Client, error) {
	return k.Client(kgo.ProducerLinger(0), kgo.MaxBufferedRecords(50_000))
}

// pour is emitAll with a client at hand.
func pour(ctx context.Context, client *kgo.Client, e emission) (int, error) {
	var p publisher
	start := e.start
	if start.IsZero() {
		start = time.Now()
	}
	for i := 0; (e.count == 0 || i < e.count) && p.err() == nil; i++ {
		if e.rate > 0 && !sleepUntil(ctx, start.Add(due(i, e.rate))) || ctx.Err() != nil {
			break
		}
		m, err := e.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return p.acknowledged(), fmt.Errorf("read record %d: %w", i+1, err)
		}
		client.Produce(ctx, record(e.topic, m), p.done)
	}
	// What is on its way is worth waiting for, but not for ever.
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := client.Flush(flush); err != nil {
		return p.acknowledged(), fmt.Errorf("publish to %s: %w", e.topic, err)
	}
	if err := p.err(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return p.acknowledged(), fmt.Errorf("publish to %s: %w", e.topic, err)
	}
	return p.acknowledged(), nil
}

// due is how long after the start the i-th record is published at a rate.
func due(i int, rate float64) time.Duration { return time.Duration(float64(i) / rate * 1e9) }

// sleepUntil waits until t and reports whether ctx was still going on then.
func sleepUntil(ctx context.Context, t time.Time) bool {
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
