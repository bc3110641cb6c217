package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// A benchCmd measures the service, and the plainest loop beside it.
//
// Who pays for what is kept apart by processes. This one makes the load and
// watches the outcomes; a child of it is the broker and the gateway; another
// child is nothing but the loop under measurement, and reports what the
// operating system and the Go runtime have counted for it. All of them share
// the machine, so outcomes per second are those of the whole, and ratios say
// more than figures.
//
// Two things are measured, each with fresh topics and processes. Throughput:
// a backlog is there before the loop starts, and is worked off as fast as it
// goes. Latency: intents are published on a fixed schedule that waits for
// nobody, and each latency counts from the scheduled time: a loop that stalls
// cannot hide it by delaying the load (no coordinated omission).
type benchCmd struct {
	Intents    int           `short:"n" default:"20000" help:"Intents of the backlog (default ${default})."`
	Keys       int           `short:"k" default:"0" help:"Distinct record keys; 0: one per intent. One key's intents are settled one after another."`
	Zipf       float64       `default:"0" help:"Skew of the keys: 0 is uniform, else Zipf's exponent, more than 1."`
	Latency    latency       `default:"50ms" placeholder:"DISTRIBUTION" help:"The gateway's time to answer: 50ms, uniform(20ms,80ms), exp(50ms), lognormal(50ms,0.5) (default ${default})."`
	InFlight   int           `default:"1024" help:"Calls in flight (default ${default})."`
	Rate       float64       `default:"-1" help:"Intents per second of the latency part; 0: leave it out. Default: half of what the slowest loop reached on the backlog."`
	Duration   time.Duration `default:"10s" help:"How long the latency part publishes (default ${default})."`
	Partitions int           `default:"12" help:"Partitions of each topic (default ${default})."`
	Baseline   bool          `help:"Measure the plainest kafka-go loop as well: Reader, workers, the same gateway client, Writer, CommitMessages; no guarantees."`
	Formats    bool          `help:"Measure the service under intents and outcomes of each format beside plain JSON, with an embedded schema registry: json-schema, avro, protobuf, and a mix of all of them."`
	Runs       int           `default:"1" help:"Measure so often, the loops in turn, and tell medians (default ${default})."`
	Strict     bool          `help:"Use the gateway simulator, which checks every rule, and not the quick one that only answers."`
	Brokers    []string      `placeholder:"HOST:PORT" help:"A real cluster. Topics of its own are made and deleted. Default: the embedded broker."`
	CPUProfile string        `name:"cpu-profile" placeholder:"PREFIX" help:"Write the CPU profile of each loop to PREFIX-LOOP.pprof; of several measurements the last."`
	JSON       bool          `help:"Print all measurements as JSON."`
}

// Validate checks what flags alone cannot.
func (c *benchCmd) Validate() error {
	switch {
	case c.Intents < 1 || c.InFlight < 1 || c.Partitions < 1 || c.Runs < 1:
		return fmt.Errorf("intents, in-flight, partitions and runs must be at least 1")
	case c.Formats && c.Baseline:
		return fmt.Errorf("formats and baseline: one of them at a time")
	case c.Zipf != 0 && c.Zipf <= 1:
		return fmt.Errorf("zipf %v: must be 0 or more than 1", c.Zipf)
	}
	return nil
}

// The loops that can be measured.
const (
	paylinkLoop = "paylink"
	plainLoop   = "plain"
)

// A measurement is what one run of one loop gave.
type measurement struct {
	Loop         string        `json:"loop"`
	Part         string        `json:"part"` // "backlog" or "schedule"
	Intents      int           `json:"intents"`
	PerSecond    float64       `json:"outcomes_per_second"`
	CPU          time.Duration `json:"cpu_per_intent_ns"`
	Allocs       float64       `json:"allocations_per_intent"`
	Bytes        float64       `json:"bytes_per_intent"`
	PeakRSS      int64         `json:"peak_rss_bytes"`
	StartUp      time.Duration `json:"start_to_first_outcome_ns"`
	P50          time.Duration `json:"p50_ns,omitempty"`
	P99          time.Duration `json:"p99_ns,omitempty"`
	P999         time.Duration `json:"p999_ns,omitempty"`
	Max          time.Duration `json:"max_ns,omitempty"`
	Twice        int           `json:"intents_with_two_outcomes"`
	Calls        int           `json:"calls"`
	RepeatedKeys int           `json:"calls_with_a_known_idempotency_key"`
}

// Run measures and prints.
func (c *benchCmd) Run(ctx context.Context, w world) error {
	loops := []string{paylinkLoop}
	if c.Baseline {
		loops = append(loops, plainLoop)
	}
	if c.Formats {
		loops = append(loops, formatLoops()...)
	}
	var all []measurement
	measure := func(part string, do func(loop string) (measurement, error)) error {
		for run := range c.Runs {
			for i := range loops {
				loop := loops[(i+run)%len(loops)] // none is always the first
				fmt.Fprintf(w.err, "bench: %s, %s, run %d of %d\n", part, loop, run+1, c.Runs)
				m, err := do(loop)
				if err != nil {
					return fmt.Errorf("%s of %s: %w", part, loop, err)
				}
				m.Loop, m.Part = loop, part
				all = append(all, m)
			}
		}
		return nil
	}
	if err := measure("backlog", func(loop string) (measurement, error) { return c.backlog(ctx, w, loop) }); err != nil {
		return err
	}
	if rate := c.rate(all); rate > 0 {
		c.Rate = rate
		if err := measure("schedule", func(loop string) (measurement, error) { return c.schedule(ctx, w, loop) }); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(w.out).Encode(all)
	}
	return c.print(w.out, loops, all)
}

// rate is the pace of the latency part: the same for all loops.
func (c *benchCmd) rate(backlogs []measurement) float64 {
	if c.Rate >= 0 {
		return c.Rate
	}
	slowest := slices.MinFunc(backlogs, func(a, b measurement) int { return int(a.PerSecond - b.PerSecond) })
	return max(1, float64(int(slowest.PerSecond/2)))
}

// title says what was measured, and where.
func (c *benchCmd) title() string {
	keys := "one key per intent"
	if c.Keys > 0 {
		keys = fmt.Sprintf("%d keys, uniform", c.Keys)
		if c.Zipf > 0 {
			keys = fmt.Sprintf("%d keys, Zipf %.2f", c.Keys, c.Zipf)
		}
	}
	where, gateway := "embedded broker", "quick"
	if len(c.Brokers) > 0 {
		where = "real cluster"
	}
	if c.Strict {
		gateway = "strict"
	}
	return fmt.Sprintf("%d intents, %s, %d in flight, gateway %s (%s), %d partitions, %s, %d CPUs, %s",
		c.Intents, keys, c.InFlight, c.Latency, gateway, c.Partitions, where, runtime.NumCPU(), runtime.Version())
}
