// Package bench measures the service, and the plainest loop beside it.
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
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"paylink/internal/gatewaysim"
)

// Options say what is measured.
type Options struct {
	Intents    int                // of the backlog
	Keys       int                // distinct record keys; 0: one per intent
	Zipf       float64            // skew of the keys: 0 is uniform, else Zipf's exponent, more than 1
	Latency    gatewaysim.Latency // the gateway's time to answer
	InFlight   int                // calls in flight
	Rate       float64            // intents per second of the latency part; 0: leave it out; below: half of what the slowest loop reached
	Duration   time.Duration      // of the latency part
	Partitions int                // of each topic
	Baseline   bool               // measure the plainest loop as well
	Formats    bool               // measure the service under each format as well
	Runs       int                // measure so often, the loops in turn, and tell medians
	Strict     bool               // the gateway simulator, not the quick one that only answers
	Brokers    []string           // a real cluster; none: the embedded broker
	CPUProfile string             // prefix of the files for CPU profiles; empty: none
	JSON       bool               // print all measurements as JSON

	// Child is the command line under which this very program calls Child with
	// one more argument.
	Child []string
}

// Streams are what a command has: results go to Out, everything else to Err.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Validate says what cannot be measured.
func (o Options) Validate() error {
	switch {
	case o.Intents < 1 || o.InFlight < 1 || o.Partitions < 1 || o.Runs < 1:
		return fmt.Errorf("intents, in-flight, partitions and runs must be at least 1")
	case o.Formats && o.Baseline:
		return fmt.Errorf("formats and baseline: one of them at a time")
	case o.Zipf != 0 && o.Zipf <= 1:
		return fmt.Errorf("zipf %v: must be 0 or more than 1", o.Zipf)
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
func Run(ctx context.Context, o Options, s Streams) error {
	loops := []string{paylinkLoop}
	if o.Baseline {
		loops = append(loops, plainLoop)
	}
	if o.Formats {
		loops = append(loops, formatLoops()...)
	}
	var all []measurement
	measure := func(part string, do func(loop string) (measurement, error)) error {
		for run := range o.Runs {
			for i := range loops {
				loop := loops[(i+run)%len(loops)] // none is always the first
				fmt.Fprintf(s.Err, "bench: %s, %s, run %d of %d\n", part, loop, run+1, o.Runs)
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
	if err := measure("backlog", func(loop string) (measurement, error) { return o.backlog(ctx, s, loop) }); err != nil {
		return err
	}
	if rate := o.rate(all); rate > 0 {
		o.Rate = rate
		if err := measure("schedule", func(loop string) (measurement, error) { return o.schedule(ctx, s, loop) }); err != nil {
			return err
		}
	}
	if o.JSON {
		return json.NewEncoder(s.Out).Encode(all)
	}
	return o.print(s.Out, loops, all)
}

// rate is the pace of the latency part: the same for all loops.
func (o *Options) rate(backlogs []measurement) float64 {
	if o.Rate >= 0 {
		return o.Rate
	}
	slowest := slices.MinFunc(backlogs, func(a, b measurement) int { return int(a.PerSecond - b.PerSecond) })
	return max(1, float64(int(slowest.PerSecond/2)))
}

// title says what was measured, and where.
func (o *Options) title() string {
	keys := "one key per intent"
	if o.Keys > 0 {
		keys = fmt.Sprintf("%d keys, uniform", o.Keys)
		if o.Zipf > 0 {
			keys = fmt.Sprintf("%d keys, Zipf %.2f", o.Keys, o.Zipf)
		}
	}
	where, gateway := "embedded broker", "quick"
	if len(o.Brokers) > 0 {
		where = "real cluster"
	}
	if o.Strict {
		gateway = "strict"
	}
	return fmt.Sprintf("%d intents, %s, %d in flight, gateway %s (%s), %d partitions, %s, %d CPUs, %s",
		o.Intents, keys, o.InFlight, o.Latency, gateway, o.Partitions, where, runtime.NumCPU(), runtime.Version())
}
