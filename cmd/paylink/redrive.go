package main

import (
	"context"
	"fmt"
	"time"

	"paylink/internal/config"
	"paylink/internal/replay"
)

// redrive puts dead letters back on the intent topic.
func redrive(ctx context.Context, cfg config.Redrive, w world) error {
	r, err := beginReplay(ctx, cfg.Replaying, replaying{w: w, topic: cfg.Topics.DeadLetters}, cfg.Topics.Intents, "redrive")
	if err != nil {
		return err
	}
	defer r.end()
	r.watch("dead letters", records(r.found))
	run := replay.Redrive{
		Archive: r.Archive, Group: cfg.Group, Reasons: cfg.Reasons, MaxCycles: cfg.MaxCycles, Rate: cfg.Limit, Emit: r.emitter,
		Oldest: r.now.Add(-cfg.LedgerWindow),
		Tell:   func(l replay.RedriveLine) error { return r.printer.Row(l) },
	}
	if run.NotesSince, err = notesSince(ctx, r); err != nil {
		return interrupted(ctx, err, "nothing was changed")
	}
	if cfg.AssumeUnanswered {
		run.Oldest, run.NotesSince = time.Time{}, time.Time{}
	}
	if cfg.EditWith != "" {
		run.Edit = &replay.Editor{Command: cfg.EditWith, Environ: replay.Safe(w.environ), Limit: cfg.EditTimeout}
		if cfg.ShowPersonal {
			run.Edit.Stderr = w.err
		}
	}
	got, err := run.Run(ctx, r.found)
	r.progress.Done()
	goOn := fmt.Sprintf("%d dead letters were redriven, and it is noted which; run it again to go on", emitted(cfg.Execute, got.Redriven))
	return finish(r.printer, redriveSummary{"summary", !cfg.Execute, got}, interrupted(ctx, err, goOn), got.Parked+got.Skipped > 0)
}

// keptAtLeast is how long brokers keep the offsets of a group at least, by default: so
// did those before Kafka 2.0.
const keptAtLeast = 24 * time.Hour

// notesSince is the time before which brokers may have forgotten what was redriven.
func notesSince(ctx context.Context, r *replaying) (time.Time, error) {
	kept, err := r.kafka.OffsetsKept(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if kept == 0 {
		kept = keptAtLeast
		fmt.Fprintf(r.w.err, "paylink: warning: how long brokers remember what was redriven is not visible to us: dead letters older than %s stay; "+
			"grant DescribeConfigs on the cluster, which shows offsets.retention.minutes\n", kept)
	}
	return r.now.Add(-kept), nil
}

type redriveSummary struct {
	Kind   string `json:"kind"`
	DryRun bool   `json:"dry_run"`
	replay.RedriveSums
}

func (s redriveSummary) Lines() []string {
	lines := []string{fmt.Sprintf("%s %d dead letters; %d stay parked, %d are skipped; %d were redriven before",
		would(s.DryRun, "redrive", "redrove"), s.Redriven, s.Parked, s.Skipped, s.Already)}
	return append(lines, howTo(s.DryRun)...)
}
