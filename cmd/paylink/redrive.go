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
	if cfg.AssumeUnanswered {
		run.Oldest = time.Time{}
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
