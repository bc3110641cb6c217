package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"paylink/internal/config"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkaops"
	"paylink/internal/replay"
	"paylink/internal/service"
	"paylink/internal/tell"
)

// A replayCmds is the verbs of `paylink replay`.
type replayCmds struct {
	Outcomes   config.ReplayOutcomes   `cmd:"" help:"Publish existing outcomes again, on another topic: same key, value and headers, and the header paylink-replayed-at."`
	Intents    config.ReplayIntents    `cmd:"" help:"Set the service's offsets in the intent topic, most often back. It tells first how many intents would be skipped, called, and found too old."`
	Unanswered config.ReplayUnanswered `cmd:"" help:"Emit intents again that were passed by: below the committed offset, with neither outcome nor dead letter."`
}

func (c *replayCmds) do(ctx context.Context, verb string, w world) error {
	switch verb {
	case "outcomes":
		return replayOutcomes(ctx, c.Outcomes, w)
	case "intents":
		return replayIntents(ctx, c.Intents, w)
	case "unanswered":
		return replayUnanswered(ctx, c.Unanswered, w)
	}
	return fmt.Errorf("command replay %s is not built in", verb)
}

// A replaying is what the verbs of replay and redrive begin with.
type replaying struct {
	*archive
	replay.Archive
	w        world
	topic    string // that the spans are of
	found    []kafkaops.Span
	emitter  *kafkaops.Emitter // nil: a dry run
	progress *tell.Progress
	printer  *tell.Printer
}

// beginReplay opens the archive and, to execute, the topic to write to: before
// anything is read, so that what an older run had open is ended.
func beginReplay(ctx context.Context, cfg config.Replaying, r replaying, to, id string) (*replaying, error) {
	a, err := openArchive(cfg.Reading, cfg.Asking(), time.Now())
	if err != nil {
		return nil, err
	}
	r.archive, r.printer = a, a.printer(r.w)
	r.Archive = replay.Archive{Kafka: a.kafka, Facts: a.facts, Now: a.now}
	if cfg.Merchant != "" || cfg.Intent != "" || cfg.Order != "" {
		r.Wants = a.wants
	}
	if cfg.Execute && to != "" {
		if id != "" {
			id = kafkaio.TransactionalIDs(cfg.Group, cfg.Topics.Intents) + id
		}
		r.emitter, err = kafkaops.OpenEmitter(ctx, service.Connection(cfg.Kafka, nil), to, id)
	}
	if err == nil && r.topic != "" {
		r.found, err = a.undatedToo(ctx, r.topic)
	}
	if err != nil {
		r.end()
		return nil, interrupted(ctx, err, "nothing was changed")
	}
	return &r, nil
}

func (r *replaying) end() {
	r.progress.Done()
	if r.emitter != nil {
		r.emitter.Close()
	}
	r.archive.close()
}

// watch shows progress, of so many records; -1: not known.
func (r *replaying) watch(what string, total int64) {
	r.progress = tell.NewProgress(r.w.err, what, total)
	r.Progress = r.progress.Add
}

// interrupted says in one line that a run was ended from outside, and how to go on.
func interrupted(ctx context.Context, err error, goOn string) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, kafkaops.ErrUnknown) {
		return fmt.Errorf("interrupted; %s", goOn)
	}
	return err
}

func replayOutcomes(ctx context.Context, cfg config.ReplayOutcomes, w world) error {
	topic := cfg.Topics.Outcomes
	r, err := beginReplay(ctx, cfg.Replaying, replaying{w: w, topic: topic}, cfg.ToTopic, "")
	if err != nil {
		return err
	}
	defer r.end()
	if err := goOn(cfg, r.found); err != nil {
		return err
	}
	if !cfg.Execute { // is the topic there?
		if _, err := r.kafka.Spans(ctx, kafkaops.Range{Topic: cfg.ToTopic, Partition: -1}); err != nil {
			return interrupted(ctx, err, "nothing was changed")
		}
	}
	r.watch("outcomes", records(r.found))
	run := replay.Outcomes{Archive: r.Archive, Emit: r.emitter}
	if cfg.Places != "" {
		run.Done = func(places []event.Place) error { return replay.KeepPlaces(cfg.Places, places) }
	}
	rows, err := run.Run(ctx, r.found)
	r.progress.Done()
	sum := outcomesSummary{Kind: "summary", DryRun: !cfg.Execute, ToTopic: cfg.ToTopic}
	next := replay.NextOf(topic, rows)
	for _, p := range next {
		sum.Places = append(sum.Places, place(p))
	}
	for _, row := range rows {
		sum.Outcomes, sum.Foreign, sum.Refused = sum.Outcomes+row.Outcomes, sum.Foreign+row.Foreign, sum.Refused+row.Refused
		if err := r.printer.Row(row); err != nil {
			return err
		}
	}
	switch {
	case err != nil && cfg.Execute && cfg.Places != "":
		err = interrupted(ctx, err, "run it again with --places "+cfg.Places+" to go on")
	case err != nil && cfg.Execute:
		fmt.Fprintln(w.err, "paylink: to go on, put these lines into a file and name it with --places:")
		_ = replay.WritePlaces(w.err, next) // the error below is told in any case
		err = interrupted(ctx, err, fmt.Sprintf("%d outcomes were published", sum.Outcomes))
	default:
		err = interrupted(ctx, err, "nothing was changed")
	}
	return finish(r.printer, sum, err, sum.Refused > 0)
}

// goOn begins where the file of places says, if there is one.
func goOn(cfg config.ReplayOutcomes, spans []kafkaops.Span) error {
	if cfg.Places == "" {
		return nil
	}
	places, err := placesOf(cfg.Places, cfg.Group, cfg.Topics.Outcomes)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &config.Error{Setting: "--places", Problem: err.Error()}
	}
	for i, s := range spans {
		if next, ok := places[s.Partition]; ok {
			spans[i].From = min(max(s.From, next), s.To)
		}
	}
	return nil
}

func placesOf(file, group, topic string) (map[int32]int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	places, err := replay.ReadPlaces(f, group, topic)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return places, nil
}

type outcomesSummary struct {
	Kind     string  `json:"kind"`
	DryRun   bool    `json:"dry_run"`
	ToTopic  string  `json:"to_topic"`
	Outcomes int64   `json:"outcomes"`
	Foreign  int64   `json:"foreign"`
	Refused  int64   `json:"refused"`
	Places   []place `json:"places"` // where it would go on
}

// A place is an event.Place in JSON.
type place struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func (s outcomesSummary) Lines() []string {
	lines := []string{fmt.Sprintf("%s %d outcomes to %s; left out %d that are no outcomes of paylink, and %d that are too large",
		would(s.DryRun, "publish", "published"), s.Outcomes, s.ToTopic, s.Foreign, s.Refused)}
	return append(lines, howTo(s.DryRun)...)
}

// would puts a verb into its mood: "would emit", "emitted".
func would(dry bool, verb, past string) string {
	if dry {
		return "would " + verb
	}
	return past
}

func howTo(dry bool) []string {
	if dry {
		return []string{"nothing was changed; --execute does it"}
	}
	return nil
}

// finish prints the summary and returns what ends the verb: err, or that something
// was not done.
func finish(p *tell.Printer, s tell.Summary, err error, left bool) error {
	if perr := p.Summary(s); perr != nil {
		return perr
	}
	if err == nil && left {
		return errTold
	}
	return err
}

func replayUnanswered(ctx context.Context, cfg config.ReplayUnanswered, w world) error {
	topic := cfg.Topics.Intents
	r, err := beginReplay(ctx, cfg.Replaying, replaying{w: w, topic: topic}, topic, "unanswered")
	if err != nil {
		return err
	}
	defer r.end()
	r.watch("records", -1)
	r.Waits = w.waits
	run := replay.Unanswered{
		Archive: r.Archive, Group: cfg.Group, Emit: r.emitter, AssumeUnanswered: cfg.AssumeUnanswered,
		Tell: func(l replay.UnansweredLine) error { return r.printer.Row(l) },
	}
	got, err := run.Run(ctx, r.found)
	r.progress.Done()
	sum := unansweredSummary{Kind: "summary", DryRun: !cfg.Execute, UnansweredSums: got}
	return finish(r.printer, sum, interrupted(ctx, err, fmt.Sprintf("%d intents were emitted again; run it again to go on", emitted(cfg.Execute, got.Emitted))), got.Skipped > 0)
}

func emitted(execute bool, n int64) int64 {
	if execute {
		return n
	}
	return 0
}

type unansweredSummary struct {
	Kind   string `json:"kind"`
	DryRun bool   `json:"dry_run"`
	replay.UnansweredSums
}

func (s unansweredSummary) Lines() []string {
	lines := []string{
		fmt.Sprintf("%d intents were passed in this range: %d have an outcome, %d stand further on too; %d records have dead letters, %d are no intents",
			s.Intents, s.Answered, s.Waiting, s.Buried, s.Unreadable),
		fmt.Sprintf("%s %d intents again; skipped %d", would(s.DryRun, "emit", "emitted"), s.Emitted, s.Skipped),
	}
	return append(lines, howTo(s.DryRun)...)
}

func replayIntents(ctx context.Context, cfg config.ReplayIntents, w world) error {
	r, err := beginReplay(ctx, cfg.Replaying, replaying{w: w}, "", "")
	if err != nil {
		return err
	}
	defer r.end()
	target, err := targetOf(cfg, r.now)
	if err != nil {
		return err
	}
	group, err := r.kafka.Group(ctx, cfg.Group, cfg.Topics.Intents)
	if err != nil {
		return interrupted(ctx, err, "nothing was changed")
	}
	if err := free(cfg, group, w.err); err != nil {
		return err
	}
	r.watch("records", -1)
	run := replay.Intents{Archive: r.Archive, Group: cfg.Group, Window: cfg.LedgerWindow, GiveUp: cfg.GiveUpAfter}
	moves, err := run.Plan(ctx, target, group)
	r.progress.Done()
	if err == nil && cfg.Execute && len(moves) > 0 {
		err = run.Set(ctx, moves)
	}
	if errors.Is(err, kafkaops.ErrMembers) { // they came while we read
		err = fmt.Errorf("the group %s has got members: nothing was changed; stop every replica of the service, and run it again", cfg.Group)
	}
	if err != nil {
		return interrupted(ctx, err, "nothing was changed")
	}
	return tellMoves(r, cfg, moves)
}

// free refuses to go on while the group has members.
func free(cfg config.ReplayIntents, group kafkaops.GroupState, warnings io.Writer) error {
	if !group.HasMembers() {
		return nil
	}
	who := strings.Join(group.Members, ", ")
	if who == "" {
		who = "it is " + group.State
	}
	line := fmt.Sprintf("the group %s has members (%s): stop every replica of the service first", cfg.Group, who)
	if cfg.Execute {
		return errors.New(line + "; nothing was changed")
	}
	fmt.Fprintln(warnings, "paylink: warning:", line+", before --execute")
	return nil
}

func targetOf(cfg config.ReplayIntents, now time.Time) (replay.Target, error) {
	t := replay.Target{At: cfg.At, Shift: cfg.Shift, Offset: cfg.Offset, First: cfg.ToEarliest, Last: cfg.ToLatest, Partitions: cfg.Numbers}
	if cfg.Ago > 0 {
		t.At = now.Add(-cfg.Ago)
	}
	if cfg.FromFile != "" {
		offsets, err := placesOf(cfg.FromFile, cfg.Group, cfg.Topics.Intents)
		if err == nil && len(offsets) == 0 {
			err = fmt.Errorf("%s: no line is about the group %s", cfg.FromFile, cfg.Group)
		}
		if err != nil {
			return t, &config.Error{Setting: "--from-file", Problem: err.Error()}
		}
		t.Offsets = offsets
	}
	return t, nil
}

// tellMoves tells what a plan does, or did, and how to undo it.
func tellMoves(r *replaying, cfg config.ReplayIntents, moves []replay.Move) error {
	if old := replay.OldPlaces(moves); cfg.Execute && len(old) > 0 { // first: nobody may be there to read the rest
		fmt.Fprintln(r.w.err, "paylink: to undo it, put these lines into a file and name it with --from-file:")
		if err := replay.WritePlaces(r.w.err, old); err != nil {
			return err
		}
	}
	sum := movesSummary{Kind: "summary", DryRun: !cfg.Execute, Group: cfg.Group, Partitions: len(moves)}
	for _, m := range moves {
		m.DryRun = !cfg.Execute
		sum.add(m)
		if err := r.printer.Row(m); err != nil {
			return err
		}
	}
	return r.printer.Summary(sum)
}

type movesSummary struct {
	Kind       string `json:"kind"`
	DryRun     bool   `json:"dry_run"`
	Group      string `json:"group"`
	Partitions int    `json:"partitions"`
	Skipped    int64  `json:"skipped"`
	Called     int64  `json:"called"`
	GivenUp    int64  `json:"given_up"`
	Invalid    int64  `json:"invalid"`
	TooOld     int64  `json:"too_old"`
	Buried     int64  `json:"buried"`
	PassedOver int64  `json:"passed_over"`
}

func (s *movesSummary) add(m replay.Move) {
	s.Skipped, s.Called, s.GivenUp, s.Invalid = s.Skipped+m.Skipped, s.Called+m.Called, s.GivenUp+m.GivenUp, s.Invalid+m.Invalid
	s.TooOld, s.Buried, s.PassedOver = s.TooOld+m.TooOld, s.Buried+m.Buried, s.PassedOver+m.PassedOver
}

func (s movesSummary) Lines() []string {
	lines := []string{
		fmt.Sprintf("%s the offsets of %d partitions for the group %s", would(s.DryRun, "set", "set"), s.Partitions, s.Group),
		fmt.Sprintf("of the records that are read again %d are skipped, because their intents have an outcome; the gateway is called for %d; "+
			"%d are given up, because of their age (PAYLINK_GIVE_UP_AFTER); %d fail, because they break rules; %d are too old, and %d no intents or in conflict: dead letters", s.Skipped, s.Called, s.GivenUp, s.Invalid, s.TooOld, s.Buried),
	}
	if s.PassedOver > 0 {
		lines = append(lines, fmt.Sprintf("%d records are passed over that have no outcome: they get none, unless \"paylink replay unanswered\" emits them again", s.PassedOver))
	}
	return slices.Concat(lines, howTo(s.DryRun))
}
