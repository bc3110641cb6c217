package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

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
	n, err := publish(ctx, k, devstack.Stream{Topic: c.Topic, Rate: c.rate(), Count: c.Count, Next: source})
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

// publish publishes a stream; see devstack.Publisher.
func publish(ctx context.Context, k devstack.Kafka, s devstack.Stream) (int, error) {
	p, err := k.Publisher()
	if err != nil {
		return 0, err
	}
	defer p.Close()
	return p.Publish(ctx, s)
}
