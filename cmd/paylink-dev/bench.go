package main

import (
	"context"
	"time"

	"paylink/internal/bench"
	"paylink/internal/gatewaysim"
)

// A benchCmd measures the service, and the plainest loop beside it; see package bench.
type benchCmd struct {
	Intents    int                `short:"n" default:"20000" help:"Intents of the backlog (default ${default})."`
	Keys       int                `short:"k" default:"0" help:"Distinct record keys; 0: one per intent. One key's intents are settled one after another."`
	Zipf       float64            `default:"0" help:"Skew of the keys: 0 is uniform, else Zipf's exponent, more than 1."`
	Gateway    gatewaysim.Latency `default:"50ms" placeholder:"DISTRIBUTION" help:"The gateway's time to answer: 50ms, uniform(20ms,80ms), exp(50ms), lognormal(50ms,0.5) (default ${default})."`
	InFlight   int                `default:"1024" help:"Calls in flight (default ${default})."`
	Rate       float64            `default:"-1" help:"Intents per second of the latency part; 0: leave it out. Default: half of what the slowest loop reached on the backlog; with --latency 200, then 1000."`
	Duration   time.Duration      `default:"10s" help:"How long the latency part publishes, and an idle loop is watched (default ${default})."`
	Baseline   bool               `help:"Measure the plainest kafka-go loop as well: Reader, workers, the same gateway client, Writer, CommitMessages; no guarantees."`
	Formats    bool               `help:"Measure the service under intents and outcomes of each format beside plain JSON, with an embedded schema registry: json-schema, avro, protobuf, and a mix of all of them."`
	Runs       int                `default:"1" help:"Measure so often, the loops in turn, and tell medians (default ${default})."`
	Strict     bool               `help:"Use the gateway simulator, which checks every rule, and not the quick one that only answers."`
	Brokers    []string           `placeholder:"HOST:PORT" help:"A real cluster. Topics of its own are made and deleted. Default: the embedded broker."`
	CPUProfile string             `name:"cpu-profile" placeholder:"PREFIX" help:"Write the CPU profile of each column to PREFIX-COLUMN.pprof; of several measurements the last."`
	JSON       bool               `help:"Print all measurements as JSON."`
	HTML       string             `name:"html" placeholder:"FILE" help:"Write a page with charts as well: one file that needs nothing else."`

	TopicPartitions int  `default:"12" help:"Partitions of each topic, but with --partitions (default ${default})."`
	Latency         bool `help:"Instead of the usual two parts: latency on a fixed schedule, counted from the scheduled time, beside the plain loop."`
	Merchants       int  `placeholder:"N" help:"Instead: the backlog of N merchants beside that of one, and the plain loop."`
	Replicas        int  `placeholder:"N" help:"Instead: the backlog worked off by N processes, by one, and by N plain loops."`
	Sparse          bool `help:"With --replicas: how long merchants that use less than half of their rate wait for a turn."`
	Telemetry       bool `help:"Instead: the backlog with the log at info and a scrape every second; with traces as well, as the service samples them; with every trace; beside none of it."`
	Partitions      int  `placeholder:"N" help:"Instead: N partitions in which nothing happens: CPU, memory, and time to start, beside the plain loop."`
	Ledger          int  `placeholder:"N" help:"Instead: N answered intents: memory of each, and time until all partitions are served, beside a fetch of the same bytes."`
	Figures         bool `help:"All of these in the sizes that the figures of README.md have; those that are given count."`
}

// benchChild is the command of a benchChildCmd.
const benchChild = "bench-child"

func (c *benchCmd) options() bench.Options {
	return bench.Options{
		Intents: c.Intents, Keys: c.Keys, Zipf: c.Zipf, Gateway: c.Gateway, InFlight: c.InFlight, Rate: c.Rate, Duration: c.Duration,
		Baseline: c.Baseline, Formats: c.Formats, Runs: c.Runs, Strict: c.Strict, Brokers: c.Brokers,
		CPUProfile: c.CPUProfile, JSON: c.JSON, HTML: c.HTML, Child: []string{benchChild},
		TopicPartitions: c.TopicPartitions, OpenLoop: c.Latency, Merchants: c.Merchants, Replicas: c.Replicas, Sparse: c.Sparse,
		Partitions: c.Partitions, Ledger: c.Ledger, Telemetry: c.Telemetry, Figures: c.Figures,
	}
}

// Validate checks what flags alone cannot.
func (c *benchCmd) Validate() error { return c.options().Validate() }

// Run measures and prints.
func (c *benchCmd) Run(ctx context.Context, w world) error {
	return bench.Run(ctx, c.options(), bench.Streams{In: w.in, Out: w.out, Err: w.err})
}

// A benchChildCmd is a process that a benchCmd starts.
type benchChildCmd struct {
	Job string `arg:""`
}

// Run does what the bench wants of it.
func (c *benchChildCmd) Run(ctx context.Context, w world) error {
	return bench.Child(ctx, c.Job, bench.Streams{In: w.in, Out: w.out, Err: w.err})
}
