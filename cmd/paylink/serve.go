package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"paylink/internal/config"
	"paylink/internal/finding"
	"paylink/internal/kafkaops"
	"paylink/internal/service"
	"paylink/internal/telemetry"
)

// logLeft is how long the end of the log is waited for.
const logLeft = 2 * time.Second

// serve runs the service. Its log goes to standard error; if that stalls, lines are
// dropped, and the service goes on. settings reads them anew.
func serve(ctx context.Context, cfg config.Run, warnings []string, w world, settings func() (config.Run, error)) error {
	lines := telemetry.NewQueue(w.err, telemetry.QueueBytes)
	defer lines.Close(logLeft)
	log, err := service.Logger(cfg, lines)
	if err != nil {
		return err
	}
	for _, s := range warnings {
		log.Warn(s)
	}
	limit := debug.SetMemoryLimit
	if debug.SetMemoryLimit(-1) != math.MaxInt64 { // GOMEMLIMIT: somebody knows better
		limit = nil
	}
	return service.Run(ctx, cfg, service.Deps{
		LimitMemory: limit,
		Log:         log, Version: buildVersion(), Proxy: http.ProxyFromEnvironment,
		Getenv: w.getenv, Reload: w.reload, Settings: settings, SetLevel: func(level string) {
			if l, err := logrus.ParseLevel(level); err == nil {
				log.SetLevel(l)
			}
		},
	})
}

// check prints what it finds, and fails if anything must be mended first.
func check(ctx context.Context, cfg config.Check, w world) error {
	found := service.Check(ctx, cfg.Run, service.Deps{Proxy: http.ProxyFromEnvironment})
	worst := finding.Worst(found)
	if cfg.JSON {
		if err := printJSON(w.out, map[string]any{"worst": worst, "findings": found}); err != nil {
			return err
		}
	} else {
		printFindings(w.out, found)
	}
	if worst == finding.Fail {
		return errTold
	}
	return nil
}

func printFindings(out io.Writer, found []finding.Finding) {
	count := map[finding.Level]int{}
	for _, f := range found {
		count[f.Level]++
		fmt.Fprintf(out, "%-4s  %s: %s\n", f.Level, f.About, f.What)
		if f.Mend != "" {
			fmt.Fprintf(out, "      → %s\n", f.Mend)
		}
	}
	fmt.Fprintf(out, "\n%d ok, %d warn, %d FAIL\n", count[finding.OK], count[finding.Warn], count[finding.Fail])
}

// topicsCreate makes the topics and says what it did.
func topicsCreate(ctx context.Context, cfg config.TopicsCreate, w world) error {
	reports, err := kafkaops.CreateTopics(ctx, service.Connection(cfg.Kafka, nil), kafkaops.Plan{
		Topics: service.Topics(cfg.Topics, cfg.Turns.Name()), Partitions: cfg.Partitions, Replication: cfg.Replication, LedgerWindow: cfg.LedgerWindow,
	})
	if err != nil {
		return err
	}
	if cfg.JSON {
		return printJSON(w.out, reports)
	}
	for _, r := range reports {
		fmt.Fprintf(w.out, "%-8s %s\n", map[bool]string{true: "created", false: "exists"}[r.Created], r.Name)
		for _, d := range r.Differences {
			fmt.Fprintf(w.out, "         differs: %s\n", d)
		}
	}
	return nil
}

// topicsDescribe shows the topics; it fails if one is missing that the service needs.
func topicsDescribe(ctx context.Context, cfg config.TopicsDescribe, w world) error {
	states, err := kafkaops.DescribeTopics(ctx, service.Connection(cfg.Kafka, nil), service.Topics(cfg.Topics, cfg.Turns.Name()))
	if err != nil {
		return err
	}
	missing := false
	for _, s := range states {
		missing = missing || !s.Exists && s.Name != cfg.Turns.Name()
	}
	if cfg.JSON {
		err = printJSON(w.out, states)
	} else {
		printTopics(w.out, states)
	}
	if err == nil && missing {
		err = errTold
	}
	return err
}

func printTopics(out io.Writer, states []kafkaops.TopicState) {
	for _, s := range states {
		if !s.Exists {
			fmt.Fprintf(out, "%s\n  does not exist → run \"paylink topics create\"\n", s.Name)
			continue
		}
		fmt.Fprintf(out, "%s\n  %d partitions, %d replicas, %d out of sync, %d without a leader\n", s.Name, s.Partitions, s.Replicas, s.OutOfSync, s.Leaderless)
		var set []string
		for _, name := range kafkaops.SettingNames() {
			if v, ok := s.Settings[name]; ok {
				set = append(set, name+"="+v)
			}
		}
		if len(set) > 0 {
			fmt.Fprintf(out, "  %s\n", strings.Join(set, " "))
		}
	}
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
