package main

import (
	"context"
	"fmt"
	"time"

	"paylink/internal/config"
	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/facts"
	"paylink/internal/kafkaops"
	"paylink/internal/service"
	"paylink/internal/tell"
)

// An archive is what a verb reads: the topics, and what their records mean.
type archive struct {
	cfg     config.Reading
	now     time.Time // when the verb began; all ages and ranges count from it
	kafka   *kafkaops.Reader
	facts   *facts.Reader
	closers []func()
}

// openArchive makes an archive of the settings. Nothing is read yet.
func openArchive(cfg config.Reading, asking config.Asking, now time.Time) (*archive, error) {
	a := &archive{cfg: cfg, now: now}
	var known event.Schemas
	if cfg.Registry.RegistryURL != "" {
		reg, err := service.Registry(cfg.Registry, false, nil)
		if err != nil {
			return nil, err
		}
		known, a.closers = reg, append(a.closers, reg.Close)
	}
	reader, err := kafkaops.NewReader(service.Connection(cfg.Kafka, nil), cfg.Topics.Intents, cfg.Topics.Outcomes, cfg.Topics.DeadLetters)
	if err != nil {
		a.close()
		return nil, err
	}
	a.kafka, a.closers = reader, append(a.closers, reader.Close)
	a.facts = &facts.Reader{Topics: facts.Topics(cfg.Topics), Intents: service.IntentDecoder(asking, known), Outcomes: outcomes.NewDecoder(known)}
	return a, nil
}

func (a *archive) close() {
	for _, f := range a.closers {
		f()
	}
}

// spans fixes the verb's range of a topic in offsets.
func (a *archive) spans(ctx context.Context, topic string) ([]kafkaops.Span, error) {
	spans, err := a.kafka.Spans(ctx, a.wanted(topic))
	return spans, kafkaops.Lacking(topic, err)
}

// undatedToo is spans, with the intents that have no time. Other topics are ours.
func (a *archive) undatedToo(ctx context.Context, topic string) ([]kafkaops.Span, error) {
	if topic != a.cfg.Topics.Intents {
		return a.spans(ctx, topic)
	}
	spans, _, err := a.kafka.SpansUndated(ctx, a.wanted(topic))
	return spans, kafkaops.Lacking(topic, err)
}

func (a *archive) wanted(topic string) kafkaops.Range {
	r := kafkaops.Range{Topic: topic, Partition: -1, From: a.bound(a.cfg.Begin)}
	if a.cfg.End.Given() && !a.cfg.End.Latest {
		to := a.bound(a.cfg.End)
		r.To = &to
	}
	return r
}

// waits says what a verb waits for.
func (w world) waits(what string) { fmt.Fprintln(w.err, "paylink:", what) }

// stopped is the error of a verb that a signal has ended: what is left undone, and
// how to go on. Any other error it returns as it is.
func stopped(ctx context.Context, err error, undone, on string) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("interrupted: %s; %s", undone, on)
}

func (a *archive) bound(w config.When) kafkaops.Bound {
	if w.Latest {
		return kafkaops.Bound{At: a.now.Add(time.Hour)} // nothing is so young: the end
	}
	return kafkaops.Bound{At: w.Time(a.now)}
}

// wants reports whether a fact is of the intents that the filters name.
func (a *archive) wants(f facts.Fact) bool {
	return (a.cfg.Merchant == "" || string(f.Merchant) == a.cfg.Merchant) &&
		(a.cfg.Intent == "" || string(f.Intent) == a.cfg.Intent) &&
		(a.cfg.Order == "" || f.OrderID == a.cfg.Order)
}

// records is how many records spans have at most.
func records(all ...[]kafkaops.Span) (n int64) {
	for _, spans := range all {
		for _, s := range spans {
			n += s.Records()
		}
	}
	return n
}

// printer prints in the form of the settings.
func (a *archive) printer(w world) *tell.Printer {
	return tell.NewPrinter(w.out, tell.Format(a.cfg.Output))
}
