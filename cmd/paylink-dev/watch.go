package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/registry"
)

// A watchCmd shows what the service published.
type watchCmd struct {
	Cluster       clusterFlags `embed:""`
	Topic         []string     `default:"payment-outcomes" env:"PAYLINK_TOPIC_OUTCOMES" help:"Topics to show (default ${default})."`
	DeadLetters   bool         `help:"Show dead letters as well."`
	DeadTopic     string       `name:"dead-letters-topic" default:"payment-intents.dead-letters" env:"PAYLINK_TOPIC_DEAD_LETTERS" help:"Topic of dead letters (default ${default})."`
	FromBeginning bool         `short:"b" help:"Start with the oldest record, not with those published from now on."`
	Follow        bool         `default:"true" negatable:"" help:"Wait for more. With --no-follow: show what is there, oldest first, and end."`
	Isolation     string       `enum:"read_uncommitted,read_committed" default:"read_uncommitted" help:"What to see of transactions: ${enum} (default ${default})."`
	RegistryURL   string       `name:"schema-registry-url" env:"PAYLINK_SCHEMA_REGISTRY_URL" placeholder:"URL" help:"Schema registry to read outcomes through that are not plain JSON."`
	JSON          bool         `help:"One JSON object per record: place, time, key, headers, value."`
	Count         int          `short:"n" placeholder:"N" help:"Stop after that many records; 0: never."`
}

var errEnough = errors.New("enough")

// Run shows records until the count, the end, or a signal.
func (c *watchCmd) Run(ctx context.Context, w world) error {
	k, err := c.Cluster.kafka()
	if err != nil {
		return err
	}
	if err := reach(ctx, k); err != nil {
		return err
	}
	show, err := c.shower(ctx, w.out)
	if err != nil {
		return err
	}
	if !c.Follow {
		return c.dump(ctx, k, show)
	}
	tail := devstack.Tail{Topics: c.topics(), FromBeginning: c.FromBeginning, Isolation: c.level()}
	err = k.Follow(ctx, tail, show)
	if errors.Is(err, errEnough) || ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *watchCmd) topics() []string {
	if c.DeadLetters {
		return append(c.Topic, c.DeadTopic)
	}
	return c.Topic
}

func (c *watchCmd) level() devstack.Isolation {
	if c.Isolation == "read_committed" {
		return devstack.ReadCommitted
	}
	return devstack.ReadUncommitted
}

func (c *watchCmd) dump(ctx context.Context, k devstack.Kafka, show func(devstack.Record) error) error {
	for _, topic := range c.topics() {
		recs, err := k.Read(ctx, topic, c.level())
		if err != nil {
			return err
		}
		for _, r := range recs {
			if err := show(r); err != nil {
				return orEnough(err)
			}
		}
	}
	return nil
}

func orEnough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// shower returns what prints one record, and says when it is enough.
func (c *watchCmd) shower(ctx context.Context, out io.Writer) (func(devstack.Record) error, error) {
	decoder := outcomes.NewDecoder(nil)
	if c.RegistryURL != "" {
		reg, err := registry.New(registry.Config{URL: c.RegistryURL})
		if err != nil {
			return nil, err
		}
		decoder = outcomes.NewDecoder(reg)
	}
	shown := 0
	return func(r devstack.Record) error {
		r.Value = plainJSON(ctx, decoder, r)
		line := humanLine(r)
		if c.JSON {
			line = jsonLine(r)
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
		if shown++; shown == c.Count {
			return errEnough
		}
		return nil
	}, nil
}

// plainJSON returns an outcome of any format as JSON, and anything else as it is.
func plainJSON(ctx context.Context, decoder *outcomes.Decoder, r devstack.Record) []byte {
	if json.Valid(r.Value) || r.Header(event.HeaderReason) != nil {
		return r.Value
	}
	v, err := decoder.Decode(ctx, r.Message)
	if err != nil {
		return r.Value
	}
	return v.AppendJSON(nil)
}

// A seen record is one line of watch --json. Exactly one of Value and Bytes is
// set, unless the record's value is null.
type seen struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Time      string            `json:"time"` // RFC 3339, but of any year
	Key       *string           `json:"key"`
	Headers   map[string]string `json:"headers"`
	Value     json.RawMessage   `json:"value,omitempty"` // if it is JSON in UTF-8
	Bytes     []byte            `json:"bytes,omitempty"` // if it is not; base64
}

func jsonLine(r devstack.Record) string {
	s := seen{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Time.UTC().Format(time.RFC3339Nano), Headers: map[string]string{}}
	if r.Key != nil {
		key := string(r.Key)
		s.Key = &key
	}
	for _, h := range r.Headers {
		s.Headers[h.Key] = string(h.Value)
	}
	if json.Valid(r.Value) && utf8.Valid(r.Value) && json.Valid(slices.Concat([]byte("["), r.Value, []byte("]"))) { // not as deep as can be: it is within a line
		s.Value = r.Value
	} else {
		s.Bytes = r.Value
	}
	var line strings.Builder
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false) // values are shown as they were written
	if err := enc.Encode(s); err != nil {
		panic(err) // everything in it marshals
	}
	return escaped(strings.TrimSuffix(line.String(), "\n"))
}

// escaped writes what a terminal would obey and not show as JSON's escapes. In
// a line of JSON it can only stand within a string.
func escaped(line string) string {
	if strings.IndexFunc(line, unprintable) < 0 {
		return line
	}
	var b strings.Builder
	for _, r := range line {
		switch high, low := utf16.EncodeRune(r); {
		case !unprintable(r):
			b.WriteRune(r)
		case high != unicode.ReplacementChar:
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
