// Package bench measures the service, and the plainest loop beside it.
//
// Who pays for what is kept apart by processes. This one makes the load and
// watches the outcomes; a child of it is the broker and the gateway; another
// child is nothing but the loop under measurement, and reports what the
// operating system and the Go runtime have counted for it. All of them share
// the machine, so outcomes per second are those of the whole, and ratios say
// more than figures.
//
// What is measured comes in parts, each a table of columns with fresh topics and
// processes for every column, and with the plain loop, or what the machine can do at
// all, as one of them. Usually there are two. Throughput: a backlog is there before
// the loop starts, and is worked off as fast as it goes. Latency: intents are
// published on a fixed schedule that waits for nobody, and each latency counts from
// the scheduled time: a loop that stalls cannot hide it by delaying the load (no
// coordinated omission). The others ask what grows with the number of merchants,
// replicas, idle partitions and answered intents. The part of observation compares the
// service with itself, as all other parts have it.
package bench

import (
	"context"
	"encoding/json"
	"errors"
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
	Gateway    gatewaysim.Latency // the gateway's time to answer
	InFlight   int                // calls in flight
	Rate       float64            // intents per second of the latency part; 0: leave it out; below: half of what the slowest loop reached
	Duration   time.Duration      // of the latency part, of an idle loop
	Baseline   bool               // measure the plainest loop as well
	Formats    bool               // measure the service under each format as well
	Runs       int                // measure so often, the loops in turn, and tell medians
	Strict     bool               // the gateway simulator, not the quick one that only answers
	Brokers    []string           // a real cluster; none: the embedded broker
	CPUProfile string             // prefix of the files for CPU profiles; empty: none
	JSON       bool               // print all measurements as JSON
	HTML       string             // file of a page with charts; empty: none

	TopicPartitions int // of each topic, unless idle partitions are measured

	// What grows? Each of these asks for a part of its own; 0: it is left out.
	Merchants  int  // so many of them
	Replicas   int  // so many processes
	Sparse     bool // of Replicas: how long merchants below their rate wait for a turn
	Partitions int  // so many, in which nothing happens
	Ledger     int  // so many answered intents
	Telemetry  bool // what it costs to be observed
	OpenLoop   bool // the latency part at two usual rates, or at Rate
	Figures    bool // all parts that README's figures come from, in their usual sizes

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
	case o.Intents < 1 || o.InFlight < 1 || o.TopicPartitions < 1 || o.Runs < 1:
		return fmt.Errorf("intents, in-flight, topic-partitions and runs must be at least 1")
	case o.Merchants < 0 || o.Replicas < 0 || o.Partitions < 0 || o.Ledger < 0:
		return fmt.Errorf("merchants, replicas, partitions and ledger cannot be below 0")
	case o.Sparse && o.Replicas == 0:
		return fmt.Errorf("sparse: say with how many replicas")
	case o.Strict && (o.Merchants > 0 || o.Sparse || o.Figures):
		return fmt.Errorf("strict: the gateway simulator of the bench knows one merchant only")
	case len(o.Brokers) > 0 && o.Figures:
		return fmt.Errorf("figures: they come from the embedded broker")
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

// The usual parts.
const (
	backlogName  = "backlog"
	scheduleName = "schedule"
)

// A measurement is what one run of one loop gave.
type measurement struct {
	Loop         string        `json:"loop"`
	Part         string        `json:"part"`
	Intents      int           `json:"intents"`
	PerSecond    float64       `json:"outcomes_per_second"`
	CPU          time.Duration `json:"cpu_per_intent_ns"`
	Allocs       float64       `json:"allocations_per_intent"`
	Bytes        float64       `json:"bytes_per_intent"`
	PeakRSS      int64         `json:"peak_rss_bytes"`
	StartUp      time.Duration `json:"start_to_first_outcome_ns"`
	P50          time.Duration `json:"p50_ns,omitempty"`
	P90          time.Duration `json:"p90_ns,omitempty"`
	P99          time.Duration `json:"p99_ns,omitempty"`
	P999         time.Duration `json:"p999_ns,omitempty"`
	Max          time.Duration `json:"max_ns,omitempty"`
	Twice        int           `json:"intents_with_two_outcomes"`
	Calls        int           `json:"calls"`
	RepeatedKeys int           `json:"calls_with_a_known_idempotency_key"`

	Gateway    time.Duration `json:"gateway_p50_ns,omitempty"`              // its own time
	Ahead      float64       `json:"calls_ahead_of_the_rate,omitempty"`     // at most; one call alone is one
	IdleCPU    float64       `json:"idle_share_of_a_core,omitempty"`        // 0.02 is 2 %
	Ready      time.Duration `json:"start_to_all_partitions_ns,omitempty"`  // every partition has an outcome, or is fetched
	ReadyEmpty time.Duration `json:"start_with_nothing_past_ns,omitempty"`  // the same, with nothing answered
	CPUReady   time.Duration `json:"cpu_until_all_partitions_ns,omitempty"` // of all that
	BytesEach  float64       `json:"bytes_each,omitempty"`                  // of heap and stacks, by idle partition or answered intent
	Outcomes   int           `json:"outcomes_of_the_past,omitempty"`
	Fetched    int64         `json:"bytes_fetched,omitempty"`
	Lines      float64       `json:"log_lines_per_intent,omitempty"`
	Spans      float64       `json:"spans_per_intent,omitempty"`
	Scrapes    int           `json:"scrapes,omitempty"`

	held uint64 // bytes that are reachable
}

// Run measures and prints.
func Run(ctx context.Context, o Options, s Streams) error {
	if o.Figures {
		o.usual()
	}
	parts := o.parts(s)
	var all []measurement
	var err error
	for i, p := range parts {
		if p.name == scheduleName {
			o.Rate = o.rate(all)
			parts[i] = o.schedulePart(s)
		}
		got, failed := o.measure(ctx, s, parts[i])
		all = append(all, got...)
		if err = failed; err != nil {
			parts = parts[:i+1] // what was measured until then is told
			break
		}
	}
	if o.HTML != "" {
		if err := o.writePage(parts, all); err != nil {
			return err
		}
	}
	if o.JSON {
		return errors.Join(err, json.NewEncoder(s.Out).Encode(all))
	}
	return errors.Join(err, o.print(s.Out, parts, all))
}

// idleConnections is when connections are gone that nobody has used since the start:
// until then they count as memory of idle partitions.
const idleConnections = 35 * time.Second

// usual sets the sizes of README's figures, where none is given.
func (o *Options) usual() {
	set := func(to *int, size int) {
		if *to == 0 {
			*to = size
		}
	}
	set(&o.Merchants, 3000)
	set(&o.Replicas, 4)
	set(&o.Partitions, 1000)
	set(&o.Ledger, 2_000_000)
	o.Sparse = true
	if o.Duration < idleConnections {
		o.Duration = idleConnections
	}
}

// measure measures the columns of a part in turn, as often as there are runs.
func (o *Options) measure(ctx context.Context, s Streams, p part) (all []measurement, err error) {
	for run := range o.Runs {
		for i := range p.trials {
			t := p.trials[(i+run)%len(p.trials)] // none is always the first
			fmt.Fprintf(s.Err, "bench: %s, %s, run %d of %d\n", p.name, t.name, run+1, o.Runs)
			m, err := p.do(ctx, t)
			if err != nil {
				return all, fmt.Errorf("%s of %s: %w", p.name, t.name, err)
			}
			m.Loop, m.Part = t.name, p.name
			all = append(all, m)
		}
	}
	return all, nil
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
		o.Intents, keys, o.InFlight, o.Gateway, gateway, o.TopicPartitions, where, runtime.NumCPU(), runtime.Version())
}
