package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"paylink/internal/config"
	"paylink/internal/service"
	"paylink/internal/telemetry"
)

// A subject is the child that holds nothing but the loop under measurement.
type subject struct {
	Plain    bool // the plainest loop, not the service
	Brokers  []string
	Name     string // of group and topics
	Gateway  string
	InFlight int

	Merchants int           // 1: the one merchant; more: a list of them
	Interval  time.Duration // between two calls of each, at its rate; 0: one that nobody feels
	Format    string        // of outcomes
	Registry  string        // empty: none
	Folder    string        // in which ledgers are kept; empty: none

	Observed bool   // its log is that of a team, and its admin address is told
	Traces   string // where the collector is; empty: no traces
	Sampler  string // that decides which of them go there; empty: the service's own

	CPUProfile string // file; empty: none
}

// A usage is what a process has used since it began.
type usage struct {
	CPU     time.Duration `json:"cpu_ns"`
	Mallocs uint64        `json:"mallocs"`
	Bytes   uint64        `json:"bytes"`
	PeakRSS int64         `json:"peak_rss"`
	Held    uint64        `json:"held"` // by heap and stacks now; right after collectWord: what is reachable
}

// Words to a loop, which then says what it has used.
const (
	collectWord = "collect" // collect garbage before
	idleWord    = "idle"    // the CPU profile is to be of what comes after
	adminWord   = "admin"   // say where the admin address is, instead
)

func ownUsage(word string) usage {
	if word == collectWord {
		for range 5 { // each halves the stacks that are larger than they need be
			runtime.GC()
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{Mallocs: m.Mallocs, Bytes: m.TotalAlloc, Held: m.HeapAlloc + m.StackInuse}
	u.CPU, u.PeakRSS = processUsage()
	return u
}

// run runs the loop until standard input ends, or until the loop fails: then
// the process ends without being asked, and the parent sees it.
func (c *subject) run(ctx context.Context, s Streams) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	endProfile, err := profile(c.CPUProfile)
	if err != nil {
		return err
	}
	defer func() { endProfile() }()
	admin := make(chan string, 1)
	answer := func(word string) any {
		if word == adminWord {
			return <-admin // if there will be none, the process ends
		}
		used := ownUsage(word)
		if word == idleWord && c.CPUProfile != "" {
			endProfile()
			_ = os.Rename(c.CPUProfile, c.CPUProfile+".start") // of how it came to be idle
			if endProfile, err = profile(c.CPUProfile); err != nil {
				endProfile = func() {}
				fmt.Fprintf(s.Err, "bench: profile: %v\n", err)
			}
		}
		return used
	}
	before := ownUsage("")
	looped, asked := make(chan error, 1), make(chan error, 1)
	go func() { looped <- c.loop(ctx, s, func(a net.Addr) { admin <- a.String() }) }()
	go func() { asked <- answerParent(s, before, answer) }()
	select {
	case err := <-looped:
		return err
	case err := <-asked:
		stop()
		return errors.Join(err, <-looped)
	}
}

// profile profiles the CPU into a file until the returned function is called.
func profile(file string) (end func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}

func (c *subject) loop(ctx context.Context, s Streams, onAdmin func(net.Addr)) error {
	if c.Plain {
		return runPlain(ctx, plainOptions{
			brokers: c.Brokers, group: c.Name, intents: c.Name + "-intents", outcomes: c.Name + "-outcomes",
			gateway: c.Gateway, inFlight: c.InFlight,
		})
	}
	cfg, err := c.settings()
	if err != nil {
		return err
	}
	out := s.Err
	if c.Observed { // as cmd/paylink has it
		lines := telemetry.NewQueue(s.Err, telemetry.QueueBytes)
		defer lines.Close(time.Second)
		out = lines
	}
	logger, err := service.Logger(cfg, out)
	if err != nil {
		return err
	}
	deps := service.Deps{Log: logger, Version: "dev", OnAdmin: onAdmin}
	if c.Traces != "" {
		deps.Getenv = os.Getenv
	}
	return service.Run(ctx, cfg, deps)
}

// settings are the service's defaults, but for the pace, which would hide
// everything else.
func (c *subject) settings() (config.Run, error) {
	cfg, err := config.Default()
	if err != nil {
		return cfg, err
	}
	cfg.Kafka.Brokers, cfg.Kafka.Group = c.Brokers, c.Name
	cfg.Topics = config.Topics{Intents: c.Name + "-intents", Outcomes: c.Name + "-outcomes", DeadLetters: c.Name + "-dead-letters"}
	cfg.Turns.Topic = c.Name + "-turns"
	cfg.Gateway.URL, cfg.Gateway.MerchantID, cfg.Gateway.Secret = c.Gateway, merchant, secret
	cfg.Gateway.Rate = config.Rate{Events: 1_000_000, Per: time.Second, Burst: 1_000_000}
	if c.Interval > 0 {
		cfg.Gateway.Rate = config.Rate{Events: 1, Per: c.Interval, Burst: 1}
	}
	cfg.Flow.Concurrency = c.InFlight
	cfg.Events.RegistryURL, cfg.Events.Format, cfg.Events.Register = c.Registry, c.Format, true
	cfg.Flow.LedgerDir = c.Folder
	cfg.Admin.Addr = "127.0.0.1:0"
	cfg.Log.Format, cfg.Log.Level = "text", "warn"
	if c.Observed {
		cfg.Log.Format, cfg.Log.Level = "json", "info"
	}
	if c.Merchants > 1 {
		file, err := writeMerchants(c.Merchants)
		if err != nil {
			return cfg, err
		}
		defer os.Remove(file)
		cfg.Gateway.MerchantsFile, cfg.Gateway.MerchantID, cfg.Gateway.Secret = file, "", ""
	}
	return cfg, cfg.Prepare()
}

// writeMerchants writes a list of merchants into a file that the caller removes.
func writeMerchants(n int) (file string, err error) {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "- id: %s\n  secret: %s\n", merchantID(i), secretOf(merchantID(i)).Reveal())
	}
	f, err := os.CreateTemp("", "paylink-bench-*.yaml")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text.String())
	return f.Name(), errors.Join(err, f.Close())
}
