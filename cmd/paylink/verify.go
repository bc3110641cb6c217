package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"paylink/internal/config"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkaops"
	"paylink/internal/reconcile"
	"paylink/internal/tell"
)

// verifyTopics judges the promise over a range, from the topics alone.
func verifyTopics(ctx context.Context, cfg config.Verify, w world) error {
	a, err := openArchive(cfg.Reading, cfg.Asking, time.Now())
	if err != nil {
		return err
	}
	defer a.close()
	r, denied, err := a.fix(ctx, w)
	if err != nil {
		return unjudged(ctx, err)
	}
	if denied != nil {
		fmt.Fprintf(w.err, "paylink: verify: what is lost is not judged: %s\n", withCommands(denied))
	}
	if denied == nil && len(r.Committed) == 0 {
		fmt.Fprintf(w.err, "paylink: verify: the group %s has committed nothing in %s, so that nothing counts as lost\n", cfg.Group, cfg.Topics.Intents)
	}
	dir, remove, err := tempDir()
	if err != nil {
		return err
	}
	defer remove()
	joined, out, done, err := a.begin(r, dir, reconcile.Finding{}, w)
	if err != nil {
		return err
	}
	defer done()
	sum, err := joined.Verify(ctx, func(f reconcile.Finding) error { return out.Row(f) })
	if err != nil {
		return unjudged(ctx, err)
	}
	if err := out.Summary(sum); err != nil {
		return err
	}
	if !sum.Clean() || denied != nil {
		return errTold
	}
	return nil
}

// fix fixes the range of the settings. The group's offsets come first: whatever is
// below them has its outcome before the end of the outcomes. denied says that the
// offsets may not be read; the range then has none.
func (a *archive) fix(ctx context.Context, w world) (r reconcile.Range, denied, err error) {
	topics := a.facts.Topics
	want := reconcile.Want{Topics: topics, Moment: a.now, LedgerWindow: a.cfg.LedgerWindow, Waits: w.waits}
	want.Committed, err = a.kafka.Committed(ctx, a.cfg.Group, topics.Intents)
	if err == nil {
		want.KnownSince, err = a.kafka.KnownSince(ctx, a.cfg.Group, topics.Intents, topics.Outcomes)
	}
	if errors.As(err, new(*kafkaio.RightError)) {
		want.Committed, denied, err = nil, err, nil
	}
	if err != nil {
		return r, nil, err
	}
	if begin := a.bound(a.cfg.Begin); begin != (kafkaops.Bound{}) {
		want.Begin = &begin
	}
	if a.cfg.End.Given() && !a.cfg.End.Latest {
		end := a.bound(a.cfg.End)
		want.End, want.Moment = &end, end.At
	}
	want.Moment = want.Moment.UTC().Truncate(time.Second)
	r, err = reconcile.Fix(ctx, a.kafka, want)
	return r, denied, err
}

// begin is how a join begins to speak: it says so if there is nothing to join, shows its
// progress, and prints the head of its rows. done ends the progress.
func (a *archive) begin(r reconcile.Range, dir string, row any, w world) (joined *reconcile.Archive, out *tell.Printer, done func(), err error) {
	if records(r.Intents) == 0 {
		fmt.Fprintf(w.err, "paylink: the range holds no record of %s\n", a.cfg.Topics.Intents)
	}
	out = a.printer(w)
	if err := out.Head(row); err != nil {
		return nil, nil, nil, err
	}
	progress := tell.NewProgress(w.err, "records", r.Records())
	return a.join(r, dir, progress), out, progress.Done, nil
}

// join is the archive as the room of the join wants it.
func (a *archive) join(r reconcile.Range, dir string, p *tell.Progress) *reconcile.Archive {
	return &reconcile.Archive{
		Kafka: a.kafka, Facts: a.facts, Range: r, Dir: dir, Read: p.Add, Joined: p.Done,
		Filter: reconcile.Filter{Merchant: a.cfg.Merchant, Intent: a.cfg.Intent, Order: a.cfg.Order},
	}
}

// tempDir makes a directory for files that end with the verb.
func tempDir() (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp("", "paylink-"); err != nil {
		err = fmt.Errorf("directory for temporary files (TMPDIR): %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// unjudged is the error of a join that a signal may have ended.
func unjudged(ctx context.Context, err error) error {
	if errors.As(err, new(*reconcile.Interrupted)) { // it says itself how to go on
		return err
	}
	return stopped(ctx, err, "nothing is judged, and nothing was changed", "run it again")
}
