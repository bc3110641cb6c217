// Package replay puts records on a topic again: outcomes for readers that lost
// them, intents that have no outcome, dead letters; or it sets the service's
// offsets back. All of it is decided here and done by kafkaops; a run without an
// Emitter is a dry run, and tells what would be done.
//
// Two promises of the service rest on its care. An intent that may have been
// answered where nobody can look any more is left alone: emitting it again could
// make a second payment link (S1). And what was put on the intent topic is never
// put there twice, however a run ends: Redrive notes it in the transaction that
// writes it, Unanswered finds it on the topic itself, and waits until nothing there
// is hidden from it.
package replay

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"paylink/internal/event"
	"paylink/internal/facts"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
)

// HeaderReplayedAt says when a record was put on a topic again, by RFC 3339.
const HeaderReplayedAt = event.HeaderReplayedAt

// An Archive is what a replay reads.
type Archive struct {
	Kafka *kafkaops.Reader
	Facts *facts.Reader
	Now   time.Time // when the run began

	// Wants reports whether a fact passes the filters. Nil: there are none.
	Wants func(facts.Fact) bool

	// Progress is told how many records were read or written. It may be called
	// concurrently. Nil: nobody is.
	Progress func(n int64)

	// Waits is told what a run waits for if that takes long. Nil: nobody is.
	Waits func(what string)
}

func (a *Archive) wants(f facts.Fact) bool { return a.Wants == nil || a.Wants(f) }

func (a *Archive) progress(n int64) {
	if a.Progress != nil {
		a.Progress(n)
	}
}

// all is all records of a topic as of now.
func (a *Archive) all(ctx context.Context, topic string) ([]kafkaops.Span, error) {
	return a.Kafka.Spans(ctx, kafkaops.Range{Topic: topic, Partition: -1})
}

// whole is all records of a topic as of now, also those that an open transaction hides
// as yet: its end is waited for.
func (a *Archive) whole(ctx context.Context, topic string) ([]kafkaops.Span, error) {
	return a.Kafka.Whole(ctx, kafkaops.Range{Topic: topic, Partition: -1}, a.Waits)
}

// An idKey stands for an intent id in sets of millions.
type idKey [16]byte

func keyOf(id payment.IntentID) idKey {
	sum := sha256.Sum256([]byte(id))
	return idKey(sum[:len(idKey{})])
}

// withHeader is the headers with one of them set.
func withHeader(headers []event.Header, name, value string) []event.Header {
	out := make([]event.Header, 0, len(headers)+1)
	for _, h := range headers {
		if h.Key != name {
			out = append(out, h)
		}
	}
	return append(out, event.Header{Key: name, Value: []byte(value)})
}

// isUnreadable reports whether an error says that a record is no intent, or no
// outcome; any other says that it could not be judged.
func isUnreadable(err error) bool {
	_, ok := errors.AsType[*event.Unreadable](err)
	return ok
}

// What is written at once, at most: less than one batch of the Emitter, so that of
// records for one partition all are written or none, also without a transaction.
const (
	mostRecords = 500
	mostBytes   = 800 << 10
)

// A batch is records on their way to a topic, each with what it is to its maker.
type batch[T any] struct {
	items   []T
	records []kafkaops.Emission
	bytes   int
}

func (b *batch[T]) add(item T, r kafkaops.Emission) {
	b.items, b.records, b.bytes = append(b.items, item), append(b.records, r), b.bytes+r.Size()
}

// takes reports whether there is room for one more record, of so many.
func (b *batch[T]) takes(r kafkaops.Emission, most int) bool {
	return len(b.records) == 0 || len(b.records) < most && b.bytes+r.Size() <= mostBytes
}

// send emits a batch. Which records the topic does not take is found by halving.
func (b *batch[T]) send(emit func([]T, []kafkaops.Emission) error, refused func(T) error) error {
	if len(b.records) == 0 {
		return nil
	}
	err := emit(b.items, b.records)
	if err == nil || !errors.Is(err, kafkaops.ErrTooLarge) {
		return err
	}
	n := len(b.records)
	if n == 1 {
		return refused(b.items[0])
	}
	for _, half := range []batch[T]{{items: b.items[:n/2], records: b.records[:n/2]}, {items: b.items[n/2:], records: b.records[n/2:]}} {
		if err := half.send(emit, refused); err != nil {
			return err
		}
	}
	return nil
}
